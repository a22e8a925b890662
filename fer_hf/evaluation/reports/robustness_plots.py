"""The heat map of a robustness measurement."""

import numpy as np
from matplotlib.figure import Figure

from fer_hf.evaluation.reports.plots import INK, MUTED, SHADES, build_figure
from fer_hf.evaluation.robustness.measuring import Robustness


def plot_robustness(robustness: Robustness, title: str) -> Figure:
    """Draw accuracy over corruption and strength, the corruption that costs most on top.

    Every cell has its percentage, so that nothing depends on the shades: the darkest is the clean
    accuracy, the lightest 50 points less.

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
    rows = sorted(robustness.per_corruption.items(), key=lambda item: np.mean(item[1].accuracy))
    accuracies = np.array([[*figures.accuracy, np.mean(figures.accuracy)] for _, figures in rows])
    shades = np.clip(1 - 2 * (clean - accuracies), 0, 1)
    num_rows, num_columns = accuracies.shape
    figure = build_figure(0.72 * num_columns + 2.4, 0.36 * num_rows + 1.8, title)
    axes = figure.add_subplot()
    axes.imshow(shades, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(num_rows, num_columns):
        axes.text(
            column,
            row,
            f"{100 * accuracies[row, column]:.0f} %",
            ha="center",
            va="center",
            fontsize=8.5,
            fontweight="bold" if column == num_columns - 1 else "normal",
            color="white" if shades[row, column] > 0.45 else INK,
        )
    # White gaps between cells, drawn as the grid of the minor ticks that lie between them.
    axes.set_xticks(np.arange(num_columns - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(num_rows - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=INK, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(num_columns), [*map(str, robustness.strengths), "mean"])
    axes.set_yticks(range(num_rows), [name for name, _ in rows])
    axes.set_xlabel("strength of the corruption", color=MUTED, labelpad=8)
    axes.set_title(
        f"Accuracy: {100 * clean:.1f} % clean, {100 * mean:.1f} % mean corrupted, "
        f"{robustness.num_pictures:,} pictures",
        loc="left",
        color=INK,
        fontsize=10,
    )
    return figure
