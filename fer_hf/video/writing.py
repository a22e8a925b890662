"""What an analysis leaves on disk: the annotated video, and the table as CSV and Parquet.

All are written as they come, so that memory does not grow with the video.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import pyarrow as pa
from av.video.frame import VideoFrame
from pyarrow.csv import CSVWriter
from pyarrow.parquet import ParquetWriter

from fer_hf.faces.overlay import NOT_SURE
from fer_hf.faces.tracking import TrackedFace
from fer_hf.video.frames import Frame, VideoFile

CLOCK = Fraction(1, 90_000)
"""Unit of its times in seconds: MPEG's, in which frames of the usual rates are whole."""

SCORE_PREFIX = "score_"
"""Before the names of the labels in the names of columns, so that no label is called `frame`."""

_ROWS_AT_ONCE = 1000


@contextmanager
def open_annotated_video(path: Path, video: VideoFile) -> Iterator[Callable[[Frame], None]]:
    """Give what writes frames as H.264 in MP4, at their times and without sound."""
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
    """A row for each look and face.

    Columns: `time_seconds`; `frame`, from 0 on; `face`, its number; `left`, `top`, `right`,
    `bottom` in pixels of the annotated video; `detection_score`; `label` as it is shown; and the
    smoothed score of each label.
    """

    def __init__(self, writers: Sequence[CSVWriter | ParquetWriter], schema: pa.Schema) -> None:
        self._writers, self._schema = writers, schema
        self._rows: list[tuple] = []

    def add(self, frame: Frame, tracked: Sequence[TrackedFace]) -> None:
        """Add what was seen in one look."""
        self._rows += [
            (
                *(frame.seconds, frame.number, one.number, *one.face.box, one.face.score),
                *(one.label or NOT_SURE, *one.scores),
            )
            for one in tracked
        ]
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what was added."""
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [
            pa.array(values, field.type)
            for values, field in zip(columns, self._schema, strict=True)
        ]
        for writer in self._writers:
            writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


@contextmanager
def open_face_table(csv: Path, parquet: Path, label_names: Sequence[str]) -> Iterator[FaceTable]:
    """Give a table that is written to two files; without faces it has a header and no rows."""
    whole, real = pa.int64(), pa.float64()
    schema = pa.schema(
        [("time_seconds", real), ("frame", whole), ("face", whole)]
        + [(name, real) for name in ("left", "top", "right", "bottom", "detection_score")]
        + [("label", pa.string())]
        + [(SCORE_PREFIX + name, real) for name in label_names]
    )
    with CSVWriter(csv, schema) as csv_writer, ParquetWriter(parquet, schema) as parquet_writer:
        table = FaceTable([csv_writer, parquet_writer], schema)
        yield table
        table.flush()
