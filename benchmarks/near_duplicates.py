"""Measure how many planted near-duplicates are found among thousands of faces, and what else is.

Writes benchmarks/near_duplicates.md. Pictures of the source that resemble each other are left out
first, by a looser test, because a public set has real duplicates of its own. Of the drawn faces
each is another person's, so that every pair found among them is false.

    python benchmarks/near_duplicates.py ../shared/data/ferplus
"""

import argparse
import io
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Dataset, concatenate_datasets
from PIL import Image, ImageOps
from tabulate import tabulate

from fer_hf.data import load_splits
from fer_hf.data.audit.near_duplicates import MIN_CORRELATION, find_near_duplicates, make_thumbnail

LOOSE = 0.87
SEED = 0


def encode(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Save as JPEG of quality 30 to 90."""
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=int(rng.integers(30, 91)))
    return Image.open(stream)


def resize(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Make it half to twice as large."""
    factor = 2 ** rng.uniform(-1, 1)
    size = [round(side * factor) for side in picture.size]
    return picture.resize(size, Image.Resampling(rng.choice([1, 2, 3])))  # Lanczos, linear, cubic


def mirror(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Swap left and right."""
    return ImageOps.mirror(picture)


def shift(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Move by 2 pixels along one axis and 0 to 2 along the other; black comes in."""
    steps = rng.permutation([2, rng.integers(3)]) * rng.choice([-1, 1], 2)
    return picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, steps[0], 0, 1, steps[1]))


def all_of_it(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Mirror, shift and encode."""
    return encode(shift(mirror(picture, rng), rng), rng)


KINDS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "JPEG of quality 30–90": encode,
    "resized to 0.5–2 ×": resize,
    "mirrored": mirror,
    "shifted by 2 pixels": shift,
    "mirrored, shifted and JPEG": all_of_it,
}


def measure(pictures: Dataset, total: int) -> tuple[list[list[str]], str]:
    """Plant a fifth of `total` pictures, and return a row for each kind and a sentence."""
    rng = np.random.default_rng(SEED)
    num_planted = total // 5
    sample = pictures.select(rng.permutation(len(pictures))[: total * 2])
    thumbnails = np.stack([make_thumbnail(picture) for picture in sample["image"]])
    alike, _ = find_near_duplicates(thumbnails, LOOSE)
    alone = np.delete(np.arange(len(sample)), alike[:, 1])[: total - num_planted]
    originals = sample.select(alone)["image"][:]

    kinds = list(KINDS)
    kind_of = np.arange(num_planted) % len(kinds)
    copies = [KINDS[kinds[kind]](originals[row], rng) for row, kind in enumerate(kind_of)]
    start = time.perf_counter()
    thumbnails = np.stack([make_thumbnail(picture) for picture in [*originals, *copies]])
    pairs, _ = find_near_duplicates(thumbnails)
    seconds = time.perf_counter() - start

    sources = np.concatenate([np.arange(len(originals)), np.arange(num_planted)])[pairs]
    is_right = sources[:, 0] == sources[:, 1]
    found = np.isin(np.arange(num_planted), sources[is_right])
    rows = [
        [kind, f"{found[kind_of == i].sum()} of {(kind_of == i).sum()}"]
        for i, kind in enumerate(kinds)
    ]
    rows.append(["all", f"{found.sum()} of {num_planted} ({100 * found.mean():.2f} %)"])
    false = int((~is_right).sum())
    return rows, (
        f"Among {len(thumbnails):,} pictures with the planted ones, {len(pairs):,} pairs were "
        f"reported, {false} of them false ({100 * false / len(pairs):.2f} %), in {seconds:.0f} s "
        "from decoded pictures."
    )


def measure_drawn() -> str:
    """Return a sentence about the drawn faces."""
    faces = concatenate_datasets(list(load_splits("drawn", drawn_size=64).values()))
    pairs, _ = find_near_duplicates(np.stack([make_thumbnail(face) for face in faces["image"]]))
    return (
        f"Of {len(faces):,} drawn faces, all different, {len(pairs)} of "
        f"{len(faces) * (len(faces) - 1) // 2:,} pairs were reported."
    )


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the pictures, as for --data")
    parser.add_argument("--pictures", type=int, default=10_000, help="with the planted ones")
    given = parser.parse_args()
    pictures = concatenate_datasets(list(load_splits(given.source).values()))
    rows, sentence = measure(pictures, given.pictures)
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} CPU core{'s' if cores > 1 else ''}, {platform.machine()}"
    text = (
        f"{__doc__.splitlines()[0]}\n\nWritten by `python benchmarks/near_duplicates.py` on "
        f"{machine}. Pictures of the source with a correlation of {LOOSE} or more had been left "
        f"out; {MIN_CORRELATION} is what counts as a near-duplicate.\n\n"
        f"{tabulate(rows, ['planted', 'found'], 'github')}\n\n{sentence}\n\n{measure_drawn()}\n"
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
