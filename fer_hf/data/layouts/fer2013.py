"""The `fer2013` layout: one CSV with the pixels, as the pictures of the ICML 2013 challenge."""

import math
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.list_columns import find_column
from fer_hf.data.layouts.list_dialects import read_rows
from fer_hf.data.layouts.tables import read_header
from fer_hf.data.stored_pictures import read_array

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's names, by its label numbers."""

_FILES = ("fer2013.csv", "icml_face_data.csv")
_COLUMNS = ("emotion", "pixels", "usage")


def find_fer2013(path: Path) -> Path | None:
    """Return the CSV with pixels meant by `path`, the file or its folder, by its columns.

    In a folder, the challenge's own files come first, then the only other one.
    """
    if not path.is_dir():
        return path if path.is_file() and _has_pixels(path) else None
    for name in _FILES:
        if _has_pixels(path / name):
            return path / name
    found = [file for file in path.glob("*.csv") if _has_pixels(file)]
    return found[0] if len(found) == 1 else None


def _has_pixels(file: Path) -> bool:
    if not file.is_file() or file.suffix.lower() != ".csv":
        return False
    try:
        names = read_header(file)
    except ValueError:
        return False
    return bool(find_column(names, ["emotion"]) and find_column(names, ["pixels"]))


def require_fer2013(path: Path) -> Path:
    """Return what `find_fer2013` finds.

    Raises:
        ValueError: If it finds nothing.
    """
    file = find_fer2013(path)
    if file is None:
        raise ValueError(
            f"'{path}' is not FER2013: expected a file 'fer2013.csv' with the columns `emotion`, "
            "`pixels` and `Usage`. Pass that file or its folder."
        )
    return file


def read_fer2013(
    file: Path, num_rows: int | None = None, side: int | None = None
) -> tuple[Part, np.ndarray, list[str]]:
    """Return all pictures with their labels, their pixels (N, side, side) as uint8, and usages.

    Without a column `Usage` all are ``"train"``.

    Args:
        file: The CSV. As in CK+ saved this way, an eighth label number is contempt.
        num_rows: How many rows there are, for the progress bar.
        side: Height and width of the pictures; None for those of the first one.

    Raises:
        ValueError: If a row lacks a value, or does not hold side×side numbers from 0 to 255.
    """
    rows = read_rows(file)
    names = next(rows)
    found = {key: names.index(name) for key in _COLUMNS if (name := find_column(names, [key]))}
    pictures: list[np.ndarray] = []
    values: dict[str, list[str]] = {key: [] for key in found if key != "pixels"}
    bar = tqdm(rows, f"Reading {file.name}", num_rows, unit=" rows", disable=None)
    for number, row in enumerate(bar):
        where = f"Row {number} of '{file}'"
        row += [""] * (len(names) - len(row))
        for position in found.values():
            if not row[position].strip():
                raise ValueError(
                    f"{where} has no `{names[position]}`. Expected {names} in every row. Download "
                    "the file again."
                )
        pictures.append(_parse_pixels(row[found["pixels"]], where, side))
        side = len(pictures[0])
        for key, kept in values.items():
            kept.append(row[found[key]].strip())
    if not pictures:
        raise ValueError(f"'{file}' has no rows. Download the file again.")
    pixels, labels = np.stack(pictures), values["emotion"]
    has_contempt = str(len(FER2013_LABELS)) in labels
    whole = Part(
        labels,
        read=lambda rows: read_array(lambda: pixels, rows, "pixels"),
        where=f"'{file}'",
        name=lambda row: f"'{file}' row {row}",
        label_names=(*FER2013_LABELS, "contempt") if has_contempt else FER2013_LABELS,
        is_checked=True,
    )
    return whole, pixels, values.get("usage", ["train"] * len(labels))


def _parse_pixels(text: str, where: str, side: int | None) -> np.ndarray:
    values = text.split()
    try:
        # NumPy refuses texts that are not numbers, and numbers that do not fit into a byte.
        pixels = np.array(values, dtype=np.uint8)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{where} has in `pixels` more than numbers from 0 to 255 ({error}). Download the file "
            "again."
        ) from error
    expected = side or math.isqrt(len(values))
    if len(values) != expected**2:
        wanted = f"{side}×{side} = {side**2}" if side else "those of a square, such as 48×48 = 2304"
        raise ValueError(
            f"{where} has {len(values)} values in `pixels`. Expected {wanted}. "
            "Download the file again."
        )
    return pixels.reshape(expected, expected)


def _locate(path: Path, options: LoadOptions) -> Source:
    file = require_fer2013(path)

    def read() -> dict[str, Part]:
        whole, _, usages = read_fer2013(file)
        return whole.divide(usages)

    return Source([file], read, f"the column `emotion` of '{file.name}'")


FER2013 = Layout(
    "fer2013",
    "fer2013.csv, or another CSV with pixels: columns `emotion`, `pixels`, `Usage`",
    recognise=lambda path, options: find_fer2013(path) is not None,
    locate=_locate,
)
