"""The reliability diagram of a checkpoint as it is; that of `plots` is before and after."""

from matplotlib.figure import Figure

from fer_hf.evaluation.metrics.probabilities import Reliability
from fer_hf.evaluation.reports.plots import (
    MUTED,
    build_figure,
    draw_counts,
    draw_reliability,
    style_axes,
)


def plot_one_reliability(reliability: Reliability, title: str) -> Figure:
    """Draw how often a model is right over how sure it is, with 95 % intervals.

    Points on the dashed diagonal are scores that mean what they say; the bars below count the
    pictures in each bin.
    """
    figure = build_figure(5.6, 5.4, title)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    style_axes(axes, f"ECE {100 * reliability.ece:.1f} %")
    draw_reliability(axes, reliability)
    axes.set_ylabel("right answers", color=MUTED)
    style_axes(below, f"{sum(reliability.counts):,} pictures")
    draw_counts(below, reliability.counts)
    return figure
