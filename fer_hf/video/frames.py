"""The frames of a video file, upright, of one size and with their times.

Frames stay in the video's own colour model (YUV 4:2:0), because turning each to RGB and back costs
as much as decoding and encoding together; only those in which faces are detected become pictures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from PIL import Image

FORMATS = ("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "ogg", "asf", "gif")
"""FFmpeg's names of the formats whose files are complete in themselves. Others are refused, because
a playlist makes the decoder read what it names: other files of the machine, or addresses."""

LONGER_SIDE, SHORTER_SIDE = 1280, 720
"""Larger frames are shrunk to these, in pixels."""

SHORTEST_STEP = 0.001
"""From one frame to the next, in seconds."""

Yuv = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        number: From 0 on.
        seconds: Time since the first frame.
        share: Roughly how much of the video is over, 0–1.
        yuv: Shape (height · 3 / 2, width), both even: the rows of Y, then of U and of V, which have
            half as many columns and are stored two to a row; limited range.
        colorspace: FFmpeg's number of the matrix between YUV and RGB.
    """

    number: int
    seconds: float
    share: float
    yuv: Yuv
    colorspace: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        rows, width = self.yuv.shape
        return width, rows * 2 // 3

    @property
    def luma(self) -> Yuv:
        """The brightness of each pixel, (height, width), 16–235."""
        return self.yuv[: self.size[1]]

    def to_picture(self) -> Image.Image:
        """Return the frame as a picture of mode RGB."""
        frame = VideoFrame.from_ndarray(self.yuv, format="yuv420p")
        frame.colorspace = self.colorspace
        return frame.to_image()


@dataclass(frozen=True)
class VideoLimits:
    """The most a video may have: seconds, pixels of a frame, and frames."""

    seconds: float
    pixels: int
    frames: int


@contextmanager
def open_video(path: str | Path, limits: VideoLimits) -> Iterator["VideoFile"]:
    """Open a video, whose frames can then be read once.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read as a video, or is beyond a limit.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"There is no file {str(path)!r}, expected a video. Check the path."
        )
    name = Path(path).name
    options = {"format_whitelist": ",".join(FORMATS), "max_pixels": str(limits.pixels)}
    try:
        # Without `file:` a name such as "concat:a|b" is an instruction.
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(
            f"{name!r} cannot be opened as a video, expected one such as MP4, MOV, WebM, MKV or "
            "AVI. Choose another file, or convert it."
        ) from error
    with container:
        if not container.streams.video:
            raise ValueError(f"{name!r} has no pictures, expected a video. Choose another file.")
        yield VideoFile(name, container, limits)


class VideoFile:
    """An open video, as `open_video` yields it; iterating gives its frames, once.

    Attributes:
        size: Width and height of the upright frames, both even.
        colorspace: Of the frames, see `Frame`.
        frame_rate: Frames a second, approximately.
        note: After the last frame, what is wrong with the file although it could be read.
    """

    def __init__(self, name: str, container: InputContainer, limits: VideoLimits) -> None:
        self._name, self._container, self._limits = name, container, limits
        self._stream = container.streams.video[0]
        codec, stream = self._stream.codec_context, self._stream
        if codec.width * codec.height > limits.pixels:
            raise ValueError(
                f"{name!r} has frames of {codec.width} × {codec.height} pixels, expected at most "
                f"{limits.pixels:,} pixels. Make it smaller."
            )
        length, unit = container.duration, Fraction(1, av.time_base)
        if stream.duration is not None and stream.time_base is not None:
            length, unit = stream.duration, stream.time_base
        self._duration = None if length is None else float(length * unit)  # as the file says
        self._check_length(self._duration or 0.0, stream.frames)
        stream.thread_type = "AUTO"
        # Applies to frames that are larger than the file said, too.
        codec.options = {"max_pixels": str(limits.pixels)}
        self.note: str | None = None
        self._num_damaged = 0
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise ValueError(
                f"No frame of {name!r} can be decoded, expected a video. It is damaged or empty: "
                "choose another file."
            )
        self._first = first
        self._quarter_turns = round(first.rotation / 90) % 4
        # With square pixels.
        width = first.width * float(stream.sample_aspect_ratio or 1)
        self._scaled = fit_size(width, first.height)
        self.size = self._scaled[::-1] if self._quarter_turns % 2 else self._scaled
        self.colorspace = int(first.colorspace)
        self.frame_rate = stream.guessed_rate or Fraction(30)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            ValueError: The video is longer than allowed.
        """
        seconds, last, total = 0.0, None, self._duration or self._limits.seconds
        for number, decoded in enumerate(chain([self._first], self._decoded)):
            if number:
                step = -1.0 if last is None or decoded.time is None else decoded.time - last
                # Times that are missing, go back or stand still are as good as none.
                seconds += step if step >= SHORTEST_STEP else float(1 / self.frame_rate)
            last = decoded.time
            self._check_length(seconds, number + 1)
            share = min(1.0, seconds / total)
            yield Frame(number, seconds, share, self._to_yuv(decoded), self.colorspace)
        if self._duration is not None and self._duration - seconds > 1:
            self.note = (
                f"The video breaks off: {seconds:.1f} of {self._duration:.1f} seconds could be "
                "read."
            )
        elif self._num_damaged:
            self.note = "Parts of the video are damaged and left out."

    def _check_length(self, seconds: float, num_frames: int) -> None:
        if seconds > self._limits.seconds:
            raise ValueError(
                f"{self._name!r} lasts {seconds:.1f} seconds or longer, expected at most "
                f"{self._limits.seconds:g}. Cut it."
            )
        if num_frames > self._limits.frames:
            raise ValueError(
                f"{self._name!r} has {num_frames:,} frames or more, expected at most "
                f"{self._limits.frames:,}. Cut it, or lower its frame rate."
            )

    def _decode(self) -> Iterator[VideoFrame]:
        """Yield what can be decoded, and go on after what cannot."""
        packets = self._container.demux(self._stream)
        while self._num_damaged <= self._limits.frames:
            try:
                yield from next(packets).decode()
            except StopIteration:
                return
            except av.FFmpegError:
                self._num_damaged += 1

    def _to_yuv(self, decoded: VideoFrame) -> Yuv:
        """Scale a frame and turn it upright."""
        is_full_range = decoded.color_range == ColorRange.JPEG
        scaled = decoded.reformat(
            *self._scaled,
            format="yuv420p",
            interpolation="AREA",
            dst_color_range=ColorRange.MPEG if is_full_range else None,
        )
        return turn_yuv(scaled.to_ndarray().astype(np.uint8, copy=False), self._quarter_turns)


def fit_size(width: float, height: float) -> tuple[int, int]:
    """Return even sides, as long or smaller, in the same proportion, that are not too large."""
    shrink = min(1.0, LONGER_SIDE / max(width, height), SHORTER_SIDE / min(width, height))
    scaled_width, scaled_height = (int(side * shrink) // 2 * 2 for side in (width, height))
    return max(2, scaled_width), max(2, scaled_height)


def turn_yuv(yuv: Yuv, quarter_turns: int) -> Yuv:
    """Turn a frame, laid out as in `Frame`, counterclockwise."""
    if not quarter_turns:
        return yuv
    rows, width = yuv.shape
    height = rows * 2 // 3
    chroma = yuv[height:].reshape(2, height // 2, width // 2)
    planes = [np.rot90(plane, quarter_turns).ravel() for plane in (yuv[:height], *chroma)]
    return np.concatenate(planes).reshape(-1, height if quarter_turns % 2 else width)
