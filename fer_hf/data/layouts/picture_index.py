"""Which picture file a text in a list means, wherever the pictures lie now.

A folder is listed once; no picture is asked for by itself, because there may be some 100,000.
"""

import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from fer_hf.data.pictures import PICTURE_ENDINGS


@dataclass(frozen=True)
class Matches:
    """What the values of a column mean.

    Attributes:
        paths: The picture of each value, absolute; None where there is none or more than one.
        unclear: The pictures that fit a value where several do, by position.
    """

    paths: list[str | None]
    unclear: dict[int, list[str]]

    @property
    def share(self) -> float:
        """The share of values that mean pictures, 0 to 1."""
        found = sum(path is not None for path in self.paths) + len(self.unclear)
        return found / max(len(self.paths), 1)


class PictureIndex:
    """The pictures below a folder, found by whatever a list calls them."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is read when a path does not lead to a picture directly."""
        self.folder = folder.absolute().as_posix()
        self._listed: dict[str, set[str]] = {}

    @cached_property
    def files(self) -> set[str]:
        """All pictures below the folder, as absolute paths; hidden ones do not count."""
        return set(_walk(self.folder))

    def find(self, values: Sequence[str], list_folder: Path) -> Matches:
        """Find the pictures that values mean, as paths from the list's folder or from this one.

        Otherwise a value means the one picture that shares the most folders at its end with it,
        where that leaves away the same start as for most values, or keeps as many folders.
        Backslashes, URL quoting, a missing ending and (if nothing else fits) case do not matter.
        """
        origins = list(dict.fromkeys((list_folder.absolute().as_posix(), self.folder)))
        texts = [_clean(value) for value in values]
        paths: list[str | None] = [self._find_directly(text, origins) for text in texts]
        pending = [row for row, path in enumerate(paths) if path is None and texts[row]]
        # Without an ending anything might be meant, so it is worth reading the folder.
        fits = {row: fit for row in pending if (fit := self._find_by_end(texts[row]))}
        if not fits:
            return Matches(paths, {})
        depths = Counter(fit.depth for fit in fits.values())
        starts = Counter(fit.start for fit in fits.values())
        depth, start = depths.most_common(1)[0][0], starts.most_common(1)[0][0]
        unclear = {}
        for row, fit in fits.items():
            # `train/1.jpg` that is missing is not `test/1.jpg`.
            if fit.start and fit.start != start and fit.depth < depth:
                continue
            if len(fit.files) == 1:
                paths[row] = fit.files[0]
            else:
                unclear[row] = sorted(fit.files)
        return Matches(paths, unclear)

    def show(self, path: str) -> str:
        """Return a path as seen from the folder."""
        return path.removeprefix(f"{self.folder}/")

    def _find_directly(self, text: str, origins: Sequence[str]) -> str | None:
        if not text:
            return None
        for origin in origins:
            path = posixpath.join(origin, text)
            if "./" in path or "//" in path:
                path = posixpath.normpath(path)
            folder, _, name = path.rpartition("/")
            if name in self._list(folder):
                return path
        return None

    def _list(self, folder: str) -> set[str]:
        if folder not in self._listed:
            try:
                with os.scandir(folder or "/") as entries:
                    names = {entry.name for entry in entries if _is_picture(entry.name)}
            except (OSError, ValueError):
                names = set()
            self._listed[folder] = names
        return self._listed[folder]

    @cached_property
    def _by_name(self) -> list[dict[str, list[str]]]:
        """The pictures by name and by name without ending, as they are and in lower case."""
        maps: list[dict[str, list[str]]] = [defaultdict(list) for _ in range(4)]
        for file in self.files:
            name = file.rpartition("/")[2]
            stem = name.rpartition(".")[0]
            for by_name, key in zip(maps, (name, stem, name.lower(), stem.lower()), strict=True):
                by_name[key].append(file)
        return maps

    def _find_by_end(self, text: str) -> "_Fit | None":
        for spelled in dict.fromkeys((text, unquote(text))):
            folders, _, name = spelled.rpartition("/")
            exact, stems, lower, lower_stems = self._by_name
            for found, same_case in (
                (exact.get(name), True),
                (stems.get(name), True),
                (lower.get(name.lower()), False),
                (lower_stems.get(name.lower()), False),
            ):
                if found:
                    return _choose_longest(folders, found, len(self.folder), same_case=same_case)
        return None


@dataclass(frozen=True)
class _Fit:
    files: list[str]
    depth: int
    start: str


def _choose_longest(folders: str, files: Sequence[str], root: int, *, same_case: bool) -> _Fit:
    """Keep the files that share the most folders at the end."""
    wanted = [part for part in folders.split("/") if part]
    best: dict[int, list[str]] = defaultdict(list)
    for file in files:
        theirs = file[root:].split("/")[1:-1]
        shared = 0
        for ours, other in zip(reversed(wanted), reversed(theirs), strict=False):
            if ours != other and (same_case or ours.lower() != other.lower()):
                break
            shared += 1
        best[shared].append(file)
    depth = max(best)
    return _Fit(best[depth], depth, "/".join(wanted[: len(wanted) - depth]))


def _clean(value: str) -> str:
    text = value.strip().strip("'\"").replace("\\", "/")
    return re.sub(r"^(file://|(\./)+)", "", text)


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and posixpath.splitext(name)[1].lower() in PICTURE_ENDINGS


def _walk(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_picture(entry.name):
                    yield f"{folder}/{entry.name}"
                elif entry.is_dir() and not _leads_back(entry, folder):
                    yield from _walk(f"{folder}/{entry.name}")
    except PermissionError:
        return


def _leads_back(entry: "os.DirEntry[str]", folder: str) -> bool:
    return entry.is_symlink() and folder.startswith(Path(entry.path).resolve().as_posix())
