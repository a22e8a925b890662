"""The `ferplus` layout: FER2013's pictures, labelled by the votes of ten people each.

Votes: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
Label Distribution" (ICMI 2016), https://github.com/microsoft/FERPlus.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.fer2013 import find_fer2013, read_fer2013, require_fer2013
from fer_hf.data.layouts.ferplus_folders import find_vote_folders, read_vote_folder
from fer_hf.data.layouts.tables import find_tables, read_columns, read_header
from fer_hf.data.splits import divide_rows
from fer_hf.data.stored_pictures import read_parquet, read_paths
from fer_hf.emotions import EMOTIONS, canonical_emotion

VOTE_COLUMNS = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)
"""FER+'s ten choices, in its file's order; the last two are not emotions (NF: no face)."""

VOTES_FILE = "fer2013new.csv"
"""What FER+ calls its file of votes."""

_SIDE = 48


def drop_single_votes(votes: np.ndarray) -> np.ndarray:
    """Set counts of 1 to 0, as FER+'s official code does with outliers."""
    return np.where(votes > 1, votes, 0)


def apply_majority_rule(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide labels as FER+'s official code does in its *majority* mode.

    Counts of 1 are set to 0. A picture is kept if the largest of all ten counts belongs to one of
    the eight emotions and is more than half of what is left.

    Args:
        votes: Counts of shape (N, 10), columns as in `VOTE_COLUMNS`; of equal counts the first
            wins.

    Returns:
        Which rows are kept, as booleans (N,), and the winning column of each row (N,).
    """
    counts = drop_single_votes(votes)
    winner = counts.argmax(axis=1)
    return (winner < len(EMOTIONS)) & (counts.max(axis=1) > counts.sum(axis=1) / 2), winner


def apply_plurality_rule(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide labels like `apply_majority_rule`, but by the largest count, even under half.

    This softer rule is for training. An emotion wins a tie against the two columns that are none.
    """
    counts = drop_single_votes(votes)
    winner = counts.argmax(axis=1)
    return (winner < len(EMOTIONS)) & (counts.max(axis=1) > 0), winner


def apply_all_rule(votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decide labels like `apply_majority_rule`, but keep each picture with a vote for an emotion.

    It serves to measure against the votes themselves; the emotion with the most votes wins, even
    with one, whatever `unknown` and `NF` have.
    """
    counts = votes[:, : len(EMOTIONS)]
    return counts.max(axis=1) > 0, counts.argmax(axis=1)


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
        part: The pictures as a layout hands them over.
        pixels: uint8 of shape (N, 48, 48).
        names: FER+'s name of each picture; empty for what is not a face.
        votes: Counts of shape (N, 10), columns as in `VOTE_COLUMNS`.
        rows: The rows of each split that have a name.
    """

    part: Part
    pixels: np.ndarray
    names: list[str]
    votes: np.ndarray
    rows: dict[str, np.ndarray]


def join_votes(pictures: Path, votes_file: Path) -> VotedPictures:
    """Read `fer2013.csv` and `fer2013new.csv`, and see that they belong together.

    Raises:
        ValueError: If one of them is damaged, or their rows do not match.
    """
    header, wanted = read_header(votes_file), ("Usage", "Image name", *VOTE_COLUMNS)
    if missing := [name for name in wanted if name not in header]:
        raise ValueError(
            f"'{votes_file}' has the columns {header}, but lacks {missing}. Expected FER+'s "
            f"{VOTES_FILE}."
        )
    table = read_columns(votes_file, wanted)
    try:
        votes = np.array([table[column] for column in VOTE_COLUMNS], dtype=np.uint8).T
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"'{votes_file}' has votes that are not numbers from 0 to 255 ({error}). Download the "
            "file again."
        ) from error
    part, pixels, usages = read_fer2013(pictures, len(votes), _SIDE)
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
    names = [name.strip() for name in table["Image name"]]
    named = np.array([bool(name) for name in names])
    rows = {split: rows[named[rows]] for split, rows in divide_rows(usages, part.where).items()}
    return VotedPictures(part, pixels, names, votes, rows)


def _locate(path: Path, options: LoadOptions) -> Source:
    rule, labels_from = options.vote_rule, f"the votes, by the rule `{options.vote_rule}`"
    tables = {} if options.votes_file else _find_vote_tables(path)
    if tables:

        def read_tables() -> dict[str, Part]:
            return {split: _read_table(file, rule, split) for split, file in tables.items()}

        return Source(list(tables.values()), read_tables, labels_from)
    if folders := find_vote_folders(path):
        return _locate_folders(folders, rule, labels_from)
    pictures = require_fer2013(path)
    votes_file = require_votes(pictures, options.votes_file, "votes_file")

    def read_pair() -> dict[str, Part]:
        joined = join_votes(pictures, votes_file)
        return {
            split: _label(joined.part.select(rows), joined.votes[rows], rule, split)
            for split, rows in joined.rows.items()
        }

    return Source([pictures, votes_file], read_pair, labels_from)


def _locate_folders(folders: Mapping[str, Path], rule: str, labels_from: str) -> Source:
    read = {split: read_vote_folder(folder) for split, folder in folders.items()}

    def describe(split: str) -> Part:
        paths, votes = read[split]
        whole = Part(
            labels=range(len(votes)),
            read=lambda rows: read_paths(paths, rows),
            where=f"'{folders[split]}'",
            name=lambda row: f"'{paths[row]}'",
        )
        return _label(whole, votes, rule, split)

    files = [Path(path) for paths, _ in read.values() for path in paths]
    return Source(
        [*folders.values(), *(folder / "label.csv" for folder in folders.values()), *files],
        lambda: {split: describe(split) for split in folders},
        labels_from,
    )


def _find_vote_tables(path: Path) -> dict[str, Path]:
    """Map each split to its Parquet file with the ten vote columns; empty if one lacks them."""
    files = find_tables(path) if path.is_dir() else {}
    whole = all(
        file.suffix.lower() == ".parquet" and {"image", *VOTE_COLUMNS} <= set(read_header(file))
        for file in files.values()
    )
    return files if whole else {}


def _read_table(file: Path, rule: str, split: str) -> Part:
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
    """Label pictures by their votes (N, 10), and keep those that the rule keeps in that split.

    By ``"all"`` each split keeps what `apply_all_rule` does; by ``"majority"`` train keeps what
    `apply_plurality_rule` does, validation and test what `apply_majority_rule` does.
    """
    if rule == "all":
        decide = apply_all_rule
    else:
        decide = apply_plurality_rule if split == "train" else apply_majority_rule
    kept, winner = decide(votes)
    emotions = [canonical_emotion(name) for name in VOTE_COLUMNS[: len(EMOTIONS)]]
    labelled = replace(
        part,
        labels=[VOTE_COLUMNS[column] for column in winner],
        label_names=EMOTIONS,
        votes=dict(zip(emotions, votes[:, : len(emotions)].T, strict=True)),
        other_votes=votes[:, len(emotions) :].sum(axis=1),
    )
    return labelled.select(np.flatnonzero(kept))


def _recognise(path: Path, options: LoadOptions) -> bool:
    file = find_fer2013(path)
    if file is None:
        return bool(_find_vote_tables(path) or find_vote_folders(path))
    return bool(options.votes_file) or (file.parent / VOTES_FILE).is_file()


FERPLUS = Layout(
    "ferplus",
    "fer2013.csv with fer2013new.csv, train.parquet, … with ten vote columns, or FER2013Train/, …",
    recognise=_recognise,
    locate=_locate,
    vote_rules=("majority", "all"),
)
