"""The `arrays` layout: NumPy arrays of pictures and labels, in one `.npz` or a folder of `.npy`.

Arrays can be larger than half the memory, so at most one is in memory at a time, and it goes to
disk in batches.
"""

import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from fer_hf.data.labels import check_label_names, name_labels
from fer_hf.data.parts import BATCH_SIZE, Part, Source, assign_splits
from fer_hf.data.pictures import encode_pictures

logger = logging.getLogger(__name__)

_NAMES = ("label_names", "class_names")


def find_array_names(path: Path) -> list[str]:
    """List the arrays in an `.npz` or a folder of `.npy`, by name; empty for anything else."""
    if path.is_dir():
        return sorted(file.stem for file in path.glob("*.npy"))
    if path.suffix.lower() != ".npz" or not zipfile.is_zipfile(path):
        return []
    with zipfile.ZipFile(path) as archive:
        return sorted(name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy"))


def locate_arrays(path: Path, label_names: Sequence[str] | None) -> Source:
    """Recognise arrays named `<split>_images` and `<split>_labels`.

    Images have shape (N, H, W, 3), (N, H, W, 1) or (N, H, W), as uint8 0–255 or float 0–1; labels
    have shape (N,), (N, 1) or, one-hot, (N, C). Names of the labels may lie in an array
    `label_names` (or `class_names`) among them, or beside them as `.npy`, `.txt` or `.json`.

    Raises:
        ValueError: If arrays are missing or do not fit, with the name of the array.
    """
    names = find_array_names(path)
    images = assign_splits([name[: -len("_images")] for name in names if name.endswith("_images")])
    if not images:
        raise ValueError(
            f"'{path}' holds the arrays {names}, but none called `train_images`. Name the arrays "
            "`train_images`, `train_labels`, `validation_images` and so on."
        )
    for prefix in images.values():
        if f"{prefix}_labels" not in names:
            raise ValueError(
                f"'{path}' has `{prefix}_images` but no `{prefix}_labels` (found {names}). Add it."
            )
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    beside = _find_names_beside(path)
    arrays = _Arrays(path)
    if label_names is None and (stored := next((name for name in _NAMES if name in names), None)):
        label_names = check_label_names(list(arrays.load(stored).ravel()), f"Array `{stored}`")
    elif label_names is None and beside:
        label_names = check_label_names(_read_names(beside), f"'{beside}'")

    def read() -> dict[str, Part]:
        return {
            split: _read_part(arrays, f"{prefix}_images", f"{prefix}_labels", label_names)
            for split, prefix in images.items()
        }

    return Source([*files, *([beside] if beside else [])], read, label_names)


class _Arrays:
    """The arrays of one source by name; of an `.npz`, only the last one read is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: tuple[str, np.ndarray] | None = None

    def load(self, name: str) -> np.ndarray:
        try:
            if self._path.is_dir():
                return np.load(self._path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            if self._kept is None or self._kept[0] != name:
                # Let go of the old array first: two of them may not fit in memory.
                self._kept = None
                with np.load(self._path, allow_pickle=False) as archive:
                    self._kept = name, archive[name]
            return self._kept[1]
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Array `{name}` of '{self._path}' cannot be read safely ({error}). Save plain "
                "numbers or fixed-width texts with np.save or np.savez; Python objects (pickles) "
                "could run code when loaded."
            ) from error

    def shape_and_type(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Read what an array's header says, without the array."""
        if self._path.is_dir() or (self._kept and self._kept[0] == name):
            array = self.load(name)
            return array.shape, array.dtype
        with zipfile.ZipFile(self._path) as archive, archive.open(f"{name}.npy") as member:
            readers = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }
            reader = readers.get(np.lib.format.read_magic(member))
            if reader is None:
                array = self.load(name)
                return array.shape, array.dtype
            shape, _, dtype = reader(member)
        return shape, dtype


