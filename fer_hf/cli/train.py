"""`fer-hf train` and `train.py`: train the models of one or more recipes, and compare them."""

import json
import os
from collections.abc import Sequence
from pathlib import Path


def main(args: Sequence[str]) -> None:
    """Train, print the figures, and say how to use the best model."""
    from accelerate import PartialState
    from transformers.utils import logging as transformers_logging

    from fer_hf.evaluation.comparison_table import render_comparison
    from fer_hf.parsing import parse_runs
    from fer_hf.training import fine_tune_all

    # Bars of loading a few tensors drown what people want to see; those of training stay.
    transformers_logging.disable_progress_bar()
    _use_all_cores()
    runs = parse_runs(args)
    folder, reports, comparison = fine_tune_all(runs)
    if not PartialState().is_main_process:
        return
    print()
    best = str(folder)
    if comparison is None:
        (report,) = reports
        for split, evaluation in report.evaluations.items():
            shown = evaluation.accuracy
            print(
                f"{split:<10}  accuracy {shown.value:.3f} ({shown.low:.3f}–{shown.high:.3f})  "
                f"balanced {evaluation.balanced_accuracy.value:.3f}  "
                f"macro-F1 {evaluation.f1_macro.value:.3f}  NLL {evaluation.nll.value:.3f}"
            )
    else:
        best = comparison.best
        print(render_comparison(comparison))
    for yardstick in reports[0].yardsticks:
        print(
            f"for comparison, on test: {yardstick.name} has accuracy {yardstick.accuracy:.3f}, "
            f"balanced {yardstick.balanced_accuracy:.3f}"
        )
    print(f"\nEverything is in {folder}. Use the model with\n\n  {_usage_line(best)}\n")


def _use_all_cores() -> None:
    """Give each process its share of the cores, where `accelerate launch` gives it one thread.

    It sets OMP_NUM_THREADS to 1 unless it is told `--cpu` or `--num_cpu_threads_per_process`.
    """
    import psutil
    import torch

    if "ACCELERATE_MIXED_PRECISION" in os.environ and os.environ.get("OMP_NUM_THREADS") == "1":
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        cores = psutil.cpu_count(logical=False) or 1
        torch.set_num_threads(max(1, cores // processes))


def _usage_line(run: str) -> str:
    """Return the one line of Python that opens the checkpoint of a run."""
    config = json.loads((Path(run) / "config.json").read_text(encoding="utf-8"))
    needs_us = config["model_type"].startswith("fer_")
    call = (
        f'from transformers import pipeline; fer = pipeline("image-classification", model="{run}")'
    )
    return f"import fer_hf; {call}" if needs_us else call
