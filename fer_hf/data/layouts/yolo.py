"""The `yolo` layout: faces in pictures, boxed and numbered in a text file for each picture."""

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.name_files import find_names_file, read_names_file
from fer_hf.data.layouts.sidecars import LabelPair, SidecarKind, find_pairs
from fer_hf.data.stored_pictures import map_in_threads, read_crops

_KIND = SidecarKind(".txt")
_PROBED = 20


@dataclass(frozen=True)
class _Face:
    """A box in a picture: centre and size as shares of the picture's width and height."""

    picture: Path
    label: int
    box: tuple[float, float, float, float]


def _read_faces(pair: LabelPair) -> list[_Face]:
    """Read lines ``number x y width height``.

    Raises:
        ValueError: If a line is something else.
    """
    faces = []
    for line in pair.file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        try:
            label, *box = map(float, line.split())
            x, y, width, height = box
            is_box = all(0 <= value <= 1 for value in box) and width > 0 and height > 0
        except ValueError:
            is_box = False
        if line.strip() and not (is_box and label.is_integer() and label >= 0):
            raise ValueError(
                f"'{pair.file}' has the line {line[:80]!r}. Expected a label's number, then centre "
                "and size of the face as shares of the picture: mend or remove it."
            )
        if line.strip():
            faces.append(_Face(pair.picture, int(label), (x, y, width, height)))
    return faces


def _find_names(root: Path) -> Path | None:
    folders = (root, *sorted(child for child in root.iterdir() if child.is_dir()))
    return next((file for folder in folders if (file := find_names_file(folder))), None)


def _locate(root: Path, options: LoadOptions) -> Source:
    pairs, num_pictures = find_pairs(root, _KIND) if root.is_dir() else ([], 0)
    names_file = _find_names(root) if root.is_dir() else None
    if not pairs or names_file is None:
        raise ValueError(
            f"'{root}' is not of the layout `yolo`. Expected {YOLO.looks_like}, and 'data.yaml' "
            "with the names."
        )
    names = read_names_file(names_file)

    def read() -> dict[str, Part]:
        found = map_in_threads(_read_faces, pairs, len(pairs), "Reading labels")
        by_split: dict[str, list[_Face]] = defaultdict(list)
        for pair, faces in zip(pairs, found, strict=True):
            by_split[pair.split or "train"] += faces
        return {split: _describe(faces, names) for split, faces in by_split.items()}

    notes = ["faces cut out of the pictures by their boxes"]
    if len(pairs) < num_pictures:
        notes.append(f"left out {num_pictures - len(pairs):,} pictures without such a file")
    identity = [names_file, *itertools.chain(*((pair.picture, pair.file) for pair in pairs))]
    return Source(identity, read, f"the text file of each picture, and '{names_file.name}'", notes)


def _describe(faces: list[_Face], names: list[str]) -> Part:
    paths = [str(face.picture) for face in faces]

    def read(rows: np.ndarray) -> Iterator[pa.StructArray]:
        sizes = np.array(map_in_threads(_read_size, faces, len(faces), "Reading sizes"))
        centres, shares = np.split(np.array([face.box for face in faces]), 2, axis=1)
        corners = [(centres - shares / 2) * sizes, (centres + shares / 2) * sizes]
        return read_crops(paths, np.concatenate(corners, axis=1), rows, "the text files")

    return Part(
        [face.label for face in faces],
        read=read,
        where="the text files",
        name=lambda row: f"'{paths[row]}'",
        label_names=names,
    )


def _read_size(face: _Face) -> tuple[int, int]:
    """Return width and height; of what is no picture 1 and 1, for it is refused when it is read."""
    try:
        with Image.open(face.picture) as image:
            return image.size
    except (OSError, Image.DecompressionBombError):
        return 1, 1


def _recognise(root: Path, options: LoadOptions) -> bool:
    if not root.is_dir() or _find_names(root) is None:
        return False
    pairs, _ = find_pairs(root, _KIND)
    probed = pairs[:: max(1, len(pairs) // _PROBED)]
    faces = []
    for pair in probed:
        # A few that are damaged are reported later, when all are read.
        with contextlib.suppress(ValueError):
            faces.append(_read_faces(pair))
    return any(faces) and 2 * len(faces) > len(probed)


YOLO = Layout(
    "yolo",
    "data.yaml, train/images/1.jpg and train/labels/1.txt: a number and a box for each face",
    _recognise,
    _locate,
)
