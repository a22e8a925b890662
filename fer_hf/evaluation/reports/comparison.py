"""The comparison of runs: one row per model, and a plain rule that chooses one of them.

A room of its own because the choice is a decision that must be readable: it looks at validation
figures and gaps only, and the test split stays unseen until after it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fer_hf.evaluation.metrics.intervals import Z_95, Estimate
from fer_hf.evaluation.reports.run_report import RunReport


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
        validation_accuracy: In [0, 1], with its interval.
        test_accuracy: In [0, 1], with its interval; None if the run has no test figures.
        balanced_accuracy: On validation, in [0, 1].
        f1_macro: On validation, in [0, 1].
        nll: On validation, in nats.
        ece: On validation, in [0, 1].
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
    validation_accuracy: Estimate
    test_accuracy: Estimate | None
    balanced_accuracy: float
    f1_macro: float
    nll: float
    ece: float
    accuracy_gap: float
    loss_gap: float
    train_seconds: float


@dataclass(frozen=True)
class Comparison:
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

    rows: list[ComparisonRow]
    best: str
    best_by_validation_accuracy: str
    best_by_accuracy_gap: str
    best_by_loss_gap: str
    candidates: list[str]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return asdict(self)


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
    evaluations = report.evaluations
    train, validation = evaluations["train"], evaluations["validation"]
    return ComparisonRow(
        run=run,
        display_name=report.display_name,
        pretrained_on=report.pretrained_on,
        fine_tuned=report.fine_tuned,
        num_parameters=report.num_parameters,
        num_trainable_parameters=report.num_trainable_parameters,
        train_accuracy=require_figure(train.accuracy.value),
        validation_accuracy=validation.accuracy,
        test_accuracy=evaluations["test"].accuracy if "test" in evaluations else None,
        balanced_accuracy=require_figure(validation.balanced_accuracy.value),
        f1_macro=require_figure(validation.f1_macro.value),
        nll=require_figure(validation.nll.value),
        ece=require_figure(validation.ece.value),
        accuracy_gap=require_figure(report.accuracy_gap),
        loss_gap=require_figure(report.loss_gap),
        train_seconds=report.train_seconds,
    )


def require_figure(value: float | None) -> float:
    """Return a figure that every evaluated split has, or refuse a report changed by hand."""
    if value is None:
        raise ValueError(
            "Found a report whose accuracy, NLL or ECE is null, expected a number for each split. "
            "The file was changed by hand: run the training again."
        )
    return value


def _get_accuracy(row: ComparisonRow) -> float:
    return require_figure(row.validation_accuracy.value)


def _rank(row: ComparisonRow) -> tuple[float, float, int, float, str]:
    """Return what candidates are sorted by; the last two only make a full tie reproducible."""
    gaps = max(row.accuracy_gap, 0.0), max(row.loss_gap, 0.0)
    return *gaps, row.num_parameters, -_get_accuracy(row), row.run


def _compute_standard_error(accuracy: Estimate) -> float:
    return (require_figure(accuracy.value) - require_figure(accuracy.low)) / Z_95


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
