"""The whole way of a video, on one page: frames, looks, tracks, annotations, table and plot."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy.typing as npt

from fer_hf.faces.reading import FaceReader
from fer_hf.faces.tracking import FaceTracker
from fer_hf.video.annotation import Annotation, render_annotation
from fer_hf.video.frames import Frame, Limits, open_video
from fer_hf.video.timeline_plot import plot_most_seen_face
from fer_hf.video.writing import FaceTable, open_annotated_video, open_face_table

ANNOTATED, CSV, PARQUET, PLOT = "annotated.mp4", "faces.csv", "faces.parquet", "plot.png"

MIN_CUT_DIFFERENCE = 30.0
"""Mean change of brightness from one frame to the next, of 0–255, that is a cut."""

_CUT_SIZE = (64, 36)


@dataclass(frozen=True)
class VideoResult:
    """What was found in a video, and where it lies.

    Attributes:
        folder: Where the files are.
        seconds: Time from the first frame to the last.
        num_frames: Frames read and written.
        num_looks: Frames in which faces were looked for.
        num_faces: Faces that were followed; one that comes back counts again.
        num_cuts: How often the scene changed at once.
        note: What is wrong with the file although it could be read; None if nothing.
    """

    folder: Path
    seconds: float
    num_frames: int
    num_looks: int
    num_faces: int
    num_cuts: int
    note: str | None

    @property
    def annotated(self) -> Path:
        """The video with boxes and labels: H.264 in MP4, at most 1280 × 720, without sound."""
        return self.folder / ANNOTATED

    @property
    def csv(self) -> Path:
        """The table of all faces, see `FaceTable`."""
        return self.folder / CSV

    @property
    def parquet(self) -> Path:
        """The same table."""
        return self.folder / PARQUET

    @property
    def plot(self) -> Path:
        """The scores over time of the face that is seen most, PNG."""
        return self.folder / PLOT


def analyse_video(
    path: str | Path,
    reader: FaceReader,
    *,
    output_dir: str | Path,
    looks_per_second: float = 5.0,
    max_seconds: float = 600.0,
    max_pixels: int = 25_000_000,
    max_frames: int = 72_000,
    progress: Callable[[float], None] | None = None,
) -> VideoResult:
    """Follow the faces of a video, in memory that does not grow with its frames.

    Args:
        path: MP4, MOV, WebM, MKV, AVI and the like, of any frame rate, turned by metadata or not.
        reader: What finds and scores the faces.
        output_dir: Where the files are written. They appear when all are complete, or not at all.
        looks_per_second: How often faces are looked for. Between looks they keep box and label.
        max_seconds: How long the video may be.
        max_pixels: How many pixels a frame may have.
        max_frames: How many frames there may be.
        progress: Called with 0–1 after each look; what it raises ends the analysis.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no video that can be read, it is beyond a limit, or `looks_per_second` is
            not above 0.
    """
    if not looks_per_second > 0:
        raise ValueError(f"`looks_per_second` is {looks_per_second}, expected above 0. Pass 5.")
    limits = Limits(max_seconds, max_pixels, max_frames)
    output, names = Path(output_dir), reader.label_names
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output, prefix=".unfinished-") as unfinished:
        folder = Path(unfinished)
        with (
            open_video(path, limits) as video,
            open_annotated_video(folder / ANNOTATED, video) as write,
            open_face_table(folder / CSV, folder / PARQUET, names) as table,
        ):
            annotator = _Annotator(reader, table, looks_per_second)
            for frame in video:
                is_look = annotator.annotate(frame)
                write(frame)
                if is_look and progress:
                    progress(frame.share)
        figure = plot_most_seen_face(
            folder / PARQUET, names, seconds=frame.seconds, looks_per_second=looks_per_second
        )
        figure.savefig(folder / PLOT)
        for file in folder.iterdir():
            file.replace(output / file.name)
    return VideoResult(
        output,
        seconds=frame.seconds,
        num_frames=frame.number + 1,
        num_looks=annotator.num_looks,
        num_faces=annotator.num_faces,
        num_cuts=annotator.num_cuts,
        note=video.note,
    )


class _Annotator:
    """Looks at some frames and annotates all of them, in their order."""

    def __init__(self, reader: FaceReader, table: FaceTable, looks_per_second: float) -> None:
        self.num_looks = self.num_faces = self.num_cuts = 0
        self._reader, self._table, self._looks_per_second = reader, table, looks_per_second
        not_sure = reader.classifier.not_sure
        threshold = None if not_sure is None else not_sure.threshold
        self._tracker = FaceTracker(reader.label_names, threshold=threshold)
        self._annotation: Annotation | None = None
        self._last_turn = -1
        self._last_luma: npt.NDArray | None = None

    def annotate(self, frame: Frame) -> bool:
        """Draw on a frame what was seen last, and say whether that was in this one."""
        if self._is_cut(frame):
            # The boxes belong to the scene before; a look out of turn would make films of nothing
            # but cuts cost six times as much.
            self.num_cuts += 1
            self._tracker.reset()
            self._annotation = None
        # Turns are counted from the first frame on, so that looks do not drift with frame times.
        turn = int(frame.seconds * self._looks_per_second + 1e-6)
        is_look = turn > self._last_turn
        if is_look:
            self._look(frame)
            self._last_turn = turn
        if self._annotation:
            self._annotation.lay_over(frame.yuv)
        return is_look

    def _look(self, frame: Frame) -> None:
        (readings,) = self._reader([frame.to_picture()])
        tracked = self._tracker.update(frame.seconds, readings)
        self._table.add(frame, tracked)
        self._annotation = render_annotation(tracked, self._reader.label_names, frame.size)
        self.num_looks += 1
        self.num_faces = max([self.num_faces, *(face.number for face in tracked)])

    def _is_cut(self, frame: Frame) -> bool:
        luma = cv2.resize(frame.luma, _CUT_SIZE, interpolation=cv2.INTER_AREA)
        last, self._last_luma = self._last_luma, luma
        return last is not None and cv2.absdiff(luma, last).mean() > MIN_CUT_DIFFERENCE
