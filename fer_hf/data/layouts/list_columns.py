"""What the columns of a list are: told by what is in them first, then by their headings."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

from fer_hf.data.splits import split_name
from fer_hf.emotions import EMOTIONS, canonical_emotion

IMAGE_COLUMNS = (
    *("image", "img", "picture"),
    *("path", "pth", "image_path", "img_path", "filepath", "file_path"),
    *("file", "filename", "file_name", "image_name", "subdirectory_filepath"),
)
"""Column names taken for the picture, the first one found first; `pth` is AffectNet's."""

LABEL_COLUMNS = (
    *("label", "labels", "emotion", "expression", "class", "target"),
    *("emotion_label", "expression_label"),
)
"""Column names taken for the label; the last is ExpW's."""

SPLIT_COLUMNS = ("split", "usage", "set", "subset")
"""Column names taken for the split; `Usage` is FER2013's."""

_NEARLY_ALL = 0.9
_SMALL = re.compile(r"[0-9]{1,2}(\.0+)?")
_CORNERS = (
    *(("left", "top", "right", "bottom"), ("x1", "y1", "x2", "y2")),
    *(("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max")),
)
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))


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


def find_label_columns(
    names: Sequence[str], values: Sequence[Sequence[Any]], *, has_header: bool = True
) -> list[int]:
    """Return the columns that may be the label, the best first.

    They have a usual heading, or nearly all values are emotions; where there is neither, and no
    header, small whole numbers are labels if no other column is there. Emotions go before numbers.

    Args:
        names: The headings of the columns that are not the picture.
        values: Some values of each of them.
        has_header: Whether `names` are headings.
    """
    emotions = {i for i, column in enumerate(values) if _are_emotions(column)}
    headings = _find_headings(names, LABEL_COLUMNS)
    if found := [i for i in headings if i in emotions] + sorted(emotions - set(headings)):
        return found + [i for i in headings if i not in emotions]
    if not headings and not has_header:
        filled = [i for i, column in enumerate(values) if any(_text(value) for value in column)]
        if len(filled) == 1 and all(_SMALL.fullmatch(_text(v)) for v in values[filled[0]]):
            return filled
    return headings


def agree(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Return whether two columns say the same in other words: their values go in fixed pairs.

    Two columns of emotions say the same only if these are the same.
    """
    pairs = set(zip(map(_text, first), map(_text, second), strict=True))
    if _are_emotions(first) and _are_emotions(second):
        return all(canonical_emotion(one) == canonical_emotion(other) for one, other in pairs)
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def find_split_column(names: Sequence[str], values: Sequence[Sequence[Any]]) -> int | None:
    """Return the column that has a usual heading, or only values that mean splits; else None."""
    if headings := _find_headings(names, SPLIT_COLUMNS):
        return headings[0]
    meaning = [
        i for i, column in enumerate(values) if column and all(split_name(_text(v)) for v in column)
    ]
    return meaning[0] if meaning else None


def divide_by_path(paths: Sequence[str]) -> list[str] | None:
    """Return the split of each path by a folder, or else by the start of its name.

    ``train/1.jpg`` and ``train_1.jpg`` are of ``train``. None unless every path says its split, and
    one of them is ``train``.
    """
    for find in (_split_of_folder, _split_of_name):
        splits = list(itertools.takewhile(bool, map(find, paths)))
        if len(splits) == len(paths) and "train" in splits:
            return splits
    return None


def _split_of_folder(path: str) -> str:
    return next((split for part in path.split("/")[:-1] if (split := split_name(part))), "")


def _split_of_name(path: str) -> str:
    start = re.match(r"([A-Za-z]+)[_-]", path.rpartition("/")[2])
    return (split_name(start[1]) if start else None) or ""


def find_box_columns(names: Sequence[str]) -> tuple[tuple[int, int, int, int], bool] | None:
    """Return the four columns of a face's box, and whether the last two are its size.

    Headings may start with `face_`, `box_`, `bbox_` or `face_box_`.
    """
    plain = [re.sub(r"^(face_)?(b?box_|face_)?", "", name.strip().lower()) for name in names]
    for kinds, is_size in ((_SIZES, True), (_CORNERS, False)):
        for kind in kinds:
            if all(plain.count(name) == 1 for name in kind):
                x, y, right, bottom = (plain.index(name) for name in kind)
                return (x, y, right, bottom), is_size
    return None


def _find_headings(names: Sequence[str], candidates: Sequence[str]) -> list[int]:
    plain = [name.strip().lower() for name in names]
    return [i for wanted in candidates for i, name in enumerate(plain) if name == wanted]


def _are_emotions(values: Sequence[Any]) -> bool:
    texts = [text for value in values if (text := _text(value))]
    known = {text: canonical_emotion(text) in EMOTIONS for text in set(texts)}
    return bool(texts) and sum(known[text] for text in texts) >= _NEARLY_ALL * len(texts)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
