"""The `table` layout: a list with a row for each picture, or for each face of a picture.

Lists name pictures by path, or Parquet holds the pictures themselves; either way pictures are read
in batches.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.list_columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    choose_column,
    divide_by_path,
    find_column,
)
from fer_hf.data.layouts.list_files import LIST_ENDINGS, SPREADSHEETS, find_list_files, open_list
from fer_hf.data.layouts.list_readings import Columns, Reading, examine_list, settle_columns
from fer_hf.data.layouts.picture_index import PictureIndex
from fer_hf.data.splits import assign_splits, split_name
from fer_hf.data.stored_pictures import read_crops, read_parquet, read_paths
from fer_hf.emotions import canonical_emotion

__all__ = [
    "IMAGE_COLUMNS",
    "LABEL_COLUMNS",
    "SPLIT_COLUMNS",
    "choose_column",
    "find_column",
]

_ENDINGS = (".csv", ".tsv", ".parquet")
_FOLDERS_ABOVE = 2


def find_tables(path: Path) -> dict[str, Path]:
    """Map each split to its table; one table alone is `train`. Empty if the choice is not clear."""
    if path.is_file():
        return {"train": path} if path.suffix.lower() in _ENDINGS else {}
    files = [
        file
        for file in sorted(path.iterdir())
        if file.suffix.lower() in _ENDINGS and not file.name.startswith(".")
    ]
    named = [file for file in files if split_name(file.stem)]
    by_stem = {file.stem: file for file in named}
    if len(by_stem) < len(named):
        return {}  # train.csv beside train.parquet
    if named:
        return {split: by_stem[stem] for split, stem in assign_splits(list(by_stem)).items()}
    return {"train": files[0]} if len(files) == 1 else {}


def read_header(file: Path) -> list[str]:
    """Return a table's column names, as they are in the file.

    Raises:
        ValueError: If it is not a table.
    """
    return open_list(file)[0].names


def read_columns(file: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Read whole columns of a table: typed values from Parquet, else texts.

    Raises:
        ValueError: If it is not a table.
    """
    table = open_list(file)[0]
    values = table.read([table.names.index(column) for column in columns])
    return dict(zip(columns, values, strict=True))


def _recognise(path: Path, options: LoadOptions) -> bool:
    # Of a file without the columns wanted, reading it names those it has.
    if path.is_file():
        return path.suffix.lower() in (*LIST_ENDINGS, *SPREADSHEETS)
    lists = _find_lists(path, options)
    try:
        return bool(_assign(lists, path))
    except ValueError:
        # Shards of one split are left to `datasets`.
        return any(reading.table.file.suffix.lower() != ".parquet" for reading in lists)


def _find_lists(folder: Path, options: LoadOptions) -> list[Reading]:
    """Return the lists in a folder, or not far below, that have pictures and labels."""
    index, found = PictureIndex(folder), []
    for file in find_list_files(folder):
        with contextlib.suppress(ValueError):  # some other text
            reading = examine_list(file, index, options.image_column, options.label_column)
            if reading.fits or (reading.are_found and _is_one_folder(reading, index)):
                found.append(reading)
    return found


def _is_one_folder(reading: Reading, index: PictureIndex) -> bool:
    """Return whether the pictures of a list lie in one folder, which thus cannot be their label."""
    values = reading.sample[reading.pictures[0]]
    paths = index.find(values, reading.table.file.parent).paths
    return len({path.rpartition("/")[0] for path in paths if path}) == 1


def _assign(lists: Sequence[Reading], folder: Path) -> dict[str, Reading]:
    """Map each split to its list; one list alone is `train`.

    Raises:
        ValueError: If two lists may be the same.
    """
    fitting = [reading for reading in lists if reading.fits] or lists
    found: dict[str | None, Reading] = {}
    for reading in fitting:
        split = _split_of_list(reading.table.file.relative_to(folder))
        if split in found:
            pair = found[split].table.file, reading.table.file
            names = " and ".join(f"'{file.relative_to(folder)}'" for file in pair)
            raise ValueError(
                f"'{folder}' has the lists {names}, which may both be meant. Pass the file of the "
                "right one, or move the other away."
            )
        found[split] = reading
    named = {split: reading for split, reading in found.items() if split is not None}
    if set(named) - {"validation", "test"} or (named and None not in found):
        return named
    return {"train": found[None], **named} if found else {}


