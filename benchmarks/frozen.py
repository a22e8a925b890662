"""Measure what a frozen backbone costs when it looks at each picture once.

Writes benchmarks/frozen.md. Drawn faces of the original project's size (4743 train, 526 validation,
587 test) at 128 pixels, ResNetV2-50 from a checkpoint, 30 epochs of batches of 128. Each part can
run alone; parts that are not run keep their rows. Sides of a comparison take turns in one run.

    python benchmarks/frozen.py runs forward memory heads                   (about half an hour)
    python benchmarks/frozen.py accuracy --data ../shared/data/ferplus       (a few minutes)
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tabulate import tabulate

FOLDER = Path(__file__).parent
ROWS = FOLDER / "frozen.json"
EPOCHS = 30
REPEATS = 3
DATA = ("--data", "drawn", "--num_drawn", "5856", "--drawn_size", "128")
SETTINGS = (
    *("--no_augment", "--learning_rate", "3e-3", "--input_size", "128"),
    *("--per_device_train_batch_size", "128", "--per_device_eval_batch_size", "64"),
)

# The stock Trainer as transformers' image-classification example sets it up, frozen the usual way.
EXAMPLE = """
import sys, time
import numpy as np, torch
from torchvision.transforms import v2
from transformers import Trainer, TrainingArguments, set_seed
from fer_hf import load_model, load_splits
set_seed(42)
splits = load_splits("drawn", num_drawn=5856, drawn_size=128)
names = splits["train"].features["label"].names
model = load_model("resnetv2", names, weights="none", input_size=128).model
model.requires_grad_(False)
for parameter in model.timm_model.get_classifier().parameters():
    parameter.requires_grad_(True)
tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)]
train = v2.Compose([v2.RandomResizedCrop(128), v2.RandomHorizontalFlip(), *tensor])
plain = v2.Compose([v2.Resize(128), v2.CenterCrop(128), *tensor])
def apply(transform):
    return lambda rows: {
        "pixel_values": [transform(p.convert("RGB")) for p in rows["image"]], "label": rows["label"]
    }
splits["train"].set_transform(apply(train))
for name in ("validation", "test"):
    splits[name].set_transform(apply(plain))
def collate(rows):
    return {
        "pixel_values": torch.stack([row["pixel_values"] for row in rows]),
        "labels": torch.tensor([row["label"] for row in rows]),
    }
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=sys.argv[2], num_train_epochs=float(sys.argv[1]), eval_strategy="epoch",
        save_strategy="epoch", remove_unused_columns=False, dataloader_pin_memory=False,
        load_best_model_at_end=True, disable_tqdm=True,
    ),
    train_dataset=splits["train"], eval_dataset=splits["validation"], data_collator=collate,
    compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
)
trainer.train()
trainer.predict(splits["test"])
"""


def run(command: list[str], cache: Path) -> float:
    """Time a whole process; every core is its own."""
    environment = {**os.environ, "FER_HF_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    # Python keeps compiled modules unless told not to, as some build machines do.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - start


def train(folder: Path, epochs: int, *flags: str) -> list[str]:
    """Return the command of a run; its output folder is new."""
    output = tempfile.mkdtemp(dir=folder)
    return [
        *(str(Path(sys.executable).parent / "fer-hf"), "train", *DATA, *SETTINGS),
        *("--model_name_or_path", str(folder / "network")),
        *("--num_train_epochs", str(epochs), "--output_dir", output, *flags),
    ]


def write_network(folder: Path) -> None:
    """Write a checkpoint of ResNetV2-50, in the place of ImageNet weights."""
    from fer_hf import load_model

    load_model("resnetv2", ["a", "b"], weights="none", input_size=128).model.save_pretrained(folder)


def scale_up(one: float, two: float) -> float:
    """Return the time of all epochs from those of one and of two."""
    return one + (EPOCHS - 1) * (two - one)


def measure_runs(folder: Path) -> dict[str, str]:
    """Time whole runs: cached, cached in bf16, again, plain, and the stock Trainer's."""
    times: dict[str, list[float]] = {}

    def note(name: str, seconds: float) -> None:
        times.setdefault(name, []).append(seconds)
        print(f"{name}: {seconds:.1f} s", flush=True)

    write_network(folder / "network")
    run(train(folder, 1), folder / "warm")  # draws the faces
    for turn in range(REPEATS):
        for name, flags in (("fp32", ()), ("bf16", ("--bf16",))):
            cache = folder / f"{name}-{turn}"
            note(f"cached {name}", run(train(folder, EPOCHS, *flags), cache))
            if name == "fp32":
                command = train(folder, EPOCHS, "--weight_decay", "1e-3")
                note("again", run(command, cache))
            shutil.rmtree(cache)
    example = [sys.executable, "-c", EXAMPLE]
    for name, command in (
        ("plain", lambda n: train(folder, n, "--no_feature_cache")),
        ("example", lambda n: [*example, str(n), tempfile.mkdtemp(dir=folder)]),
    ):
        for epochs in (1, 2):
            note(f"{name} {epochs}", run(command(epochs), folder / "none"))
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    plain = scale_up(middle["plain 1"], middle["plain 2"])
    example_time = scale_up(middle["example 1"], middle["example 2"])
    scaled = f"scaled up to {EPOCHS} epochs from 1 and 2"
    return {
        "cached run, fp32": f"{middle['cached fp32']:.1f} s",
        "cached run, bf16": f"{middle['cached bf16']:.1f} s",
        f"plain loop (`--no_feature_cache`), {scaled}": f"{plain:.0f} s",
        "plain / cached, fp32 (goal ≥ 20)": f"{plain / middle['cached fp32']:.1f}×",
        "plain / cached, bf16 (goal ≥ 32)": f"{plain / middle['cached bf16']:.1f}×",
        f"stock Trainer as in transformers' example, {scaled}": f"{example_time:.0f} s",
        "example / cached, fp32 (goal ≥ 25)": f"{example_time / middle['cached fp32']:.1f}×",
        "second run, warm cache, whole process (goal ≤ 8 s)": f"{middle['again']:.1f} s",
    }


