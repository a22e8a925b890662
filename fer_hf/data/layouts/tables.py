"""The `table` layout: CSV, TSV or Parquet with a row for each picture.

Pictures are named by path or lie in the Parquet file itself; either way they are read in batches.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fer_hf.data.labels import name_labels
from fer_hf.data.parts import (
    BATCH_SIZE,
    SPLITS,
    Part,
    Source,
    assign_splits,
    read_paths,
    split_name,
)
from fer_hf.data.pictures import resolve_paths

IMAGE_COLUMNS = (
    "image",
    "img",
    "picture",
    "path",
    "pth",
    "image_path",
    "img_path",
    "filepath",
    "file_path",
    "file",
    "filename",
    "file_name",
    "image_name",
    "subdirectory_filepath",
)
"""Column names taken for the picture, the first one found first; `pth` is AffectNet's."""

LABEL_COLUMNS = ("label", "labels", "emotion", "expression", "class", "target")
"""Column names taken for the label."""

SPLIT_COLUMNS = ("split", "usage", "set", "subset")
"""Column names taken for the split; `Usage` is FER2013's."""

_ENDINGS = (".csv", ".tsv", ".parquet")


def find_tables(path: Path) -> dict[str, Path]:
    """Map each split to its table; one table alone is `train`. Empty if there is none to choose."""
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


def read_rows(file: Path) -> Iterator[list[str]]:
    """Yield the rows of CSV or TSV as texts, the header first; blank lines are no rows.

    Raises:
        ValueError: If the file is not UTF-8, or no CSV.
    """
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from (row for row in csv.reader(lines, delimiter=delimiter) if row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"'{file}' cannot be read as a table ({error}). Save it as UTF-8."
        ) from error


def read_header(file: Path) -> list[str]:
    """Return a table's column names, as they are in the file."""
    if file.suffix.lower() == ".parquet":
        return list(pq.read_schema(file).names)
    return next(read_rows(file), [])


