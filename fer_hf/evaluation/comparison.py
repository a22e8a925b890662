"""The comparison of runs: one row per model, and a plain rule that chooses one of them.

A room of its own because the choice is a decision that must be readable: it looks at validation
figures and gaps only, and the test split stays unseen until after it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fer_hf.evaluation.intervals import Estimate
from fer_hf.evaluation.report import RunReport


@dataclass(frozen=True)
class ComparisonRow:
    """One run in a comparison.

    Attributes:
        run: The run's key, usually its folder.
        display_name: The model's name.
        backbone_knowledge: What its backbone knew before.
        trained_part: What training could change.
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
    backbone_knowledge: str
    trained_part: str
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
    validation split that happens to be easier is no merit. The standard error is the highest run's
    Wilson half-interval over 1.96, which stays above zero at an accuracy of 1. Test figures are
    shown and never used.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen, Stone, "Classification and
    Regression Trees", 1984, section 3.4.3, with the gap in the place of the tree's size.

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


def render_comparison(
    comparison: Comparison, format: Literal["terminal", "markdown"] = "terminal"
) -> str:
    """Render the table, the chosen run marked with `*`, and the reason below it.

    Accuracies, F1, ECE and the accuracy gap are in percent or points; ± is half of the 95 %
    interval. Balanced accuracy, F1, NLL and ECE are those of the validation split.

    Raises:
        ValueError: If `format` is neither "terminal" (about 120 columns) nor "markdown".
    """
    if format not in ("terminal", "markdown"):
        raise ValueError(
            f"Found format {format!r}, expected 'terminal' or 'markdown'. Choose one of them."
        )
