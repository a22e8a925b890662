"""What an analysis leaves on disk: the annotated video, the table of faces, and its plot.

Boxes and labels are drawn once for each detection, and laid over every frame until the next. They
are drawn on RGB pictures, which frames are not: so they are drawn on black and on white, and the
two drawings tell what any frame below would become, the two-background matte of A. R. Smith and
J. F. Blinn, Blue Screen Matting, 1996. Blending is linear in YUV as it is in RGB.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reader import FaceReading
from fer_hf.faces.score_table import FORMATS, Columns
from fer_hf.inference.reading import SCORE_PREFIX
from fer_hf.video.frames import Frame, VideoFile, Yuv
from fer_hf.video.webcam import Webcam

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLOCK = Fraction(1, 90_000)
"""Unit of its times in seconds: MPEG's, in which frames of the usual rates are whole."""

_BAND_COLOR = "#f7f9fb"
_GROUNDS = ("black", "white")
_BLACK, _WHITE, _GREY = 16, 235, 128
"""Y of black and of white in the limited range; U and V of both."""

_LONGEST_STEP = 2.5
"""Detections more than this many usual steps apart are not joined: the face was not seen."""


def render_annotation(
    readings: Sequence[FaceReading], size: tuple[int, int]
) -> Callable[[Yuv], None]:
    """Draw boxes and labels; return what lays them over a frame of that (even) width and height."""
    on_black, on_white = (_draw(Image.new("RGB", size, name), readings) for name in _GROUNDS)
    height = size[1]
    # The difference between black and white shows how much is kept of any frame. U and V are the
    # same on both: they keep what their four pixels keep on average.
    luma = np.maximum(on_white, on_black)[:height] - on_black[:height]
    half = np.asarray(Image.fromarray(luma).reduce(2)).ravel()
    kept = np.concatenate([luma.ravel(), half, half])
    places = np.flatnonzero(kept < _WHITE - _BLACK)
    keep = kept[places].astype(np.float32) / (_WHITE - _BLACK)
    ground = np.where(places < luma.size, np.float32(_BLACK), np.float32(_GREY))
    add = on_black.ravel()[places] - keep * ground

    def lay_over(yuv: Yuv) -> None:
        values = yuv.reshape(-1)
        values[places] = np.clip(np.rint(values[places] * keep + add), 0, 255)

    return lay_over


def _draw(ground: Image.Image, readings: Sequence[FaceReading]) -> Yuv:
    drawn = draw_readings(ground, readings, with_scores=False)
    return VideoFrame.from_image(drawn).reformat(format="yuv420p").to_ndarray()


