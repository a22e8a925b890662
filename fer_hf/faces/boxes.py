"""A face in a picture, and what every detector of faces promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """A face that a detector found.

    Attributes:
        box: Left, top, right and bottom in pixels, the latter two outside the face, which reaches
            from the forehead to the chin; it may reach beyond the picture.
        score: How sure the detector is, 0–1; only comparable within one detector.
        eyes: Of the one on the left of the picture, then of the other; None where not known.
    """

    box: tuple[float, float, float, float]
    score: float
    eyes: tuple[Point, Point] | None = None


class FaceDetector(Protocol):
    """What finds faces; one object may serve several threads."""

    name: str

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture of mode RGB from left to right; where none, none."""
        ...


def sort_faces(faces: Sequence[Face]) -> list[Face]:
    """Order the faces of one picture from left to right, by the middle of their boxes."""
    return sorted(faces, key=lambda face: face.box[0] + face.box[2])
