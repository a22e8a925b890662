"""The files below a source, listed once however many layouts look at them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from fer_hf.data.pictures import walk_folders

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
    """List what `walk_folders` yields, also folders without files."""
    return recall(_list, root)


def _list(root: Path) -> Listing:
    return dict(walk_folders(root))
