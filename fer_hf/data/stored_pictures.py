"""Pictures as `datasets` stores them in Arrow: structs of encoded `bytes` and a `path`.

Readers for each form in which sources hold pictures take row numbers and yield `IMAGE_TYPE` arrays
of at most `BATCH_SIZE` pictures, because the pictures of a source need not fit into memory.
"""

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from fer_hf.data.pictures import describe_fault, load_picture, to_rgb

_Picture = TypeVar("_Picture")
_Result = TypeVar("_Result")

BATCH_SIZE = 128
"""Pictures handled at a time: 6 MB of 128×128 colour pictures, about what the CPU cache holds."""

IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How `datasets.Image` stores a picture in Arrow."""

PROGRESS_FROM = 2_000
"""From this many pictures on, checking them shows a progress bar (they take some seconds)."""


def read_paths(paths: Sequence[str], rows: np.ndarray) -> Iterator[pa.StructArray]:
    """Yield pictures that stay in files of their own: only the paths are stored.

    Raises:
        ValueError: If the name of a file is not UTF-8, which Arrow cannot store.
    """
    for start in range(0, len(rows), BATCH_SIZE):
        batch = [paths[row] for row in rows[start : start + BATCH_SIZE]]
        for path in batch:
            if not path.isprintable() and path.encode(errors="replace").decode() != path:
                raise ValueError(f"The name of the file {path!a} is not UTF-8. Rename it.")
        yield pa.array([{"path": path} for path in batch], IMAGE_TYPE)


def read_crops(
    paths: Sequence[str], boxes: np.ndarray, rows: np.ndarray, where: str
) -> Iterator[pa.StructArray]:
    """Yield what boxes cut out of pictures, as PNG; a picture that cannot be read as its path.

    Boxes count in the pixels as they are stored, as annotations of faces do, whatever the EXIF
    orientation; what is cut out is then turned upright. What lies outside of the picture is left
    away.

    Args:
        paths: The picture of each of N rows.
        boxes: Left, top, right and bottom in pixels, of shape (N, 4).
        rows: Ascending row numbers.
        where: What holds the boxes, for messages.

    Raises:
        ValueError: If a box lies outside of its picture.
    """

    def cut(row: int) -> dict[str, Any]:
        try:
            picture = load_picture(paths[row])
        # As in `_find_fault`, which says what is wrong when it meets the path.
        except Exception:
            return {"path": paths[row]}
        left, top = np.floor(boxes[row, :2]).clip(0).astype(int).tolist()
        right, bottom = np.minimum(np.ceil(boxes[row, 2:]), picture.size).astype(int).tolist()
        if right <= left or bottom <= top:
            raise ValueError(
                f"{where} row {row} has the box {boxes[row].tolist()} (left, top, right, bottom), "
                f"which lies outside of '{paths[row]}' with its {picture.width}×{picture.height} "
                "pixels. Correct or remove the row; if the pictures are cut already, remove the "
                "columns of the box."
            )
        png = io.BytesIO()
        face = to_rgb(picture.crop((left, top, right, bottom)))
        face.save(png, format="PNG", compress_level=1)
        return {"bytes": png.getvalue()}

    for start in range(0, len(rows), BATCH_SIZE):
        batch = rows[start : start + BATCH_SIZE].tolist()
        yield pa.array(map_in_threads(cut, batch, len(batch), "Cutting faces"), IMAGE_TYPE)


def read_parquet(file: Path, column: str, rows: np.ndarray) -> Iterator[pa.StructArray]:
    """Yield pictures that a Parquet file holds, encoded or as structs of `bytes` and `path`.

    It takes one pass over the file, in whose folder relative paths start.

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
    """Take relative paths of pictures without bytes from `folder`."""
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
    """Yield pictures of an array, encoded without loss.

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


def read_encoded(split: datasets.Dataset) -> Iterator[bytes]:
    """Yield each picture of a split as its file's content, without decoding it."""
    for stored in list_stored(split):
        content = stored["bytes"]
        yield Path(stored["path"]).read_bytes() if content is None else content


def list_stored(split: datasets.Dataset) -> Iterator[dict[str, Any]]:
    """Yield each picture as it is stored: encoded `bytes`, the `path` of its file, or both."""
    pictures = split.select_columns("image").cast_column("image", datasets.Image(decode=False))
    for batch in pictures.iter(BATCH_SIZE):
        yield from batch["image"]


def find_unreadable(batches: Iterable[pa.StructArray], num_pictures: int) -> dict[int, str]:
    """Decode every picture of `IMAGE_TYPE` arrays once, in threads, as training will.

    Returns:
        What is wrong, by row number counted over all batches; empty if every picture can be read.
    """
    pictures = (encoded for batch in batches for encoded in batch.to_pylist())
    faults = map_in_threads(_find_fault, pictures, num_pictures, "Checking pictures")
    return {row: fault for row, fault in enumerate(faults) if fault}


def _find_fault(encoded: dict[str, Any] | None) -> str | None:
    content, path = (encoded["bytes"], encoded["path"]) if encoded else (None, None)
    source = content if content is not None else path
    if source is None:
        return "no picture in this row"
    try:
        to_rgb(load_picture(source))
    # Decoders meet damaged files with whatever goes wrong first: OSError, SyntaxError, zlib.error,
    # struct.error, EOFError, MemoryError and more. All mean that training would stop here.
    except Exception as error:
        return describe_fault(error, source)
    return None


def map_in_threads(
    function: Callable[[_Picture], _Result], pictures: Iterable[_Picture], total: int, task: str
) -> list[_Result]:
    """Apply a function to each picture, in whatever form, in threads; return the results in order.

    Pictures are held a batch at a time. From a `total` of `PROGRESS_FROM` on, a progress bar with
    the title `task` is shown on a terminal.
    """
    remaining = iter(pictures)
    results: list[_Result] = []
    quiet = True if total < PROGRESS_FROM else None
    with (
        ThreadPoolExecutor(os.cpu_count()) as threads,
        tqdm(total=total, desc=task, unit=" pictures", disable=quiet) as bar,
    ):
        while batch := list(itertools.islice(remaining, BATCH_SIZE)):
            results += threads.map(function, batch)
            bar.update(len(batch))
    return results