def measure_forward() -> dict[str, str]:
    """Time bare forward passes over the same pictures, already decoded, in fp32 and bf16."""
    import torch

    from fer_hf import load_model, load_splits
    from fer_hf.training.face_dataset import FaceDataset

    splits = load_splits("drawn", num_drawn=5856, drawn_size=128)
    names = splits["train"].features["label"].names
    loaded = load_model("resnetv2", names, weights="none", input_size=128)
    model = loaded.model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-arg]
    batches = []
    for split in splits.values():
        faces = FaceDataset(split, loaded.image_processor)
        for start in range(0, len(faces), 16):  # the fastest size of batch on a CPU
            rows = list(range(start, min(start + 16, len(faces))))
            pixel_values = faces.__getitems__(rows)["pixel_values"]
            batches.append(pixel_values.contiguous(memory_format=torch.channels_last))
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(REPEATS):
        for bf16 in times:
            start_time = time.perf_counter()
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, bf16):
                for batch in batches:
                    model.timm_model(batch)
            times[bf16].append(time.perf_counter() - start_time)
            print(f"forward, bf16 {bf16}: {times[bf16][-1]:.1f} s", flush=True)
    fp32, half = (statistics.median(times[bf16]) for bf16 in (False, True))
    return {
        "one bare forward pass, fp32": f"{fp32:.1f} s",
        "one bare forward pass, bf16": f"{half:.1f} s",
        "fp32 / bf16 forward (goal ≥ 1.6)": f"{fp32 / half:.2f}×",
    }


def measure_accuracy(folder: Path, data: str) -> dict[str, str]:
    """Train a head on features in fp32 and in bf16; compare the accuracy on validation."""
    accuracy = {}
    for name, flags in (("fp32", ()), ("bf16", ("--bf16",))):
        output = folder / name
        command = [str(Path(sys.executable).parent / "fer-hf"), "train", "--data", data]
        command += ["--model_name_or_path", "resnetv2-ferplus", "--no_augment", *flags]
        command += ["--num_train_epochs", "5", "--output_dir", str(output)]
        print(f"{name}: {run(command, folder / f'cache-{name}'):.0f} s", flush=True)
        report = json.loads((output / "report.json").read_text())
        accuracy[name] = 100 * report["evaluations"]["validation"]["accuracy"]["value"]
    difference = accuracy["bf16"] - accuracy["fp32"]
    return {
        "validation accuracy of a head on the bundled model, fp32": f"{accuracy['fp32']:.2f} %",
        "the same on bf16 features (goal: within 0.3 point)": (
            f"{accuracy['bf16']:.2f} % ({difference:+.2f})"
        ),
    }


