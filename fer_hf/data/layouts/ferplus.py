"""The `fer2013` and `ferplus` layouts: the ICML 2013 challenge's pictures, with labels or votes.

Votes: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
Label Distribution" (ICMI 2016), https://github.com/microsoft/FERPlus.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datasets.utils import tqdm

from fer_hf.data.labels import name_labels
from fer_hf.data.layouts.arrays import encode_rows
from fer_hf.data.layouts.tables import (
    find_column,
    find_tables,
    read_columns,
    read_embedded,
    read_header,
    read_rows,
)
from fer_hf.data.parts import Part, Source, assign_splits, split_name
from fer_hf.emotions import EMOTIONS, canonical_emotion

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's names, by its label numbers."""

VOTE_COLUMNS = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)
"""FER+'s ten choices, in its file's order; the last two are no emotion (NF: no face)."""

VOTES_FILE = "fer2013new.csv"
"""What FER+ calls its file of votes."""

VOTE_RULES = ("majority", "all")
"""Which rows are kept: those most people agree on, or each with a vote for an emotion."""

_SIDE = 48
_OTHERS = [VOTE_COLUMNS.index(name) for name in ("unknown", "NF")]
_CANONICAL_ORDER = [
    [canonical_emotion(name) for name in VOTE_COLUMNS].index(emotion) for emotion in EMOTIONS
]


def find_fer2013(path: Path) -> Path | None:
    """Return the `fer2013.csv` meant by `path`, the file or its folder, by its columns."""
    file = path / "fer2013.csv" if path.is_dir() else path
    if not file.is_file() or file.suffix.lower() != ".csv":
        return None
    names = read_header(file)
    return file if find_column(names, ["emotion"]) and find_column(names, ["pixels"]) else None


def find_vote_tables(path: Path) -> dict[str, Path]:
    """Map each split to its Parquet file with the ten vote columns; empty if one lacks them."""
    files = find_tables(path) if path.is_dir() else {}
    whole = all(
        file.suffix.lower() == ".parquet" and {"image", *VOTE_COLUMNS} <= set(read_header(file))
        for file in files.values()
    )
    return files if whole else {}


