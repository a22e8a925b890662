"""A video from file to result, on one page: frames, detections, tracks, annotations and outputs."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.faces.face import FaceDetector
from fer_hf.faces.following import Region, find_again
from fer_hf.faces.reader import FaceReader, FaceReading
from fer_hf.faces.tracking import FaceTracker
from fer_hf.video.frames import Frame, VideoFile, VideoLimits, Yuv, open_video
from fer_hf.video.outputs import (
    FaceTable,
    open_annotated_video,
    plot_most_seen_face,
    render_annotation,
)
from fer_hf.video.webcam import Webcam, open_webcam

FILES = {
    "annotated": "annotated.mp4",
    "csv": "faces.csv",
    "parquet": "faces.parquet",
    "plot": "plot.png",
}

MIN_CUT_DIFFERENCE = 30.0
"""Mean change of brightness from one frame to the next, of 0–255, that is a cut."""

MIN_MOVE = 0.02
"""Share of its side by which a box must move to be drawn anew, which takes longer than to find it;
less is mostly the detector's own noise."""

_CUT_SIZE = (64, 36)
"""Frames are reduced to about this to find cuts."""


@dataclass(frozen=True)
class VideoResult:
    """What was found in a video, and the files it is in; a notebook shows both as a table.

    Attributes:
        annotated: The video with boxes and labels: H.264 in MP4, at most 1280 × 720, without sound.
        csv: The table of all faces, see `FaceTable`.
        parquet: The same table; None where pyarrow is not installed.
        plot: The scores over time of the face that is seen most, PNG.
        seconds: Time from the first frame to the last.
        num_frames: Frames read and written.
        num_detections: Frames that were searched for faces as a whole.
        num_faces: Faces that were followed; one that comes back counts again.
        num_cuts: How often the scene changed at once.
        labels: How often each label was shown, the most frequent first; "not sure" counts, too.
        note: What is wrong with the file although it could be read; None if nothing.
    """

    annotated: Path
    csv: Path
    plot: Path
    seconds: float
    num_frames: int
    num_detections: int
    num_faces: int
    num_cuts: int
    labels: dict[str, int]
    note: str | None
    parquet: Path | None = None

    def _repr_html_(self) -> str:
        rows = {
            "Duration": f"{self.seconds:.1f} seconds, {self.num_frames} frames",
            "Faces followed": f"{self.num_faces}, found in {self.num_detections} detections",
            "Cuts": self.num_cuts,
            "Note": self.note or "none",
            "Annotated video": f"{self.annotated}: IPython.display.Video(result.annotated)",
            "Table of faces": f"{self.csv}: pandas.read_csv(result.csv)",
            "Plot": f"{self.plot}: IPython.display.Image(result.plot)",
        }
        cells = (f"<tr><th>{n}</th><td>{escape(str(text))}</td></tr>" for n, text in rows.items())
        return f"<table><tbody>{''.join(cells)}</tbody></table>"


def analyse_video(
    path: str | Path | int,
    reader: FaceReader,
    *,
    output_dir: str | Path,
    seconds: float = math.inf,
    detections_per_second: float = 5.0,
    boxes_per_second: float = 15.0,
    max_seconds: float = 600.0,
    max_pixels: int = 25_000_000,
    max_frames: int = 72_000,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> VideoResult:
    """Follow the faces of a video; of its frames only one is in memory at a time.

    Args:
        path: MP4, MOV, WebM and the like, of any frame rate, turned by metadata or not; or the
            number of a webcam, from 0 on, which is read until `seconds` or `stop` end it.
        reader: Finds and scores the faces.
        output_dir: Where the files are written. They appear when all are complete, or not at all.
        seconds: Read only so much of it, from its beginning on.
        detections_per_second: How often whole frames are searched, and expressions read.
        boxes_per_second: How often boxes follow their faces in between; 0 for not at all.
        max_seconds: How long the video may be.
        max_pixels: How many pixels a frame may have.
        max_frames: How many frames there may be.
        progress: Called with 0–1 after each detection; what it raises ends the analysis.
        stop: Asked after each frame; once it says True, what was read so far is the result.

    Raises:
        OSError: There is no such webcam, or (FileNotFoundError) no such file.
        ValueError: It cannot be read as a video, a limit is exceeded, or a setting is out of range.

    Example:
        >>> from fer_hf import FaceReader
        >>> result = analyse_video("party.mp4", FaceReader(), output_dir="read")
        >>> result.num_faces, result.annotated.name
        (2, 'annotated.mp4')
    """
    _check_positive(detections_per_second=detections_per_second, seconds=seconds)
    annotator = _Annotator(reader, detections_per_second, boxes_per_second, progress)
    limits, output = VideoLimits(max_seconds, max_pixels, max_frames), Path(output_dir)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".unfinished-") as folder:
        files = {kind: Path(folder, name) for kind, name in FILES.items()}
        opened = open_webcam(path) if isinstance(path, int) else open_video(path, limits)
        with opened as video, open_annotated_video(files["annotated"], video) as write:
            for frame in map(annotator.annotate, _read_until(video, seconds, stop)):
                write(frame)
        rows = annotator.table.save(files["csv"], files["parquet"])
        plot_most_seen_face(rows, frame.seconds, detections_per_second).savefig(files["plot"])
        return VideoResult(
            **{kind: one.replace(output / one.name) for kind, one in files.items() if one.exists()}
            | annotator.get_counts(),
            seconds=frame.seconds,
            num_frames=frame.number + 1,
            labels=dict(Counter(row["label"] for row in rows).most_common()),
            note=video.note,
        )


