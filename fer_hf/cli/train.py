"""`fer-hf train` and `train.py`: train the models of one or more recipes, and compare them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_hf.evaluation.reports.run_comparison import Comparison
    from fer_hf.evaluation.reports.run_report import RunReport
    from fer_hf.training.recipes import RunArguments


def main(args: Sequence[str]) -> None:
    """Train, print the figures, and say how to use the best model."""
    from fer_hf.training.recipes import parse_runs

    _use_all_cores()
    runs = parse_runs(args)

    from accelerate import PartialState

    from fer_hf.training.run import fine_tune_all
    from fer_hf.training.stages import explaining_interruptions

    if PartialState().is_main_process:
        _check_push(runs)
    folder, reports, comparison = fine_tune_all(runs)
    if PartialState().is_main_process:
        with explaining_interruptions(folder):
            _conclude(runs, folder, reports, comparison)


def _conclude(
    runs: Sequence["RunArguments"],
    folder: Path,
    reports: Sequence["RunReport"],
    comparison: "Comparison | None",
) -> None:
    """Print the figures, and say how to use the best model, or publish it."""
    from fer_hf.evaluation.reports.run_report import load_report
    from fer_hf.publishing.model_card import render_snippet

    print()
    best = str(folder)
    if comparison is None:
        _show_figures(reports[0])
    else:
        best = comparison.best
        _write_cards(runs, reports, comparison)
        print(comparison.render())
    for yardstick in reports[0].yardsticks:
        print(
            f"for comparison, on test: {yardstick.name} has accuracy {yardstick.accuracy:.3f}, "
            f"balanced accuracy {yardstick.balanced_accuracy:.3f}"
        )
    usage = "; ".join(filter(None, render_snippet(load_report(best), best).splitlines()))
    print(f"\nEverything is in {folder}. Use the model with\n\n  {usage}\n")
    _push(best, runs[0])


def _check_push(runs: Sequence["RunArguments"]) -> None:
    """Refuse before hours of training what could not be published after them.

    Raises:
        ValueError: The licence of the pictures is not known.
        PermissionError: The Hub does not know the user.
        OSError: The Hub cannot be reached.
    """
    pushed = [run for run in runs if run.training.push_when_done]
    if not pushed:
        return
    from fer_hf.evaluation.reports.provenance import name_source
    from fer_hf.publishing.hub import check_login
    from fer_hf.publishing.licensing import derive_license, describe_pictures

    for run in pushed:
        name = name_source(run.data.data)
        pictures = describe_pictures(run.data.find_layout(), name, run.training.data_license)
        if pictures.license or not pictures.repo_id:  # else the Hub says, when the model is pushed
            derive_license([pictures])
    check_login()


def _show_figures(report: "RunReport") -> None:
    for split, evaluation in report.evaluations.items():
        accuracy = evaluation.accuracy
        print(
            f"{split:<10}  accuracy {accuracy.value:.3f} ({accuracy.low:.3f}–{accuracy.high:.3f})  "
            f"balanced accuracy {evaluation.balanced_accuracy.value:.3f}  "
            f"macro-F1 {evaluation.f1_macro.value:.3f}  NLL {evaluation.nll.value:.3f}"
        )


def _write_cards(
    runs: Sequence["RunArguments"], reports: Sequence["RunReport"], comparison: "Comparison"
) -> None:
    """Write the cards again, each with the comparison."""
    from fer_hf.evaluation.reports.report_files import write_text_atomically
    from fer_hf.publishing.model_card import CARD_NAME, render_model_card

    for run, report in zip(runs, reports, strict=True):
        card = render_model_card(report, comparison=comparison)
        write_text_atomically(Path(str(run.training.output_dir)) / CARD_NAME, card)


def _push(best: str, run: "RunArguments") -> None:
    """Publish the best run, if that was asked for."""
    from fer_hf.cli import push

    training = run.training
    if training.push_when_done:
        args = [best, str(training.hub_model_id)]
        args += ["--private"] if training.hub_private_repo else []
        args += ["--revision", training.hub_revision] if training.hub_revision else []
        push.main(args)


def _use_all_cores() -> None:
    """Give each process its share of the cores, where `accelerate launch` gives it one thread.

    It sets OMP_NUM_THREADS to 1 unless it gets `--cpu` or `--num_cpu_threads_per_process`.
    """
    import psutil
    import torch

    if "ACCELERATE_MIXED_PRECISION" in os.environ and os.environ.get("OMP_NUM_THREADS") == "1":
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        cores = psutil.cpu_count(logical=False) or 1
        torch.set_num_threads(max(1, cores // processes))
