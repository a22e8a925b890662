"""The `fer2013` layout: the pictures of the ICML 2013 challenge, in one CSV with their pixels."""

from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.tables import find_column, read_chunks, read_header
from fer_hf.data.stored_pictures import read_array

FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's names, by its label numbers."""

_COLUMNS = ("emotion", "pixels", "usage")
_SIDE = 48


def find_fer2013(path: Path) -> Path | None:
    """Return the `fer2013.csv` meant by `path`, the file or its folder, by its columns."""
    file = path / "fer2013.csv" if path.is_dir() else path
    if not file.is_file() or file.suffix.lower() != ".csv":
        return None
    names = read_header(file)
    return file if find_column(names, ["emotion"]) and find_column(names, ["pixels"]) else None


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


def read_fer2013(file: Path, num_rows: int | None = None) -> tuple[Part, np.ndarray, list[str]]:
    """Return all pictures with their labels, their pixels (N, 48, 48) as uint8, and their usages.

    Without a column `Usage` all are ``"train"``. `num_rows` is for the progress bar.

    Raises:
        ValueError: If a row lacks a value, or does not hold 48×48 numbers from 0 to 255.
    """
    names = read_header(file)
    columns = {name: key for key in _COLUMNS if (name := find_column(names, [key]))}
    pictures: list[np.ndarray] = []
    chunks = []
    with tqdm(total=num_rows, desc=f"Reading {file.name}", unit=" rows", disable=None) as bar:
        for chunk in read_chunks(file, list(columns)):
            for name in chunk.columns[(chunk == "").any()]:
                raise ValueError(
                    f"Row {(chunk[name] == '').idxmax()} of '{file}' has no `{name}`. Expected "
                    f"{names} in every row. Download the file again."
                )
            chunk = chunk.rename(columns=columns)
            pictures += [
                _parse_pixels(text, f"Row {row} of '{file}'")
                for row, text in chunk.pop("pixels").items()
            ]
            chunks.append(chunk)
            bar.update(len(chunk))
    if not pictures:
        raise ValueError(f"'{file}' has no rows. Download the file again.")
    table, pixels = pd.concat(chunks), np.stack(pictures)
    whole = Part(
        table["emotion"].tolist(),
        read=lambda rows: read_array(lambda: pixels, rows, "pixels"),
        where=f"'{file}'",
        name=lambda row: f"'{file}' row {row}",
        label_names=FER2013_LABELS,
        is_checked=True,
    )
    return whole, pixels, table["usage"].tolist() if "usage" in table else ["train"] * len(table)


def _parse_pixels(text: str, where: str) -> np.ndarray:
    values = text.split()
    try:
        # NumPy refuses texts that are not numbers, and numbers that do not fit into a byte.
        pixels = np.array(values, dtype=np.uint8)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{where} has in `pixels` more than numbers from 0 to 255 ({error}). Download the file "
            "again."
        ) from error
    if len(values) != _SIDE**2:
        raise ValueError(
            f"{where} has {len(values)} values in `pixels`. Expected {_SIDE}×{_SIDE} = {_SIDE**2}. "
            "Download the file again."
        )
    return pixels.reshape(_SIDE, _SIDE)


def _locate(path: Path, options: LoadOptions) -> Source:
    file = require_fer2013(path)

    def read() -> dict[str, Part]:
        whole, _, usages = read_fer2013(file)
        return whole.divide(usages)

    return Source([file], read, "the column `emotion`")


FER2013 = Layout(
    "fer2013",
    "fer2013.csv: columns `emotion`, `pixels`, `Usage`",
    recognise=lambda path, options: find_fer2013(path) is not None,
    locate=_locate,
)