@contextmanager
def open_annotated_video(
    path: Path, video: VideoFile | Webcam
) -> Iterator[Callable[[Frame], None]]:
    """Yield a function that writes frames as H.264 in MP4, at their times and without sound."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        options = {"preset": "veryfast", "crf": "25"}
        stream = container.add_stream("libx264", rate=video.frame_rate, options=options)
        stream.width, stream.height = video.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = CLOCK
        stream.codec_context.colorspace = video.colorspace

        def write(frame: Frame) -> None:
            picture = VideoFrame.from_ndarray(frame.yuv, format="yuv420p")
            picture.pts, picture.time_base = round(frame.seconds / CLOCK), CLOCK
            container.mux(stream.encode(picture))

        yield write
        container.mux(stream.encode())


class FaceTable:
    """A row for each detection and face.

    Columns: `time_seconds`; `frame`, from 0 on; `face`, its number; `left`, `top`, `right`,
    `bottom` in pixels of the annotated video; `detection_score`; `label` as it is shown; and the
    smoothed score of each label.

    Args:
        label_names: Names of the labels in the order of the scores.
    """

    def __init__(self, label_names: Sequence[str]) -> None:
        places = ("left", "top", "right", "bottom", "detection_score")
        self._columns: Columns = {
            **{"time_seconds": float, "frame": int, "face": int},
            **dict.fromkeys(places, float),
            "label": str,
            **{SCORE_PREFIX + name: float for name in label_names},
        }
        self._rows: list[dict[str, Any]] = []

    def add(self, frame: Frame, readings: Sequence[FaceReading]) -> None:
        """Add the faces of one detection."""
        for one in readings:
            values = (
                *(frame.seconds, frame.number, one.number, *one.face.box, one.face.score),
                *(one.name, *one.scores.values()),
            )
            self._rows.append(dict(zip(self._columns, values, strict=True)))

    def save(self, csv: Path, parquet: Path) -> Sequence[Mapping[str, Any]]:
        """Write the table to two files, or to the first one where there is no pyarrow; return it.

        Returns:
            The values of each row by the names of their columns.
        """
        for file in (csv, parquet) if find_spec("pyarrow") else (csv,):
            FORMATS[file.suffix](file, self._columns, (list(row.values()) for row in self._rows))
        return self._rows


def plot_most_seen_face(
    rows: Sequence[Mapping[str, Any]], seconds: float, detections_per_second: float
) -> "Figure":
    """Draw a band for each label, from 0 to 100 %, over the time of the video.

    A band is dark where its label is shown, so that nothing depends on hues; where none is dark,
    the model is not sure.

    Args:
        rows: As `FaceTable.save` returns them.
        seconds: Duration of the video.
        detections_per_second: How often faces were detected.
    """
    # Takes as long to import as all the rest of a video.
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    from fer_hf.evaluation.reports.plot_style import (
        BAR,
        FAINT,
        INK,
        MUTED,
        VALIDATION,
        build_figure,
    )

    counts = Counter(row["face"] for row in rows)
    if not counts:
        figure = build_figure(9.0, 1.6, "No face was found in this video")
        figure.add_subplot().set_axis_off()
        return figure
    [(face, _)] = counts.most_common(1)
    rows = [row for row in rows if row["face"] == face]
    times, shown = (np.array([row[name] for row in rows]) for name in ("time_seconds", "label"))
    gaps = np.flatnonzero(np.diff(times) > _LONGEST_STEP / detections_per_second) + 1
    among = f", the most seen of {len(counts)}" if len(counts) > 1 else ""
    columns = [name for name in rows[0] if name.startswith(SCORE_PREFIX)]
    title = f"Face {face}{among}: smoothed scores, 0–100 %, dark where shown"
    figure = build_figure(9.0, 1.3 + 0.55 * len(columns), title)
    bands = figure.subplots(len(columns), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, column in zip(bands, columns, strict=True):
        name = column.removeprefix(SCORE_PREFIX)
        scores = np.insert(np.array([row[column] for row in rows]), gaps, np.nan)
        moments = np.insert(times, gaps, np.nan)
        is_shown = np.insert((shown == name).astype(float), gaps, 0) > 0
        axes.fill_between(moments, scores, color=BAR, linewidth=0)
        axes.fill_between(moments, scores, where=is_shown, color=VALIDATION, linewidth=0)
        axes.plot(moments, scores, color=INK, linewidth=0.8)
        axes.set_ylabel(name, color=INK, rotation=0, ha="right", va="center", fontsize=9)
        axes.set_facecolor(_BAND_COLOR)
        axes.set_yticks([])
        axes.spines[["left", "top", "right"]].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        axes.tick_params(colors=MUTED, labelsize=8, length=0)
    bands[-1].set(xlim=(0, max(seconds, 1 / detections_per_second)), ylim=(0, 1))
    bands[-1].xaxis.set_major_locator(MaxNLocator(steps=[1, 1.5, 2, 3, 6, 10]))
    bands[-1].xaxis.set_major_formatter(FuncFormatter(lambda time, _: format_time(time)))
    return figure


def format_time(seconds: float) -> str:
    """Write 75.5 as 1:15.5."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}" if rest % 1 else f"{minutes:.0f}:{rest:02.0f}"
