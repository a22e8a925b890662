"""Measure what one picture costs on one CPU thread, and write the table to benchmarks/predict.md.

    python benchmarks/predict.py [--model runs/drawn/drawn-resnetv2]

A call takes a decoded picture to the scores of all labels. `ExpressionClassifier` and `pipeline()`
take turns, so that both meet the same noise of the machine.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

# Read when torch is imported.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
import transformers
from PIL import Image
from tabulate import tabulate

from fer_hf.data import load_splits
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import DEFAULT_MODEL

WARM_UP = 20


def load_faces() -> dict[str, Image.Image]:
    """Draw a face as FER+ has them, and one as a camera gives it."""
    drawn = load_splits("drawn", num_drawn=80, drawn_size=256)["train"][0]["image"]
    return {
        "48×48 grey": drawn.convert("L").resize((48, 48)),
        "250×250 colour": drawn.convert("RGB").resize((250, 250)),
    }


def measure_in_turns(calls: dict[str, Callable[[], object]], num: int) -> dict[str, np.ndarray]:
    """Time each call `num` times after a warm-up, in milliseconds."""
    times = {name: np.empty(num) for name in calls}
    for turn in range(-WARM_UP, num):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn >= 0:
                times[name][turn] = 1000 * (time.perf_counter() - start)
    return times


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: the bundled model")
    parser.add_argument("--calls", type=int, default=300, help="timed calls of each kind")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    classifier = ExpressionClassifier(args.model)
    pipeline = transformers.pipeline("image-classification", model=args.model, device="cpu")
    rows = []
    for kind, face in load_faces().items():
        calls = {
            "`ExpressionClassifier`": lambda face=face: classifier([face]),
            "of it preprocessing": lambda face=face: classifier.preprocess([face]),
            "`pipeline()`": lambda face=face: pipeline(face, top_k=len(classifier.label_names)),
        }
        for name, times in measure_in_turns(calls, args.calls).items():
            middle, slow = np.percentile(times, [50, 95])
            rows.append([kind, name, f"{middle:.1f} ms", f"{slow:.1f} ms"])
    table = tabulate(rows, headers=["picture", "what", "p50", "p95"], tablefmt="github")
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    text = (
        f"Written by `python benchmarks/predict.py`: {Path(args.model).name}, one picture at a "
        f"time, one CPU thread, {args.calls} calls ({machine}).\n\n{table}\n"
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
