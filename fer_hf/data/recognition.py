"""Which layout a source has, and where it says that labels and pictures are.

Everything that takes a source comes through here: a folder, a file, an archive, an id or a word.
"""

from pathlib import Path

from fer_hf.data.archives import holds_archives, is_archive, refuse_foreign_archive, unpack
from fer_hf.data.layout import Layout, LoadOptions, Source
from fer_hf.data.layouts.arrays import ARRAYS
from fer_hf.data.layouts.drawn_faces import DRAWN
from fer_hf.data.layouts.fer2013 import FER2013
from fer_hf.data.layouts.ferplus import FERPLUS
from fer_hf.data.layouts.file_names import FILE_NAMES
from fer_hf.data.layouts.folder_listing import looking_once
from fer_hf.data.layouts.folders import FOLDERS
from fer_hf.data.layouts.hub_datasets import HUB
from fer_hf.data.layouts.picture_tree import read_tree
from fer_hf.data.layouts.published import PUBLISHED
from fer_hf.data.layouts.published_lists import AFFECTNET_CSV, EXPW, RAF_DB
from fer_hf.data.layouts.sidecars import AFFECTNET, CK_PLUS, SIDECARS
from fer_hf.data.layouts.tables import TABLE
from fer_hf.data.layouts.yolo import YOLO

LAYOUTS = {
    layout.name: layout
    # A source has the first layout that recognises it: published sets before what anybody may have
    # made, and a table whose columns fit before label folders, because it was written on purpose.
    for layout in (
        DRAWN,
        ARRAYS,
        FERPLUS,
        FER2013,
        AFFECTNET,
        AFFECTNET_CSV,
        CK_PLUS,
        RAF_DB,
        EXPW,
        *PUBLISHED,
        YOLO,
        SIDECARS,
        TABLE,
        FILE_NAMES,
        FOLDERS,
        HUB,
    )
}
"""The layouts by name, in the order in which a source is compared with them."""


@looking_once()
def locate_source(source: str | Path, options: LoadOptions) -> tuple[Layout, Source]:
    """Find the labels and pictures of a source, without decoding a picture.

    Returns:
        The layout, by default the one that recognises it, and what it found.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: As `load_splits` says.
    """
    layout = options.layout
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}. Expected one of {list(LAYOUTS)}, or None.")
    kind = LAYOUTS[layout or recognise_layout(source, options)]
    _check_options(options, kind, source)
    path = Path(source).expanduser().absolute()
    if path.exists():
        return kind, kind.locate(unpack_archives(path, options), options)
    if kind.recognise_text is None:
        raise FileNotFoundError(f"There is no file or folder '{path}'. Check the path.")
    return kind, kind.locate(Path(source), options)


def unpack_archives(path: Path, options: LoadOptions) -> Path:
    """Return the folder of what an archive holds, or archives in a folder without pictures do."""
    if is_archive(path):
        return unpack(path)
    if (
        path.is_dir()
        and holds_archives(path)
        and not read_tree(path)
        # A list may be of pictures that are in the archive beside it.
        and _recognise_path(path, options) in (None, HUB.name, TABLE.name)
    ):
        return unpack(path)
    return path


def _check_options(options: LoadOptions, layout: Layout, source: str | Path) -> None:
    rule, rules = options.vote_rule, LAYOUTS["ferplus"].vote_rules
    if rule not in rules:
        raise ValueError(f"`vote_rule` is {rule!r}. Expected one of {list(rules)}.")
    if rule not in layout.vote_rules:
        raise ValueError(
            f"`vote_rule` is {rule!r}, but '{source}' has the layout `{layout.name}`, which has no "
            "votes. Expected FER+: leave `vote_rule` out, or pass `votes_file` with a fer2013.csv."
        )
    if options.label_pattern is not None and layout is not FILE_NAMES:
        raise ValueError(
            f"`label_pattern` is {options.label_pattern!r}, but '{source}' has the layout "
            f"`{layout.name}`, whose labels are not in paths. Expected a folder of pictures: leave "
            f"one of them out, or pass `{FILE_NAMES.name}` as the layout."
        )


@looking_once()
def recognise_layout(source: str | Path, options: LoadOptions | None = None) -> str:
    """Return the name of the layout of a source.

    With a `votes_file`, a fer2013.csv is FER+; with a `label_pattern`, a folder is `file-names`.

    Raises:
        FileNotFoundError: If `source` is not a path that exists, nor could be an id on the Hub.
        ValueError: If a folder or file matches no layout, with what it holds.
    """
    path, options = Path(source).expanduser().absolute(), options or LoadOptions()
    # An empty text would mean the working directory, which nobody meant.
    if path.exists() and source != "":
        if not (path.is_file() or path.is_dir()):
            raise ValueError(f"'{path}' is a pipe or a device. Expected a file or a folder.")
        unpacked = unpack_archives(path, options)
        if options.label_pattern is not None and unpacked.is_dir():
            return FILE_NAMES.name
        if found := _recognise_path(unpacked, options):
            return found
        refuse_foreign_archive(path)
        raise ValueError(_describe_unknown(unpacked))
    for layout in LAYOUTS.values():
        if layout.recognise_text and layout.recognise_text(str(source)):
            return layout.name
    raise FileNotFoundError(
        f"{str(source)!r} is not a file or folder here, nor an id on the Hub ('name' or "
        "'namespace/name'). Check the path."
    )


def _recognise_path(path: Path, options: LoadOptions) -> str | None:
    return next((kind.name for kind in LAYOUTS.values() if kind.recognise(path, options)), None)


def _describe_unknown(path: Path) -> str:
    found = f"'{path}' is a file of an unknown kind"
    if path.is_dir():
        inside = sorted(
            f"{child.name}/" if child.is_dir() else child.name for child in path.iterdir()
        )
        shown = ", ".join(inside[:10]) + (f" and {len(inside) - 10} more" if inside[10:] else "")
        found = f"'{path}' holds {shown or 'nothing'}, which is not a known layout"
    known = "; ".join(f"`{layout.name}` ({layout.looks_like})" for layout in LAYOUTS.values())
    return f"{found}. Expected one of: {known}. Arrange the files so, or pass `layout`."