def apply_majority_rule(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide labels as FER+'s official code does in its *majority* mode.

    Counts of 1 are set to 0. A picture is kept if the largest of all ten counts belongs to one of
    the eight emotions and is more than half of what is left.

    Args:
        votes: Counts of shape (N, 10), columns as in `VOTE_COLUMNS`.

    Returns:
        Which rows are kept, as booleans (N,), and the winning column of each row (N,).
    """
    counts = drop_single_votes(votes)
    winner = counts.argmax(axis=1)
    kept = (winner < len(EMOTIONS)) & (counts.max(axis=1) > counts.sum(axis=1) / 2)
    return kept, winner


def apply_plurality_rule(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide labels by the softer rule for training: the largest count wins, be it under half.

    Counts of 1 are set to 0. Of equal counts the first in the order of `VOTE_COLUMNS` wins; its
    last two are no emotion, so that an emotion wins a tie against them.

    Args:
        votes: As for `apply_majority_rule`.

    Returns:
        As for `apply_majority_rule`.
    """
    counts = drop_single_votes(votes)
    winner = counts.argmax(axis=1)
    return (winner < len(EMOTIONS)) & (counts.max(axis=1) > 0), winner


def apply_all_rule(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide labels by the raw votes: each picture with a vote for an emotion is kept.

    It serves to measure against the votes themselves; its labels are those of the most votes, be it
    one, whatever `unknown` and `NF` have. Of equal counts the first in `VOTE_COLUMNS` wins.

    Args:
        votes: As for `apply_majority_rule`.

    Returns:
        As for `apply_majority_rule`.
    """
    counts = votes[:, : len(EMOTIONS)]
    return counts.max(axis=1) > 0, counts.argmax(axis=1)


def drop_single_votes(votes: np.ndarray) -> np.ndarray:
    """Set counts of 1 to 0, as FER+'s official code does with outliers."""
    return np.where(votes > 1, votes, 0)


def locate_fer2013(path: Path) -> Source:
    """Recognise `fer2013.csv` with the columns `emotion`, `pixels` and `Usage`.

    Raises:
        ValueError: If it is not there, or a row does not hold 48×48 values.
    """
    file = require_fer2013(path)

    def read() -> dict[str, Part]:
        columns = _read_fer2013(file)
        labels = name_labels(columns["emotion"].tolist(), FER2013_LABELS, f"'{file}'")
        return {
            split: _pixel_part(file, columns["pixels"], rows, [labels[row] for row in rows])
            for split, rows in _rows_of_splits(columns["usage"], file).items()
        }

    return Source([file], read, FER2013_LABELS)


def locate_ferplus(path: Path, votes_file: str | Path | None, vote_rule: str) -> Source:
    """Recognise FER+: Parquet files with ten vote columns, or `fer2013.csv` and `fer2013new.csv`.

    Column `votes` has the counts of the eight emotions, `other_votes` those of `unknown` and `NF`.

    Args:
        path: The folder, or `fer2013.csv`.
        votes_file: `fer2013new.csv`, if it does not lie beside `fer2013.csv`.
        vote_rule: With ``"majority"`` validation and test keep the rows of `apply_majority_rule`,
            train those of `apply_plurality_rule`; with ``"all"`` each split those of
            `apply_all_rule`.

    Raises:
        ValueError: If files are missing or do not belong together.
    """
    tables = {} if votes_file else find_vote_tables(path)
    if tables:

        def read_tables() -> dict[str, Part]:
            return {
                split: _read_votes_table(split, file, vote_rule) for split, file in tables.items()
            }

        return Source([*tables.values(), vote_rule], read_tables, EMOTIONS)

    pictures = require_fer2013(path)
    votes = require_votes(pictures, votes_file, "votes_file")
    return Source(
        [pictures, votes, vote_rule], lambda: _read_pair(pictures, votes, vote_rule), EMOTIONS
    )


def require_fer2013(path: Path) -> Path:
    """Return what `find_fer2013` finds.

    Raises:
        ValueError: If it finds nothing.
    """
    file = find_fer2013(path)
    if file is None:
        raise ValueError(
            f"'{path}' is no FER2013: expected a file 'fer2013.csv' with the columns `emotion`, "
            "`pixels` and `Usage`. Pass that file or its folder."
        )
    return file


def require_votes(pictures: Path, votes_file: str | Path | None, option: str) -> Path:
    """Return the file of votes: the one given, or `fer2013new.csv` beside the `pictures`.

    Raises:
        ValueError: If it does not exist; the message says to pass `option`.
    """
    votes = Path(votes_file) if votes_file else pictures.parent / VOTES_FILE
    if not votes.is_file():
        raise ValueError(
            f"There is no file of votes '{votes}'. Download {VOTES_FILE} from "
            f"https://github.com/microsoft/FERPlus and pass it as `{option}`."
        )
    return votes


@dataclass(frozen=True)
class VotedPictures:
    """FER2013's N pictures with FER+'s votes, row by row as in both files.

    Attributes:
        pixels: uint8 of shape (N, 48, 48).
        names: FER+'s name of each picture; empty for what is no face.
        votes: Counts of shape (N, 10), columns as in `VOTE_COLUMNS`.
        rows: The rows of each split that have a name.
    """

    pixels: np.ndarray
    names: list[str]
    votes: np.ndarray
    rows: dict[str, np.ndarray]


def join_votes(pictures: Path, votes_file: Path) -> VotedPictures:
    """Read `fer2013.csv` and `fer2013new.csv`, and see that they belong together.

    Raises:
        ValueError: If one of them is damaged, or their rows do not match.
    """
    names = read_header(votes_file)
    if missing := [name for name in ("Usage", "Image name", *VOTE_COLUMNS) if name not in names]:
        raise ValueError(
            f"'{votes_file}' has the columns {names}, but lacks {missing}. Expected FER+'s "
            f"{VOTES_FILE}."
        )
    table = read_columns(votes_file, ["Usage", "Image name", *VOTE_COLUMNS])
    try:
        votes = np.array([table[column] for column in VOTE_COLUMNS], dtype=np.uint8).T
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"'{votes_file}' has votes that are no numbers from 0 to 255 ({error}). Download the "
            "file again."
        ) from error
    columns = _read_fer2013(pictures, len(votes))
    if len(votes) != len(columns["pixels"]):
        raise ValueError(
            f"'{pictures}' has {len(columns['pixels'])} rows, but '{votes_file}' has {len(votes)}. "
            "Their rows belong together one by one: use both files as they were published."
        )
    differing = np.flatnonzero(columns["usage"] != np.array(table["Usage"]))
    if differing.size:
        row = differing[0]
        raise ValueError(
            f"In row {row} '{pictures}' has the usage {str(columns['usage'][row])!r}, but "
            f"'{votes_file}' has {table['Usage'][row]!r}. Use both files as they were published."
        )
    picture_names = [name.strip() for name in table["Image name"]]
    named = np.array([bool(name) for name in picture_names])
    rows_of_splits = _rows_of_splits(columns["usage"], pictures)
    return VotedPictures(
        columns["pixels"],
        picture_names,
        votes.astype(np.int64),
        {split: rows[named[rows]] for split, rows in rows_of_splits.items()},
    )


def _read_fer2013(file: Path, num_rows: int | None = None) -> dict[str, np.ndarray]:
    """Read numbers, uint8 pictures of shape (N, 48, 48) and usages; `num_rows` is for the bar."""
    names = read_header(file)
    found = {key: find_column(names, [key]) for key in ("emotion", "pixels", "usage")}
    positions = {key: names.index(name) for key, name in found.items() if name}
    emotions, pictures, usages = [], [], []
    rows = read_rows(file)
    next(rows)
    bar = tqdm(rows, f"Reading {file.name}", num_rows, unit=" rows", disable=None)
    for number, row in enumerate(bar):
        if len(row) <= max(positions.values()):
            raise ValueError(
                f"Row {number} of '{file}' has {len(row)} columns. Expected {names}. Download the "
                "file again."
            )
        pictures.append(_parse_pixels(row[positions["pixels"]], f"Row {number} of '{file}'"))
        emotions.append(row[positions["emotion"]])
        usages.append(row[positions["usage"]] if "usage" in positions else "train")
    if not pictures:
        raise ValueError(f"'{file}' has no rows. Download the file again.")
    return {
        "emotion": np.array(emotions),
        "pixels": np.stack(pictures),
        "usage": np.array(usages),
    }


def _parse_pixels(text: str, where: str) -> np.ndarray:
    values = text.split()
    try:
        # NumPy refuses texts that are no numbers, and numbers that do not fit into a byte.
        pixels = np.array(values, dtype=np.uint8)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{where} has in `pixels` more than numbers from 0 to 255 ({error}). Download the file "
            "again."
        ) from error
    if len(values) != _SIDE**2:
        raise ValueError(
            f"{where} has {len(values)} values in `pixels`. Expected {_SIDE}×{_SIDE} = {_SIDE**2}. "
            "Download the file again."
        )
    return pixels.reshape(_SIDE, _SIDE)


