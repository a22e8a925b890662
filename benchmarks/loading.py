"""Measure how fast pictures are loaded, and write the table to benchmarks/loading.md.

    python benchmarks/loading.py --ferplus ../shared/data/ferplus

Each load runs in a process and a cache of its own, so that nothing is warm and peak memory is that
of the load alone. Peak memory counts what the load adds to a process with `fer_hf.data` imported.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

SIDE = 128

# Reading VmHWM after writing 5 to clear_refs gives the peak since then (Linux).
_LOAD = """
import json, sys, time
from pathlib import Path
from fer_hf.data import load_splits
def kilobytes(key):
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(key)))
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
start = time.perf_counter()
splits = load_splits(sys.argv[1])
seconds = time.perf_counter() - start
peak = kilobytes("VmHWM") - before
pictures = sum(len(split) for split in splits.values())
start = time.perf_counter()
read = sum(row["image"].width > 0 for row in splits["train"].select(range(2000)))
rate = read / (time.perf_counter() - start)
print(json.dumps(dict(seconds=seconds, peak=peak * 1024, pictures=pictures, read_rate=rate)))
"""


def make_pictures(num: int, seed: int) -> np.ndarray:
    """Make smooth pictures: noise of 16×16 enlarged, so that compression has something to do."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((num, SIDE, SIDE, 3), np.uint8)
    for picture in pictures:
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
        picture[:] = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return pictures


def measure_load(source: Path, home: str) -> dict[str, float]:
    """Load `source` in a new process with the cache `home`."""
    environment = {**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_DATASETS_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(source)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def measure_arrays(num: int, folder: Path) -> list[list[str]]:
    """Measure `.npy` and `.npz` with `num` pictures in all."""
    sizes = {"train": num * 8 // 10, "validation": num // 10, "test": num // 10}
    arrays = {}
    for seed, (split, size) in enumerate(sizes.items()):
        arrays[f"{split}_images"] = make_pictures(size, seed)
        arrays[f"{split}_labels"] = np.arange(size) % 8
    (folder / "npy").mkdir()
    for name, array in arrays.items():
        np.save(folder / "npy" / f"{name}.npy", array)
    np.savez(folder / "arrays.npz", **arrays)
    np.savez_compressed(folder / "compressed.npz", **arrays)
    total = sum(array.nbytes for array in arrays.values())
    rows = []
    for source in ("npy", "arrays.npz", "compressed.npz"):
        with tempfile.TemporaryDirectory(dir=folder) as home:
            measured = measure_load(folder / source, home)
        rows.append(
            [
                f"load `{source}`, {num:,} of {SIDE}×{SIDE}×3",
                f"{measured['pictures'] / measured['seconds']:,.0f} pictures/s",
                f"peak memory {measured['peak'] / total:.2f} × the arrays ({total / 1e6:,.0f} MB)",
            ]
        )
    rows.append(["read back through `datasets`", f"{measured['read_rate']:,.0f} pictures/s", "PPM"])
    return rows


def measure_encodings(num: int) -> list[list[str]]:
    """Measure the lossless encodings that were considered, in one thread with Pillow."""
    pictures = make_pictures(num, 0)
    rows = []
    for name, options in {
        "PPM": {},
        "BMP": {},
        "PNG, level 0": {"compress_level": 0},
        "PNG, level 1": {"compress_level": 1},
    }.items():
        start = time.perf_counter()
        encoded = []
        for picture in pictures:
            stream = io.BytesIO()
            Image.fromarray(picture).save(stream, name[:3], **options)
            encoded.append(stream.getvalue())
        middle = time.perf_counter()
        for content in encoded:
            Image.open(io.BytesIO(content)).load()
        end = time.perf_counter()
        size = sum(map(len, encoded)) / pictures.nbytes
        rows.append(
            [
                f"encode as {name} with Pillow",
                f"{num / (middle - start):,.0f} pictures/s",
                f"decode {num / (end - middle):,.0f}/s, {size:.2f} × the size",
            ]
        )
    return rows


def measure_ferplus(path: Path, folder: Path) -> list[list[str]]:
    """Measure the first load of FER+, which checks every picture, and the second."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        first, second = measure_load(path, home), measure_load(path, home)
    found = f"{first['pictures']:,} pictures"
    return [
        ["load FER+ the first time", f"{first['seconds']:.1f} s", found],
        ["load FER+ again", f"{second['seconds']:.3f} s", found],
    ]


def main() -> None:
    """Measure everything and write the table beside this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=5_000, help="pictures in the arrays")
    parser.add_argument("--ferplus", type=Path, help="folder with FER+; left out without it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = measure_arrays(arguments.pictures, folder)
        if arguments.ferplus and arguments.ferplus.is_dir():
            rows += measure_ferplus(arguments.ferplus.absolute(), folder)
    rows += measure_encodings(500)
    table = tabulate(rows, headers=["what", "result", "with"], tablefmt="github")
    where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    text = f"Written by `python benchmarks/loading.py` ({where}).\n\n{table}\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
