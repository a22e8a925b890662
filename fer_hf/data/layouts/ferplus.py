"""The `fer2013` and `ferplus` layouts: the ICML 2013 challenge's pictures, with labels or votes.

Votes: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
Label Distribution" (ICMI 2016), https://github.com/microsoft/FERPlus.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fer_hf.data.encoding import read_array, read_parquet
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.tables import (
    find_column,
    find_tables,
    read_chunks,
    read_columns,
    read_header,
)
from fer_hf.data.splits import divide_rows
from fer_hf.emotions import EMOTIONS, canonical_emotion

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's names, by its label numbers."""

VOTE_COLUMNS = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)
"""FER+'s ten choices, in its file's order; the last two are not emotions (NF: no face)."""

VOTES_FILE = "fer2013new.csv"
"""What FER+ calls its file of votes."""

_SIDE = 48


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


def locate_fer2013(path: Path, options: LoadOptions) -> Source:
    """Read `fer2013.csv` with the columns `emotion`, `pixels` and `Usage`.

    Raises:
        ValueError: If it is not there, or a row does not hold 48×48 values.
    """
    file = require_fer2013(path)

    def read() -> dict[str, Part]:
        emotions, pixels, usages = _read_fer2013(file)
        whole = replace(_pixel_part(file, pixels), labels=emotions, label_names=FER2013_LABELS)
        return whole.divide(usages)

    return Source([file], read, "the column `emotion`")


def locate_ferplus(path: Path, options: LoadOptions) -> Source:
    """Read FER+: Parquet files with ten vote columns, or `fer2013.csv` and `fer2013new.csv`.

    Column `votes` has the counts of the eight emotions, `other_votes` those of `unknown` and `NF`.
    By the rule ``"majority"`` validation and test keep the rows of `apply_majority_rule`, train
    those of `apply_plurality_rule`; by ``"all"`` each split keeps those of `apply_all_rule`.

    Raises:
        ValueError: If files are missing or do not belong together.
    """
    rule, labels_from = options.vote_rule, f"the votes, by the rule `{options.vote_rule}`"
    tables = {} if options.votes_file else find_vote_tables(path)
    if tables:

        def read_tables() -> dict[str, Part]:
            return {split: _read_votes_table(file, rule, split) for split, file in tables.items()}

        return Source(list(tables.values()), read_tables, labels_from)
    pictures = require_fer2013(path)
    votes_file = require_votes(pictures, options.votes_file, "votes_file")

    def read_pair() -> dict[str, Part]:
        joined = join_votes(pictures, votes_file)
        whole = _pixel_part(pictures, joined.pixels)
        return {
            split: _label(whole.select(rows), joined.votes[rows], rule, split)
            for split, rows in joined.rows.items()
        }

    return Source([pictures, votes_file], read_pair, labels_from)


