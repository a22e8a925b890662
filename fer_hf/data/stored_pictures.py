"""Pictures as `datasets` stores them in Arrow: structs of encoded `bytes` and a `path`.

Separate from `pictures`, which serving needs without `datasets` and Arrow.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import datasets
import pyarrow as pa
from tqdm.auto import tqdm

from fer_hf.data.encoding import BATCH_SIZE
from fer_hf.data.pictures import describe_fault, load_picture, to_rgb

_Picture = TypeVar("_Picture")
_Result = TypeVar("_Result")

PROGRESS_FROM = 2_000
"""From this many pictures on, checking them shows a progress bar (they take some seconds)."""


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
