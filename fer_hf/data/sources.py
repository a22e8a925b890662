"""Where pictures come from: recognise the layout of a source, and make the three splits of it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from fer_hf.data import arrow_cache
from fer_hf.data.labels import collect_label_names, name_labels
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.arrays import ARRAYS
from fer_hf.data.layouts.drawn_faces import DRAWN
from fer_hf.data.layouts.fer2013 import FER2013
from fer_hf.data.layouts.ferplus import FERPLUS
from fer_hf.data.layouts.folders import FOLDERS
from fer_hf.data.layouts.hub_datasets import HUB
from fer_hf.data.layouts.tables import TABLE
from fer_hf.data.splits import SPLITS, split_rows
from fer_hf.data.stored_pictures import find_unreadable

logger = logging.getLogger(__name__)

_SKIPPED, _OWN_SPLITS = "skipped.json", "own_splits.json"

LAYOUTS = {
    layout.name: layout
    # A source has the first layout that recognises it. A table whose columns fit comes before label
    # folders beside it: somebody wrote it on purpose.
    for layout in (
        DRAWN,
        ARRAYS,
        FERPLUS,
        FER2013,
        TABLE,
        FOLDERS,
        HUB,
    )
}
"""The layouts by name, in the order in which a source is compared with them."""


class UnreadablePicturesError(ValueError):
    """Pictures of a source cannot be read.

    Attributes:
        pictures: What is wrong with which one, in words.
    """

    def __init__(self, pictures: Sequence[str]) -> None:
        self.pictures = list(pictures)
        more = f"; and {len(pictures) - 10} more" if pictures[10:] else ""
        super().__init__(
            f"{len(pictures)} pictures cannot be read: {'; '.join(pictures[:10])}{more}. "
            "Repair or remove them, or pass `skip_unreadable=True` to leave them out."
        )


def load_splits(
    source: str | Path, *, layout: str | None = None, **options: Any
) -> datasets.DatasetDict:
    """Load pictures and labels from any of the `LAYOUTS` as the splits train, validation and test.

    Every picture is decoded once, to make sure that it can be. The result stays in the `datasets`
    cache until the files change, so that loading again takes no time. Splits that the source lacks
    are cut out of its `train`; see `splits.split_rows`.

    Args:
        source: A path, a data set's id on the Hub, or the word ``"drawn"``.
        layout: One of `LAYOUTS`; by default it is recognised.
        **options: `image_column`, `label_column`, `label_names`, `votes_file`, `vote_rule`,
            `num_drawn`, `drawn_size`, `revision`, `skip_unreadable` and `seed`, as `LoadOptions`
            describes them.

    Returns:
        Exactly `train`, `validation` and `test`, with the columns `image` (`Image`), `label`
        (`ClassLabel`, names as `emotions.order_labels` orders them) and, if the source has votes,
        `votes`: float32 counts, one for each label in the order of the ids, and `other_votes`, the
        count of votes for none of them, where the source says so. `info.splits` of each has the
        splits of the source itself; see `splits.is_cut`.

    Raises:
        ValueError: If the source is not understood, or its content cannot be used; the message says
            what was found and what to do. If pictures cannot be read it is an
            `UnreadablePicturesError`, which lists them all.
        FileNotFoundError: If there is no such source.
        ConnectionError: If the Hub cannot be reached.
        OSError: If the disk is full.

    Example:
        >>> splits = load_splits("my_faces")
        >>> splits["train"].features["label"].names
        ['cross', 'pleased']
        >>> splits["train"][0]["image"].size
        (48, 48)
    """
    chosen = LoadOptions(**options)
    with arrow_cache.explaining_full_disk():
        kind, found = locate_source(source, layout, chosen)
        described = {"layout": kind.name, "source": str(source), **asdict(chosen)}
        key = arrow_cache.compute_key(found.identity, described)
        entry = arrow_cache.find_or_write(key, lambda folder: _write(folder, found, chosen))
    if skipped := json.loads((entry / _SKIPPED).read_text(encoding="utf-8")):
        logger.warning("Left out %d unreadable pictures: %s", len(skipped), "; ".join(skipped))
    own = json.loads((entry / _OWN_SPLITS).read_text(encoding="utf-8"))
    return datasets.DatasetDict(
        {split: arrow_cache.load_split(entry / f"{split}.arrow", own) for split in SPLITS}
    )


def locate_source(
    source: str | Path, layout: str | None, options: LoadOptions
) -> tuple[Layout, Source]:
    """Find the labels and pictures of a source, without decoding a picture.

    Returns:
        The layout, by default the one that recognises it, and what it found.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: As `load_splits` says.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}. Expected one of {list(LAYOUTS)}, or None.")
    kind = LAYOUTS[layout or recognise_layout(source, options.votes_file)]
    _check_vote_rule(options.vote_rule, kind, source)
    path = Path(source).expanduser().absolute()
    if not path.exists():
        if kind.recognise_text is None:
            raise FileNotFoundError(f"There is no file or folder '{path}'. Check the path.")
        path = Path(source)
    found = kind.locate(path, options)
    logger.info("Read '%s' as `%s`; labels: %s.", source, kind.name, found.labels_from)
    return kind, found


