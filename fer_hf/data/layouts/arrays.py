"""The `arrays` layout: NumPy arrays of pictures and labels, in one `.npz` or a folder of `.npy`.

Arrays can be larger than half the memory, so at most one is in memory at a time, and it goes to
disk in batches.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_hf.data.labels import check_label_names
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.name_files import find_names_file, read_names_file
from fer_hf.data.splits import assign_splits
from fer_hf.data.stored_pictures import read_array

_NAMES = ("label_names", "class_names")


def _list_arrays(path: Path) -> list[str]:
    """List the arrays in an `.npz` or a folder of `.npy`, by name; empty for anything else."""
    if path.is_dir():
        return sorted(file.stem for file in path.glob("*.npy") if file.is_file())
    if path.suffix.lower() != ".npz" or not zipfile.is_zipfile(path):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            names = [Path(name) for name in archive.namelist()]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"'{path}' is damaged ({error}). Save it again with np.savez.") from error
    return sorted(name.stem for name in names if name.suffix == ".npy")


def _locate(path: Path, options: LoadOptions) -> Source:
    """Read arrays named `<split>_images` and `<split>_labels`.

    Images have shape (N, H, W, 3), (N, H, W, 1) or (N, H, W), as uint8 0–255 or float 0–1; labels
    have shape (N,), (N, 1) or, one-hot, (N, C). Names of the labels may be in an array
    `label_names` (or `class_names`) among them, or beside them as `.npy`, `.txt` or `.json`.
    """
    names = _list_arrays(path)
    prefixes = assign_splits(
        [name.removesuffix("_images") for name in names if name.endswith("_images")]
    )
    if not prefixes:
        raise ValueError(
            f"'{path}' holds the arrays {names}, but none called `train_images`. Name the arrays "
            "`train_images`, `train_labels`, `validation_images` and so on."
        )
    for prefix in prefixes.values():
        if f"{prefix}_labels" not in names:
            raise ValueError(
                f"'{path}' has `{prefix}_images` but no `{prefix}_labels` (found {names}). Add it."
            )
    arrays, identity = _Arrays(path), sorted(path.glob("*.npy")) if path.is_dir() else [path]
    label_names = options.label_names
    if label_names is None:
        if stored := next((name for name in _NAMES if name in names), None):
            names_of_labels = _decode(arrays.load(stored).ravel(), stored)
            label_names = check_label_names(list(names_of_labels), f"Array `{stored}`")
        elif beside := find_names_file(path if path.is_dir() else path.parent):
            label_names = read_names_file(beside)
            identity.append(beside)

    def read() -> dict[str, Part]:
        return {split: _read_part(arrays, name, label_names) for split, name in prefixes.items()}

    labels = ", ".join(f"`{prefix}_labels`" for prefix in prefixes.values())
    return Source(identity, read, f"the arrays {labels}")


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
                    array = archive[name]
                if not isinstance(array, np.ndarray):
                    raise ValueError("not an array")
                self._kept = name, array
            return self._kept[1]
        except (ValueError, OverflowError, MemoryError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"Array `{name}` of '{self._path}' cannot be read safely ({error}). Save plain "
                "numbers or fixed-width texts with np.save or np.savez; Python objects (pickles) "
                "could run code when loaded."
            ) from error

    def load_pictures(self, name: str, num_labels: int) -> np.ndarray:
        """Return an array of pictures, refused if it is not one or has not one for each label."""
        pictures = self.load(name)
        shape, dtype = pictures.shape, pictures.dtype
        if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape[1:]:
            raise ValueError(
                f"Array `{name}` has shape {shape}. Expected (N, height, width, 3) for colour or "
                "(N, height, width) for grey: reshape or transpose it."
            )
        if dtype != np.uint8 and dtype.kind != "f":
            raise ValueError(
                f"Array `{name}` holds {dtype}. Expected uint8 from 0 to 255 or float from 0 to 1: "
                "convert it with .astype(np.uint8)."
            )
        if shape[0] != num_labels:
            raise ValueError(
                f"Array `{name}` has {shape[0]} pictures, but "
                f"`{name.removesuffix('_images')}_labels` has {num_labels} labels. Give every "
                "picture one label."
            )
        return pictures


def _read_part(arrays: _Arrays, prefix: str, label_names: Sequence[str] | None) -> Part:
    images, where = f"{prefix}_images", f"{prefix}_labels"
    labels = _read_labels(arrays.load(where), where)
    return Part(
        labels,
        read=lambda rows: read_array(
            lambda: arrays.load_pictures(images, len(labels)), rows, images
        ),
        where=f"`{where}`",
        name=lambda row: f"`{where}` row {row}",
        label_names=label_names,
        is_checked=True,
    )


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
    labels = _decode(labels, name)
    if labels.dtype.kind not in "biufU":
        raise ValueError(
            f"Array `{name}` holds {labels.dtype}. Expected whole numbers or texts: convert it."
        )
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.trunc(labels))).all():
        raise ValueError(f"Array `{name}` has labels that are not whole numbers. Round them.")
    return (labels.astype(int) if labels.dtype.kind == "b" else labels).tolist()


def _decode(texts: np.ndarray, name: str) -> np.ndarray:
    """Turn bytes into texts, and leave other arrays as they are."""
    try:
        return np.char.decode(texts, "utf-8") if texts.dtype.kind == "S" else texts
    except UnicodeDecodeError as error:
        raise ValueError(f"Array `{name}` is not UTF-8 ({error}). Encode it so.") from error


ARRAYS = Layout(
    "arrays",
    "one .npz, or a folder of .npy: `train_images`, `train_labels`, `test_images`, …",
    recognise=lambda path, options: any(name.endswith("_images") for name in _list_arrays(path)),
    locate=_locate,
)
