"""Fingerprints of pictures, by which a picture seen in training is recognised.

Training writes them beside the weights; they are read, without the pictures, when the model is
measured later, on other data and another machine.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fer_hf.data.pictures import cut_bands, load_picture, to_rgb

if TYPE_CHECKING:
    from datasets import Dataset

Fingerprints = npt.NDArray[np.uint64]

SEEN_NAME = "seen.safetensors"
_TENSOR = "fingerprints"
# Raise the number when pixels are hashed in another way, so that no older file is compared with.
_METHOD = "BLAKE2b-64 of width, height and RGB pixels, 1"


def compute_fingerprint(picture: Image.Image) -> int:
    """Compute the fingerprint of a picture of any mode and size: 64 bits of its decoded pixels.

    It is BLAKE2b (RFC 7693) with a digest of 8 bytes over width and height, four little-endian
    bytes each, and the upright 8-bit RGB pixels, row by row. A file's format, its metadata and the
    picture's mode do not matter: a grey picture and its RGB copy have one fingerprint. Any changed
    pixel gives another, so a picture saved as JPEG again is not recognised. Among n pictures, two
    that differ agree by chance with a probability of about n² / 2⁶⁵: 2e-11 for n = 28,000.
    """
    rgb = to_rgb(picture)
    digest = hashlib.blake2b(np.array(rgb.size, "<u4").tobytes(), digest_size=8)
    for _, band in cut_bands(rgb):
        digest.update(band.tobytes())
    return int.from_bytes(digest.digest(), "little")


def compute_fingerprints(split: "Dataset") -> Fingerprints:
    """Compute the fingerprints (N,) of the pictures in the column `image`, in threads."""
    from fer_hf.data.stored_pictures import map_in_threads, read_encoded  # needs datasets

    def compute(content: bytes) -> int:
        return compute_fingerprint(load_picture(content))

    return np.array(
        map_in_threads(compute, read_encoded(split), len(split), "Fingerprints"), np.uint64
    )


def save_fingerprints(fingerprints: Fingerprints, folder: str | os.PathLike[str]) -> Path:
    """Write fingerprints (N,) to `seen.safetensors` in a model's folder; return the file's path.

    It takes 8 bytes a picture, as int64, which every reader of safetensors supports.

    Raises:
        ValueError: They are not an array of fingerprints.
    """
    _check(fingerprints)
    path = Path(folder) / SEEN_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    tensor = np.ascontiguousarray(fingerprints).view(np.int64)
    save_file({_TENSOR: tensor}, path, metadata={"method": _METHOD})
    return path


def load_fingerprints(folder: str | os.PathLike[str]) -> Fingerprints:
    """Load the fingerprints (N,) that `save_fingerprints` wrote.

    Raises:
        FileNotFoundError: The folder has no such file.
        ValueError: It is damaged, or was written in another way.
    """
    path = Path(folder) / SEEN_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no `{SEEN_NAME}` in {str(folder)!r}, expected the fingerprints of the "
            "pictures a model was trained on. Give the folder of a model that has them."
        )
    try:
        with safe_open(path, framework="np") as file:
            method = (file.metadata() or {}).get("method")
            if method != _METHOD:
                raise ValueError(f"its method is {method!r}, expected {_METHOD!r}")
            fingerprints = file.get_tensor(_TENSOR).view(np.uint64)
            _check(fingerprints)
            return fingerprints
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} has no fingerprints to compare with ({error}). Train the model again, "
            "or delete the file to do without."
        ) from error


def find_seen(fingerprints: Fingerprints, seen: Fingerprints) -> npt.NDArray[np.bool_]:
    """Return which pictures (N,) are among those `seen` in training (M,).

    Raises:
        ValueError: One of the two is not an array of fingerprints.
    """
    _check(fingerprints)
    _check(seen)
    return np.isin(fingerprints, seen)


def _check(fingerprints: Fingerprints) -> None:
    # Compared with int64, uint64 would become float64 and lose its last bits.
    if fingerprints.dtype != np.uint64 or fingerprints.ndim != 1:
        raise ValueError(
            f"Found fingerprints of type {fingerprints.dtype} and shape {fingerprints.shape}, "
            "expected uint64 of shape (N,). Give what `compute_fingerprints` returns."
        )