def read_columns(file: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Read whole columns of a table: texts from CSV and TSV, typed values from Parquet."""
    if file.suffix.lower() == ".parquet":
        return pq.read_table(file, columns=list(columns)).to_pydict()
    header, *rows = read_rows(file)
    positions = {column: header.index(column) for column in columns}
    # Short rows lack values; the checks downstream say which.
    return {
        column: [row[position] if position < len(row) else "" for row in rows]
        for column, position in positions.items()
    }


def find_column(names: Sequence[str], candidates: Sequence[str]) -> str | None:
    """Return the column that matches the earliest candidate, whatever its case."""
    by_name = {name.strip().lower(): name for name in reversed(names)}
    return next((by_name[name] for name in candidates if name in by_name), None)


def choose_column(
    names: Sequence[str], asked: str | None, candidates: Sequence[str], option: str, where: str
) -> str:
    """Return the column `asked` for, or else the one that matches a candidate.

    Raises:
        ValueError: If there is no such column, with the columns there are.
    """
    column = find_column(names, candidates) if asked is None else asked
    if column is None or column not in names:
        wanted = f"no column {asked!r}" if asked else f"none of the columns {list(candidates)}"
        raise ValueError(
            f"{where} has the columns {list(names)}, but {wanted}. Pass `{option}` with the name "
            "of the right one."
        )
    return column


def looks_like_table(path: Path) -> bool:
    """Tell whether there are tables here with a picture and a label column."""
    try:
        headers = [read_header(file) for file in find_tables(path).values()]
    except ValueError:
        return False
    return bool(headers) and all(
        find_column(header, IMAGE_COLUMNS) and find_column(header, LABEL_COLUMNS)
        for header in headers
    )


def locate_table(
    path: Path,
    image_column: str | None,
    label_column: str | None,
    label_names: Sequence[str] | None,
) -> Source:
    """Recognise a table, or a folder with a table for each split.

    Relative paths count from the table's folder. Parquet may hold the encoded pictures themselves.
    A split column divides a table that is alone; with one table a split it does not count.

    Raises:
        ValueError: If there is no table, or it lacks a column, or a value is not understood.
    """
    files = find_tables(path)
    if not files:
        raise ValueError(
            f"'{path}' has no table to choose. Expected one .csv, .tsv or .parquet file, or one "
            "for each split ('train.csv', 'validation.csv', 'test.csv'), not both formats."
        )
    tables = {
        split: _open_table(file, image_column, label_column, divided=len(files) == 1)
        for split, file in files.items()
    }
    declared = label_names
    if declared is None:
        declared = next((table.label_names for table in tables.values() if table.label_names), None)

    def read() -> dict[str, Part]:
        parts: dict[str, Part] = {}
        for split, table in tables.items():
            names = table.label_names or label_names
            labels = name_labels(table.labels, names, f"'{table.file}'")
            for name, index in table.split_rows(split).items():
                parts[name] = _read_part(table, labels, index)
        return {split: parts[split] for split in SPLITS if split in parts}

    pictures = [Path(path) for table in tables.values() for path in table.paths or ()]
    return Source([*files.values(), *pictures], read, declared)


@dataclass(frozen=True)
class _Table:
    """The small columns of one table, and where its pictures are."""

    file: Path
    image_column: str
    labels: list[Any]
    label_names: list[str] | None  # what a ClassLabel column of `datasets` declares
    splits: list[str] | None
    paths: list[str] | None  # None: the pictures lie in the Parquet file

    def split_rows(self, split: str) -> dict[str, np.ndarray]:
        """Map each split of this table to its rows; without a split column all are `split`."""
        if self.splits is None:
            return {split: np.arange(len(self.labels))}
        names = np.array(self.splits)
        known = {value: split_name(value) for value in dict.fromkeys(self.splits)}
        if unknown := [value for value, name in known.items() if name is None]:
            raise ValueError(
                f"'{self.file}' has the splits {list(known)}, of which {unknown} are none of "
                "train, validation and test. Rename them."
            )
        assign_splits(list(known))
        return {name: np.flatnonzero(names == value) for value, name in known.items() if name}


def _open_table(
    file: Path, image_column: str | None, label_column: str | None, *, divided: bool
) -> _Table:
    names = read_header(file)
    where = f"'{file}'"
    image = choose_column(names, image_column, IMAGE_COLUMNS, "image_column", where)
    label = choose_column(names, label_column, LABEL_COLUMNS, "label_column", where)
    split = find_column(names, SPLIT_COLUMNS) if divided else None
    label_names, embedded = None, False
    if file.suffix.lower() == ".parquet":
        schema = pq.read_schema(file)
        embedded = not _is_text(schema.field(image).type)
        feature = datasets.Features.from_arrow_schema(schema)[label]
        label_names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    wanted = [column for column in (label, split, None if embedded else image) if column]
    columns = read_columns(file, list(dict.fromkeys(wanted)))
    paths = None if embedded else [str(file.parent / (path or "")) for path in columns[image]]
    splits = [str(value) for value in columns[split]] if split else None
    return _Table(file.absolute(), image, columns[label], label_names, splits, paths)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _read_part(table: _Table, labels: list[str], index: np.ndarray) -> Part:
    """Describe the rows `index` of a table as a part; its row r is the table's row index[r]."""
    paths, file = table.paths, table.file
    read: Callable[[np.ndarray], Iterator[pa.StructArray]]
    if paths is None:
        read = lambda rows: read_embedded(file, table.image_column, index[rows])  # noqa: E731
    else:
        read = lambda rows: read_paths(paths, index[rows])  # noqa: E731
    return Part(
        [labels[row] for row in index],
        read,
        name=lambda row: (
            f"{f'{paths[index[row]]!r} in ' if paths else ''}'{file}' row {index[row]}"
        ),
    )


def read_embedded(file: Path, column: str, rows: np.ndarray) -> Iterator[pa.StructArray]:
    """Yield pictures that lie in a Parquet file, in one pass over it.

    Args:
        file: The Parquet file.
        column: Its column of structs of `bytes` and `path`, or of bytes.
        rows: Ascending row numbers.

    Raises:
        ValueError: If the column holds something else.
    """
    start = 0
    with pq.ParquetFile(file) as table:
        for batch in table.iter_batches(BATCH_SIZE, columns=[column]):
            end = start + len(batch)
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, end)] - start
            if len(inside):
                try:
                    pictures = datasets.Image().cast_storage(batch.column(0).take(pa.array(inside)))
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:
                    raise ValueError(
                        f"Column {column!r} of '{file}' holds {batch.column(0).type}. Expected "
                        "paths, encoded pictures, or structs of `bytes` and `path`."
                    ) from error
                yield resolve_paths(pictures, file.parent)
            start = end
