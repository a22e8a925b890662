"""Opening pictures of every kind, and turning them all into RGB the same way.

Training, evaluation and serving go through here, so that one picture gives one score everywhere.
"""

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import datasets
import numpy as np
import pyarrow as pa
from datasets.utils import tqdm
from PIL import Image, ImageOps

from fer_hf.data.parts import BATCH_SIZE, IMAGE_TYPE

_Picture = TypeVar("_Picture")
_Result = TypeVar("_Result")

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused by their header: 0.25 GiB as RGB, Pillow's own limit."""

PICTURE_ENDINGS = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
        *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""File endings (lower case) that are taken for pictures in a folder."""

PROGRESS_FROM = 2_000
"""From this many pictures on, checking them shows a progress bar (they take some seconds)."""


def load_picture(source: str | Path | bytes) -> Image.Image:
    """Open and decode one picture: its first frame, in the mode the file has.

    Args:
        source: A path, or the encoded bytes of a picture file.

    Returns:
        The decoded picture; its file is closed.

    Raises:
        ValueError: If the header announces more than `MAX_PIXELS` pixels; nothing is decoded then.
        OSError: If there is no such file, or it is truncated or no picture. Pillow's decoders may
            raise other errors on damaged files.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow itself raises from twice the limit on, and warns in between.
        raise ValueError(
            f"too large to decode ({error}; at most {MAX_PIXELS:,} pixels). Make it smaller."
        ) from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture into upright 8-bit RGB, as `transformers.image_utils.load_image` does.

    The one difference: pictures with more than 8 bits a pixel (modes I;16, I, F) are scaled. Pillow
    clips them at 255 instead, so that a 16-bit photograph becomes all white (and one with values
    from 0 to 1 all black). White is the smallest of 1 (mode F only), 255 and 65535 that no pixel
    exceeds, or else the brightest pixel.

    Args:
        image: A picture of any mode; of an animation, the first frame counts.

    Returns:
        A picture of mode RGB; the argument stays as it is, but for the frame it stands at.
    """
    image.seek(0)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _scale_to_8_bits(image)
    return image.convert("RGB")


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    levels = np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    brightest = float(levels.max(initial=0.0))
    whites = (1, 255, 65535) if image.mode == "F" else (255, 65535)
    white = next((white for white in whites if brightest <= white), brightest)
    return Image.fromarray((levels.clip(0, white) * (255 / white)).round().astype(np.uint8))


def read_encoded(split: datasets.Dataset) -> Iterator[bytes]:
    """Yield each picture of a split as its file's content, without decoding it."""
    for stored in list_stored(split):
        content = stored["bytes"]
        yield Path(stored["path"]).read_bytes() if content is None else content


def list_stored(split: datasets.Dataset) -> Iterator[dict[str, Any]]:
    """Yield each picture as it is kept: its encoded `bytes`, or the `path` of its file, or both."""
    pictures = split.select_columns("image").cast_column("image", datasets.Image(decode=False))
    for batch in pictures.iter(BATCH_SIZE):
        yield from batch["image"]


def find_unreadable(batches: Iterable[pa.StructArray], num_pictures: int) -> dict[int, str]:
    """Decode every picture once, in threads, as training will.

    Args:
        batches: Encoded pictures, as structs of `bytes` and `path`.
        num_pictures: How many there are together, for the progress bar.

    Returns:
        What is wrong, by row number counted over all batches; empty if every picture can be read.
    """
    pictures = (encoded for batch in batches for encoded in batch.to_pylist())
    faults = map_in_threads(_find_fault, pictures, num_pictures, "Checking pictures")
    return {row: fault for row, fault in enumerate(faults) if fault}


def map_in_threads(
    function: Callable[[_Picture], _Result], pictures: Iterable[_Picture], total: int, task: str
) -> list[_Result]:
    """Apply a function to each picture, in whatever form, in threads.

    Args:
        function: May be called by several threads at once.
        pictures: Held a batch at a time.
        total: How many there are; `PROGRESS_FROM` or more show a progress bar on a terminal.
        task: Its title.

    Returns:
        What the function returned, in order.
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


def describe_fault(error: Exception, source: str | Path | bytes) -> str:
    """Say in a few words why `source`, a path or a file's content, cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        return "not a picture" if size else "empty file"
    return str(error) or type(error).__name__


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


def resolve_paths(pictures: pa.StructArray, folder: Path) -> pa.StructArray:
    """Make relative paths of pictures without bytes absolute, taking them from `folder`."""
    names, contents = pictures.field("path").to_pylist(), pictures.field("bytes")
    paths: Iterator[str | None] = (
        str(folder / name) if name and not content.is_valid else name
        for name, content in zip(names, contents, strict=True)
    )
    return pa.StructArray.from_arrays(
        [contents, pa.array(paths, pa.string())], fields=list(IMAGE_TYPE)
    )