def _rows_of_splits(usages: np.ndarray, file: Path) -> dict[str, np.ndarray]:
    names = sorted(set(usages.tolist()))
    if unknown := [name for name in names if split_name(name) is None]:
        raise ValueError(
            f"'{file}' has the usages {names}, of which {unknown} are unknown. Expected Training, "
            "PublicTest and PrivateTest."
        )
    return {split: np.flatnonzero(usages == name) for split, name in assign_splits(names).items()}


def _pixel_part(
    file: Path,
    pixels: np.ndarray,
    index: np.ndarray,
    labels: list[str],
    votes: np.ndarray | None = None,
) -> Part:
    return Part(
        labels,
        read=lambda rows: encode_rows(lambda: pixels, index[rows], "pixels"),
        name=lambda row: f"'{file}' row {index[row]}",
        votes=None if votes is None else votes[:, _CANONICAL_ORDER],
        other_votes=None if votes is None else votes[:, _OTHERS].sum(axis=1),
        encoded_here=True,
    )


def _decide(
    split: str, votes: np.ndarray, vote_rule: str
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return the rows a split keeps, their labels, and their votes as they were given."""
    if vote_rule == "all":
        decide = apply_all_rule
    else:
        decide = apply_plurality_rule if split == "train" else apply_majority_rule
    kept, winner = decide(votes)
    rows = np.flatnonzero(kept)
    labels = [canonical_emotion(VOTE_COLUMNS[column]) for column in winner[rows]]
    return rows, labels, votes[rows]


def _read_votes_table(split: str, file: Path, vote_rule: str) -> Part:
    table = pq.read_table(file, columns=list(VOTE_COLUMNS))
    votes = np.stack([table[column].to_numpy() for column in VOTE_COLUMNS], axis=1)
    index, labels, kept_votes = _decide(split, votes.astype(np.int64), vote_rule)
    return Part(
        labels,
        read=lambda rows: read_embedded(file, "image", index[rows]),
        name=lambda row: f"'{file}' row {index[row]}",
        votes=kept_votes[:, _CANONICAL_ORDER],
        other_votes=kept_votes[:, _OTHERS].sum(axis=1),
    )


def _read_pair(pictures: Path, votes_file: Path, vote_rule: str) -> dict[str, Part]:
    joined = join_votes(pictures, votes_file)
    parts = {}
    for split, rows in joined.rows.items():
        kept, labels, votes = _decide(split, joined.votes[rows], vote_rule)
        parts[split] = _pixel_part(pictures, joined.pixels, rows[kept], labels, votes)
    return parts