def require_fer2013(path: Path) -> Path:
    """Return what `find_fer2013` finds.

    Raises:
        ValueError: If it finds nothing.
    """
    file = find_fer2013(path)
    if file is None:
        raise ValueError(
            f"'{path}' is not FER2013: expected a file 'fer2013.csv' with the columns `emotion`, "
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
    _, pixels, usages = _read_fer2013(pictures, len(votes))
    if len(votes) != len(pixels):
        raise ValueError(
            f"'{pictures}' has {len(pixels)} rows, but '{votes_file}' has {len(votes)}. "
            "Their rows belong together one by one: use both files as they were published."
        )
    for row, (ours, theirs) in enumerate(zip(usages, table["Usage"], strict=True)):
        if ours != theirs:
            raise ValueError(
                f"In row {row} '{pictures}' has the usage {ours!r}, but '{votes_file}' has "
                f"{theirs!r}. Use both files as they were published."
            )
    picture_names = [name.strip() for name in table["Image name"]]
    named = np.array([bool(name) for name in picture_names])
    rows_of_splits = divide_rows(usages, f"'{pictures}'")
    return VotedPictures(
        pixels,
        picture_names,
        votes.astype(np.int64),
        {split: rows[named[rows]] for split, rows in rows_of_splits.items()},
    )


def _read_fer2013(
    file: Path, num_rows: int | None = None
) -> tuple[list[str], np.ndarray, list[str]]:
    """Read label numbers, uint8 pictures (N, 48, 48) and usages; `num_rows` is for the bar."""
    names = read_header(file)
    keys = ("emotion", "pixels", "usage")
    columns = {key: name for key in keys if (name := find_column(names, [key]))}
    texts: dict[str, list[str]] = {"emotion": [], "usage": []}
    pictures = []
    with tqdm(total=num_rows, desc=f"Reading {file.name}", unit=" rows", disable=None) as bar:
        for chunk in read_chunks(file, list(columns.values())):
            for key, name in columns.items():
                if (empty := chunk.index[chunk[name] == ""]).size:
                    raise ValueError(
                        f"Row {empty[0]} of '{file}' has no `{name}`. Expected {names} in every "
                        "row. Download the file again."
                    )
                if key in texts:
                    texts[key] += chunk[name].tolist()
            pictures += [
                _parse_pixels(text, f"Row {row} of '{file}'")
                for row, text in chunk[columns["pixels"]].items()
            ]
            bar.update(len(chunk))
    if not pictures:
        raise ValueError(f"'{file}' has no rows. Download the file again.")
    return texts["emotion"], np.stack(pictures), texts["usage"] or ["train"] * len(pictures)


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


def _pixel_part(file: Path, pixels: np.ndarray) -> Part:
    """Return pictures (N, 48, 48) without labels yet."""
    return Part(
        labels=range(len(pixels)),
        read=lambda rows: read_array(lambda: pixels, rows, "pixels"),
        where=f"'{file}'",
        name=lambda row: f"'{file}' row {row}",
        is_checked=True,
    )


def _read_votes_table(file: Path, rule: str, split: str) -> Part:
    table = read_columns(file, VOTE_COLUMNS)
    votes = np.array([table[column] for column in VOTE_COLUMNS]).T
    whole = Part(
        labels=range(len(votes)),
        read=lambda rows: read_parquet(file, "image", rows),
        where=f"'{file}'",
        name=lambda row: f"'{file}' row {row}",
    )
    return _label(whole, votes, rule, split)


def _label(part: Part, votes: np.ndarray, rule: str, split: str) -> Part:
    """Label pictures by their votes (N, 10), and keep those that the rule keeps in that split."""
    if rule == "all":
        decide = apply_all_rule
    else:
        decide = apply_plurality_rule if split == "train" else apply_majority_rule
    kept, winner = decide(votes)
    emotions = VOTE_COLUMNS[: len(EMOTIONS)]
    labelled = replace(
        part,
        labels=[VOTE_COLUMNS[column] for column in winner],
        label_names=EMOTIONS,
        votes={canonical_emotion(name): votes[:, i] for i, name in enumerate(emotions)},
        other_votes=votes[:, len(emotions) :].sum(axis=1),
    )
    return labelled.select(np.flatnonzero(kept))


def _is_ferplus(path: Path, options: LoadOptions) -> bool:
    file = find_fer2013(path)
    if file is None:
        return bool(find_vote_tables(path))
    return bool(options.votes_file) or (file.parent / VOTES_FILE).is_file()


FER2013 = Layout(
    "fer2013",
    "fer2013.csv: columns `emotion`, `pixels`, `Usage`",
    recognise=lambda path, options: find_fer2013(path) is not None,
    locate=locate_fer2013,
)

FERPLUS = Layout(
    "ferplus",
    "fer2013.csv with fer2013new.csv, or train.parquet, … with ten vote columns",
    recognise=_is_ferplus,
    locate=locate_ferplus,
    vote_rules=("majority", "all"),
)
