"""Layouts with a file for each picture that says its label: `affectnet`, `ck-plus`, `sidecars`.

The file may lie beside its picture, as in unpacked WebDataset shards, or in a folder of its own.
"""

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.folder_listing import list_files, recall
from fer_hf.data.layouts.name_files import find_names_file, read_names_file
from fer_hf.data.layouts.picture_tree import PictureFolder, read_tree
from fer_hf.data.layouts.tables import LABEL_COLUMNS
from fer_hf.data.stored_pictures import map_in_threads, read_paths
from fer_hf.data.words import is_container
from fer_hf.emotions import EMOTIONS, canonical_emotion

AFFECTNET_CODES: Mapping[str, str | None] = {
    **{"0": "neutral", "1": "happy", "2": "sad", "3": "surprise", "4": "fear", "5": "disgust"},
    **{"6": "anger", "7": "contempt", "8": None, "9": None, "10": None},
}
"""AffectNet's codes (Mollahosseini et al. 2017); 8 is none, 9 uncertain, 10 no face."""

CK_PLUS_CODES: Mapping[str, str | None] = {
    **{"0": "neutral", "1": "anger", "2": "contempt", "3": "disgust", "4": "fear", "5": "happy"},
    **{"6": "sad", "7": "surprise"},
}
"""CK+'s codes (Lucey et al. 2010), as its `_emotion.txt` files have them."""

_MOST_CHARACTERS = 10_000
_PROBED = 50
_FEW_LABELS = 8


@dataclass(frozen=True)
class SidecarKind:
    """Files that say labels: how they are named, and what their numbers mean.

    Attributes:
        tail: What follows the name of the picture.
        codes: As in `Part`.
    """

    tail: str
    codes: Mapping[str, str | None] | None = None


_AFFECTNET = SidecarKind("_exp.npy", AFFECTNET_CODES)
_CK_PLUS = SidecarKind("_emotion.txt", CK_PLUS_CODES)
_OTHERS = [
    SidecarKind(f"{middle}{ending}")
    for ending in (".cls", ".json", ".txt", ".npy")
    for middle in ("", "_label", "_labels", "_emotion", "_expression", "_exp", "_class")
]


@dataclass(frozen=True)
class LabelPair:
    """A picture, the split that a folder above it means, and the file that says its label."""

    picture: Path
    split: str | None
    file: Path


def find_pairs(root: Path, kind: SidecarKind) -> tuple[list[LabelPair], int]:
    """Match pictures with their files by name, and by folders where a name comes more than once.

    Returns:
        The pairs, sorted by picture, and the number of pictures.

    Raises:
        ValueError: If two pictures claim one file.
    """
    folders = read_tree(root)
    num_pictures = sum(len(folder.files) for folder in folders)
    found = [
        (parts, name)
        for parts, names in list_files(root).items()
        for name in names
        if name.endswith(kind.tail)
    ]
    if not found:
        return [], num_pictures
    by_stem: dict[str, list[tuple[Path, PictureFolder]]] = defaultdict(list)
    for folder in folders:
        for picture in folder.files:
            by_stem[picture.stem].append((picture, folder))
    pairs = []
    for parts, name in found:
        claims = by_stem.get(name.removesuffix(kind.tail), [])
        if len(claims) > 1:
            claims = [claim for claim in claims if _place(claim[1].parts) == _place(parts)]
        file = root.joinpath(*parts, name)
        if len(claims) > 1:
            raise ValueError(
                f"'{file}' may say the label of '{claims[0][0]}' or of '{claims[1][0]}'. Expected "
                "one picture for each such file: pass one of the folders."
            )
        pairs += [LabelPair(picture, folder.split, file) for picture, folder in claims]
    return sorted(pairs, key=lambda pair: pair.picture), num_pictures


def _place(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in parts if not is_container(name))