def _split_of_list(file: Path) -> str | None:
    """Return the split that the name of a list says, or else one of its folders."""
    for name in (file.stem, *(folder.name for folder in file.parents)):
        means = {
            split for word in (name, *re.split(r"[\W_]+", name)) if (split := split_name(word))
        }
        if len(means) == 1:
            return means.pop()
    return None


def _locate(path: Path, options: LoadOptions) -> Source:
    """Read the labels of a list, or of a list for each split.

    Relative paths count from the list's folder, or from the source's. Parquet may hold the encoded
    pictures themselves. A split column divides a list that is alone, or the pictures' paths do.
    """
    if path.is_dir():
        index = PictureIndex(path)
        lists = _assign(_find_lists(path, options), path)
        if not lists:
            names = [str(file.relative_to(path)) for file in find_list_files(path)]
            raise ValueError(
                f"'{path}' has no list of pictures with labels (looked at {names}). Expected a "
                "CSV, TSV, text, JSON or Parquet file, or one for each split ('train.csv', "
                "'validation.csv', 'test.csv')."
            )
    else:
        index, reading = _examine_alone(path, options)
        lists = {"train": reading}
    read = {split: _read(reading, index) for split, reading in lists.items()}
    parts = {split: one.part for split, one in read.items()}
    if len(read) == 1 and (only := next(iter(read.values()))).splits is not None:
        parts = only.part.divide(only.splits)
    pictures = [picture for one in read.values() for picture in one.pictures]
    notes = [one.labels_from for one in read.values()]
    if path.is_dir() and (num := len(index.files.difference(pictures)) if pictures else 0):
        notes.append(f"{num} pictures of the folder are in no row")
    identity = [reading.table.file for reading in lists.values()] + [Path(p) for p in pictures]
    return Source(identity, lambda: parts, "; ".join(notes))


def _examine_alone(file: Path, options: LoadOptions) -> tuple[PictureIndex, Reading]:
    """Read a list that is given itself, whose pictures may be in a folder beside its own."""
    folders = [file.parent, *file.parent.parents][: _FOLDERS_ABOVE + 1]
    tried = []
    for folder in folders:
        # A home directory may hold anything, and takes long to list.
        if tried and folder in (Path.home(), *Path.home().parents):
            break
        index = PictureIndex(folder)
        reading = examine_list(file, index, options.image_column, options.label_column)
        if reading.are_found:
            return index, reading
        tried.append((index, reading))
    return tried[0]


@dataclass(frozen=True)
class _ListedPart:
    """A list that was read: `splits` has the split of each row, `pictures` the files there are."""

    part: Part
    splits: list[str] | None
    pictures: list[str]
    labels_from: str


def _read(reading: Reading, index: PictureIndex) -> _ListedPart:
    columns, table = settle_columns(reading, index), reading.table
    file, where = table.file.absolute(), f"'{table.file}'"
    labels_from = f"the column `{table.names[columns.label]}` of '{file.name}'"
    labels, *split = table.read([i for i in (columns.label, columns.split) if i is not None])
    splits = [str(value) for value in split[0]] if split else None
    part = Part(
        labels,
        read=lambda rows: read_parquet(file, table.names[columns.image], rows),
        where=where,
        name=lambda row: f"{where} row {row}",
        label_names=table.label_names[columns.label] if table.label_names else None,
    )
    if columns.image in table.stored:
        return _ListedPart(part, splits, [], labels_from)
    values = [str(value or "") for value in table.read([columns.image])[0]]
    paths = _find_paths(values, file, index)
    shown = [index.show(path) for path in paths]
    divided = splits or divide_by_path(shown)
    boxes = _read_boxes(reading, columns)
    rows = _keep_once(paths, boxes, part.labels, divided, where)
    part = replace(
        part,
        read=(lambda rows: read_paths(paths, rows))
        if boxes is None
        else lambda rows: read_crops(paths, boxes, rows, where),
        name=lambda row: f"{paths[row]!r} in {where} row {row}",
    )
    folder = {path.rpartition("/")[0] for path in shown}
    notes = [
        labels_from,
        f"pictures from the column `{table.names[columns.image]}`",
        table.how,
        f"in '{folder.pop()}/'" if len(folder) == 1 and folder != {""} else "",
        "splits by the paths" if divided and not splits else "",
        "faces cut out by the columns " + _name_box(reading, columns) if columns.box else "",
        f"{len(paths) - len(rows)} repeated rows left out" if len(rows) < len(paths) else "",
    ]
    kept = part.select(rows) if len(rows) < len(paths) else part
    divided = [divided[row] for row in rows] if divided else None
    return _ListedPart(kept, divided, sorted(set(paths)), ", ".join(filter(None, notes)))


