"""The plot of a video: how the scores of the face that is seen most go up and down."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fer_hf.evaluation.reports.plots import BAR, FAINT, INK, MUTED, VALIDATION, build_figure
from fer_hf.video.writing import SCORE_PREFIX

PAPER = "#f7f9fb"

_LONGEST_STEP = 2.5
"""Looks further apart than this many usual steps are not joined: the face was not seen."""


def plot_most_seen_face(
    parquet: Path, label_names: Sequence[str], *, seconds: float, looks_per_second: float
) -> Figure:
    """Draw a band for each label, from 0 to 100 %, over the time of the video.

    A band is dark where its label is shown, so that nothing depends on hues; where none is dark,
    the model is not sure.

    Args:
        parquet: What `open_face_table` wrote.
        label_names: The labels, from top to bottom.
        seconds: Duration of the video.
        looks_per_second: How often the video was looked at.
    """
    faces = pq.read_table(parquet, columns=["face"])["face"]
    counts = {row["values"].as_py(): row["counts"].as_py() for row in pc.value_counts(faces)}
    if not counts:
        figure = build_figure(9.0, 1.6, "No face was found in this video")
        figure.add_subplot().set_axis_off()
        return figure
    face = max(counts, key=lambda number: counts[number])
    rows = pq.read_table(parquet, filters=[("face", "=", face)])
    times, shown = rows["time_seconds"].to_numpy(), np.array(rows["label"].to_pylist())
    gaps = np.flatnonzero(np.diff(times) > _LONGEST_STEP / looks_per_second) + 1
    among = f", the most seen of {len(counts)}" if len(counts) > 1 else ""
    title = f"Face {face}{among}: smoothed scores, 0–100 %, dark where shown"
    figure = build_figure(9.0, 1.3 + 0.55 * len(label_names), title)
    bands = figure.subplots(len(label_names), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, name in zip(bands, label_names, strict=True):
        scores = np.insert(rows[SCORE_PREFIX + name].to_numpy(), gaps, np.nan)
        moments = np.insert(times, gaps, np.nan)
        is_shown = np.insert((shown == name).astype(float), gaps, 0) > 0
        axes.fill_between(moments, scores, color=BAR, linewidth=0)
        axes.fill_between(moments, scores, where=is_shown, color=VALIDATION, linewidth=0)
        axes.plot(moments, scores, color=INK, linewidth=0.8)
        axes.set_ylabel(name, color=INK, rotation=0, ha="right", va="center", fontsize=9)
        axes.set_facecolor(PAPER)
        axes.set_yticks([])
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        axes.tick_params(colors=MUTED, labelsize=8, length=0)
    bands[-1].set(xlim=(0, max(seconds, 1 / looks_per_second)), ylim=(0, 1))
    bands[-1].xaxis.set_major_locator(MaxNLocator(steps=[1, 1.5, 2, 3, 6, 10]))
    bands[-1].xaxis.set_major_formatter(FuncFormatter(lambda time, _: _format_time(time)))
    return figure


def _format_time(seconds: float) -> str:
    """Write 75.5 as 1:15.5."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}:{rest:04.1f}" if rest % 1 else f"{minutes:.0f}:{rest:02.0f}"
