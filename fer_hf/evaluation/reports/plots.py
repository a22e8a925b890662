"""The pictures of a report: curves, a confusion matrix, reliability, a comparison of models.

Drawn with matplotlib's objects and no `pyplot`, so that nothing here opens a window, touches global
state or minds threads. Colour is never the only sign: lines also differ in dash and marker.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.metrics.probabilities import Reliability

History = Sequence[Mapping[str, float | None]]

INK, MUTED, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
TRAIN, VALIDATION = "#b7791f", "#1d5fa8"
# Light enough for an interval drawn on them in ink.
BAR, CHOSEN_BAR = "#c9d5e2", "#5795d8"
SHADES = LinearSegmentedColormap.from_list("shades", ["#f7f9fb", "#9dbfe0", "#1d5fa8", "#0b2f57"])
# Up to this many labels a cell has room for a count below its percentage.
MAX_LABELS_WITH_COUNTS = 12


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
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    best = _find_best_epoch(history)
    for axes, figure_name, heading in (
        (loss_axes, "loss", "Loss (nats per picture)"),
        (accuracy_axes, "accuracy", "Accuracy"),
    ):
        style_axes(axes, heading)
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.set_xlabel("epoch", color=MUTED)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _draw_line(axes, history, f"train_{figure_name}", "train", TRAIN, "--", "s")
        _draw_line(axes, history, f"validation_{figure_name}", "validation", VALIDATION, "-", "o")
        if best is not None:
            axes.axvline(best, color=MUTED, linewidth=0.9, linestyle=":", zorder=1)
        if len(history) == 1:
            # One point has no range; without one the ticks would be hundredths of an epoch.
            axes.set_xlim(0, 2 * axes.get_xlim()[1])
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    accuracy_axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    if best is not None:
        accuracy_axes.set_title(f"best epoch: {best:g}", loc="right", color=MUTED, fontsize=9)
    return figure


def plot_confusion_matrix(evaluation: Evaluation, title: str) -> Figure:
    """Draw the confusion matrix: a row is a true label, its shades and percentages sum to 100 %.

    Args:
        evaluation: Where counts and names come from; a label without pictures has an empty row.
        title: Written above the matrix.
    """
    counts = np.asarray(evaluation.confusion_matrix, dtype=np.float64)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros_like(counts), where=support > 0)
    names, size = evaluation.label_names, len(evaluation.label_names)

    side = 0.72 * size + 0.4 if size <= MAX_LABELS_WITH_COUNTS else 0.5 * size + 0.4
    figure = build_figure(max(side, 2.6) + 2.2, max(side, 2.6) + 1.6, title)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1)
    for row, column in np.ndindex(size, size):
        share, count = shares[row, column], int(counts[row, column])
        with_count = size <= MAX_LABELS_WITH_COUNTS
        axes.text(
            column,
            row,
            (f"{100 * share:.0f} %\n{count:,}" if with_count else f"{100 * share:.0f} %")
            if count
            else "·",
            ha="center",
            va="center",
            linespacing=1.35,
            fontsize=8.5 if with_count else 7,
            fontweight="bold" if row == column else "normal",
            color="white" if share > 0.45 else INK if count else MUTED,
        )
    # White gaps between cells, drawn as the grid of the minor ticks that lie between them.
    axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=INK, labelsize=9)
    axes.spines[:].set_visible(False)
    slanted = size > 3
    axes.set_xticks(
        range(size),
        names,
        rotation=40 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor" if slanted else "default",
    )
    axes.set_yticks(
        range(size),
        [f"{name}  ({int(n):,})" for name, n in zip(names, support[:, 0], strict=True)],
    )
    axes.set_xlabel("predicted label", color=MUTED, labelpad=8)
    axes.set_ylabel("true label (pictures)", color=MUTED, labelpad=8)
    return figure


def plot_reliability(before: Reliability, after: Reliability, title: str) -> Figure:
    """Draw how often a model is right over how sure it is, before and after calibration.

    Points are the bins' accuracies with 95 % intervals, on the dashed diagonal where scores mean
    what they say; the bars below count the pictures in each bin.

    Args:
        before: From `metrics.compute_reliability`.
        after: The same pictures in the same bins.
        title: Written above both panels.
    """
    figure = build_figure(9.0, 5.4, title)
    panels, histograms = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    for column, (name, reliability) in enumerate((("before", before), ("after", after))):
        axes, below = panels[column], histograms[column]
        style_axes(axes, f"{name} calibration, ECE {100 * reliability.ece:.1f} %")
        draw_reliability(axes, reliability)
        style_axes(below, f"{sum(reliability.counts):,} pictures")
        draw_counts(below, reliability.counts)
    panels[0].set_ylabel("right answers", color=MUTED)
    return figure


def draw_reliability(axes: Axes, reliability: Reliability) -> None:
    """Draw the share of right answers in each bin over its mean top score."""
    pairs = zip(reliability.confidences, reliability.accuracies, strict=True)
    points = [(c, a.value, a.low, a.high) for c, a in pairs if c is not None]
    confidences, values, lows, highs = np.array(points, dtype=np.float64).T
    intervals = (values - lows, highs - values)
    axes.plot((0, 1), (0, 1), "--", color=MUTED, linewidth=0.9)
    axes.errorbar(
        confidences,
        values,
        yerr=intervals,
        fmt="o",
        markersize=4.5,
        color=VALIDATION,
        ecolor=INK,
        elinewidth=1.1,
        capsize=3,
    )
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def draw_counts(axes: Axes, counts: Sequence[int]) -> None:
    """Draw the number of pictures in each bin of the top score."""
    width = 1 / len(counts)
    middles = (np.arange(len(counts)) + 0.5) * width
    bars = axes.bar(middles, counts, width=0.9 * width, color=BAR)
    axes.bar_label(bars, [f"{n:,}" if n else "" for n in counts], fontsize=6.5, color=INK)
    axes.margins(y=0.2)
    axes.set_xlim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel("top score", color=MUTED)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


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
    colors = [CHOSEN_BAR if row == chosen else BAR for row in rows]
    values = np.array([estimate.value for estimate in accuracies], dtype=np.float64)
    lows = np.array([estimate.low for estimate in accuracies], dtype=np.float64)
    highs = np.array([estimate.high for estimate in accuracies], dtype=np.float64)
    gaps = np.asarray(accuracy_gaps, dtype=np.float64)

    left.barh(rows, values, height=0.58, color=colors)
    intervals = (values - lows, highs - values)
    left.errorbar(values, rows, xerr=intervals, fmt="none", ecolor=INK, elinewidth=1.1, capsize=3)
    right.barh(rows, gaps, height=0.58, color=colors)
    for row in rows:
        style = {"va": "center", "color": INK, "weight": "bold" if row == chosen else "normal"}
        left.text(highs[row], row, f"  {100 * values[row]:.1f} %", **style)
        right.text(max(gaps[row], 0.0), row, f"  {100 * gaps[row]:+.1f}", **style)
    style_axes(left, "Validation accuracy, 95 % interval")
    style_axes(right, "Accuracy gap to training, points")
    left.set_yticks(rows, [f"✱ {n}" if row == chosen else n for row, n in enumerate(names)])
    for label, row in zip(left.get_yticklabels(), rows, strict=True):
        label.set_color(INK)
        label.set_fontweight("bold" if row == chosen else "normal")
    left.invert_yaxis()
    left.set_xlim(0, min(1.0, float(highs.max())) * 1.16)
    left.set_xticks([tick for tick in left.get_xticks() if tick <= 1])
    left.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    spread = max(float(np.abs(gaps).max()), 0.01)
    right.set_xlim(1.15 * min(float(gaps.min()), 0.0), max(float(gaps.max()), 0.0) + 0.3 * spread)
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


def build_figure(width: float, height: float, title: str) -> Figure:
    """Build an empty figure of a size in inches, with the title every plot has."""
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.04)
    figure = Figure(figsize=(width, height), dpi=150, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.02, ha="left", color=INK, fontsize=12.5, fontweight="bold")
    return figure


def style_axes(axes: Axes, heading: str) -> None:
    """Give axes their heading and the looks that every plot has."""
    axes.set_title(heading, loc="left", color=INK, fontsize=10)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=MUTED, labelsize=9)


def _draw_line(
    axes: Axes, history: History, key: str, label: str, color: str, dash: str, marker: str
) -> None:
    points = _get_points(history, key)
    if points:
        epochs, values = zip(*points, strict=True)
        axes.plot(
            epochs,
            values,
            dash,
            marker=marker,
            # More markers than this would hide the line.
            markevery=max(1, len(epochs) // 20),
            markersize=4.5,
            markerfacecolor="white" if marker == "s" else color,
            linewidth=1.8,
            color=color,
            label=label,
        )


def _find_best_epoch(history: History) -> float | None:
    accuracies = _get_points(history, "validation_accuracy")
    if accuracies:
        return max(accuracies, key=lambda point: point[1])[0]
    losses = _get_points(history, "validation_loss")
    return min(losses, key=lambda point: point[1])[0] if losses else None


def _get_points(history: History, key: str) -> list[tuple[float, float]]:
    """Return (epoch, value) for each epoch that has both."""
    pairs = ((row.get("epoch"), row.get(key)) for row in history)
    return [(epoch, value) for epoch, value in pairs if epoch is not None and value is not None]
