"""How a list is understood: which reading of its file makes sense, and what its columns are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_hf.data.layouts.list_columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    agree,
    find_box_columns,
    find_column,
    find_label_columns,
    find_split_column,
)
from fer_hf.data.layouts.list_files import ListFile, open_list
from fer_hf.data.layouts.list_one_hot import add_one_hot
from fer_hf.data.layouts.picture_index import Matches, PictureIndex
from fer_hf.data.pictures import PICTURE_ENDINGS

_SAMPLE_ROWS = 1_000
_HALF = 0.5


@dataclass(frozen=True)
class Reading:
    """What a list may mean; every column is a position.

    Attributes:
        table: The list.
        has_header: Whether `table.names` are headings.
        sample: The first values of every column, as texts; none of stored pictures.
        pictures: Columns that may be the picture, all equally likely.
        are_found: Whether pictures were found by them, not only a usual heading.
        labels: Columns that may be the label, the best first.
    """

    table: ListFile
    has_header: bool
    sample: list[list[str]]
    pictures: list[int]
    are_found: bool
    labels: list[int]

    @property
    def fits(self) -> bool:
        """Whether the list has both pictures and labels."""
        return bool(self.pictures and self.labels)


@dataclass(frozen=True)
class Columns:
    """What the columns of a list are, by position.

    Attributes:
        image: The picture, or its path.
        label: The label.
        split: The split, if a column says it.
        box: The box of a face, if it has one: left, top, and either right, bottom or its size.
        box_has_size: Which of both.
    """

    image: int
    label: int
    split: int | None
    box: tuple[int, int, int, int] | None
    box_has_size: bool


def examine_list(
    file: Path,
    index: PictureIndex,
    image_column: str | None = None,
    label_column: str | None = None,
    header: Sequence[str] | None = None,
) -> Reading:
    """Return the reading of a list that makes the most sense.

    Args:
        file: The list.
        index: Where its pictures may be.
        image_column: The column to take, by its heading or its number from 1.
        label_column: Likewise.
        header: The headings of a text that is known to have none.

    Raises:
        ValueError: If it is not a list.
    """
    tables = open_list(file, header)
    readings = [_examine(table, index, image_column, label_column) for table in tables]
    # `max` keeps the first of equals, which is the most likely one.
    return max(readings, key=lambda reading: (reading.are_found, reading.fits))


def _examine(
    table: ListFile, index: PictureIndex, image_column: str | None, label_column: str | None
) -> Reading:
    whole, folder = table.headerless or table, table.file.parent
    sample = _read_sample(whole)
    body = [column[1:] for column in sample] if table.headerless else sample
    pictures, are_found = _find_pictures(table, body, index)
    if image_column is not None:
        pictures = _find_asked(table, image_column)
    elif not pictures and (heading := find_column(table.names, IMAGE_COLUMNS)):
        pictures = [table.names.index(heading)]
    has_header = True
    if table.headerless and pictures and are_found and image_column not in table.names:
        first, rest = sample[pictures[0]][:1], body[pictures[0]]
        # To look for a name anywhere is slow, and not needed where all others have an ending.
        is_picture = _are_names(first) if _are_names(rest) else index.find(first, folder).share
        has_header = not is_picture
    chosen, values = (table, body) if has_header else (whole, sample)
    others = [i for i in range(len(chosen.names)) if i not in pictures and i not in table.stored]
    if label_column is not None:
        labels = _find_asked(table, label_column)
    else:
        found = find_label_columns(
            [chosen.names[i] for i in others], [values[i] for i in others], has_header=has_header
        )
        labels = [others[i] for i in found]
        if not labels and has_header and (hot := add_one_hot(table)) is not table:
            chosen, labels = hot, [len(table.names)]
            values = [*values, *hot.read(labels, _SAMPLE_ROWS)]
    return Reading(chosen, has_header, values, pictures, are_found, labels)


def _read_sample(table: ListFile) -> list[list[str]]:
    readable = [i for i in range(len(table.names)) if i not in table.stored]
    sample: list[list[str]] = [[] for _ in table.names]
    for i, values in zip(readable, table.read(readable, _SAMPLE_ROWS), strict=True):
        sample[i] = ["" if value is None else str(value) for value in values]
    return sample


def _find_asked(table: ListFile, asked: str) -> list[int]:
    if asked in table.names:
        return [table.names.index(asked)]
    is_number = asked.isdecimal() and 1 <= int(asked) <= len(table.names)
    return [int(asked) - 1] if is_number and table.headerless else []


def _find_pictures(
    table: ListFile, sample: Sequence[Sequence[str]], index: PictureIndex
) -> tuple[list[int], bool]:
    """Return the columns that hold pictures or mean some here, and whether there are any."""
    if table.stored:
        return sorted(table.stored), True
    folder, named, unnamed = table.file.parent, {}, {}
    direct = [Matches(index.find_directly(values, folder), {}).share for values in sample]
    # To look for names anywhere is slow, and not needed where paths lead to pictures.
    are_paths = max(direct) > _HALF
    for i, values in enumerate(sample):
        share = direct[i] if are_paths else index.find(values, folder).share
        if share and _are_names(values):
            named[i] = share
        # `5` may be 5.jpg or a label; a label comes more than once, or says so.
        elif (
            share >= _HALF
            and len(set(values)) > _HALF * len(values)
            and not find_column([table.names[i]], LABEL_COLUMNS)
        ):
            unnamed[i] = share
    shares = named or unnamed
    most = [i for i, share in shares.items() if share >= min(_HALF, max(shares.values()))]
    return most, bool(most)


def _are_names(values: Sequence[str]) -> bool:
    named = sum(value.strip().lower().endswith(tuple(PICTURE_ENDINGS)) for value in values)
    return named > _HALF * len(values)


def settle_columns(
    reading: Reading,
    index: PictureIndex,
    image_column: str | None = None,
    label_column: str | None = None,
) -> Columns:
    """Decide what each column of a list is, where two were asked for as in `examine_list`.

    Raises:
        ValueError: If the picture or the label cannot be told; the message says what there is, and
            which option decides.
    """
    image, label = _settle_image(reading, index, image_column), _settle_label(reading, label_column)
    rest = [i for i in range(len(reading.sample)) if i not in (image, label)]
    names = [reading.table.names[i] for i in rest]
    split = find_split_column(names, [reading.sample[i] for i in rest])
    box, has_size = find_box_columns(reading.table.names) or (None, False)
    return Columns(image, label, None if split is None else rest[split], box, has_size)


def _settle_image(reading: Reading, index: PictureIndex, asked: str | None) -> int:
    table, found = reading.table, reading.pictures
    if not found:
        wanted = f"none of {list(IMAGE_COLUMNS)}, nor one of pictures in '{index.folder}'"
        raise ValueError(
            f"{_describe(reading)}, but {f'no column {asked!r}' if asked else wanted}. Pass "
            "`image_column` with the right one, or the folder that holds both the list and the "
            "pictures."
        )
    meant = [
        None if table.stored else index.find(reading.sample[i], table.file.parent).paths
        for i in found
    ]
    if len(found) > 1 and (table.stored or any(paths != meant[0] for paths in meant)):
        usual = [i for i in found if find_column([table.names[i]], IMAGE_COLUMNS)]
        if len(usual) != 1:
            raise ValueError(
                f"'{table.file}' has several columns with pictures: "
                f"{[table.names[i] for i in found]}. Pass `image_column` with the right one."
            )
        return usual[0]
    return found[0]


def _settle_label(reading: Reading, asked: str | None) -> int:
    table, found = reading.table, reading.labels
    if not found:
        wanted = f"none of {list(LABEL_COLUMNS)}, nor one of emotions"
        raise ValueError(
            f"{_describe(reading)}, but {f'no column {asked!r}' if asked else wanted}. Pass "
            "`label_column` with the right one."
        )
    if len(found) == 1:
        return found[0]
    first, *others = table.read(found)
    for i, values in zip(found[1:], others, strict=True):
        if not agree(first, values):
            raise ValueError(
                f"'{table.file}' has the columns {table.names[found[0]]!r} and {table.names[i]!r}, "
                "which may both be the label but do not agree. Pass `label_column` with the right "
                "one."
            )
    return found[0]


def _describe(reading: Reading) -> str:
    row = [values[0] if values else "" for values in reading.sample]
    shown = [text if len(text) <= 40 else f"{text[:40]}…" for text in row]
    return f"'{reading.table.file}' has the columns {reading.table.names} (first row: {shown})"