def _read_part(
    arrays: _Arrays, images: str, labels: str, label_names: Sequence[str] | None
) -> Part:
    names = name_labels(_read_labels(arrays.load(labels), labels), label_names, f"`{labels}`")
    shape, dtype = arrays.shape_and_type(images)
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)) or 0 in shape[1:]:
        raise ValueError(
            f"Array `{images}` has shape {shape}. Expected (N, height, width, 3) for colour or "
            "(N, height, width) for grey: reshape or transpose it."
        )
    if dtype != np.uint8 and dtype.kind != "f":
        raise ValueError(
            f"Array `{images}` holds {dtype}. Expected uint8 from 0 to 255 or float from 0 to 1: "
            "convert it with .astype(np.uint8)."
        )
    if shape[0] != len(names):
        raise ValueError(
            f"Array `{images}` has {shape[0]} pictures, but `{labels}` has {len(names)} labels. "
            "Give every picture one label."
        )
    return Part(
        names,
        read=lambda rows: encode_rows(lambda: arrays.load(images), rows, images),
        name=lambda row: f"`{images}` row {row}",
        encoded_here=True,
    )


def encode_rows(
    load: Callable[[], np.ndarray], rows: np.ndarray, name: str
) -> Iterator[pa.StructArray]:
    """Yield rows of an array of pictures, encoded without loss.

    Raises:
        ValueError: If a float picture has values outside 0 to 1, or NaN.
    """
    array = load()
    for start in range(0, len(rows), BATCH_SIZE):
        batch_rows = rows[start : start + BATCH_SIZE]
        first, last = batch_rows[0], batch_rows[-1]
        # A slice is a view; picking rows copies, which only cut splits need.
        whole = last - first == len(batch_rows) - 1
        batch = array[first : last + 1] if whole else array[batch_rows]
        if batch.ndim == 4 and batch.shape[3] == 1:
            batch = batch[..., 0]
        if batch.dtype != np.uint8:
            batch = _to_bytes(batch, batch_rows, name)
        yield encode_pictures(batch)


def _to_bytes(batch: np.ndarray, rows: np.ndarray, name: str) -> np.ndarray:
    # Written so that NaN, which compares false with everything, is caught too.
    bad = ~((batch >= 0) & (batch <= 1)).reshape(len(batch), -1).all(axis=1)
    if bad.any():
        picture = batch[bad.argmax()]
        found = (
            "NaN" if np.isnan(picture).any() else f"values from {picture.min()} to {picture.max()}"
        )
        raise ValueError(
            f"Array `{name}` row {rows[bad.argmax()]} has {found}. Expected floats from 0 to 1: "
            "divide by 255, or save 0 to 255 as uint8."
        )
    return np.round(batch.astype(np.float32) * 255).astype(np.uint8)


def _read_labels(labels: np.ndarray, name: str) -> list[int | str]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise ValueError(
                f"Array `{name}` has shape {labels.shape}, but not one 1 among zeros in every row. "
                "Expected one-hot labels, or label numbers of shape (N,)."
            )
        labels = labels.argmax(axis=1)
    if labels.ndim != 1:
        raise ValueError(
            f"Array `{name}` has shape {labels.shape}. Expected (N,), (N, 1) or one-hot (N, C)."
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.dtype.kind == "f" and not (labels == np.trunc(labels)).all():
        raise ValueError(f"Array `{name}` has labels that are no whole numbers. Round them.")
    return labels.tolist()


def _find_names_beside(path: Path) -> Path | None:
    # `label_names.npy` in a folder is one of its arrays, and read as such.
    folder, endings = (path, (".txt", ".json")) if path.is_dir() else (path.parent, None)
    candidates = [
        folder / f"{name}{ending}"
        for name in _NAMES
        for ending in endings or (".npy", ".txt", ".json")
    ]
    return next((file for file in candidates if file.is_file()), None)


def _read_names(file: Path) -> list[str]:
    if file.suffix == ".npy":
        return list(_Arrays(file.parent).load(file.stem).ravel())
    text = file.read_text(encoding="utf-8-sig")
    if file.suffix == ".txt":
        return [line for line in text.splitlines() if line.strip()]
    names = json.loads(text)
    if isinstance(names, dict):
        # Both directions are in use: {"0": "anger"} and {"anger": 0}.
        by_id = names if all(key.isdigit() for key in names) else {v: k for k, v in names.items()}
        names = [by_id[key] for key in sorted(by_id, key=int)]
    if not isinstance(names, list):
        raise ValueError(f"'{file}' holds {names!r}. Expected a JSON list of label names.")
    return names
