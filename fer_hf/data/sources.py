"""Where pictures come from: recognise the layout of a source, and make the three splits of it.

Each layout has a module of its own; they meet here, so that `load_splits` is all a user calls.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np

from fer_hf.data import arrow_cache
from fer_hf.data.labels import check_label_names, collect_label_names
from fer_hf.data.layouts.arrays import find_array_names, locate_arrays
from fer_hf.data.layouts.ferplus import (
    VOTE_RULES,
    VOTES_FILE,
    find_fer2013,
    find_vote_tables,
    locate_fer2013,
    locate_ferplus,
)
from fer_hf.data.layouts.folders import find_label_folders, locate_folders
from fer_hf.data.layouts.hub_datasets import is_repo_id, locate_drawn, locate_hub
from fer_hf.data.layouts.tables import find_tables, locate_table, looks_like_table
from fer_hf.data.parts import SPLITS, Part, Source
from fer_hf.data.pictures import find_unreadable
from fer_hf.data.splitting import split_rows
from fer_hf.emotions import order_labels

logger = logging.getLogger(__name__)

LAYOUTS = {
    "arrays": "one .npz, or a folder of .npy: `train_images`, `train_labels`, `test_images`, …",
    "folders": "train/happy/1.jpg, or happy/1.jpg: one folder for each label",
    "table": "a CSV, TSV or Parquet file, or one for each split: columns `image` and `label`",
    "fer2013": "fer2013.csv: columns `emotion`, `pixels`, `Usage`",
    "ferplus": "fer2013.csv with fer2013new.csv, or train.parquet, … with ten vote columns",
    "hub": "a data set's id on the Hub, or anything else `datasets.load_dataset` can load",
    "drawn": "the drawn faces, made on the spot: the source is the word 'drawn'",
}
"""The layouts by name, with what each looks like."""


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
    source: str | Path,
    *,
    layout: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    label_names: Sequence[str] | None = None,
    votes_file: str | Path | None = None,
    vote_rule: str = "majority",
    num_drawn: int = 1200,
    drawn_size: int = 128,
    revision: str | None = None,
    skip_unreadable: bool = False,
    seed: int = 0,
) -> datasets.DatasetDict:
    """Load pictures and labels from any of the `LAYOUTS` as the splits train, validation and test.

    Every picture is decoded once to see that it can be. The result is kept in the `datasets` cache
    until the files change, so that loading again takes no time. Splits the source lacks are cut out
    of its `train`, as `splitting.split_rows` does it.

    Args:
        source: A path, a data set's id on the Hub, or the word ``"drawn"``.
        layout: One of `LAYOUTS`; by default it is recognised.
        image_column: The column with the pictures or their paths, for `table` and `hub`.
        label_column: The column with the labels, for `table` and `hub`.
        label_names: All labels there may be; for labels that are numbers, their names from 0 on.
        votes_file: FER+'s `fer2013new.csv`, if it does not lie beside `fer2013.csv`.
        vote_rule: Which rows of FER+ are kept: ``"majority"``, those most people agree on, as its
            official code has it (in train, those where an emotion has the most votes); ``"all"``,
            each with a vote for an emotion, labelled with the one that has the most.
        num_drawn: How many faces to draw.
        drawn_size: Their height and width in pixels.
        revision: Branch, tag or commit of the data set on the Hub.
        skip_unreadable: Leave out pictures that cannot be read, and log their names.
        seed: Decides which rows go into a split that has to be made, and the drawn faces.

    Returns:
        Exactly `train`, `validation` and `test`, with the columns `image` (`Image`), `label`
        (`ClassLabel`, names as `emotions.order_labels` orders them) and, if the source has votes,
        `votes`: float32 counts, one for each label in the order of the ids, and `other_votes`, the
        count of votes for none of them, where the source tells.

    Raises:
        ValueError: If the source is not understood, or its content is not usable; the message
            names what was found and what to do. Of pictures that cannot be read it is an
            `UnreadablePicturesError`, which lists them all.
        FileNotFoundError: If there is no such source.
        ConnectionError: If the Hub cannot be reached.
        OSError: If the disk is full.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"`layout` is {layout!r}. Expected one of {list(LAYOUTS)}, or None.")
    if isinstance(label_names, str):
        raise ValueError(f"`label_names` is the text {label_names!r}. Pass a list of names.")
    if label_names is not None:
        label_names = check_label_names(label_names, "`label_names`")
    if vote_rule not in VOTE_RULES:
        raise ValueError(f"`vote_rule` is {vote_rule!r}. Expected one of {list(VOTE_RULES)}.")
    layout = layout or recognise_layout(source, votes_file)
    if vote_rule != "majority" and layout != "ferplus":
        raise ValueError(
            f"`vote_rule` is {vote_rule!r}, but '{source}' has the layout `{layout}`, which has no "
            "votes. Expected FER+: leave `vote_rule` out, or pass `votes_file` with a fer2013.csv."
        )
    path = Path(source).expanduser().absolute()
    if layout not in ("hub", "drawn") and not path.exists():
        raise FileNotFoundError(f"There is no file or folder '{path}'. Check the path.")
    logger.info("Loading '%s' with the layout `%s`.", source, layout)

    with arrow_cache.explain_full_disk():
        match layout:
            case "arrays":
                found = locate_arrays(path, label_names)
            case "folders":
                found = locate_folders(path, label_names)
            case "table":
                found = locate_table(path, image_column, label_column, label_names)
            case "fer2013":
                found = locate_fer2013(path)
            case "ferplus":
                found = locate_ferplus(path, votes_file, vote_rule)
            case "drawn":
                found = locate_drawn(num_drawn, drawn_size, seed)
            case _:
                name = str(path if path.exists() else source)
                found = locate_hub(name, revision, image_column, label_column, label_names)
        options = {
            "layout": layout,
            "source": str(path if path.exists() else source),
            "columns": [image_column, label_column],
            "label_names": label_names,
            "skip_unreadable": skip_unreadable,
            "seed": seed,
        }
        key = arrow_cache.compute_key(found.identity, options)
        return arrow_cache.load_or_write(
            key, lambda: _prepare(found, label_names, skip_unreadable, seed)
        )


