"""The `folders` layout: one folder of pictures for each label, somewhere below the source.

The pictures stay where they are; the data set stores their paths.
"""

import logging
from collections import Counter
from pathlib import Path

from fer_hf.data.layout import Layout, LoadOptions, Source, source_of_files
from fer_hf.data.layouts.folder_listing import list_files
from fer_hf.data.layouts.path_words import find_splits
from fer_hf.data.layouts.picture_tree import (
    FolderLabels,
    PictureFolder,
    find_emotion_folders,
    find_plain_folders,
    read_tree,
    show_names,
)
from fer_hf.data.layouts.sidecars import AFFECTNET
from fer_hf.data.pictures import is_picture

logger = logging.getLogger(__name__)

LIST_ENDINGS = (".csv", ".tsv", ".txt", ".lst", ".xlsx", ".json")


def _locate(root: Path, options: LoadOptions) -> Source:
    """Find the pictures of `…/<split>/…/<label>/*.jpg`, or without split folders.

    The label folders are the level whose names are emotions, or else, the first that counts no
    persons. Folders below them do not matter. Hidden files, files with other endings than a
    picture's, and pictures outside of label folders are left out.

    Raises:
        ValueError: If no level, or more than one, could be the labels.
    """
    folders = read_tree(root)
    labels = find_emotion_folders(folders) or _require_plain_folders(root, folders, options)
    inside = [folder for folder in folders if folder.parts in labels.names]
    has_splits = any(folder.split for folder in inside)
    labelled = [folder for folder in inside if folder.split or not has_splits]
    _refuse_copies(root, labelled)
    pictures: dict[str, list[tuple[str, Path]]] = _find_empty_splits(root) if has_splits else {}
    for folder in labelled:
        pictures.setdefault(folder.split or "train", []).extend(
            (labels.names[folder.parts], file) for file in folder.files
        )
    _warn_of_empty_folders(root, labels)
    notes = _describe_left_out(root, [folder for folder in folders if folder not in labelled])
    return source_of_files(pictures, "the names of the label folders", labels.emotions, notes)


def _require_plain_folders(
    root: Path, folders: list[PictureFolder], options: LoadOptions
) -> FolderLabels:
    try:
        return find_plain_folders(folders, outermost=options.layout == FOLDERS.name)
    except ValueError as error:
        raise ValueError(
            f"'{root}' {error}. The nearest layout is {_find_nearest(root, folders)}. Arrange the "
            "pictures so; or pass `label_pattern` to say where in a path the label is, or the "
            "layout `folders` if the outermost folders are the labels."
        ) from None


def _find_nearest(root: Path, folders: list[PictureFolder]) -> str:
    """Describe the layout that a folder without labels comes nearest to."""
    names = {name for inside in list_files(root).values() for name in inside}
    lists = [name for name in names if name.lower().endswith(LIST_ENDINGS)]
    if lists:
        return f"`table`, if one of the files {show_names(lists)} says the labels: pass that one"
    nearest = FOLDERS
    if any(folder.split and not folder.names for folder in folders):
        nearest = AFFECTNET
    return f"`{nearest.name}` ({nearest.looks_like})"


def _refuse_copies(root: Path, folders: list[PictureFolder]) -> None:
    """Refuse two versions of the same pictures, such as `aligned` beside `original`."""
    first: dict[tuple[object, ...], PictureFolder] = {}
    for folder in folders:
        for file in folder.files:
            twin = first.setdefault((folder.split, folder.names, file.name), folder)
            if twin is not folder:
                raise ValueError(
                    f"'{root}' has the same picture in '{'/'.join(twin.parts)}' and in "
                    f"'{'/'.join(folder.parts)}' ({file.name}), so it holds its pictures twice. "
                    "Pass one of the two folders, or remove one."
                )


def _find_empty_splits(root: Path) -> dict[str, list[tuple[str, Path]]]:
    """Map splits whose folders hold no picture at all to nothing, so that they are not made up."""
    listing = list_files(root)
    filled = {parts[:1] for parts, names in listing.items() if any(map(is_picture, names))}
    names = [parts[0] for parts in listing if len(parts) == 1 and parts not in filled]
    return {split: [] for split in find_splits(names).values()}


def _warn_of_empty_folders(root: Path, labels: FolderLabels) -> None:
    listing = list_files(root)
    filled = {
        parts[: depth + 1]
        for parts, names in listing.items()
        if any(map(is_picture, names))
        for depth in range(len(parts))
    }
    for parts in listing:
        is_label = bool(parts) and parts[:-1] in labels.parents and not parts[-1].startswith("__")
        if is_label and parts not in filled:
            folder = root.joinpath(*parts)
            logger.warning("Label folder '%s' has no pictures and is left out.", folder)


def _describe_left_out(root: Path, folders: list[PictureFolder]) -> list[str]:
    counts = Counter({"/".join(f.parts) or root.name: len(f.files) for f in folders})
    if not counts:
        return []
    where = ", ".join(f"'{name}'" for name, _ in counts.most_common(3))
    more = " and others" if len(counts) > 3 else ""
    return [f"left out {counts.total():,} pictures outside of the label folders, in {where}{more}"]


FOLDERS = Layout(
    "folders",
    "train/happy/1.jpg, or happy/1.jpg: one folder for each label",
    recognise=lambda path, options: path.is_dir() and any(f.parts for f in read_tree(path)),
    locate=_locate,
)