def _check_positive(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"`{name}` is {value}, expected above 0. Pass 5.")


def _read_until(
    video: VideoFile | Webcam, seconds: float, stop: Callable[[], bool]
) -> Iterator[Frame]:
    """Yield frames until it is enough, each with its share of that."""
    for frame in video:
        yield replace(frame, share=min(1.0, max(frame.share, frame.seconds / seconds)))
        if frame.seconds >= seconds or stop():
            return


class _Annotator:
    """Detects faces in some frames, and annotates all of them in their order."""

    def __init__(
        self,
        reader: FaceReader,
        rate: float,
        boxes_per_second: float,
        progress: Callable[[float], None] | None,
    ) -> None:
        if not boxes_per_second >= 0:
            raise ValueError(
                f"`boxes_per_second` is {boxes_per_second}, expected 0 or more. Pass 15."
            )
        self.table = FaceTable(reader.label_names)
        self.num_detections = self.num_faces = self.num_cuts = 0
        self._reader, self._progress = reader, progress
        self._detections, self._moves = _Turns(rate), _Turns(boxes_per_second)
        self._detector = reader.detector if boxes_per_second > rate else None
        not_sure = reader.classifier.not_sure
        self._tracker = FaceTracker(threshold=None if not_sure is None else not_sure.threshold)
        self._drawn: list[FaceReading] = []
        self._lay_over: Callable[[Yuv], None] | None = None
        self._last_luma: npt.NDArray[np.int16] | None = None

    def annotate(self, frame: Frame) -> Frame:
        """Draw the faces that were detected last, where they are on a frame; return it."""
        if self._is_cut(frame):
            # The boxes belong to the scene before; a detection out of turn would make films of
            # nothing but cuts cost six times as much.
            self.num_cuts += 1
            self._tracker.reset()
            self._draw([], frame)
        is_moves_turn = self._moves.take(frame.seconds)
        if self._detections.take(frame.seconds):
            self._detect(frame)
        elif is_moves_turn and self._detector:
            self._follow(frame, self._detector)
        if self._lay_over:
            self._lay_over(frame.yuv)
        return frame

    def _detect(self, frame: Frame) -> None:
        (readings,) = self._reader([frame.to_picture()])
        tracked = self._tracker.update(frame.seconds, readings)
        self.table.add(frame, tracked)
        self._draw(tracked, frame)
        self.num_detections += 1
        self.num_faces = max([self.num_faces, *(one.number for one in tracked)])
        if self._progress:
            self._progress(frame.share)

    def _follow(self, frame: Frame, detector: FaceDetector) -> None:
        """Move the boxes; a label changes only by what a detection reads."""
        expected = self._tracker.predict(frame.seconds)
        places = [one.face for one in expected]
        faces = find_again(places, detector, frame.size, partial(_cut_out, frame))
        found = {one.number: face for one, face in zip(expected, faces, strict=True) if face}
        moved = self._tracker.move(frame.seconds, found)
        if any(map(_has_moved, self._drawn, moved)):
            self._draw(moved, frame)

    def get_counts(self) -> dict[str, Any]:
        """Return what was counted so far, as `VideoResult` names it."""
        names = ("num_detections", "num_faces", "num_cuts")
        return {name: getattr(self, name) for name in names}

    def _draw(self, tracked: list[FaceReading], frame: Frame) -> None:
        self._drawn = tracked
        self._lay_over = render_annotation(tracked, frame.size) if tracked else None

    def _is_cut(self, frame: Frame) -> bool:
        width, height = frame.size
        factors = max(1, width // _CUT_SIZE[0]), max(1, height // _CUT_SIZE[1])
        small = Image.fromarray(frame.luma).reduce(factors)
        luma = np.asarray(small, dtype=np.int16)  # holds differences, too
        last, self._last_luma = self._last_luma, luma
        return last is not None and float(np.abs(luma - last).mean()) > MIN_CUT_DIFFERENCE


class _Turns:
    """Counts turns from the first frame on, so that they do not drift with frame times."""

    def __init__(self, rate: float) -> None:
        self._rate, self._last = rate, -1

    def take(self, seconds: float) -> bool:
        """Return whether a new turn has come since the last call."""
        turn = int(seconds * self._rate + 1e-6)
        is_new, self._last = turn > self._last, turn
        return is_new


def _cut_out(frame: Frame, region: Region) -> Image.Image:
    """Return a region of a frame as a picture; to turn the whole frame into one costs far more."""
    left, top, right, bottom = region
    width, height = frame.size
    chroma = frame.yuv[height:].reshape(2, height // 2, width // 2)
    planes = [
        frame.luma[top:bottom, left:right],
        *chroma[:, top // 2 : bottom // 2, left // 2 : right // 2],
    ]
    yuv = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, right - left)
    return replace(frame, yuv=yuv).to_picture()


def _has_moved(drawn: FaceReading, moved: FaceReading) -> bool:
    """Return whether a box is far enough from where it was drawn to be drawn anew."""
    old, new = np.array(drawn.face.box), np.array(moved.face.box)
    return bool(np.abs(new - old).max() > MIN_MOVE * max(new[2] - new[0], new[3] - new[1]))
