"""The frames of a webcam and the times at which they came; what comes too fast is left out."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from fer_hf.video.frames import SHORTEST_STEP, Frame, Yuv, fit_size

PATIENCE = 10.0
"""So many seconds without a picture are the end of a webcam."""


@contextmanager
def open_webcam(number: int) -> Iterator["Webcam"]:
    """Open a webcam, whose frames can then be read once.

    Args:
        number: Which one of this machine, from 0 on.

    Raises:
        OSError: There is no such webcam, or it gives no pictures.
    """
    try:
        device = _find_device(number)
        # AVFMT_FLAG_NONBLOCK: what waits for a picture within FFmpeg does not hear of Ctrl-C.
        options = {"fflags": "+4", **device.options}
        container = av.open(device.name, format=device.format, options=options, timeout=PATIENCE)
    # An unknown format is a ValueError: this FFmpeg was built without it.
    except (av.FFmpegError, LookupError, ValueError) as error:
        raise _refuse(number, getattr(error, "strerror", None) or str(error)) from error
    with container:
        frames = _decode(container)
        if (first := next(frames, None)) is None:
            raise _refuse(number, "none came")
        rate = container.streams.video[0].average_rate or 30
        yield Webcam(chain([first], frames), first, Fraction(rate).limit_denominator(1001))


class Webcam:
    """An open webcam, as `open_webcam` yields it; iterating gives its frames, as `VideoFile` does.

    Attributes:
        size: Width and height of the frames, both even.
        colorspace: Of the frames, see `Frame`.
        frame_rate: Frames a second, approximately.
        note: After the last frame, that the webcam stopped by itself.
    """

    colorspace = int(Colorspace.ITU601)

    def __init__(self, frames: Iterator[VideoFrame], first: VideoFrame, rate: Fraction) -> None:
        self._frames, self._start = frames, first.time
        self.size = fit_size(first.width, first.height)
        self.frame_rate = rate
        self.note: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames until the webcam stops; how long that is, is the caller's business."""
        start, seconds = time.monotonic(), 0.0
        for number, decoded in enumerate(self._frames):
            if number:
                # When it was taken, by the clock of the driver; a slow reader sees it later.
                now = time.monotonic() - start
                if decoded.time is not None and self._start is not None:
                    now = decoded.time - self._start
                seconds = max(now, seconds + SHORTEST_STEP)
            yield Frame(number, seconds, 0.0, self._to_yuv(decoded), self.colorspace)
        self.note = f"The webcam stopped after {seconds:.1f} seconds."

    def _to_yuv(self, decoded: VideoFrame) -> Yuv:
        scaled = decoded.reformat(
            *self.size,
            format="yuv420p",
            interpolation="AREA",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
        )
        return scaled.to_ndarray().astype(np.uint8, copy=False)


class _Device(NamedTuple):
    """What FFmpeg opens: a name, in a format, with options."""

    name: str
    format: str
    options: Mapping[str, str]


def _find_device(number: int) -> _Device:
    """Return what a number stands for on this machine.

    Raises:
        LookupError: There are fewer webcams; only Windows says so before one is opened.
    """
    if sys.platform == "win32":
        found = [one for one in av.enumerate_input_devices("dshow") if "video" in one.media_types]
        if number >= len(found):
            names = ", ".join(one.description for one in found) or "none"
            raise LookupError(f"those there are, from 0 on: {names}")
        return _Device(f"video={found[number].name}", "dshow", {})
    if sys.platform == "darwin":
        # By default it asks for 29.97 frames a second, which most webcams do not offer.
        return _Device(f"{number}:none", "avfoundation", {"framerate": "30"})
    # By default the size is that which was last asked for, by whatever program.
    return _Device(f"/dev/video{number}", "v4l2", {"video_size": "640x480"})


def _decode(container: InputContainer) -> Iterator[VideoFrame]:
    """Yield what a webcam sends until it is unplugged, or nothing comes any more."""
    last = time.monotonic()
    while time.monotonic() - last < PATIENCE:
        try:
            for packet in container.demux(video=0):
                if packet.size:  # drivers send empty ones in place of damaged pictures
                    yield from packet.decode()
                    last = time.monotonic()
            return
        except av.BlockingIOError:  # there is none yet
            time.sleep(0.002)
        except av.InvalidDataError:
            pass  # a damaged picture
        except av.FFmpegError:
            return


def _refuse(number: int, reason: str) -> OSError:
    return OSError(
        f"Webcam {number} gives no pictures ({reason}), expected one that is plugged in and not in "
        "use. Close what uses it, or try another number."
    )
