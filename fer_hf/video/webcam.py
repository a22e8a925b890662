"""The frames of a webcam and the times at which they came; what comes too fast is left out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from fer_hf.video.frames import SHORTEST_STEP, Frame, Yuv, fit_size


@contextmanager
def open_webcam(number: int) -> Iterator["Webcam"]:
    """Open a webcam, whose frames can then be read once.

    Args:
        number: Which one of this machine, from 0 on.

    Raises:
        OSError: There is no such webcam, or it gives no pictures.
    """
    # What OpenCV has to say of a missing one are five lines for its developers.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    capture = cv2.VideoCapture(number)
    try:
        is_there, first = capture.read()
        if not is_there:
            raise OSError(
                f"Webcam {number} gives no pictures, expected one that is plugged in and not in "
                "use. Close what uses it, or try another number."
            )
        yield Webcam(capture, first)
    finally:
        capture.release()


class Webcam:
    """An open webcam, as `open_webcam` yields it; iterating gives its frames, as `VideoFile` does.

    Attributes:
        size: Width and height of the frames, both even.
        colorspace: Of the frames, see `Frame`.
        frame_rate: Frames a second, approximately.
        note: After the last frame, that the webcam stopped by itself.
    """

    colorspace = int(Colorspace.ITU601)

    def __init__(self, capture: cv2.VideoCapture, first: npt.NDArray) -> None:
        self._capture, self._first = capture, first
        self.size = fit_size(*first.shape[1::-1])
        self.frame_rate = Fraction(capture.get(cv2.CAP_PROP_FPS) or 30).limit_denominator(1001)
        self.note: str | None = None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames until the webcam stops; how long that is, is the caller's business."""
        start, pixels, seconds = time.monotonic(), self._first, 0.0
        for number in count():
            yield Frame(number, seconds, 0.0, self._to_yuv(pixels), self.colorspace)
            is_there, pixels = self._capture.read()
            if not is_there:
                self.note = f"The webcam stopped after {seconds:.1f} seconds."
                return
            seconds = max(time.monotonic() - start, seconds + SHORTEST_STEP)

    def _to_yuv(self, pixels: npt.NDArray) -> Yuv:
        frame = VideoFrame.from_ndarray(pixels, format="bgr24")
        scaled = frame.reformat(*self.size, format="yuv420p", interpolation="AREA")
        return scaled.to_ndarray().astype(np.uint8, copy=False)
