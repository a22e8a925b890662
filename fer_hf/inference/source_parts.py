"""Pictures of sources as `load_splits` takes them, for those who need no labels.

A room of its own because what reads tables takes a second to import, and plain pictures need none.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from fer_hf.data.layout import LoadOptions, Part
from fer_hf.data.layouts.tables import TABLE, read_header
from fer_hf.data.pictures import list_pictures
from fer_hf.data.recognition import locate_source, recognise_layout, unpack_archives
from fer_hf.data.stored_pictures import BATCH_SIZE, IMAGE_TYPE


def read_parts(place: str) -> Sequence[Part] | None:
    """Return the parts of a source, of an archive of pictures too; None for what is no source.

    Raises:
        ValueError: If it has a layout, but its content cannot be used.
        ConnectionError: If it could be a data set's id, but the Hub does not answer.
    """
    path = Path(place).expanduser()
    folder = unpack_archives(path, LoadOptions()) if path.exists() else path
    if folder != path and (pictures := list_pictures(folder)):
        return [_describe_unpacked(place, folder, pictures)]
    try:
        layout = recognise_layout(place)
    except (ValueError, FileNotFoundError):
        return None
    try:
        return list(locate_source(place, LoadOptions())[1].read().values())
    except ValueError:
        # Labels are of no use here, so that any column of a table does for them.
        columns = read_header(path) if layout == TABLE.name and path.is_file() else []
        for column in reversed(columns):
            with contextlib.suppress(ValueError):
                located = locate_source(place, LoadOptions(label_column=column))[1]
                if parts := [part for part in located.read().values() if part.labels]:
                    return parts
        if path.suffix.lower() == ".txt":
            return None  # most texts are no lists
        raise


def _describe_unpacked(place: str, folder: Path, pictures: Sequence[Path]) -> Part:
    """Describe unpacked pictures by where they are in the archive, not by where they lie now."""

    def read(rows: np.ndarray) -> Iterator[pa.StructArray]:
        for start in range(0, len(rows), BATCH_SIZE):
            batch = [pictures[row].read_bytes() for row in rows[start : start + BATCH_SIZE]]
            yield pa.array([{"bytes": content} for content in batch], IMAGE_TYPE)

    return Part(
        [None] * len(pictures),
        read=read,
        where=place,
        name=lambda row: f"{place}/{pictures[row].relative_to(folder).as_posix()}",
    )