def _check_vote_rule(rule: str, layout: Layout, source: str | Path) -> None:
    rules = LAYOUTS["ferplus"].vote_rules
    if rule not in rules:
        raise ValueError(f"`vote_rule` is {rule!r}. Expected one of {list(rules)}.")
    if rule not in layout.vote_rules:
        raise ValueError(
            f"`vote_rule` is {rule!r}, but '{source}' has the layout `{layout.name}`, which has no "
            "votes. Expected FER+: leave `vote_rule` out, or pass `votes_file` with a fer2013.csv."
        )


def recognise_layout(source: str | Path, votes_file: str | Path | None = None) -> str:
    """Return the name of the layout of a source; with a `votes_file`, a fer2013.csv is FER+.

    Raises:
        FileNotFoundError: If `source` is not a path that exists, nor could be an id on the Hub.
        ValueError: If a folder or file matches no layout, with what it holds.
    """
    path, options = Path(source).expanduser(), LoadOptions(votes_file=votes_file)
    # An empty text would mean the working directory, which nobody meant.
    exists = path.exists() and source != ""
    for layout in LAYOUTS.values():
        if exists and layout.recognise(path, options):
            return layout.name
        if not exists and layout.recognise_text and layout.recognise_text(str(source)):
            return layout.name
    if exists:
        raise ValueError(_describe_unknown(path))
    raise FileNotFoundError(
        f"{str(source)!r} is not a file or folder here, nor an id on the Hub ('name' or "
        "'namespace/name'). Check the path."
    )


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


def _write(folder: Path, source: Source, options: LoadOptions) -> None:
    """Write the three splits of a source into the folder of a cache entry."""
    parts, skipped = _check_pictures(source.read(), options)
    labels, declared = {}, options.label_names
    for split, part in parts.items():
        given = part.label_names or options.label_names
        labels[split] = name_labels(part.labels, given, part.where, part.name)
        declared = declared or given
    names = collect_label_names(labels, declared)
    label_ids = {split: np.array([names.index(name) for name in labels[split]]) for split in labels}
    cut = split_rows(label_ids["train"], set(parts), options.seed)
    for split in SPLITS:
        # A split that the source lacks comes out of its `train`.
        origin = split if split in parts else "train"
        rows = cut.get(split, np.arange(len(label_ids[origin])))
        part = parts[origin].select(rows)
        columns = {"label": label_ids[origin][rows], **part.order_votes(names)}
        pictures = part.read(np.arange(len(rows)))
        arrow_cache.write_split(folder / f"{split}.arrow", pictures, columns, names)
    (folder / _SKIPPED).write_text(json.dumps(skipped), encoding="utf-8")
    own = {split: len(part.labels) for split, part in parts.items()}
    (folder / _OWN_SPLITS).write_text(json.dumps(own), encoding="utf-8")


def _check_pictures(
    parts: dict[str, Part], options: LoadOptions
) -> tuple[dict[str, Part], list[str]]:
    """Return the parts with the pictures that can be read, and the names of those that cannot.

    Raises:
        UnreadablePicturesError: If pictures cannot be read, and `skip_unreadable` is not set.
    """
    checked, unreadable = dict(parts), []
    for split, part in parts.items():
        if part.is_checked:
            continue
        rows = np.arange(len(part.labels))
        faults = find_unreadable(part.read(rows), len(rows))
        checked[split] = part.select(np.delete(rows, list(faults)))
        unreadable += [f"`{split}` {part.name(row)}: {why}" for row, why in faults.items()]
    if unreadable and not options.skip_unreadable:
        raise UnreadablePicturesError(unreadable)
    return checked, unreadable