def _find_paths(values: Sequence[str], file: Path, index: PictureIndex) -> list[str]:
    """Return the path of each row's picture; of a missing one, where it should be.

    Raises:
        ValueError: If a row may mean several pictures.
    """
    matches = index.find(values, file.parent)
    if matches.unclear:
        row, files = min(matches.unclear.items())
        raise ValueError(
            f"'{file}' row {row} names {values[row]!r}, which may be any of "
            f"{[index.show(path) for path in files[:3]]}; so do {len(matches.unclear) - 1} more "
            "rows. Write the folder before the name."
        )
    return [
        path or str(file.parent / value) for path, value in zip(matches.paths, values, strict=True)
    ]


def _name_box(reading: Reading, columns: Columns) -> str:
    return ", ".join(f"`{reading.table.names[i]}`" for i in columns.box or ())


def _read_boxes(reading: Reading, columns: Columns) -> np.ndarray | None:
    """Return the left, top, right and bottom of each row's box, shape (N, 4); None without boxes.

    Raises:
        ValueError: If a row lacks a number, or its box is empty.
    """
    if columns.box is None:
        return None
    values = reading.table.read(columns.box)
    boxes = np.array([[_to_number(value) for value in column] for column in values]).T
    if columns.box_has_size:
        boxes[:, 2:] += boxes[:, :2]
    # Written so that NaN is caught too.
    bad = np.flatnonzero(~((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])))
    if len(bad):
        raise ValueError(
            f"'{reading.table.file}' row {bad[0]} has no box: {_name_box(reading, columns)} are "
            f"{[column[bad[0]] for column in values]}. Expected numbers of pixels, with a width "
            f"and a height; so do {len(bad) - 1} more rows. Remove these rows, or the columns if "
            "the pictures are cut already."
        )
    return boxes


def _to_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _keep_once(
    paths: Sequence[str],
    boxes: np.ndarray | None,
    labels: Sequence[Any],
    splits: Sequence[str] | None,
    where: str,
) -> np.ndarray:
    """Return the rows without those that repeat a picture (or face), its label and its split.

    Raises:
        ValueError: If two rows say different things of the same one.
    """
    keys = paths if boxes is None else list(zip(paths, map(tuple, boxes.tolist()), strict=True))
    said = list(zip(map(_spell, labels), splits or [None] * len(paths), strict=True))
    first: dict[Any, int] = {}
    kept = []
    for row, key in enumerate(keys):
        other = first.setdefault(key, row)
        if other == row:
            kept.append(row)
        # A row without a label is refused as such, later on.
        elif said[row] != said[other] and said[row][0] and said[other][0]:
            raise ValueError(
                f"{where} rows {other} and {row} both name {paths[row]!r}, as "
                f"{' in '.join(filter(None, said[other]))!r} and "
                f"{' in '.join(filter(None, said[row]))!r}. Keep the right one."
            )
        elif said[row] != said[other]:
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def _spell(label: Any) -> str:
    return "" if label is None else canonical_emotion(str(label))


TABLE = Layout(
    "table",
    "a list of pictures as CSV, TSV, text, JSON or Parquet, or one for each split: columns such as "
    "`image` and `label`",
    _recognise,
    _locate,
)