def _read_label(file: Path) -> str:
    """Return the label that a file holds, as text; whole numbers without a fraction.

    Raises:
        ValueError: If it does not hold one label.
    """
    try:
        if file.suffix == ".npy":
            # Mapped, because its header may announce more than there is memory.
            values = np.load(file, mmap_mode="r", allow_pickle=False)
            found: Any = values.item() if values.size == 1 else None
        else:
            text = file.read_text(encoding="utf-8-sig")[:_MOST_CHARACTERS].strip()
            found = json.loads(text) if file.suffix == ".json" else text
    except (ValueError, OSError, EOFError, RecursionError) as error:
        raise ValueError(
            f"'{file}' cannot be read as a label ({error}). Expected one label in it: mend or "
            "remove it."
        ) from error
    if isinstance(found, dict):
        by_name = {str(key).lower(): value for key, value in found.items()}
        found = next((by_name[name] for name in LABEL_COLUMNS if name in by_name), None)
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace")
    text = "" if found is None or isinstance(found, list | dict) else str(found).strip()
    if not text or "\n" in text:
        raise ValueError(f"'{file}' does not hold one label. Mend or remove it.")
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def _locate(root: Path, kind: SidecarKind) -> Source:
    pairs, num_pictures = find_pairs(root, kind)
    if not pairs:
        raise ValueError(
            f"'{root}' has no picture with a label in a file of its own. Expected files named as "
            f"the pictures are, ending in '{kind.tail}', such as '1.jpg' and '1{kind.tail}'."
        )
    has_splits = any(pair.split for pair in pairs)
    by_split: dict[str, list[LabelPair]] = defaultdict(list)
    for pair in pairs:
        if pair.split or not has_splits:
            by_split[pair.split or "train"].append(pair)
    names_file = find_names_file(root) if kind.codes is None else None
    names = read_names_file(names_file) if names_file else None

    def read() -> dict[str, Part]:
        parts = {}
        for split, chosen in by_split.items():
            labels = map_in_threads(
                lambda pair: _read_label(pair.file), chosen, len(chosen), "Reading labels"
            )
            _check_codes(chosen, labels, kind)
            parts[split] = replace(
                _describe(chosen, labels), label_names=names, codes=kind.codes or {}
            )
        return parts

    used = sum(map(len, by_split.values()))
    notes = []
    if used < num_pictures:
        notes = [f"left out {num_pictures - used:,} pictures without such a file"]
    identity = [*(p.picture for p in pairs), *(p.file for p in pairs)]
    if names_file:
        identity.append(names_file)
        notes.append(f"names from '{names_file.name}'")
    return Source(identity, read, f"the file named '…{kind.tail}' of each picture", notes)


def _check_codes(pairs: Sequence[LabelPair], labels: Sequence[str], kind: SidecarKind) -> None:
    for pair, label in zip(pairs, labels, strict=True):
        if kind.codes is not None and label not in kind.codes:
            raise ValueError(
                f"'{pair.file}' says {label!r}, which is none of the set's codes "
                f"{list(kind.codes)}. Mend or remove it."
            )


def _describe(pairs: Sequence[LabelPair], labels: Sequence[str]) -> Part:
    paths = [str(pair.picture) for pair in pairs]
    return Part(
        labels,
        read=lambda rows: read_paths(paths, rows),
        where="the files beside the pictures",
        name=lambda row: f"'{paths[row]}'",
    )


def _choose_kind(root: Path) -> SidecarKind | None:
    """Return the first kind of files that say for most pictures one of a few labels, if any does.

    Those that say emotions come before others, such as numbers. Texts that hardly ever come twice
    are no labels but captions or the like.
    """
    if not root.is_dir():
        return None
    others = None
    for kind in _OTHERS:
        pairs, num_pictures = find_pairs(root, kind)
        if 2 * len(pairs) <= num_pictures:
            continue
        probed = pairs[:: max(1, len(pairs) // _PROBED)]
        labels = []
        for pair in probed:
            # A few that are damaged are reported later, when all are read.
            with contextlib.suppress(ValueError):
                labels.append(_read_label(pair.file))
        is_few = 1 < len(set(labels)) <= max(_FEW_LABELS, len(labels) // 2)
        if is_few and 2 * len(labels) > len(probed):
            if any(canonical_emotion(label) in EMOTIONS for label in labels):
                return kind
            others = others or kind
    return others


def _locate_others(root: Path, options: LoadOptions) -> Source:
    return _locate(root, recall(_choose_kind, root) or _OTHERS[0])


def _has(kind: SidecarKind) -> Any:
    return lambda root, options: root.is_dir() and bool(find_pairs(root, kind)[0])


AFFECTNET = Layout(
    "affectnet",
    "train_set/images/1.jpg and train_set/annotations/1_exp.npy, val_set/…",
    recognise=_has(_AFFECTNET),
    locate=lambda root, options: _locate(root, _AFFECTNET),
)

CK_PLUS = Layout(
    "ck-plus",
    "cohn-kanade-images/S005/001/….png and Emotion/S005/001/…_emotion.txt",
    recognise=_has(_CK_PLUS),
    locate=lambda root, options: _locate(root, _CK_PLUS),
)

SIDECARS = Layout(
    "sidecars",
    "1.jpg with 1.cls, 1.json or 1.txt: a file for each picture, as in WebDataset shards",
    recognise=lambda root, options: recall(_choose_kind, root) is not None,
    locate=_locate_others,
)
