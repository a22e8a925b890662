"""The `table` layout: a list with a row for each picture, or for each face of a picture.

Lists name pictures by path, or Parquet holds the pictures themselves; either way pictures are read
in batches.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fer_hf.data.labels import spell_label
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.list_columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    choose_column,
    find_column,
)
from fer_hf.data.layouts.list_files import LIST_ENDINGS, SPREADSHEETS, find_list_files, open_list
from fer_hf.data.layouts.list_parts import read_list
from fer_hf.data.layouts.list_readings import Reading, examine_list
from fer_hf.data.layouts.name_files import find_names_file, read_names_file
from fer_hf.data.layouts.picture_index import PictureIndex
from fer_hf.data.splits import assign_splits, split_name

__all__ = [
    "IMAGE_COLUMNS",
    "LABEL_COLUMNS",
    "SPLIT_COLUMNS",
    "choose_column",
    "find_column",
]

_ENDINGS = (".csv", ".tsv", ".parquet")
_CERTAIN_ENDINGS = (*_ENDINGS, ".lst", ".jsonl", *SPREADSHEETS)


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
    try:
        lists = _find_lists(path, options)
    except ValueError:
        return True  # as `_locate` will say
    try:
        return bool(_assign(lists, path))
    except ValueError:
        # Shards of one split are left to `datasets`.
        return any(reading.table.file.suffix.lower() != ".parquet" for reading in lists)


def _find_lists(folder: Path, options: LoadOptions) -> list[Reading]:
    """Return the lists in a folder, or not far below, that have pictures and labels.

    Raises:
        ValueError: If a damaged list is the only thing that could say the labels.
    """
    index, found, damaged = PictureIndex(folder), [], []
    for file in find_list_files(folder):
        try:
            reading = examine_list(file, index, options.image_column, options.label_column)
        except ValueError as error:
            # Any other text may be a .txt.
            damaged += [error] * (file.suffix.lower() in _CERTAIN_ENDINGS)
            continue
        if reading.fits or (reading.are_found and _is_one_folder(reading, index)):
            found.append(reading)
    if damaged and not found and len({file.rpartition("/")[0] for file in index.files}) == 1:
        raise damaged[0]
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
    read = {
        split: read_list(reading, index, options.image_column, options.label_column)
        for split, reading in lists.items()
    }
    parts = {split: one.part for split, one in read.items()}
    if len(read) == 1 and (only := next(iter(read.values()))).splits is not None:
        parts = only.part.divide(only.splits)
    pictures = [picture for one in read.values() for picture in one.pictures]
    notes = [one.labels_from for one in read.values()]
    identity = [reading.table.file for reading in lists.values()] + [Path(p) for p in pictures]
    is_named = options.label_names or options.codes or not path.is_dir()
    if not is_named and (names_file := find_names_file(path)):
        parts = {split: _name_numbers(part, names_file) for split, part in parts.items()}
        identity.append(names_file)
    if path.is_dir() and (num := len(index.files.difference(pictures)) if pictures else 0):
        notes.append(f"{num} pictures of the folder are in no row")
    return Source(identity, lambda: parts, "; ".join(notes))


def _name_numbers(part: Part, names_file: Path) -> Part:
    """Take the names of labels that are numbers from a file beside the list."""
    is_number = all(spell_label(label).isdigit() for label in part.labels)
    if part.label_names is not None or not is_number:
        return part
    return replace(part, label_names=read_names_file(names_file))


def _examine_alone(file: Path, options: LoadOptions) -> tuple[PictureIndex, Reading]:
    """Read a list that is given itself, whose pictures may be in folders beside its own."""
    asked = options.image_column, options.label_column
    index = PictureIndex(file.parent)
    reading = examine_list(file, index, *asked)
    # From a folder with pictures, another data set's would be looked through; a home directory
    # takes long.
    if (
        reading.are_found
        or index.files
        or file.parent.parent in (Path.home(), *Path.home().parents)
    ):
        return index, reading
    above = PictureIndex(file.parent.parent)
    other = examine_list(file, above, *asked)
    return (above, other) if other.are_found else (index, reading)


TABLE = Layout(
    "table",
    "a list of pictures as CSV, TSV, text, JSON or Parquet, or one for each split: columns such as "
    "`image` and `label`",
    _recognise,
    _locate,
)
