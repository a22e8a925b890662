"""Measure what training costs beside the arithmetic, and what a frozen epoch of FER+ costs.

Writes benchmarks/training.md. Each part can be run alone; parts that are not run keep their rows.

    python benchmarks/training.py start loader
    python benchmarks/training.py frozen --ferplus ../shared/data/ferplus     (about an hour)
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

FOLDER = Path(__file__).parent
ROWS = FOLDER / "training.json"
REPEATS = 5


def measure_start() -> dict[str, str]:
    """Time whole processes: the import, and the help of the command line."""
    commands = {
        "`import fer_hf`": [sys.executable, "-c", "import fer_hf"],
        "python itself": [sys.executable, "-c", "pass"],
        "`fer-hf --help`": [str(Path(sys.executable).parent / "fer-hf"), "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - start)
    return {f"{name}, whole process": f"{statistics.median(t):.2f} s" for name, t in times.items()}


def measure_loader() -> dict[str, str]:
    """Measure how long the baseline at 128 pixels waits for its next batch."""
    import torch
    from torch.utils.data import DataLoader

    from fer_hf import load_model, load_splits
    from fer_hf.training.augmentation import Augmentation
    from fer_hf.training.face_dataset import FaceDataset, collate

    train = load_splits("drawn")["train"]
    loaded = load_model("baseline", train.features["label"].names)
    pictures = FaceDataset(train, loaded.image_processor, augmentation=Augmentation())
    model = loaded.model.to(memory_format=torch.channels_last).train()
    shares, steps = [], []
    for _ in range(REPEATS):
        batches = iter(DataLoader(pictures, 32, shuffle=True, num_workers=2, collate_fn=collate))
        next(batches)  # starting the worker processes is not what a step waits for
        waited, start, count = 0.0, time.perf_counter(), 0
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - asked
            if batch is None:
                break
            values = batch["pixel_values"].contiguous(memory_format=torch.channels_last)
            model(pixel_values=values, labels=batch["labels"]).loss.backward()
            count += 1
        total = time.perf_counter() - start
        shares.append(waited / total)
        steps.append(total / count)
    return {
        "baseline, 128 px, batch 32: a step": f"{1000 * statistics.median(steps):.0f} ms",
        "of it waiting for pictures": f"{100 * statistics.median(shares):.1f} %",
    }


def measure_frozen(ferplus: str) -> dict[str, str]:
    """Train one frozen epoch of the two big networks on all of FER+, from random weights."""
    rows = {}
    for recipe in ("resnetv2", "inception-resnet"):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / recipe
            command = [sys.executable, "train.py", "--data", ferplus, "--config", recipe]
            command += ["--weights", "none", "--num_train_epochs", "1", "--output_dir", str(run)]
            start = time.perf_counter()
            subprocess.run(command, check=True, cwd=FOLDER.parent)
            total = time.perf_counter() - start
            report = json.loads((run / "report.json").read_text())
        name = f"{recipe}, 128 px, one frozen epoch of FER+"
        pictures = report["split_sizes"]["train"]
        minutes = report["train_seconds"] / 60
        rows[name] = f"{minutes:.1f} min ({pictures:,} pictures, validation included)"
        rows[f"{name}, whole run"] = f"{total / 60:.1f} min"
    return rows


def main() -> None:
    """Run the parts asked for and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=("start", "loader", "frozen"))
    parser.add_argument("--ferplus", help="folder of FER+, for the part `frozen`")
    args = parser.parse_args()
    if "frozen" in args.parts and not args.ferplus:
        parser.error("the part `frozen` needs --ferplus FOLDER")
    rows = json.loads(ROWS.read_text()) if ROWS.is_file() else {}
    if "start" in args.parts:
        rows |= measure_start()
    if "loader" in args.parts:
        rows |= measure_loader()
    if "frozen" in args.parts:
        rows |= measure_frozen(args.ferplus)
    ROWS.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    table = tabulate(rows.items(), headers=["what", "median or total"], tablefmt="github")
    text = f"Written by `python benchmarks/training.py` ({machine}).\n\n{table}\n"
    (FOLDER / "training.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
