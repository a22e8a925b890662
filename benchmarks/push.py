"""Measure how long a push takes beside `HfApi.upload_folder`, and write it to benchmarks/push.md.

    python benchmarks/push.py

Both send the same files, a checkpoint of 94 MB with its report, card and plots, to the test Hub of
`tests/` in a process of its own. They take turns, each time with other weights, so that the server
knows none of them; the first turn is not counted.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).parents[1]
MEGABYTES = 94
_SERVER = """
import sys, time
from hub_server import HubServer
with HubServer() as hub:
    print(hub.url, flush=True)
    while True:
        hub.objects.clear(); hub.repos.clear()
        sys.stdin.readline() or sys.exit()
"""


def make_run(folder: Path) -> None:
    """Write the folder of a run, as training leaves it; the weights come later."""
    sys.path.insert(0, str(PROJECT))
    from fer_hf.evaluation.metrics.evaluation import evaluate_scores
    from fer_hf.evaluation.reports.run_report import RunReport, save_report
    from fer_hf.publishing.model_card import render_model_card

    labels = np.arange(400) % 8
    scores = np.random.default_rng(0).dirichlet(np.ones(8), size=400)
    names = [f"label {number}" for number in range(8)]
    report = RunReport(
        model_name_or_path="resnetv2_50",
        display_name="run",
        pretrained_on="none",
        fine_tuned="all layers",
        num_parameters=23_500_000,
        num_trainable_parameters=23_500_000,
        data="drawn",
        label_names=names,
        split_sizes={"train": 3200, "validation": 400, "test": 400},
        input_size=128,
        seed=42,
        settings={"layout": "drawn"},
        versions={},
        train_seconds=1.0,
        evaluations={"test": evaluate_scores(scores, labels, names)},
        history=[{"epoch": 1.0, "train_loss": 1.0, "validation_loss": 1.0}],
    )
    save_report(report, folder)
    (folder / "README.md").write_text(render_model_card(report), encoding="utf-8")
    (folder / "config.json").write_text("{}")


def main() -> None:
    """Measure, and write the table beside this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7, help="turns that count")
    given = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "tests")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    os.environ |= {
        "HF_ENDPOINT": server.stdout.readline().strip(),
        "HF_TOKEN": "hf_" + "t" * 34,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    from huggingface_hub import HfApi

    from fer_hf.publishing.hub import push_model

    def upload(run: Path) -> None:
        api = HfApi()
        api.create_repo("tester/plain", exist_ok=True)
        api.upload_folder(repo_id="tester/plain", folder_path=run)

    def push(run: Path) -> None:
        assert push_model(run, "tester/ours").is_new

    seconds: dict[str, list[float]] = {"upload_folder": [], "fer-hf push": []}
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        make_run(run)
        for turn in range(given.turns + 1):
            ways = {"upload_folder": upload, "fer-hf push": push}
            for way in ways if turn % 2 else reversed(ways):
                write_weights(run / "model.safetensors", random)
                server.stdin.write("\n")
                server.stdin.flush()
                time.sleep(0.1)
                start = time.perf_counter()
                ways[way](run)
                if turn:
                    seconds[way].append(time.perf_counter() - start)
    server.stdin.close()
    medians = {way: float(np.median(values)) for way, values in seconds.items()}
    ratio = medians["fer-hf push"] / medians["upload_folder"]
    rows = "\n".join(
        f"| {way} | {median:.2f} s | {min(seconds[way]):.2f}–{max(seconds[way]):.2f} s |"
        for way, median in medians.items()
    )
    where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    text = (
        f"Written by `python benchmarks/push.py` ({where}).\n\n"
        f"| {MEGABYTES} MB to a server on the same machine | median of {given.turns} | range |\n"
        f"|---|---|---|\n{rows}\n\nRatio of the medians: {ratio:.2f}.\n"
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def write_weights(path: Path, random: np.random.Generator) -> None:
    """Write a checkpoint of random weights."""
    size = MEGABYTES * 1_000_000
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + random.bytes(size))


if __name__ == "__main__":
    main()
