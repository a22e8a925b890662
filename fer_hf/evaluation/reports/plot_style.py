"""What all plots share: colours, an empty figure, and two ways to draw figures of a report.

Plots are drawn with matplotlib's objects and no `pyplot`, so that nothing here opens a window,
touches global state or minds threads. Colour is never the only sign.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import PercentFormatter

from fer_hf.evaluation.metrics.intervals import Estimate

INK, MUTED, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
TRAIN, VALIDATION = "#b7791f", "#1d5fa8"
# Light enough for an interval drawn on them in ink.
BAR, CHOSEN_BAR = "#c9d5e2", "#5795d8"
SHADES = LinearSegmentedColormap.from_list("shades", ["#f7f9fb", "#9dbfe0", "#1d5fa8", "#0b2f57"])
INTERVALS: dict[str, Any] = {"ecolor": INK, "elinewidth": 1.1, "capsize": 3}
"""How `Axes.errorbar` draws 95 % intervals."""
PERCENT = PercentFormatter(1.0, decimals=0, symbol=" %")


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


def to_arrays(estimates: Sequence[Estimate]) -> tuple[npt.NDArray, npt.NDArray]:
    """Return values (N,) and the lengths (2, N) of their intervals, as `errorbar` takes them."""
    rows = [(estimate.value, estimate.low, estimate.high) for estimate in estimates]
    values, lows, highs = np.array(rows, dtype=np.float64).T
    return values, np.stack([values - lows, highs - values])


def draw_cells(
    axes: Axes,
    texts: Sequence[Sequence[str]],
    shades: npt.ArrayLike,
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    bold: npt.ArrayLike,
    font_size: float = 8.5,
) -> None:
    """Draw a heat map; every cell has its text, so that nothing depends on the shades.

    Args:
        axes: Where to draw.
        texts: R rows of C cells.
        shades: Shape (R, C), how dark each cell is, 0–1.
        row_names: R names.
        column_names: C names.
        bold: Shape (R, C), whether each text is bold.
        font_size: Of the texts.
    """
    shades, bold = np.asarray(shades), np.asarray(bold)
    axes.imshow(shades, cmap=SHADES, vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(shades.shape):
        axes.text(
            column,
            row,
            texts[row][column],
            ha="center",
            va="center",
            linespacing=1.35,
            fontsize=font_size,
            fontweight="bold" if bold[row, column] else "normal",
            color="white" if shades[row, column] > 0.45 else INK,
        )
    # White gaps between cells, drawn as the grid of the minor ticks that lie between them.
    num_rows, num_columns = shades.shape
    axes.set_xticks(np.arange(num_columns - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(num_rows - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0, colors=INK, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(num_columns), column_names)
    axes.set_yticks(range(num_rows), row_names)


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
