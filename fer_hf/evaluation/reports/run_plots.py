"""The plots of runs: curves over epochs, a comparison of runs, a sweep over heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.reports.plot_style import (
    BAR,
    CHOSEN_BAR,
    FAINT,
    INK,
    INTERVALS,
    MUTED,
    PERCENT,
    TRAIN,
    VALIDATION,
    build_figure,
    style_axes,
    to_arrays,
)

History = Sequence[Mapping[str, float | None]]


def plot_curves(history: History, title: str) -> Figure:
    """Draw loss and accuracy over epochs, side by side, with the best validation epoch marked.

    Best is the highest validation accuracy, the first such epoch on a tie, or the lowest validation
    loss where no accuracy was recorded.

    Args:
        history: One mapping per epoch with `epoch` and any of `train_loss`, `train_accuracy`,
            `validation_loss`, `validation_accuracy`; what is missing or None is left out.
        title: Written above both panels.
    """
    figure = build_figure(9.0, 3.9, title)
    panels = (("loss", "Loss (nats per picture)"), ("accuracy", "Accuracy"))
    lines = (("train", TRAIN, "--", "s", "white"), ("validation", VALIDATION, "-", "o", VALIDATION))
    best = _find_best_epoch(history)
    for axes, (name, heading) in zip(figure.subplots(1, 2), panels, strict=True):
        style_axes(axes, heading)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.set_xlabel("epoch", color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        for split, color, dash, marker, fill in lines:
            if len(points := _read_points(history, f"{split}_{name}")):
                axes.plot(
                    *points.T,
                    dash,
                    marker=marker,
                    # More markers than this would hide the line.
                    markevery=max(1, len(points) // 20),
                    markersize=4.5,
                    markerfacecolor=fill,
                    linewidth=1.8,
                    color=color,
                    label=split,
                )
        if best is not None:
            axes.axvline(best, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        if len(history) == 1:
            # One point has no range; without one the ticks would be hundredths of an epoch.
            axes.set_xlim(0, 2 * axes.get_xlim()[1])
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if best is not None:
        axes.set_title(f"best epoch: {best:g}", loc="right", color=MUTED, fontsize=9)
    return figure


def _find_best_epoch(history: History) -> float | None:
    for key, sign in (("validation_accuracy", 1), ("validation_loss", -1)):
        if len(points := _read_points(history, key)):
            return points[(sign * points[:, 1]).argmax(), 0]
    return None


def _read_points(history: History, key: str) -> npt.NDArray[np.float64]:
    """Return rows of epoch and value, shape (N, 2), of the epochs that have both."""
    rows = np.array([[row.get("epoch"), row.get(key)] for row in history], dtype=np.float64)
    return rows[~np.isnan(rows).any(axis=1)] if len(rows) else rows.reshape(0, 2)


def plot_comparison(
    names: Sequence[str],
    accuracies: Sequence[Estimate],
    accuracy_gaps: Sequence[float],
    chosen: int,
    title: str,
) -> Figure:
    """Draw validation accuracy with its interval, and the accuracy gap, one row per model.

    Args:
        names: One per model, from top to bottom; a second line may say more.
        accuracies: Validation accuracy per model, in [0, 1].
        accuracy_gaps: Train minus validation accuracy per model, in [-1, 1].
        chosen: Index of the model to mark.
        title: Written above both panels.
    """
    figure = build_figure(9.0, 1.35 + 0.6 * len(names), title)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rows = np.arange(len(names))
    values, margins = to_arrays(accuracies)
    gaps = np.asarray(accuracy_gaps, dtype=np.float64)
    bars: dict[str, Any] = {
        "height": 0.58,
        "color": [CHOSEN_BAR if row == chosen else BAR for row in rows],
    }
    shown = left.barh(rows, values, xerr=margins, error_kw=INTERVALS, **bars)
    texts = left.bar_label(shown, [f"{100 * value:.1f} %" for value in values], padding=4)
    shown = right.barh(rows, gaps, **bars)
    gap_texts = right.bar_label(shown, [f"{100 * gap:+.1f}" for gap in gaps], padding=4)
    style_axes(left, "Validation accuracy, 95 % interval")
    style_axes(right, "Accuracy gap to training, points")
    left.set_yticks(rows, [f"✱ {n}" if row == chosen else n for row, n in enumerate(names)])
    for column in (left.get_yticklabels(), texts, gap_texts):
        for row, text in enumerate(column):
            text.set(color=INK, fontweight="bold" if row == chosen else "normal")
    left.invert_yaxis()
    left.set_xlim(0, min(1.0, float((values + margins[1]).max())) * 1.16)
    left.set_xticks([tick for tick in left.get_xticks() if tick <= 1])
    left.xaxis.set_major_formatter(PERCENT)
    right.margins(x=0.25)
    right.xaxis.set_major_formatter(lambda gap, _: f"{100 * gap:g}")
    right.axvline(0, color=MUTED, linewidth=0.9)
    for axes in (left, right):
        axes.grid(axis="x", color=FAINT, linewidth=0.8)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def plot_sweep(panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> Figure:
    """Draw the validation macro-F1 of many heads over their learning rate.

    Args:
        panels: Heading to the lines of a panel: name to (learning rate, macro-F1) of its heads.
    """
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    title = "Validation macro-F1 of each head"
    figure = build_figure(3.4 * columns, 2.7 * rows + 0.9, title)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    best = max(value for lines in panels.values() for line in lines.values() for _, value in line)
    for axes, (heading, lines) in zip(grid.flat, panels.items(), strict=False):
        style_axes(axes, heading)
        axes.grid(color=FAINT, linewidth=0.8)
        axes.set_xscale("log")
        for number, (name, line) in enumerate(lines.items()):
            rates, values = zip(*line, strict=True)
            color = (VALIDATION, TRAIN, MUTED, INK)[number % 4]
            dash, marker = ("-", "--", ":", "-.")[number % 4], "os^D"[number % 4]
            axes.plot(rates, values, dash, marker=marker, markersize=4, color=color, label=name)
            for rate, value in line:
                if value == best:
                    axes.plot(rate, value, "o", markersize=13, mfc="none", color=INK)
                    axes.annotate(
                        f"{value:.3f}",
                        (rate, value),
                        (0, -18),
                        textcoords="offset points",
                        ha="center",
                        color=INK,
                        fontsize=9,
                        fontweight="bold",
                    )
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("learning rate", color=MUTED)
    handles, names = grid.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower left", ncols=4, frameon=False, labelcolor=INK, fontsize=9
    )
    return figure
