"""What an analysis leaves on disk: the annotated video, the table of faces, and its plot.

Boxes and labels are drawn when they change, and laid over every frame until then. They are drawn on
RGB pictures, which frames are not: so they are drawn on black and on white, and the two drawings
tell what any frame below would become, the two-background matte of A. R. Smith and J. F. Blinn,
Blue Screen Matting, 1996. Blending is linear in YUV as it is in RGB.
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
import numpy.typing as npt
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
    drawn = [
        draw_readings(Image.new("RGB", size, name), readings, with_scores=False)
        for name in _GROUNDS
    ]
    # All that follows takes as long as the part is large, and much longer than drawing.
    region = _find_drawn(drawn[0])
    on_black, on_white = (_to_planes(picture.crop(region)) for picture in drawn)
    # The difference between black and white shows how much is kept of any frame. U and V are the
    # same on both: they keep what their four pixels keep on average.
    luma = np.maximum(on_white[0], on_black[0]) - on_black[0]
    half = np.asarray(Image.fromarray(luma).reduce(2))
    num, width = size[0] * size[1], size[0]
    layers = zip((luma, half, half), on_black, (0, num, num * 5 // 4), (1, 2, 2), strict=True)
    parts = []
    for kept, plane, start, step in layers:
        rows, columns = np.nonzero(kept < _WHITE - _BLACK)
        keep = kept[rows, columns].astype(np.float32) / (_WHITE - _BLACK)
        add = plane[rows, columns] - keep * np.float32(_BLACK if step == 1 else _GREY)
        rows, columns = rows + region[1] // step, columns + region[0] // step
        parts.append((start + rows * (width // step) + columns, keep, add))
    places, keep, add = map(np.concatenate, zip(*parts, strict=True))

    def lay_over(yuv: Yuv) -> None:
        values = yuv.reshape(-1)
        values[places] = np.clip(np.rint(values[places] * keep + add), 0, 255)

    return lay_over


def _find_drawn(on_black: Image.Image) -> tuple[int, int, int, int]:
    """Return the even part of a picture on black that holds all that was drawn on it."""
    left, top, right, bottom = on_black.getbbox() or (2, 2, 2, 2)
    # A little more, for pixels that are nearly clear.
    right, bottom = ((at + 3) // 2 * 2 for at in (right, bottom))
    return (
        max(0, left // 2 * 2 - 2),
        max(0, top // 2 * 2 - 2),
        min(on_black.width, right),
        min(on_black.height, bottom),
    )


def _to_planes(picture: Image.Image) -> list[npt.NDArray[np.uint8]]:
    """Return Y, U and V of a picture of even sides, the latter two half as high and wide."""
    yuv = VideoFrame.from_image(picture).reformat(format="yuv420p").to_ndarray()
    chroma = yuv[picture.height :].reshape(2, picture.height // 2, picture.width // 2)
    return [yuv[: picture.height], *chroma]


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
