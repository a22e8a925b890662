"""How models on the same pictures look: a table, one sentence, a forest plot, and their files."""

import json
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from fer_hf.evaluation.metrics.evaluation import METRICS, Figures
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.metrics.metric import Metric
from fer_hf.evaluation.metrics.paired import Difference, ModelCost, PairedComparison
from fer_hf.evaluation.reports.comparison import require_figure
from fer_hf.evaluation.reports.plots import FAINT, INK, MUTED, VALIDATION
from fer_hf.evaluation.reports.run_report import write_text_atomically

WIDTH = 110
_COST_HEADERS = ("train gap,\nacc. / loss", "parameters,\nfile", "one\npicture")
_NOTE = (
    "Accuracies and F1 in percent, with 95 % intervals. Differences are those to the first model, "
    "with intervals of the paired bootstrap. p: McNemar's test of the accuracies (mid-p), with "
    "Holm's correction for {pairs}; below 0.05 a difference counts as real. Train gap, of the "
    "model's own run: train − validation accuracy, validation − train NLL. One picture: median CPU "
    "time of one at a time on one thread, preprocessing included."
)


def render_paired_comparison(
    comparison: PairedComparison, layout: Literal["terminal", "markdown"] = "terminal"
) -> str:
    """Render the table, the most accurate model first, and which differences are real.

    Below each other model stands its difference to the first one.

    Args:
        comparison: What to render.
        layout: "terminal" (about 120 columns) or "markdown".
    """
    num_pairs = len(comparison.differences)
    heading = f"{comparison.data}, {comparison.split}: {comparison.num_pictures:,} pictures"
    note = _NOTE.format(pairs="one pair" if num_pairs == 1 else f"{num_pairs} pairs")
    conclusion = render_conclusion(comparison)
    if layout == "markdown":
        table = _tabulate(comparison, "{} ({})", "github")
        return f"{heading}\n\n{table}\n\n{note}\n\n**{conclusion}**\n"
    table = _tabulate(comparison, "{}\n{}", "simple")
    return "\n\n".join([heading, table, _fill(note), _fill(conclusion)]) + "\n"


def render_conclusion(comparison: PairedComparison) -> str:
    """Say in one sentence which models differ in accuracy, and which cannot be told apart."""
    clauses = [_render_difference(d) for d in comparison.differences if d.is_real]
    if alike := [f"{d.first} and {d.second}" for d in comparison.differences if not d.is_real]:
        clauses.append(f"{', '.join(alike)} cannot be told apart")
    return f"On these {comparison.num_pictures:,} pictures {'; '.join(clauses)}."


def plot_differences(comparison: PairedComparison) -> Figure:
    """Draw a forest plot: the difference of accuracy of each pair with its interval.

    What is real is a filled dot, what may be chance a hollow one.
    """
    differences = comparison.differences
    rows = np.arange(len(differences))
    figure = Figure(figsize=(8, 1.5 + 0.45 * len(rows)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(0, color=MUTED, linewidth=0.9)
    for row, difference in zip(rows, differences, strict=True):
        value, low, high = _scale(difference.accuracy, 100)
        color = VALIDATION if difference.is_real else MUTED
        axes.plot([low, high], [row, row], color=color, linewidth=1.8)
        axes.plot(value, row, "o", color=color, mfc=color if difference.is_real else "white")
        axes.annotate(
            f"{value:.1f}, {_render_p_value(difference)}",
            (value, row),
            (0, 6),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=8,
        )
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel("difference of accuracy in points, 95 % interval", color=MUTED)
    axes.tick_params(length=0, labelsize=8, colors=MUTED)
    axes.set_yticks(rows, [f"{d.first}\nminus {d.second}" for d in differences], color=INK)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    title = f"{comparison.data}, {comparison.split}: {comparison.num_pictures:,} pictures"
    axes.set_title(title, loc="left", color=INK, fontsize=10)
    return figure


def save_paired_comparison(
    comparison: PairedComparison, output_dir: str | os.PathLike[str]
) -> Path:
    """Write `compare.json`, `compare.md` and `compare.png` into `output_dir`.

    Returns:
        The path of `compare.json`, which is written last.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    plot_differences(comparison).savefig(folder / "compare.png")
    write_text_atomically(folder / "compare.md", render_paired_comparison(comparison, "markdown"))
    content = {"conclusion": render_conclusion(comparison), **comparison.to_dict()}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return write_text_atomically(folder / "compare.json", text + "\n")


def _tabulate(comparison: PairedComparison, pair: str, layout: str) -> str:
    """Lay the table out; `pair` is how two things stand in one cell."""
    compared = comparison.differences[0].figures
    metrics = [metric for metric in METRICS if metric.name in compared]
    best = next(iter(comparison.evaluations))
    to_best = {d.second: d for d in comparison.differences if d.first == best}
    rows = []
    for model, evaluation in comparison.evaluations.items():
        cost = _render_cost(comparison.costs[model], pair)
        rows.append([model, *_render_figures(evaluation, metrics, "", pair), *cost])
        if difference := to_best.get(model):
            p_value = _render_p_value(difference)
            figures = _render_figures(difference, metrics, "+", pair)
            rows.append([pair.format("difference", p_value), *figures])
    titles = [metric.title.replace("balanced ", "balanced\n") for metric in metrics]
    headers = ["model", *titles, *_COST_HEADERS]
    if "\n" not in pair:
        headers = [header.replace("\n", " ") for header in headers]
    return tabulate(
        rows,
        headers=headers,
        tablefmt=layout,
        colalign=["left"] + ["right"] * (len(headers) - 1),
        disable_numparse=True,
    )


def _render_figures(source: Figures, metrics: Sequence[Metric], sign: str, pair: str) -> list[str]:
    cells = []
    for metric in metrics:
        scale, digits = (100, 1) if metric.is_share else (1, 3)
        value, low, high = _scale(source.figures[metric.name], scale)
        # z: no minus before a zero.
        interval = f"{low:z.{digits}f} to {high:z.{digits}f}"
        cells.append(pair.format(f"{value:{sign}z.{digits}f}", interval))
    return cells


def _render_cost(cost: ModelCost, pair: str) -> list[str]:
    size = "–" if cost.file_megabytes is None else f"{cost.file_megabytes:.1f} MB"
    gaps = "–"
    if cost.accuracy_gap is not None and cost.loss_gap is not None:
        gaps = pair.format(f"{100 * cost.accuracy_gap:+z.1f}", f"{cost.loss_gap:+z.2f}")
    parameters = pair.format(f"{cost.num_parameters:,}", size)
    return [gaps, parameters, f"{cost.milliseconds:.1f} ms"]


def _render_difference(difference: Difference) -> str:
    value, low, high = _scale(difference.accuracy, 100)
    return (
        f"{difference.first} is better than {difference.second} by {value:.1f} points of accuracy "
        f"({low:z.1f} to {high:z.1f}), {_render_p_value(difference)}"
    )


def _render_p_value(difference: Difference) -> str:
    p_value = difference.adjusted_p_value
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _scale(estimate: Estimate, factor: float) -> tuple[float, float, float]:
    """Return value, low and high of a figure that every evaluated split has, times `factor`."""
    return (
        factor * require_figure(estimate.value),
        factor * require_figure(estimate.low),
        factor * require_figure(estimate.high),
    )


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)
