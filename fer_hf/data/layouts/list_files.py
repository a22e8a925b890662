"""List files, opened as people have them: whatever their separator, encoding or header.

A separator is only a guess until the cells make sense, so opening one file gives every reading of
it that is consistent, the most likely first.
"""

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from fer_hf.data.layouts.folder_listing import list_files
from fer_hf.data.layouts.list_dialects import find_encoding, read_rows, sniff_delimiters

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".lst")
LIST_ENDINGS = (*TEXT_ENDINGS, ".json", ".jsonl", ".parquet")
SPREADSHEETS = (".xlsx", ".xls", ".ods")

_NOT_LISTS = re.compile(r"(read.?me|licen[cs]e|copying|notice|changelog|requirements)", re.I)
_DEPTH = 2


@dataclass(frozen=True)
class ListFile:
    """One reading of a list file.

    Attributes:
        file: Where it is.
        names: Its columns: their headings, or without a header their numbers from 1.
        how: How it was read, in a few words for people; may be empty.
        stored: Columns that hold the pictures themselves.
        label_names: The names of number labels, by column, where the file declares them.
        headerless: The same without a header, where the first row may be one or not.
    """

    file: Path
    names: list[str]
    how: str
    _read: Callable[[Sequence[int], int | None], list[list[Any]]]
    stored: frozenset[int] = frozenset()
    label_names: tuple[list[str] | None, ...] = ()
    headerless: "ListFile | None" = None

    def read(self, columns: Sequence[int], limit: int | None = None) -> list[list[Any]]:
        """Return the values of columns, by position, of all rows or the first `limit`.

        Raises:
            ValueError: If a row is longer than the header, or the file is damaged.
        """
        return self._read(columns, limit)


def find_list_files(folder: Path, depth: int = _DEPTH) -> list[Path]:
    """Return the files in a folder and up to `depth` folders below it that may be lists."""
    return [
        folder.joinpath(*parts, name)
        for parts, names in list_files(folder).items()
        if len(parts) <= depth and not any(map(_NOT_LISTS.match, parts))
        for name in names
        if name.lower().endswith((*LIST_ENDINGS, *SPREADSHEETS)) and not _NOT_LISTS.match(name)
    ]


def open_list(file: Path, header: Sequence[str] | None = None) -> list[ListFile]:
    """Return every consistent reading of a list file, the most likely first.

    Args:
        file: The list.
        header: The headings of a text that is known to have none.

    Raises:
        ValueError: If it is not text, JSON or Parquet that holds a table.
    """
    ending = file.suffix.lower()
    if ending in SPREADSHEETS:
        raise ValueError(f"'{file}' is a spreadsheet. Save it as CSV (UTF-8), and pass that.")
    if ending == ".parquet":
        return [_open_parquet(file)]
    if ending in (".json", ".jsonl"):
        return [_open_json(file)]
    tables = [_open_text(file, delimiter) for delimiter in sniff_delimiters(file)]
    if header is None:
        return tables
    bare = [table.headerless for table in tables if table.headerless]
    return [replace(t, names=list(header)) for t in bare if len(t.names) == len(header)] or tables


def _open_text(file: Path, delimiter: str) -> ListFile:
    header = next(read_rows(file, delimiter), None)
    if header is None:
        raise ValueError(f"'{file}' is empty. Expected a row for each picture.")
    encoding = find_encoding(file)
    shown = {" ": "blanks", "\t": "tabs"}.get(delimiter, repr(delimiter))
    how = "" if delimiter == "," else f"separated by {shown}"
    if encoding in ("cp1252", "latin-1"):
        how = f"{how}, " * bool(how) + f"read as {encoding} because it is not UTF-8"

    def read_from(start: int, columns: Sequence[int], limit: int | None) -> list[list[str]]:
        values: list[list[str]] = [[] for _ in columns]
        end = None if limit is None else start + limit
        for number, row in enumerate(itertools.islice(read_rows(file, delimiter), start, end)):
            if len(row) < len(header):
                row += [""] * (len(header) - len(row))
            elif any(row[len(header) :]):
                raise ValueError(
                    f"'{file}' cannot be read as a table (row {number} has {len(row)} columns, the "
                    f"first line {len(header)}). Save it with as many columns in every row."
                )
            for column, kept in zip(columns, values, strict=True):
                kept.append(row[column])
        return values

    numbers = [str(column + 1) for column in range(len(header))]
    headerless = ListFile(file, numbers, how, lambda columns, limit: read_from(0, columns, limit))
    return replace(
        headerless,
        names=header,
        _read=lambda columns, limit: read_from(1, columns, limit),
        headerless=headerless,
    )


def _open_json(file: Path) -> ListFile:
    try:
        with file.open(encoding=find_encoding(file)) as stream:
            lines = file.suffix.lower() == ".jsonl"
            content = (
                [json.loads(line) for line in stream if line.strip()]
                if lines
                else json.load(stream)
            )
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{file}' cannot be read as JSON ({error}). Save it again.") from error
    if isinstance(content, dict) and all(isinstance(v, str | int) for v in content.values()):
        # {"1.jpg": "happy"}
        content = [{"1": name, "2": label} for name, label in content.items()]
    if not (isinstance(content, list) and content and all(isinstance(r, dict) for r in content)):
        raise ValueError(
            f"'{file}' holds {type(content).__name__}. Expected a list of objects, one for each "
            "picture."
        )
    names = list(dict.fromkeys(name for row in content for name in row))

    def read(columns: Sequence[int], limit: int | None) -> list[list[str]]:
        rows = content[:limit]
        found = ([row.get(names[column]) for row in rows] for column in columns)
        return [[_spell(value) for value in values] for values in found]

    return ListFile(file, names, "", read)


def _spell(value: Any) -> Any:
    """Return a value as a text; lists and objects stay, to be refused where they are used."""
    return "" if value is None else value if isinstance(value, list | dict) else str(value)


def _open_parquet(file: Path) -> ListFile:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"'{file}' cannot be read as Parquet ({error}). Save it again.") from error
    features = datasets.Features.from_arrow_schema(schema)
    names = list(schema.names)

    def read(columns: Sequence[int], limit: int | None) -> list[list[Any]]:
        wanted = [names[column] for column in columns]
        try:
            if limit is None:
                table = pq.read_table(file, columns=wanted)
            else:
                with pq.ParquetFile(file) as parquet:
                    batches = list(itertools.islice(parquet.iter_batches(limit, columns=wanted), 1))
                    schema = None if batches else parquet.schema_arrow
                    table = pa.Table.from_batches(batches, schema)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"'{file}' is damaged ({error}). Download it again.") from error
        return [table[name].to_pylist() for name in wanted]

    return ListFile(
        file,
        names,
        "",
        read,
        stored=frozenset(i for i, field in enumerate(schema) if _holds_pictures(field.type)),
        label_names=tuple(
            kind.names if isinstance(kind := features[name], datasets.ClassLabel) else None
            for name in names
        ),
    )


def _holds_pictures(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
