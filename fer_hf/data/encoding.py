"""Pictures on their way into Arrow: a reader for each form in which sources hold them.

All readers take row numbers and yield `IMAGE_TYPE` arrays of at most `BATCH_SIZE` pictures, because
the pictures of a source need not fit into memory.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH_SIZE = 128
"""Pictures handled at a time: 6 MB of 128×128 colour pictures, about what the CPU cache holds."""

IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How `datasets.Image` stores a picture in Arrow."""


def read_paths(paths: Sequence[str], rows: np.ndarray) -> Iterator[pa.StructArray]:
    """Yield pictures that stay in files of their own: only the paths are stored."""
    for start in range(0, len(rows), BATCH_SIZE):
        batch = [{"path": paths[row]} for row in rows[start : start + BATCH_SIZE]]
        yield pa.array(batch, IMAGE_TYPE)


def read_parquet(file: Path, column: str, rows: np.ndarray) -> Iterator[pa.StructArray]:
    """Yield pictures that a Parquet file holds, in one pass over it.

    Args:
        file: The Parquet file; relative paths of pictures count from its folder.
        column: Its column of encoded pictures, or of structs of `bytes` and `path`.
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
                yield _resolve_paths(pictures, file.parent)
            start = end


def _resolve_paths(pictures: pa.StructArray, folder: Path) -> pa.StructArray:
    """Make relative paths of pictures without bytes absolute, taking them from `folder`."""
    contents = pictures.field("bytes")
    paths = [
        str(folder / name) if name and not content.is_valid else name
        for name, content in zip(pictures.field("path").to_pylist(), contents, strict=True)
    ]
    return pa.StructArray.from_arrays(
        [contents, pa.array(paths, pa.string())], fields=list(IMAGE_TYPE)
    )


def read_array(
    load: Callable[[], np.ndarray], rows: np.ndarray, name: str
) -> Iterator[pa.StructArray]:
    """Yield rows of an array of pictures, encoded without loss.

    Args:
        load: Returns the array, of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), as uint8 0–255 or
            float 0–1; called when the first row is asked for.
        rows: Ascending row numbers.
        name: The array's name, for messages.

    Raises:
        ValueError: If a float picture has values outside 0 to 1, or NaN.
    """
    array = load()
    for start in range(0, len(rows), BATCH_SIZE):
        batch_rows = rows[start : start + BATCH_SIZE]
        first, last = batch_rows[0], batch_rows[-1]
        # A slice is a view; picking rows copies, which only cut splits need.
        whole = last - first == len(batch_rows) - 1
        batch = array[first : last + 1] if whole else array[batch_rows]
        if batch.ndim == 4 and batch.shape[3] == 1:
            batch = batch[..., 0]
        if batch.dtype != np.uint8:
            batch = _to_bytes(batch, batch_rows, name)
        yield encode_pictures(batch)


def _to_bytes(batch: np.ndarray, rows: np.ndarray, name: str) -> np.ndarray:
    # Written so that NaN, which compares false with everything, is caught too.
    bad = ~((batch >= 0) & (batch <= 1)).reshape(len(batch), -1).all(axis=1)
    if bad.any():
        picture = batch[bad.argmax()]
        values = f"values from {picture.min()} to {picture.max()}"
        raise ValueError(
            f"Array `{name}` row {rows[bad.argmax()]} has "
            f"{'NaN' if np.isnan(picture).any() else values}. Expected floats from 0 to 1: "
            "divide by 255, or save 0 to 255 as uint8."
        )
    return np.round(batch.astype(np.float32) * 255).astype(np.uint8)


def encode_pictures(pixels: np.ndarray) -> pa.StructArray:
    """Encode pictures without loss as PPM (colour) or PGM (grey): a short header, then the pixels.

    No format is faster to write or to read back: PNG, even uncompressed, takes several times as
    long (`benchmarks/loading.md`). The size is that of the array.

    Args:
        pixels: uint8 of shape (N, H, W, 3) or (N, H, W), values 0–255.

    Returns:
        N structs of `bytes` and an empty `path`.
    """
    num, height, width = pixels.shape[:3]
    magic = "P6" if pixels.ndim == 4 else "P5"
    header = np.frombuffer(f"{magic}\n{width} {height}\n255\n".encode(), np.uint8)
    encoded = np.empty((num, header.size + pixels[0].size), np.uint8)
    encoded[:, : header.size] = header
    encoded[:, header.size :] = pixels.reshape(num, -1)
    # The rows lie end to end, so Arrow can take the buffer as it is instead of N bytes objects.
    ends = np.arange(num + 1, dtype=np.int32) * np.int32(encoded.shape[1])
    binary = pa.Array.from_buffers(
        pa.binary(), num, [None, pa.py_buffer(ends), pa.py_buffer(encoded)]
    )
    return pa.StructArray.from_arrays([binary, pa.nulls(num, pa.string())], fields=list(IMAGE_TYPE))
