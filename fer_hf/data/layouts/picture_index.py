"""Which picture file a text in a list means, wherever the pictures lie now.

A folder is listed once; no picture is asked for by itself, because there may be some 100,000.
"""

import contextlib
import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def find_directly(self, values: Sequence[str], list_folder: Path) -> list[str | None]:
        """Find the pictures that values are paths of, from the list's folder or from this one."""
        origins = list(dict.fromkeys((list_folder.absolute().as_posix(), self.folder)))
        return [self._follow(_clean(value), origins) for value in values]

    def find(self, values: Sequence[str], list_folder: Path) -> Matches:
        """Find the pictures that values mean.

        A value that is no path here means the one picture that shares the most folders at its end
        with it, where that leaves away the same start as for most values, or keeps as many folders.
        Backslashes, URL quoting, a missing ending and (if nothing else fits) case do not matter.
        """
        paths = self.find_directly(values, list_folder)
        pending = {row: _clean(values[row]) for row, path in enumerate(paths) if path is None}
        fits = {
            row: fit for row, text in pending.items() if text and (fit := self._find_by_end(text))
        }
        if not fits:
            return Matches(paths, {})
        depths = Counter(fit.depth for fit in fits.values())
        starts = Counter(fit.start for fit in fits.values())
        depth, start = depths.most_common(1)[0][0], starts.most_common(1)[0][0]
        below = f"{list_folder.absolute().as_posix()}/"
        own = {
            row: [file for file in fit.files if file.startswith(below)] for row, fit in fits.items()
        }
        # A list beside its pictures is of these, whatever has the same names elsewhere.
        is_beside = 2 * sum(map(bool, own.values())) > len(fits)
        unclear = {}
        for row, fit in fits.items():
            files = own[row] if is_beside else fit.files
            # `train/1.jpg` that is missing is not `test/1.jpg`.
            if not files or (fit.start and fit.start != start and fit.depth < depth):
                continue
            if len(files) == 1:
                paths[row] = files[0]
            else:
                unclear[row] = sorted(files)
        return Matches(paths, unclear)

    def show(self, path: str) -> str:
        """Return a path as seen from the folder."""
        return path.removeprefix(f"{self.folder}/")

    def _follow(self, text: str, origins: Sequence[str]) -> str | None:
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
    def _by_name(self) -> "_Names":
        return _Names(self.files, lambda name: name)

    @cached_property
    def _by_stem(self) -> "_Names":
        return _Names(self.files, lambda name: name.rpartition(".")[0])

    @cached_property
    def _by_lower(self) -> "_Names":
        return _Names(self.files, str.lower)

    @cached_property
    def _by_lower_stem(self) -> "_Names":
        return _Names(self.files, lambda name: name.rpartition(".")[0].lower())

    def _find_by_end(self, text: str) -> "_Fit | None":
        for spelled in (text, unquote(text)) if "%" in text else (text,):
            folders, _, name = spelled.rpartition("/")
            if found := self._by_name.get(name) or self._by_stem.get(name):
                return _choose_longest(folders, found, len(self.folder))
            lower = name.lower()
            if found := self._by_lower.get(lower) or self._by_lower_stem.get(lower):
                return _choose_longest(folders, found, len(self.folder), str.lower)
        return None


class _Names:
    """Files by their names as `spell` has them; nearly all of them alone, so without a list."""

    def __init__(self, files: Iterable[str], spell: Callable[[str], str]) -> None:
        self._first: dict[str, str] = {}
        self._others: dict[str, list[str]] = defaultdict(list)
        for file in files:
            name = spell(file.rpartition("/")[2])
            if self._first.setdefault(name, file) is not file:
                self._others[name].append(file)

    def get(self, name: str) -> list[str]:
        if name not in self._first:
            return []
        return [self._first[name], *self._others.get(name, ())]


@dataclass(frozen=True)
class _Fit:
    files: list[str]
    depth: int
    start: str


def _choose_longest(
    folders: str, files: Sequence[str], root: int, spell: Callable[[str], str] = str
) -> _Fit:
    """Keep the files that share the most folders at the end, as `spell` compares them."""
    wanted = [part for part in folders.split("/") if part]
    if not wanted:
        return _Fit(list(files), 0, "")
    best: dict[int, list[str]] = defaultdict(list)
    for file in files:
        shared = 0
        for ours, theirs in zip(reversed(wanted), file[root:].split("/")[-2:0:-1], strict=False):
            if spell(ours) != spell(theirs):
                break
            shared += 1
        best[shared].append(file)
    depth = max(best)
    return _Fit(best[depth], depth, "/".join(wanted[: len(wanted) - depth]))


def _clean(value: str) -> str:
    text = value.strip().strip("'\"").replace("\\", "/").removeprefix("file://")
    while text.startswith("./"):
        text = text[2:]
    return text


def _is_picture(name: str) -> bool:
    return f".{name.rpartition('.')[2].lower()}" in PICTURE_ENDINGS and not name.startswith(".")


def _walk(folder: str) -> Iterator[str]:
    """Yield the pictures below a folder; a link counts where it leads out of it, once."""
    root, followed, waiting = Path(folder).resolve(), set(), [folder]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
            for entry in entries:
                if _is_picture(entry.name):
                    yield f"{folder}/{entry.name}"
                elif not entry.name.startswith(".") and entry.is_dir():
                    if entry.is_symlink():
                        target = Path(entry.path).resolve()
                        if target in followed or target.is_relative_to(root):
                            continue
                        followed.add(target)
                    waiting.append(f"{folder}/{entry.name}")