def recognise_layout(source: str | Path, votes_file: str | Path | None = None) -> str:
    """Tell which of the `LAYOUTS` a source has.

    A table whose columns fit comes before label folders beside it: somebody wrote it on purpose.

    Raises:
        FileNotFoundError: If `source` is no path that exists, nor could be an id on the Hub.
        ValueError: If a folder or file matches no layout, with what it holds.
    """
    path = Path(source).expanduser()
    # An empty text would mean the working directory, which nobody meant.
    if not path.exists() or source == "":
        if str(source) == "drawn":
            return "drawn"
        if isinstance(source, str) and is_repo_id(source):
            return "hub"
        raise FileNotFoundError(
            f"{str(source)!r} is no file or folder here, nor an id on the Hub ('name' or "
            "'namespace/name'). Check the path."
        )
    if any(name.endswith("_images") for name in find_array_names(path)):
        return "arrays"
    if fer2013 := find_fer2013(path):
        return "ferplus" if votes_file or (fer2013.parent / VOTES_FILE).is_file() else "fer2013"
    if find_vote_tables(path):
        return "ferplus"
    if looks_like_table(path):
        return "table"
    if find_label_folders(path):
        return "folders"
    # A table without the usual columns: reading it names the ones it has.
    if path.is_file() and find_tables(path):
        return "table"
    if path.is_dir() and _is_for_datasets(path):
        return "hub"
    raise ValueError(_describe_unknown(path))


def _is_for_datasets(folder: Path) -> bool:
    """Tell whether a folder is worth handing to `datasets`, whose own messages help little."""
    # Two levels are enough, and a whole home directory given by mistake would take long.
    files = [*folder.glob("*"), *folder.glob("*/*")]
    names = {file.name for file in files if file.parent == folder}
    endings = {file.suffix.lower() for file in files if file.is_file()}
    return bool(
        names & {"dataset_dict.json", "state.json"}
        or endings & {".parquet", ".csv", ".tsv", ".json", ".jsonl", ".arrow", ".tar"}
    )


def _describe_unknown(path: Path) -> str:
    found = f"'{path}' is a file of no known kind"
    if path.is_dir():
        inside = sorted(
            f"{child.name}/" if child.is_dir() else child.name for child in path.iterdir()
        )
        shown = ", ".join(inside[:10]) + (f" and {len(inside) - 10} more" if inside[10:] else "")
        found = f"'{path}' holds {shown or 'nothing'}, which is no known layout"
    known = "; ".join(f"`{name}` ({looks})" for name, looks in LAYOUTS.items())
    return f"{found}. Expected one of: {known}. Arrange the files so, or pass `layout`."


def _prepare(
    found: Source, label_names: Sequence[str] | None, skip_unreadable: bool, seed: int
) -> arrow_cache.Content:
    parts = found.read()
    rows, skipped = _check_pictures(parts, skip_unreadable)
    labels = {split: [part.labels[row] for row in rows[split]] for split, part in parts.items()}
    declared = label_names if label_names is not None else found.label_names
    names = collect_label_names(labels, declared)
    label_ids = {split: np.array([names.index(name) for name in labels[split]]) for split in labels}

    # Where each split's rows come from: its own part, or, if it has none, the part `train`.
    origins = {split: split if split in parts else "train" for split in SPLITS}
    picked = {split: np.arange(len(label_ids[split])) for split in parts}
    picked |= split_rows(label_ids["train"], set(parts), seed)
    tables = {}
    for split, origin in origins.items():
        chosen = rows[origin][picked[split]]
        votes = parts[origin].votes
        if votes is not None:
            votes = _order_votes(votes[chosen], found.label_names or names, names)
        other_votes = parts[origin].other_votes
        tables[split] = arrow_cache.Table(
            parts[origin].read(chosen),
            label_ids[origin][picked[split]],
            votes,
            None if other_votes is None else other_votes[chosen],
        )
    return arrow_cache.Content(names, tables, skipped)


def _check_pictures(
    parts: dict[str, Part], skip_unreadable: bool
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the rows of each part that can be read, and the names of those that cannot."""
    rows = {split: np.arange(len(part.labels)) for split, part in parts.items()}
    unreadable = []
    for split, part in parts.items():
        if part.encoded_here:
            continue
        faults = find_unreadable(part.read(rows[split]), len(rows[split]))
        rows[split] = np.delete(rows[split], list(faults))
        unreadable += [f"`{split}` {part.name(row)}: {why}" for row, why in faults.items()]
    if unreadable and not skip_unreadable:
        raise UnreadablePicturesError(unreadable)
    return rows, unreadable


def _order_votes(votes: np.ndarray, columns: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Put vote columns into the order of the ids; labels without votes get zeros."""
    known = order_labels(columns)
    ordered = np.zeros((len(votes), len(names)), np.float32)
    for position, name in enumerate(names):
        if name in known:
            ordered[:, position] = votes[:, known.index(name)]
    return ordered
