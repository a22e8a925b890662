"""The plots of an evaluation: confusion matrix, reliability, corruptions, differences of models."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.paired import Difference
from fer_hf.evaluation.metrics.probabilities import Reliability
from fer_hf.evaluation.reports.blocks import render_p_value
from fer_hf.evaluation.reports.plot_style import (
    BAR,
    FAINT,
    INK,
    INTERVALS,
    MUTED,
    PERCENT,
    VALIDATION,
    build_figure,
    draw_cells,
    style_axes,
    to_arrays,
)
from fer_hf.evaluation.robustness.measuring import Robustness

# Up to this many labels a cell has room for a count below its percentage.
MAX_LABELS_WITH_COUNTS = 12


def plot_confusion_matrix(evaluation: Evaluation, title: str) -> Figure:
    """Draw the confusion matrix: a row is a true label, its shades and percentages sum to 100 %.

    Args:
        evaluation: Where counts and names come from; a label without pictures has an empty row.
        title: Written above the matrix.
    """
    counts = np.asarray(evaluation.confusion_matrix)
    support = counts.sum(axis=1)
    shares = counts / support.clip(1)[:, None]
    names, size = evaluation.label_names, len(evaluation.label_names)
    is_roomy = size <= MAX_LABELS_WITH_COUNTS
    side = max((0.72 if is_roomy else 0.5) * size + 0.4, 2.6)
    figure = build_figure(side + 2.2, side + 1.6, title)
    axes = figure.add_subplot()
    pattern = "{share:.0f} %\n{count:,}" if is_roomy else "{share:.0f} %"
    draw_cells(
        axes,
        [
            [
                pattern.format(share=100 * share, count=count) if count else "·"
                for share, count in zip(*row, strict=True)
            ]
            for row in zip(shares, counts, strict=True)
        ],
        shares,
        [f"{name}  ({number:,})" for name, number in zip(names, support, strict=True)],
        names,
        bold=np.eye(size),
        font_size=8.5 if is_roomy else 7,
    )
    axes.set_aspect("equal")
    if size > 3:
        axes.tick_params(axis="x", rotation=40)
        for name in axes.get_xticklabels():
            name.set(ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted label", color=MUTED, labelpad=8)
    axes.set_ylabel("true label (pictures)", color=MUTED, labelpad=8)
    return figure


def plot_reliability(panels: Mapping[str, Reliability], title: str) -> Figure:
    """Draw how often a model is right over how sure it is.

    Points are the bins' accuracies with 95 % intervals, on the dashed diagonal where scores mean
    what they say; the bars below count the pictures in each bin.

    Args:
        panels: Heading to figures, side by side; such as before and after calibration.
        title: Written above all panels.
    """
    figure = build_figure(1.1 + 4.5 * len(panels) - 0.5 * (len(panels) - 1), 5.4, title)
    grid = figure.subplots(
        2, len(panels), sharex=True, sharey="row", height_ratios=(3, 1), squeeze=False
    )
    for axes, below, (heading, reliability) in zip(*grid, panels.items(), strict=True):
        ece = f"ECE {100 * reliability.ece:.1f} %"
        style_axes(axes, f"{heading}, {ece}" if heading else ece)
        _draw_reliability(axes, reliability)
        style_axes(below, f"{sum(reliability.counts):,} pictures")
        _draw_counts(below, reliability)
    grid[0, 0].set_ylabel("right answers", color=MUTED)
    return figure


def _draw_reliability(axes: Axes, reliability: Reliability) -> None:
    pairs = zip(reliability.confidences, reliability.accuracies, strict=True)
    points = [(confidence, share) for confidence, share in pairs if confidence is not None]
    confidences, shares = zip(*points, strict=True)
    values, margins = to_arrays(shares)
    axes.plot((0, 1), (0, 1), "--", color=MUTED, linewidth=0.9)
    axes.errorbar(
        confidences, values, margins, fmt="o", markersize=4.5, color=VALIDATION, **INTERVALS
    )
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PERCENT)


def _draw_counts(axes: Axes, reliability: Reliability) -> None:
    counts = reliability.counts
    width = 1 / len(counts)
    bars = axes.bar((np.arange(len(counts)) + 0.5) * width, counts, width=0.9 * width, color=BAR)
    axes.bar_label(bars, [f"{n:,}" if n else "" for n in counts], fontsize=6.5, color=INK)
    axes.margins(y=0.2)
    axes.set_xlim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel("top score", color=MUTED)
    axes.xaxis.set_major_formatter(PERCENT)


def plot_robustness(robustness: Robustness, title: str) -> Figure:
    """Draw accuracy over corruption and strength, the corruption that costs most on top.

    The darkest cell is the clean accuracy, the lightest 50 points less.

    Args:
        robustness: What to draw.
        title: Written above the map.

    Raises:
        ValueError: No corruption changes the pictures.
    """
    clean, mean = robustness.clean_accuracy.value, robustness.mean_corrupted_accuracy.value
    if clean is None or mean is None:
        raise ValueError(
            f"None of the corruptions {robustness.unchanged} changes these pictures, expected one "
            "that does. Measure others."
        )
    rows = robustness.sort_corruptions()
    accuracies = np.array([[*found.accuracy, np.mean(found.accuracy)] for found in rows.values()])
    num_rows, num_columns = accuracies.shape
    figure = build_figure(0.72 * num_columns + 2.4, 0.36 * num_rows + 1.8, title)
    axes = figure.add_subplot()
    is_mean = np.arange(num_columns) == num_columns - 1
    draw_cells(
        axes,
        [[f"{100 * accuracy:.0f} %" for accuracy in row] for row in accuracies],
        robustness.compute_shades(accuracies),
        list(rows),
        [*map(str, robustness.strengths), "mean"],
        bold=np.broadcast_to(is_mean, accuracies.shape),
    )
    axes.set_xlabel("strength of the corruption", color=MUTED, labelpad=8)
    axes.set_title(
        f"Accuracy: {100 * clean:.1f} % clean, {100 * mean:.1f} % mean corrupted, "
        f"{robustness.num_pictures:,} pictures",
        loc="left",
        color=INK,
        fontsize=10,
    )
    return figure


def plot_differences(differences: Sequence[Difference], title: str) -> Figure:
    """Draw a forest plot: the difference of accuracy of each pair with its interval.

    What is real is a filled dot, what may be chance a hollow one.
    """
    figure = build_figure(8, 1.7 + 0.45 * len(differences), title)
    axes = figure.add_subplot()
    style_axes(axes, "Difference of accuracy in points, 95 % interval")
    axes.axvline(0, color=MUTED, linewidth=0.9)
    values, margins = to_arrays([difference.accuracy for difference in differences])
    for row, difference in enumerate(differences):
        value, color = 100 * values[row], VALIDATION if difference.is_real else MUTED
        fill = color if difference.is_real else "white"
        axes.errorbar(
            value, row, xerr=100 * margins[:, [row]], fmt="o", color=color, mfc=fill, linewidth=1.8
        )
        axes.annotate(
            f"{value:.1f}, {render_p_value(difference.adjusted_p_value)}",
            (value, row),
            (0, 6),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=8,
        )
    axes.set_ylim(len(differences) - 0.5, -0.7)
    names = [f"{one.first}\nminus {one.second}" for one in differences]
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.tick_params(length=0, labelsize=8)
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.spines[:].set_visible(False)
    return figure
