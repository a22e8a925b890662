"""Lists with a column for each emotion, of which one says 1: their label as one more column."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fer_hf.data.layouts.list_files import ListFile
from fer_hf.emotions import EMOTIONS, canonical_emotion

_SAMPLE_ROWS = 1_000


def add_one_hot(table: ListFile) -> ListFile:
    """Return a list with its label as the last column, if columns called by emotions are one-hot.

    Reading it raises a ValueError for a row with another number than one 1. Votes, probabilities
    and the like are no labels: such a list is returned as it is.
    """
    columns = [i for i, name in enumerate(table.names) if canonical_emotion(name) in EMOTIONS]
    names = [table.names[i] for i in columns]
    if len({canonical_emotion(name) for name in names}) < max(2, len(names)):
        return table
    sample = list(zip(*table.read(columns, _SAMPLE_ROWS), strict=True))
    if not sample or any(_find_one(row) is None for row in sample):
        return table
    added = len(table.names)

    def read(wanted: Sequence[int], limit: int | None) -> list[list[Any]]:
        plain = [i for i in wanted if i != added]
        values = dict(zip(plain, table.read(plain, limit), strict=True))
        if added in wanted:
            rows = zip(*table.read(columns, limit), strict=True)
            values[added] = [
                _name_row(table, number, row, names) for number, row in enumerate(rows)
            ]
        return [values[i] for i in wanted]

    label_names = (*table.label_names, None) if table.label_names else ()
    return replace(
        table, names=[*table.names, "/".join(names)], _read=read, label_names=label_names
    )


def _name_row(table: ListFile, number: int, row: Sequence[Any], names: Sequence[str]) -> str:
    place = _find_one(row)
    if place is None:
        raise ValueError(
            f"'{table.file}' row {number} has {list(row)} in the columns {list(names)}. Expected "
            "one 1 and zeros: correct or remove the row."
        )
    return names[place]


def _find_one(row: Sequence[Any]) -> int | None:
    """Return the place of the one 1 among zeros; None if there is anything else."""
    texts = [str(value).strip().removesuffix(".0") for value in row]
    is_one_hot = texts.count("1") == 1 and texts.count("0") == len(texts) - 1
    return texts.index("1") if is_one_hot else None
