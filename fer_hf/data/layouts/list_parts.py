"""From a list to labelled pictures: each row's file, or the face that its box cuts out of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_hf.data.layout import Part
from fer_hf.data.layouts.list_columns import divide_by_path
from fer_hf.data.layouts.list_readings import Columns, Reading, settle_columns
from fer_hf.data.layouts.picture_index import PictureIndex
from fer_hf.data.splits import split_name
from fer_hf.data.stored_pictures import read_crops, read_parquet, read_paths
from fer_hf.emotions import canonical_emotion


@dataclass(frozen=True)
class ListedPart:
    """The rows of a list.

    Attributes:
        part: The rows, without those that repeat another one.
        splits: The split of each row in any spelling; None if the list does not say.
        pictures: The files of the pictures, without those that Parquet holds.
        labels_from: Where labels and pictures come from, in a few words for people.
    """

    part: Part
    splits: list[str] | None
    pictures: list[str]
    labels_from: str


def read_list(
    reading: Reading,
    index: PictureIndex,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ListedPart:
    """Read the labels of a list, and find its pictures.

    Args:
        reading: What `examine_list` says of it, for the same columns.
        index: Where its pictures may be.
        image_column: The column to take, if not told by its content.
        label_column: Likewise.

    Raises:
        ValueError: If a column or a picture is not clear, a row contradicts another one, or lacks
            its box; the message says what to do.
    """
    columns, table = settle_columns(reading, index, image_column, label_column), reading.table
    file, where = table.file.absolute(), f"'{table.file}'"
    labels_from = f"the column `{table.names[columns.label]}` of '{file.name}'"
    is_stored = columns.image in table.stored
    chosen = {"label": columns.label, "split": columns.split}
    if not is_stored:
        chosen["image"] = columns.image
    wanted = {key: i for key, i in chosen.items() if i is not None}
    values = dict(zip(wanted, table.read(list(wanted.values())), strict=True))
    splits = [str(value) for value in values["split"]] if "split" in values else None
    part = Part(
        values["label"],
        read=lambda rows: read_parquet(file, table.names[columns.image], rows),
        where=where,
        name=lambda row: f"{where} row {row}",
        label_names=table.label_names[columns.label] if table.label_names else None,
    )
    if is_stored or not all(isinstance(name, str | None) for name in values["image"]):
        return ListedPart(part, splits, [], labels_from)
    paths = _find_paths([name or "" for name in values["image"]], file, index)
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
    notes = [
        labels_from,
        _describe_pictures(reading, columns, shown),
        "splits by the paths" if divided and not splits else "",
        f"{len(paths) - len(rows)} repeated rows left out" if len(rows) < len(paths) else "",
    ]
    kept = part.select(rows) if len(rows) < len(paths) else part
    divided = [divided[row] for row in rows] if divided else None
    return ListedPart(kept, divided, sorted(set(paths)), ", ".join(filter(None, notes)))


def _describe_pictures(reading: Reading, columns: Columns, paths: Sequence[str]) -> str:
    folders = {path.rpartition("/")[0] for path in paths}
    notes = [
        f"pictures from the column `{reading.table.names[columns.image]}`",
        reading.table.how,
        f"in '{folders.pop()}/'" if len(folders) == 1 and folders != {""} else "",
        "faces cut out by the columns " + _name_box(reading, columns) if columns.box else "",
    ]
    return ", ".join(filter(None, notes))


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
    said = [_spell(label) for label in labels]
    if splits:
        said = [
            f"{label} in {split}" if label and (split := split_name(name)) else ""
            for label, name in zip(said, splits, strict=True)
        ]
    first: dict[Any, int] = {}
    kept = []
    for row, key in enumerate(keys):
        other = first.setdefault(key, row)
        # A row without a label, or of an unknown split, is refused as such later on.
        if other == row or not (said[row] and said[other]):
            kept.append(row)
        elif said[row] != said[other]:
            raise ValueError(
                f"{where} rows {other} and {row} both name {paths[row]!r}, as {said[other]!r} and "
                f"{said[row]!r}. Keep the right one."
            )
    return np.array(kept, dtype=np.int64)


def _spell(label: Any) -> str:
    return "" if label is None else canonical_emotion(str(label))
