"""The comparison of runs: one row per model, and a plain rule that chooses one of them.

The choice looks at validation figures and gaps only; the test split stays unseen until after it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_hf.evaluation.metrics.evaluation import METRICS
from fer_hf.evaluation.metrics.intervals import Z_95, Estimate
from fer_hf.evaluation.reports.blocks import (
    Block,
    Shown,
    Table,
    list_main_metrics,
    render_estimate,
    render_figures,
    render_gaps,
    render_value,
)
from fer_hf.evaluation.reports.report_files import save_with_plot, to_json
from fer_hf.evaluation.reports.run_plots import plot_comparison
from fer_hf.evaluation.reports.run_report import RunReport

_WIDTH = 120
_NOTE = (
    "With 95 % intervals; all but the accuracies on train and test are figures of validation. "
    "Trained: number of parameters, and wall time. Gap to train: train − validation accuracy in "
    "points, validation − train NLL."
)


@dataclass(frozen=True)
class ComparisonRow:
    """One run in a comparison.

    Attributes:
        run: The run's key, usually its folder.
        display_name: The model's name.
        pretrained_on: What its backbone was pretrained on.
        fine_tuned: Which layers training could change.
        num_parameters: Parameters of the whole model.
        num_trainable_parameters: Those that training could change.
        train_accuracy: In [0, 1].
        test_accuracy: In [0, 1], with its interval; None if the run has no test figures.
        validation: Name of a metric to its figure on validation.
        accuracy_gap: Train minus validation accuracy.
        loss_gap: Validation minus train NLL, in nats.
        train_seconds: Wall time of training.
    """

    run: str
    display_name: str
    pretrained_on: str
    fine_tuned: str
    num_parameters: int
    num_trainable_parameters: int
    train_accuracy: float
    test_accuracy: Estimate | None
    validation: dict[str, Estimate]
    accuracy_gap: float
    loss_gap: float
    train_seconds: float

    @property
    def validation_accuracy(self) -> Estimate:
        """In [0, 1], with its interval."""
        return self.validation["accuracy"]


@dataclass(frozen=True)
class Comparison(Shown):
    """Runs in the order of the choice, the chosen one first.

    Attributes:
        rows: One per run: the chosen, the other candidates by gap, the rest by accuracy.
        best: Key of the chosen run.
        best_by_validation_accuracy: Key of the run with the highest validation accuracy.
        best_by_accuracy_gap: Key of the run with the smallest accuracy gap.
        best_by_loss_gap: Key of the run with the smallest loss gap.
        candidates: Keys of the runs that the gaps decided between.
        reason: Why `best` was chosen, one sentence.
    """

    width = _WIDTH

    rows: list[ComparisonRow]
    best: str
    best_by_validation_accuracy: str
    best_by_accuracy_gap: str
    best_by_loss_gap: str
    candidates: list[str]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return to_json(self)

    def list_blocks(self) -> list[Block]:
        """List what is shown, the chosen run marked with `*`, and the reason below the table."""
        rows = [
            [
                f"{'* ' if row.run == self.best else ''}{row.display_name} ({_describe(row)})",
                _render_training(row),
                render_value(row.train_accuracy),
                *render_figures(row.validation, list_main_metrics()),
                render_estimate(row.test_accuracy),
                render_gaps(row.accuracy_gap, row.loss_gap),
            ]
            for row in self.rows
        ]
        headers = [
            *("model\n(pretrained;\nfine-tuned)", "trained\n(time)", "train\naccuracy"),
            *(one.short_title.replace(" ", "\n") for one in list_main_metrics()),
            *("test\naccuracy", "gap: acc.\n(loss)"),
        ]
        return [Table(headers, rows), _NOTE, f"Chosen (*): {self.reason} ({self.best})"]


def compare_runs(reports: Mapping[str, RunReport]) -> Comparison:
    """Choose the best of several runs by validation accuracy and by the gaps to training.

    The rule: every run whose validation accuracy is within one standard error of the highest is a
    candidate, for the data cannot tell them apart; the candidate with the smallest accuracy gap
    wins, then the smallest loss gap, then the fewest parameters. A gap below zero counts as zero: a
    validation split that happens to be easier is no merit. The standard error is the distance from
    the highest accuracy down to the end of its Wilson interval, over 1.96: the side on which the
    others lie, and above zero even at an accuracy of 1. Test figures are shown and never used.

    Source: the one-standard-error rule (Breiman, Friedman, Olshen, Stone, "Classification and
    Regression Trees", 1984; Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning",
    2009, section 7.10), with the gap in the place of the model's complexity.

    Args:
        reports: Run key, usually its folder, to the run's report.

    Returns:
        The rows in the order of the choice, and the choice.

    Raises:
        ValueError: If there is no run, a run lacks train or validation figures, or the runs differ
            in data, labels or splits, so that the comparison would not be fair.

    Example:
        >>> from fer_hf import load_report
        >>> from fer_hf.models import DEFAULT_MODEL
        >>> report = load_report(DEFAULT_MODEL)
        >>> compare_runs({"runs/first": report, "runs/again": report}).best
        'runs/again'
    """
    _check_reports(reports)
    rows = [_build_row(run, report) for run, report in reports.items()]
    leader = max(rows, key=_get_accuracy)
    margin = _compute_standard_error(leader.validation_accuracy)
    lowest = _get_accuracy(leader) - margin
    candidates = sorted((row for row in rows if _get_accuracy(row) >= lowest), key=_rank)
    others = sorted((row for row in rows if _get_accuracy(row) < lowest), key=_get_accuracy)
    return Comparison(
        rows=[*candidates, *reversed(others)],
        best=candidates[0].run,
        best_by_validation_accuracy=leader.run,
        best_by_accuracy_gap=min(rows, key=_rank).run,
        best_by_loss_gap=min(rows, key=lambda row: max(row.loss_gap, 0.0)).run,
        candidates=[row.run for row in candidates],
        reason=_explain(candidates, leader, margin),
    )


def _check_reports(reports: Mapping[str, RunReport]) -> None:
    if not reports:
        raise ValueError(
            "Found no runs, expected at least one. Give the output folders of finished runs."
        )
    for run, report in reports.items():
        missing = [split for split in ("train", "validation") if split not in report.evaluations]
        if missing:
            raise ValueError(
                f"Run `{run}` has no figures for {missing}, expected train and validation, which "
                "the choice is made by. Evaluate the run on these splits, or leave it out."
            )
    first_run, first = next(iter(reports.items()))
    for run, report in reports.items():
        for what, found, expected in (
            ("label names", report.label_names, first.label_names),
            ("data", report.data, first.data),
            ("split sizes", report.split_sizes, first.split_sizes),
            (
                "validation pictures per label",
                report.evaluations["validation"].support,
                first.evaluations["validation"].support,
            ),
        ):
            if found != expected:
                raise ValueError(
                    f"Run `{run}` has {what} {found!r}, expected {expected!r} as in `{first_run}`: "
                    "on other pictures or labels a comparison would not be fair. "
                    "Compare only runs that were trained on the same data and splits."
                )


def _build_row(run: str, report: RunReport) -> ComparisonRow:
    figures = report.evaluations["validation"].figures
    test = report.evaluations.get("test")
    return ComparisonRow(
        run=run,
        display_name=report.display_name,
        pretrained_on=report.pretrained_on,
        fine_tuned=report.fine_tuned,
        num_parameters=report.num_parameters,
        num_trainable_parameters=report.num_trainable_parameters,
        train_accuracy=_require(report.evaluations["train"].accuracy.value),
        test_accuracy=test.accuracy if test else None,
        validation={one.name: figures[one.name] for one in METRICS if one.name in figures},
        accuracy_gap=_require(report.accuracy_gap),
        loss_gap=_require(report.loss_gap),
        train_seconds=report.train_seconds,
    )


def _require(value: float | None) -> float:
    """Return a figure that every evaluated split has, or refuse a report changed by hand."""
    if value is None:
        raise ValueError(
            "Found a report whose accuracy or NLL is null, expected a number for each split. "
            "The file was changed by hand: run the training again."
        )
    return value


def _get_accuracy(row: ComparisonRow) -> float:
    return _require(row.validation_accuracy.value)


def _rank(row: ComparisonRow) -> tuple[float, float, int, float, str]:
    """Return what candidates are sorted by; the last two only make a full tie reproducible."""
    gaps = max(row.accuracy_gap, 0.0), max(row.loss_gap, 0.0)
    return *gaps, row.num_parameters, -_get_accuracy(row), row.run


def _compute_standard_error(accuracy: Estimate) -> float:
    return (_require(accuracy.value) - _require(accuracy.low)) / Z_95


def _explain(candidates: list[ComparisonRow], leader: ComparisonRow, margin: float) -> str:
    best = candidates[0]
    accuracy, highest = (f"{100 * _get_accuracy(row):.1f} %" for row in (best, leader))
    band = f"one standard error ({100 * margin:.1f} points)"
    if len(candidates) == 1:
        return (
            f"{best.display_name} has the highest validation accuracy, {accuracy}, and no other "
            f"run is within {band} of it."
        )
    gaps = f"accuracy gap {100 * best.accuracy_gap:+.1f} points, loss gap {best.loss_gap:+.2f}"
    if best.run == leader.run:
        return (
            f"{best.display_name} has the highest validation accuracy, {accuracy}, and the "
            f"smallest gap of the {len(candidates)} runs within {band} of it: {gaps}."
        )
    return (
        f"{best.display_name} reaches {accuracy} validation accuracy, within {band} of the "
        f"highest ({leader.display_name}, {highest}), and has the smallest gap of the "
        f"{len(candidates)} such runs: {gaps}."
    )


def save_comparison(comparison: Comparison, output_dir: str | os.PathLike[str]) -> Path:
    """Write `comparison.json`, `comparison.md` and `comparison.png` into `output_dir`.

    Returns:
        The path of `comparison.json`, which is written last.
    """
    figure = plot_comparison(
        names=[f"{row.display_name}\n{_describe(row)}" for row in comparison.rows],
        accuracies=[row.validation_accuracy for row in comparison.rows],
        accuracy_gaps=[row.accuracy_gap for row in comparison.rows],
        chosen=0,
        title="Models compared",
    )
    path = Path(output_dir) / "comparison.json"
    return save_with_plot(comparison, comparison.render("markdown"), figure, path)


def _describe(row: ComparisonRow) -> str:
    """Return what was pretrained and fine-tuned; of a long name, such as a path, only its end."""
    source = row.pretrained_on
    return f"{source if len(source) <= 15 else '…' + source[-14:]}; {row.fine_tuned}"


def _render_count(count: int) -> str:
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return str(count)


def _render_training(row: ComparisonRow) -> str:
    seconds = row.train_seconds
    time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f"{_render_count(row.num_trainable_parameters)} ({time})"
