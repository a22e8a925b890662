"""Boxes and labels on frames: drawn once for each detection, laid over every frame until the next.

`draw_readings` draws on RGB pictures, which frames are not. So it draws on black and on white
instead, and the two drawings tell what any frame below would become: the two-background matte of
A. R. Smith and J. F. Blinn, Blue Screen Matting, 1996. Blending is linear in YUV as it is in RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from PIL import Image

from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reading import FaceReading
from fer_hf.video.frames import Yuv

_BLACK, _WHITE, _GREY = 16, 235, 128
"""Y of black and of white in the limited range; U and V of both."""


@dataclass(frozen=True)
class Annotation:
    """What to lay over a frame, at the places where it shows.

    Attributes:
        places: Shape (N,), indices into the flattened frame.
        keep: Shape (N,), how much of the frame stays there, 0–1.
        add: Shape (N,), what is added.
    """

    places: npt.NDArray[np.intp]
    keep: npt.NDArray[np.floating]
    add: npt.NDArray[np.floating]

    def lay_over(self, yuv: Yuv) -> None:
        """Change a frame of the size that was given to `render_annotation`."""
        values = yuv.reshape(-1)
        mixed = values[self.places] * self.keep + self.add
        values[self.places] = np.clip(np.rint(mixed), 0, 255)


def render_annotation(readings: Sequence[FaceReading], size: tuple[int, int]) -> Annotation | None:
    """Draw boxes and labels for frames of a width and height, both even; None without faces."""
    if not readings:
        return None
    on_black, on_white = (
        _draw(Image.new("RGB", size, ground), readings) for ground in ("black", "white")
    )
    width, height = size
    # What is between black and white below shows what is kept of any frame. U and V are the same on
    # both: they keep what their four pixels keep on average.
    luma = cv2.subtract(on_white[:height], on_black[:height])
    half = cv2.resize(luma, (width // 2, height // 2), interpolation=cv2.INTER_AREA).ravel()
    kept = np.concatenate([luma.ravel(), half, half])
    places = np.flatnonzero(kept < _WHITE - _BLACK)
    keep = kept[places].astype(np.float32) / (_WHITE - _BLACK)
    ground = np.where(places < luma.size, np.float32(_BLACK), np.float32(_GREY))
    return Annotation(places, keep, on_black.ravel()[places] - keep * ground)


def _draw(ground: Image.Image, readings: Sequence[FaceReading]) -> Yuv:
    drawn = draw_readings(ground, readings, with_scores=False)
    return VideoFrame.from_image(drawn).reformat(format="yuv420p").to_ndarray()
