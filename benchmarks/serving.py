"""Measure what serving costs with an exported network, and write it to benchmarks/serving.md.

    python benchmarks/serving.py

Everything is measured beside torch or `pipeline()` in the same run, in turns of ten calls, so that
all meet the same noise of the machine, and each has its own weights in the cache. Drawn faces do,
because only speed is measured: what int8 costs in accuracy is what `fer-hf export --data` prints.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Read when torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import onnxruntime
import torch
import transformers
from PIL import Image
from tabulate import tabulate

from fer_hf.data import load_splits
from fer_hf.emotions import EMOTIONS
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import MODEL_FILE, QUANTIZED_FILE
from fer_hf.inference.preprocessing import read_preprocessing
from fer_hf.models import DEFAULT_MODEL, LoadedModel, load_checkpoint, load_model
from fer_hf.publishing.onnx_export import write_onnx
from fer_hf.publishing.onnx_quantization import quantize_onnx

NUM_CALIBRATION_PICTURES = 32
BATCH_SIZE = 32
BACKENDS = {
    "torch": "torch float32",
    "onnx": "onnxruntime float32",
    "onnx-int8": "onnxruntime int8",
}

Table = list[list[object]]


def export(loaded: LoadedModel, folder: Path, faces: list[Image.Image]) -> str:
    """Write a checkpoint with both its networks, whatever their accuracy."""
    loaded.model.save_pretrained(folder)
    write_onnx(loaded, folder / MODEL_FILE)
    preprocess = read_preprocessing(folder)
    pixel_values = (preprocess([face]) for face in faces[:NUM_CALIBRATION_PICTURES])
    quantize_onnx(folder / MODEL_FILE, folder / QUANTIZED_FILE, pixel_values)
    return str(folder)


def measure_in_turns(calls: dict[str, Callable[[], object]], num: int) -> dict[str, np.ndarray]:
    """Time each call `num` times, in turns of ten after two to warm up, in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    while len(times[next(iter(calls))]) < num:
        for name, call in calls.items():
            for turn in range(-2, 10):
                start = time.perf_counter()
                call()
                if turn >= 0:
                    times[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(taken[:num]) for name, taken in times.items()}


def measure_latency(models: dict[str, str], face: Image.Image, num: int) -> Table:
    """Time one picture at a time on one thread, from decoded to scores."""
    rows: Table = []
    for model, folder in models.items():
        classifiers = {name: ExpressionClassifier(folder, backend=name) for name in BACKENDS}
        calls = {
            BACKENDS[name]: lambda classifier=classifier: classifier([face])
            for name, classifier in classifiers.items()
        }
        times = measure_in_turns(calls, num)
        reference = np.median(times[BACKENDS["torch"]])
        for shown, taken in times.items():
            middle, slow = np.percentile(taken, [50, 95])
            rows.append(
                [model, shown, f"{middle:.2f}", f"{slow:.2f}", f"{reference / middle:.1f}×"]
            )
    return rows


def measure_throughput(folder: str, faces: list[Image.Image], num: int, threads: int) -> Table:
    """Time batches of 32 decoded pictures, beside `pipeline()`."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read for each session
    torch.set_num_threads(threads)
    pipeline = transformers.pipeline("image-classification", model=folder, device="cpu")
    batch = [faces[row % len(faces)] for row in range(BATCH_SIZE)]
    calls: dict[str, Callable[[], object]] = {
        "`pipeline(batch_size=32)`": lambda: pipeline(batch, batch_size=BATCH_SIZE, top_k=8)
    }
    for backend, shown in BACKENDS.items():
        classifier = ExpressionClassifier(folder, backend=backend)
        calls[f"`ExpressionClassifier`, {shown}"] = lambda classifier=classifier: classifier(batch)
    times = measure_in_turns(calls, num)
    return [[name, f"{1000 * BATCH_SIZE / np.median(taken):.0f}"] for name, taken in times.items()]


def measure_start(folder: str, face: Image.Image, num: int) -> Table:
    """Time a new process of `fer-hf predict`, from its start to its end, as on a user's machine."""
    picture = Path(folder) / "face.png"
    face.save(picture)
    # Modules are compiled once there, at the latest when they are first imported.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "fer_hf", "predict", str(picture), "--model", folder, "--json"]

    def predict(backend: str) -> float:
        start = time.perf_counter()
        done = subprocess.run(
            [*command, "--backend", backend], env=environment, capture_output=True, check=True
        )
        seconds = time.perf_counter() - start
        json.loads(done.stdout)
        return seconds

    times = np.array([[predict(backend) for backend in BACKENDS] for _ in range(1 + num)])
    middle = np.median(times[1:], axis=0)
    return [[name, f"{value:.2f}"] for name, value in zip(BACKENDS.values(), middle, strict=True)]


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=200, help="timed calls of each kind")
    parser.add_argument("--batches", type=int, default=20, help="timed batches of each kind")
    parser.add_argument("--starts", type=int, default=5, help="timed processes of each kind")
    parser.add_argument("--threads", type=int, default=2, help="of the batches")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    faces = load_splits("drawn", num_drawn=80, drawn_size=128)["train"]["image"][:]
    with tempfile.TemporaryDirectory() as temporary:
        box = Path(DEFAULT_MODEL).name
        big = load_model("resnetv2_50", EMOTIONS, weights="none")
        models = {
            box: export(load_checkpoint(DEFAULT_MODEL), Path(temporary) / box, faces),
            "ResNetV2-50": export(big, Path(temporary) / "resnetv2_50", faces),
        }
        latency = measure_latency(models, faces[0], args.calls)
        start = measure_start(models[box], faces[0], args.starts)
        throughput = measure_throughput(models[box], faces, args.batches, args.threads)
    headers = ["network", "on", "p50 (ms)", "p95 (ms)", "as fast as torch"]
    parts = [
        f"Written by `python benchmarks/serving.py` ({platform.machine()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, onnxruntime "
        f"{onnxruntime.__version__}).",
        f"From a decoded 128-pixel face to its scores, resizing and normalising included, one CPU "
        f"thread, {args.calls} calls in turns:",
        tabulate(latency, headers=headers, tablefmt="github"),
        f"`fer-hf predict face.png` with {box}, from the start of the process to its end, median "
        f"of {args.starts}:",
        tabulate(start, headers=["on", "seconds"], tablefmt="github"),
        f"{box} on batches of {BATCH_SIZE} decoded 128-pixel faces, {args.threads} threads, median "
        f"of {args.batches}:",
        tabulate(throughput, headers=["what", "pictures a second"], tablefmt="github"),
    ]
    text = "\n\n".join(parts) + "\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
