"""A face in a picture: where it is, and its square crop as a classifier wants to see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """A face that a detector found.

    Attributes:
        box: Left, top, right and bottom in pixels, the latter two outside the face.
        score: How sure the detector is, 0–1.
        eyes: Of the one on the left of the picture, then of the other; None where not known.
    """

    box: tuple[float, float, float, float]
    score: float
    eyes: tuple[Point, Point] | None = None


class FaceDetector(Protocol):
    """What finds faces; one object may serve several threads."""

    name: str

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture of mode RGB from left to right, none where there are none."""
        ...