def measure_memory(folder: Path) -> dict[str, str]:
    """Measure the peak memory of a cached run of 28,000 small pictures above that of its start."""
    program = """
import resource, sys
import numpy as np, torch
from datasets import ClassLabel, Dataset, Features, Image
from fer_hf import load_model
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import load_features
loaded = load_model("resnetv2", ["a", "b"], weights="none", input_size=32)
loaded.model.eval()
rng = np.random.default_rng(0)
pixels = rng.integers(0, 255, (28000, 8, 8), dtype=np.uint8)
rows = {"image": list(pixels), "label": [0, 1] * 14000}
split = Dataset.from_dict(rows, Features({"image": Image(), "label": ClassLabel(names=["a", "b"])}))
faces = FaceDataset(split, loaded.image_processor)
with torch.inference_mode():
    loaded.model(pixel_values=faces.__getitems__(list(range(64)))["pixel_values"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_features(loaded.model, faces)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6)
"""
    environment = {**os.environ, "FER_HF_CACHE": str(folder / "memory"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    gigabytes = float(done.stdout.split()[-1])
    return {"peak memory above the model, 28,000 pictures (goal ≤ 1 GB)": f"{gigabytes:.2f} GB"}


def measure_heads(folder: Path) -> dict[str, str]:
    """Time whole commands that only train heads: a sweep, and a fit of 8 × 20 pictures."""
    program = Path(sys.executable).parent / "fer-hf"
    write_network(folder / "network")
    split = ("--num_drawn", "1200", "--drawn_size", "128")
    sweep = [str(program), "sweep", "drawn", *split, "--model", str(folder / "network")]

    def try_heads(turn: int) -> float:
        return run([*sweep, "--output_dir", str(folder / f"sweep-{turn}")], folder / "cache")

    try_heads(0)  # computes the features
    again = [try_heads(turn + 1) for turn in range(REPEATS)]
    write_handful(folder / "handful")
    fits = []
    for turn in range(REPEATS):
        fit = [
            str(program),
            "fit",
            str(folder / "handful"),
            "--output_dir",
            str(folder / f"f{turn}"),
        ]
        fits.append(run(fit, folder / f"fit-{turn}"))
    return {
        "sweep of 120 heads on cached features, whole process (goal ≤ 60 s)": (
            f"{statistics.median(again):.1f} s"
        ),
        "fit of 8 × 20 pictures, whole process, empty cache (goal ≤ 20 s)": (
            f"{statistics.median(fits):.1f} s"
        ),
    }


def write_handful(folder: Path) -> None:
    """Write twenty drawn faces for each emotion, as a user has pictures."""
    from fer_hf import load_splits

    pictures = load_splits("drawn", num_drawn=240, drawn_size=128)["train"]
    names = pictures.features["label"].names
    for name in names:
        rows = [row for row, label in enumerate(pictures["label"][:]) if names[label] == name][:20]
        (folder / name).mkdir(parents=True)
        for row in rows:
            pictures[row]["image"].save(folder / name / f"{row}.png")


def main() -> None:
    """Measure the parts asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ["runs", "forward", "memory", "heads", "accuracy"]
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--data", help="real pictures with a validation split, for `accuracy`")
    given = parser.parse_args()
    if "accuracy" in given.parts and not given.data:
        parser.error("`accuracy` needs real pictures. Name them with --data.")
    rows = json.loads(ROWS.read_text()) if ROWS.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        for part in given.parts:
            if part == "forward":
                rows[part] = measure_forward()
            elif part == "accuracy":
                rows[part] = measure_accuracy(Path(folder), given.data)
            else:
                measures = {"runs": measure_runs, "memory": measure_memory, "heads": measure_heads}
                measure = measures[part]
                rows[part] = measure(Path(folder))
            ROWS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if {"runs", "forward"} <= rows.keys():
        cached = float(rows["runs"]["cached run, fp32"].split()[0])
        bare = float(rows["forward"]["one bare forward pass, fp32"].split()[0])
        name = "cached run / bare forward pass, fp32 (goal ≤ 1.15)"
        rows["both"] = {name: f"{cached / bare:.2f}×"}
    shown = [row for part in rows.values() for row in part.items()]
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    text = f"{__doc__.splitlines()[0]}\n\nWritten by `python benchmarks/frozen.py` on {machine}; "
    text += f"medians of {REPEATS}.\n\n{tabulate(shown, ['what', 'measured'], 'github')}\n"
    (FOLDER / "frozen.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
