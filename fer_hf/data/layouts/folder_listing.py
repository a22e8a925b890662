"""The files below a source, listed once however many layouts look at them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fer_hf.data.pictures import PICTURE_ENDINGS

Listing = dict[tuple[str, ...], list[str]]
"""The names of the files directly in each folder, sorted; folders by the names on the way to it."""

_kept: ContextVar[dict[Any, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def looking_once() -> Iterator[None]:
    """Keep what is listed while a source is recognised and located."""
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def recall(function: Any, root: Path) -> Any:
    """Return ``function(root)``, of which the result is kept within `looking_once`."""
    kept = _kept.get()
    if kept is None:
        return function(root)
    key = (function, root)
    if key not in kept:
        kept[key] = function(root)
    return kept[key]


def list_files(root: Path) -> Listing:
    """List all files below a folder, also folders without any; hidden ones do not count."""
    return recall(_list, root)


def _list(root: Path) -> Listing:
    found: Listing = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        visible = sorted(name for name in files if not name.startswith("."))
        found[Path(folder).relative_to(root).parts] = visible
    return found


def is_picture(name: str) -> bool:
    """Return whether a file's name has a picture's ending."""
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS  # noqa: PTH122 (a hundred times faster)
