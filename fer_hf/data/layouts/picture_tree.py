"""The folders below a source with pictures in them, and what their names say: splits and labels.

Folder names are looked at level by level, once split folders and containers such as `images` are
taken out of them, so that it does not matter how deep a zip or a data set nests its labels.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fer_hf.data.layouts.folder_listing import list_files, recall
from fer_hf.data.layouts.path_words import (
    are_series,
    find_emotions,
    find_splits,
)
from fer_hf.data.pictures import is_picture
from fer_hf.data.words import is_container, split_words
from fer_hf.emotions import find_emotion_codes

FEWEST_CODES = 4
"""Two or three short names may be anything; from this many on that all fit, they are codes."""

_MOST_PLAIN_LABELS = 30
"""More folders whose names are no emotions are rather persons than labels."""


@dataclass(frozen=True)
class PictureFolder:
    """A folder with pictures directly in it.

    Attributes:
        parts: The names on the way to it, from the source on.
        split: The split that one of them means, or None.
        names: The others, without containers and without what all pictures share above the labels.
        files: The pictures.
    """

    parts: tuple[str, ...]
    split: str | None
    names: tuple[str, ...]
    files: list[Path] = field(repr=False)


def read_tree(root: Path) -> list[PictureFolder]:
    """Describe all folders with pictures below `root`, sorted; hidden ones do not count.

    Raises:
        ValueError: If two names on one way mean different splits, or two folders the same one.
    """
    return recall(_read_tree, root)


def _read_tree(root: Path) -> list[PictureFolder]:
    by_folder = {
        parts: [root.joinpath(*parts, name) for name in pictures]
        for parts, names in list_files(root).items()
        if (pictures := list(filter(is_picture, names)))
    }
    splits = _find_split_folders(by_folder)
    named = {
        parts: tuple(
            name
            for depth, name in enumerate(parts)
            if parts[: depth + 1] not in splits and not is_container(name)
        )
        for parts in by_folder
    }
    shared = _count_shared(list(named.values()))
    folders = []
    for parts, files in by_folder.items():
        ways = {splits[way]: way[-1] for way in _ways(parts) if way in splits}
        if len(ways) > 1:
            raise ValueError(
                f"'{root.joinpath(*parts)}' is in the folders {list(ways.values())}, which mean "
                f"the splits {sorted(ways)}. Keep each picture in one of them."
            )
        folders.append(PictureFolder(parts, next(iter(ways), None), named[parts][shared:], files))
    return sorted(folders, key=lambda folder: folder.parts)


def _ways(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [parts[: depth + 1] for depth in range(len(parts))]


def _find_split_folders(folders: Mapping[tuple[str, ...], object]) -> dict[tuple[str, ...], str]:
    """Map the folders whose names mean a split, beside the names of their siblings, to it.

    Raises:
        ValueError: If siblings mean the same split, and do not only count it: `train_1`, `train_2`.
    """
    siblings: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in folders:
        for way in _ways(parts):
            siblings[way[:-1]].add(way[-1])
    found: dict[tuple[str, ...], str] = {}
    for above, names in siblings.items():
        splits = find_splits(names)
        first: dict[str, str] = {}
        for name in sorted(splits):
            other = first.setdefault(splits[name], name)
            if _without_numbers(name) != _without_numbers(other):
                raise ValueError(
                    f"Found both {other!r} and {name!r}, which both mean the split "
                    f"`{splits[name]}`. Keep one of them, or merge them."
                )
        found |= {(*above, name): split for name, split in splits.items()}
    return found


def _without_numbers(name: str) -> list[str]:
    return [word for word in split_words(name) if not word.isdigit()]


def _count_shared(named: list[tuple[str, ...]]) -> int:
    """Count the names that all pictures share from the top, such as that of an unpacked archive."""
    count = 0
    # Pictures further up, such as a cover, do not keep the others from sharing a name.
    while len({names[count] for names in named if len(names) > count}) == 1:
        count += 1
    return count


@dataclass(frozen=True)
class FolderLabels:
    """Which folder is the label of which pictures.

    Attributes:
        names: The name of the label folder, by the `parts` of each `PictureFolder` in one.
        emotions: The names that mean an emotion without being one in our spelling, and which.
        parents: The folders that label folders are in, as parts from the source on.
    """

    names: Mapping[tuple[str, ...], str]
    emotions: Mapping[str, str]
    parents: Collection[tuple[str, ...]]


def find_emotion_folders(folders: list[PictureFolder]) -> FolderLabels | None:
    """Find the folders whose names mean emotions, at any depth; None unless most pictures have one.

    A folder beside them is a label, too, whatever its name.

    Raises:
        ValueError: If a picture is in folders of two emotions.
    """
    emotions = _name_emotions(folders)
    depths: dict[tuple[str, ...], int] = {}
    for folder in folders:
        inside = [name for name in folder.names if name in emotions]
        if len({emotions[name] for name in inside}) > 1:
            raise ValueError(
                f"The folder '{'/'.join(folder.parts)}' names the emotions {inside}. Expected one "
                "label folder for each picture: rearrange them, or pass `label_pattern`."
            )
        if inside:
            depths[folder.parts] = folder.parts.index(inside[0])
    known = sum(len(folder.files) for folder in folders if folder.parts in depths)
    labels = {emotions[parts[depth]] for parts, depth in depths.items()}
    if len(labels) < 2 or 2 * known <= sum(len(folder.files) for folder in folders):
        return None
    parents = {parts[:depth] for parts, depth in depths.items()}
    for folder in folders:
        beside = [
            depth
            for depth, name in enumerate(folder.parts)
            if folder.parts[:depth] in parents and name in folder.names
        ]
        if beside:
            depths.setdefault(folder.parts, beside[0])
    return FolderLabels({parts: parts[depth] for parts, depth in depths.items()}, emotions, parents)


def _name_emotions(folders: list[PictureFolder]) -> dict[str, str]:
    found: dict[str, str] = {}
    for depth, names in enumerate(_levels(folders)):
        above = {name for folder in folders for name in folder.names[:depth]}
        emotions = find_emotions(names, above)
        if not emotions and len(names) >= FEWEST_CODES:
            emotions = find_emotion_codes(names) or {}
        found |= emotions
    return found


def find_plain_folders(folders: list[PictureFolder], *, outermost: bool) -> FolderLabels:
    """Take for labels, of which most are no emotions, the first folders that count no persons.

    Args:
        folders: What `read_tree` returned.
        outermost: Take the outermost folders in any case.

    Raises:
        ValueError: If no folders, or more than one level of them, could be the labels.
    """
    levels = _levels(folders)
    depth = 0 if outermost else next((i for i, n in enumerate(levels) if not are_series(n)), None)
    if not levels:
        ways = {"/".join(folder.parts) for folder in folders if folder.parts}
        where = f": pictures are in {show_names(ways)}" if ways else ""
        raise ValueError(f"has no folders of pictures, one for each label{where}")
    if depth is None:
        raise ValueError(
            f"has the folders {show_names(levels[0])}, which count persons, takes or the like"
        )
    if not outermost and len(levels[depth]) > _MOST_PLAIN_LABELS:
        raise ValueError(
            f"has {len(levels[depth])} folders {show_names(levels[depth])}, too many for labels "
            "that are no emotions"
        )
    repeated = _find_repeated(folders, depth)
    if not outermost and len(repeated) > 1 and not are_series(repeated):
        raise ValueError(
            f"has the folders {show_names(levels[depth])} and in several of them "
            f"{show_names(repeated)}, and either could be the labels"
        )
    inside = [folder for folder in folders if len(folder.names) > depth]
    names = {folder.parts: folder.names[depth] for folder in inside}
    parents = {parts[: parts.index(name)] for parts, name in names.items()}
    return FolderLabels(names, find_emotions(set(names.values())), parents)


def _find_repeated(folders: list[PictureFolder], depth: int) -> set[str]:
    """Return the names that folders below several folders of a depth have."""
    above: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        if len(folder.names) > depth + 1:
            above[folder.names[depth + 1]].add(folder.names[depth])
    return {name for name, parents in above.items() if len(parents) > 1}


def _levels(folders: list[PictureFolder]) -> list[set[str]]:
    deepest = max((len(folder.names) for folder in folders), default=0)
    return [
        {folder.names[depth] for folder in folders if len(folder.names) > depth}
        for depth in range(deepest)
    ]


def show_names(names: Collection[str]) -> str:
    """Return the first names, quoted, and how many more there are."""
    shown = sorted(names)
    return ", ".join(map(repr, shown[:4])) + (f" and {len(shown) - 4} more" if shown[4:] else "")
