"""Pictures of sources as `load_splits` takes them, for those who need no labels.

A room of its own because what reads tables takes a second to import, and plain pictures need none.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from fer_hf.data.archives import is_archive, unpack
from fer_hf.data.layout import LoadOptions, Part
from fer_hf.data.layouts.tables import TABLE, read_header
from fer_hf.data.pictures import list_pictures
from fer_hf.data.recognition import locate_source, recognise_layout
from fer_hf.data.stored_pictures import read_paths


def read_parts(place: str) -> Sequence[Part] | None:
    """Return the parts of a source, of an archive of pictures too; None for what is no source.

    Raises:
        ValueError: If it has a layout, but its content cannot be used.
        ConnectionError: If it could be a data set's id, but the Hub does not answer.
    """
    path = Path(place).expanduser()
    if is_archive(path) and (pictures := list_pictures(folder := unpack(path))):
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
                return list(located.read().values())
        raise


def _describe_unpacked(place: str, folder: Path, pictures: Sequence[Path]) -> Part:
    paths = [str(picture) for picture in pictures]
    return Part(
        [None] * len(paths),
        read=lambda rows: read_paths(paths, rows),
        where=place,
        name=lambda row: f"{place}/{pictures[row].relative_to(folder).as_posix()}",
    )
