"""Which pictures are one photograph: found once, and kept on disk for the next time.

A training, its evaluation and an audit ask the same of the same pictures, and comparing 30,000 of
them takes a minute.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from safetensors.numpy import load_file, save_file
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fer_hf.data import cache_folder
from fer_hf.data.audit.fingerprints import compute_fingerprint
from fer_hf.data.audit.near_duplicates import MIN_CORRELATION, find_near_duplicates, make_thumbnail
from fer_hf.data.pictures import load_picture, to_rgb
from fer_hf.data.stored_pictures import map_in_threads, read_encoded

Ints = npt.NDArray[np.int64]

_NAME = "photographs.safetensors"
# Raise the number when pictures are compared in another way, so that no older entry is served.
_METHOD = {"photographs": 1, "min_correlation": MIN_CORRELATION}


@dataclass(frozen=True)
class Photographs:
    """N pictures, and which of them are one photograph.

    Attributes:
        sizes: Width and height in pixels, shape (N, 2).
        contents: A number (N,) for each, the same for pictures that agree in every pixel.
        photographs: A number (N,) for each, the same for pictures of one photograph.
    """

    sizes: Ints
    contents: Ints
    photographs: Ints


def find_photographs(splits: Iterable[Dataset]) -> Photographs:
    """Find which pictures of the splits, one after the other, are one photograph.

    What was found stays in the `datasets` cache under the bytes of every picture, in their order.

    Raises:
        OSError: The disk is full.
    """
    splits = list(splits)
    contents = hashlib.sha256()
    for split in splits:
        for content in read_encoded(split):
            contents.update(hashlib.sha256(content).digest())
    key = cache_folder.compute_key([contents.hexdigest()], _METHOD)
    with cache_folder.explaining_full_disk():
        entry = cache_folder.find_or_write(key, lambda folder: _write(folder, splits))
    return Photographs(**load_file(entry / _NAME))


def _write(folder: Path, splits: list[Dataset]) -> None:
    save_file(vars(_compare(splits)), folder / _NAME)


def _compare(splits: list[Dataset]) -> Photographs:
    """Decode every picture once, in threads, and compare all of them."""

    def examine(content: bytes) -> tuple[int, tuple[int, int], npt.NDArray[np.uint8]]:
        picture = to_rgb(load_picture(content))
        return compute_fingerprint(picture), picture.size, make_thumbnail(picture)

    encoded = (content for split in splits for content in read_encoded(split))
    examined = map_in_threads(examine, encoded, sum(map(len, splits)), "Examining pictures")
    fingerprints, sizes, thumbnails = zip(*examined, strict=True)
    # Pictures that agree in every pixel are compared with the others only once.
    _, first, contents = np.unique(
        np.array(fingerprints, np.uint64), return_index=True, return_inverse=True
    )
    pairs, _ = find_near_duplicates(np.stack([thumbnails[row] for row in first]))
    graph = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(len(first), len(first)))
    _, photographs = connected_components(graph, directed=False)
    return Photographs(np.array(sizes), contents, photographs[contents].astype(np.int64))
