"""Models compared on the same pictures: a table, one sentence, a forest plot, and their files."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_hf.evaluation.metrics.evaluation import METRICS, Evaluation
from fer_hf.evaluation.metrics.paired import Difference
from fer_hf.evaluation.reports.blocks import (
    MISSING,
    Block,
    Shown,
    Table,
    render_estimate,
    render_figures,
    render_gaps,
    render_p_value,
)
from fer_hf.evaluation.reports.evaluation_plots import plot_differences
from fer_hf.evaluation.reports.report_files import save_with_plot, to_json

_WIDTH = 110
_NOTE = (
    "Figures with 95 % intervals. Differences are to the first model, shares in points, with "
    "intervals of the paired bootstrap. p: McNemar's test of the accuracies (mid-p), with Holm's "
    "correction for {pairs}; below 0.05 a difference counts as real. Gap, of the model's own run: "
    "train − validation accuracy in points, validation − train NLL. One picture: median CPU time "
    "of one at a time on one thread, preprocessing included."
)


@dataclass(frozen=True)
class ModelCost:
    """What a model costs, and how much better it is on its own training pictures.

    Attributes:
        num_parameters: Parameters of the whole network.
        file_megabytes: Size of its weights on disk in 10⁶ bytes; None where they are not here.
        milliseconds: Median CPU time of one picture, one at a time on one thread.
        accuracy_gap: Train minus validation accuracy of its own run; None without a report.
        loss_gap: Validation minus train NLL of its own run, in nats; None without a report.
    """

    num_parameters: int
    file_megabytes: float | None
    milliseconds: float
    accuracy_gap: float | None
    loss_gap: float | None


@dataclass(frozen=True)
class PairedComparison(Shown):
    """Models on the same pictures.

    Attributes:
        data: Name of the data set.
        split: `train`, `validation`, `test`, or `all` of them.
        evaluations: Model to its figures, the most accurate first.
        differences: One for each pair of models, in that order.
        costs: Model to its cost.
        versions: Package to its version.
    """

    width = _WIDTH

    data: str
    split: str
    evaluations: dict[str, Evaluation]
    differences: list[Difference]
    costs: dict[str, ModelCost]
    versions: dict[str, str]

    @property
    def title(self) -> str:
        """Which pictures."""
        return f"{self.data}, {self.split}: {self.num_pictures:,} pictures"

    @property
    def num_pictures(self) -> int:
        """How many pictures the models were compared on."""
        return next(iter(self.evaluations.values())).num_pictures

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write, None for what is undefined."""
        return to_json({"num_pictures": self.num_pictures, **vars(self)})

    def list_blocks(self) -> list[Block]:
        """List what is shown: below each other model its difference to the most accurate one."""
        num_pairs = len(self.differences)
        note = _NOTE.format(pairs="one pair" if num_pairs == 1 else f"{num_pairs} pairs")
        return [self.title, _build_table(self), note, render_conclusion(self)]


def save_paired_comparison(
    comparison: PairedComparison, output_dir: str | os.PathLike[str]
) -> Path:
    """Write `compare.json`, `compare.md` and `compare.png` into `output_dir`.

    Returns:
        The path of `compare.json`, which is written last.
    """
    content = {"conclusion": render_conclusion(comparison), **comparison.to_dict()}
    markdown = comparison.render("markdown")
    figure = plot_differences(comparison.differences, comparison.title)
    return save_with_plot(content, markdown, figure, Path(output_dir) / "compare.json")


def render_conclusion(comparison: PairedComparison) -> str:
    """Describe in one sentence which models differ in accuracy, and which cannot be told apart."""
    clauses = []
    for one in (difference for difference in comparison.differences if difference.is_real):
        value, interval = render_estimate(one.accuracy, is_difference=True)[1:].split(" ", 1)
        clauses.append(
            f"{one.first} is better than {one.second} by {value} points of accuracy {interval}, "
            f"{render_p_value(one.adjusted_p_value)}"
        )
    if alike := [f"{d.first} and {d.second}" for d in comparison.differences if not d.is_real]:
        clauses.append(f"{', '.join(alike)} cannot be told apart")
    return f"On these {comparison.num_pictures:,} pictures {'; '.join(clauses)}."


def _build_table(comparison: PairedComparison) -> Table:
    compared = comparison.differences[0].figures
    metrics = [metric for metric in METRICS if metric.name in compared]

    best = next(iter(comparison.evaluations))
    to_best = {one.second: one for one in comparison.differences if one.first == best}
    rows = []
    for model, evaluation in comparison.evaluations.items():
        cost = _render_cost(comparison.costs[model])
        rows.append([model, *render_figures(evaluation.figures, metrics), *cost])
        if difference := to_best.get(model):
            name = f"difference ({render_p_value(difference.adjusted_p_value)})"
            figures = render_figures(difference.figures, metrics, is_difference=True)
            rows.append([name, *figures, *[""] * len(cost)])
    costs = ("gap: acc.\n(loss)", "parameters\n(file)", "one\npicture")
    return Table(["model", *(one.short_title for one in metrics), *costs], rows)


def _render_cost(cost: ModelCost) -> list[str]:
    size = MISSING if cost.file_megabytes is None else f"{cost.file_megabytes:.1f} MB"
    return [
        render_gaps(cost.accuracy_gap, cost.loss_gap),
        f"{cost.num_parameters:,} ({size})",
        f"{cost.milliseconds:.1f} ms",
    ]
