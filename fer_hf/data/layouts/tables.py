"""The `table` layout: CSV, TSV or Parquet with a row for each picture.

Tables name pictures by path, or Parquet holds the pictures themselves; either way pictures are read
in batches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.splits import assign_splits, split_name
from fer_hf.data.stored_pictures import read_parquet, read_paths

IMAGE_COLUMNS = (
    *("image", "img", "picture"),
    *("path", "pth", "image_path", "img_path", "filepath", "file_path"),
    *("file", "filename", "file_name", "image_name", "subdirectory_filepath"),
)
"""Column names taken for the picture, the first one found first; `pth` is AffectNet's."""

LABEL_COLUMNS = ("label", "labels", "emotion", "expression", "class", "target")
"""Column names taken for the label."""

SPLIT_COLUMNS = ("split", "usage", "set", "subset")
"""Column names taken for the split; `Usage` is FER2013's."""

_ENDINGS = (".csv", ".tsv", ".parquet")
_CHUNK_ROWS = 1024


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
    if file.suffix.lower() == ".parquet":
        return list(pq.read_schema(file).names)
    return list(next(read_chunks(file)).columns)


def read_columns(file: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Read whole columns of a table: texts from CSV and TSV, typed values from Parquet.

    Raises:
        ValueError: If it is not a table.
    """
    if file.suffix.lower() == ".parquet":
        return pq.read_table(file, columns=list(columns)).to_pydict()
    table = pd.concat(list(read_chunks(file, columns)))
    return {column: table[column].tolist() for column in columns}


def read_chunks(file: Path, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
    """Yield the rows of CSV or TSV in chunks, as texts; what a short row lacks is an empty text.

    Raises:
        ValueError: If the file is not UTF-8, or its rows do not fit its header.
    """
    try:
        with pd.read_csv(
            file,
            sep="\t" if file.suffix.lower() == ".tsv" else ",",
            usecols=None if columns is None else list(columns),
            # Otherwise rows longer than the header would move every column by one.
            index_col=False,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            chunksize=_CHUNK_ROWS,
        ) as chunks:
            for chunk in chunks:
                yield chunk.fillna("")
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"'{file}' cannot be read as a table ({reason}). Save it as UTF-8, every row "
            "with as many columns as the first."
        ) from error


def find_column(names: Sequence[str], candidates: Sequence[str]) -> str | None:
    """Return the column that matches the earliest candidate, whatever its case."""
    by_name = {name.strip().lower(): name for name in reversed(names)}
    return next((by_name[name] for name in candidates if name in by_name), None)


def choose_column(
    names: Sequence[str], asked: str | None, candidates: Sequence[str], option: str, where: str
) -> str:
    """Return the column `asked` for, or else the one that matches a candidate.

    Raises:
        ValueError: If there is no such column; the message lists the columns.
    """
    column = find_column(names, candidates) if asked is None else asked
    if column is None or column not in names:
        wanted = f"no column {asked!r}" if asked else f"none of the columns {list(candidates)}"
        raise ValueError(
            f"{where} has the columns {list(names)}, but {wanted}. Pass `{option}` with the name "
            "of the right one."
        )
    return column


def _recognise(path: Path, options: LoadOptions) -> bool:
    # Of a file without the usual columns, reading it names those it has.
    if path.is_file():
        return bool(find_tables(path))
    try:
        headers = [read_header(file) for file in find_tables(path).values()]
    except ValueError:
        return False
    return bool(headers) and all(
        find_column(header, IMAGE_COLUMNS) and find_column(header, LABEL_COLUMNS)
        for header in headers
    )


def _locate(path: Path, options: LoadOptions) -> Source:
    """Read the labels of a table, or of a table for each split.

    Relative paths count from the table's folder. Parquet may hold the encoded pictures themselves.
    A split column divides a table that is alone; beside others it does not count.
    """
    files = find_tables(path)
    if not files:
        raise ValueError(
            f"'{path}' has no table to choose. Expected one .csv, .tsv or .parquet file, or one "
            "for each split ('train.csv', 'validation.csv', 'test.csv'), not both formats."
        )
    parts: dict[str, Part] = {}
    identity = list(files.values())
    for split, file in files.items():
        names, where = read_header(file), f"'{file}'"
        image = choose_column(names, options.image_column, IMAGE_COLUMNS, "image_column", where)
        label = choose_column(names, options.label_column, LABEL_COLUMNS, "label_column", where)
        parts[split], pictures = _read_part(file.absolute(), image, label)
        identity += pictures
        if len(files) == 1 and (divider := find_column(names, SPLIT_COLUMNS)):
            values = read_columns(file, [divider])[divider]
            parts = parts[split].divide([str(value) for value in values])
    return Source(identity, lambda: parts, f"the column `{label}`")


def _read_part(file: Path, image: str, label: str) -> tuple[Part, list[Path]]:
    """Return the rows of one table, and the pictures that are files of their own."""
    where, label_names, embedded = f"'{file}'", None, False
    if file.suffix.lower() == ".parquet":
        schema = pq.read_schema(file)
        feature = datasets.Features.from_arrow_schema(schema)[label]
        label_names = feature.names if isinstance(feature, datasets.ClassLabel) else None
        kind = schema.field(image).type
        embedded = not (pa.types.is_string(kind) or pa.types.is_large_string(kind))
    columns = read_columns(file, [label] if embedded else [image, label])
    part = Part(
        columns[label],
        read=lambda rows: read_parquet(file, image, rows),
        where=where,
        name=lambda row: f"{where} row {row}",
        label_names=label_names,
    )
    if embedded:
        return part, []
    paths = [str(file.parent / (path or "")) for path in columns[image]]
    part = replace(
        part,
        read=lambda rows: read_paths(paths, rows),
        name=lambda row: f"{paths[row]!r} in {where} row {row}",
    )
    return part, [Path(path) for path in paths]


TABLE = Layout(
    "table",
    "a CSV, TSV or Parquet file, or one for each split: columns `image` and `label`",
    _recognise,
    _locate,
)
