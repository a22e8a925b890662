"""A face in a picture: where it is, what finds it, and its square crop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels; the latter two are just outside."""

Point = tuple[float, float]
"""x and y in pixels."""

DEFAULT_MARGIN = -0.05
"""The best of the margins in `benchmarks/faces.md` for the bundled model, with both detectors and
by both measures, on the half of the photographs that settings are chosen on."""


MOST_SIDE = 4096
"""Of a crop in pixels. A classifier sees it far smaller, and at full size it takes as much memory
as its picture, or more: that of a long strip is mostly its edge, repeated."""


@dataclass(frozen=True)
class Face:
    """A face that a detector found.

    Attributes:
        box: From the forehead to the chin; it may reach beyond the picture.
        score: How sure the detector is, 0–1; only comparable within one detector.
        landmarks: Eyes, tip of the nose and corners of the mouth, of each pair that one first which
            is on the left of an upright face (the person's right); None where unknown.
    """

    box: Box
    score: float
    landmarks: tuple[Point, Point, Point, Point, Point] | None = None

    @property
    def eyes(self) -> tuple[Point, Point] | None:
        """The first two landmarks."""
        return self.landmarks and self.landmarks[:2]


class FaceDetector(Protocol):
    """Finds faces; one detector may serve several threads."""

    name: str

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture of mode RGB from left to right, perhaps none."""
        ...


def sort_faces(faces: Sequence[Face]) -> list[Face]:
    """Order the faces of one picture from left to right, by the middle of their boxes."""
    return sorted(faces, key=lambda face: face.box[0] + face.box[2])


def intersect_boxes(old: Sequence[Box], new: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Return the area that each old box shares with each new one, (len(old), len(new))."""
    a = np.asarray(old, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(new, dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return sides.clip(min=0).prod(axis=-1)


def keep_best(
    boxes: npt.NDArray[np.floating], scores: npt.NDArray[np.floating], *, max_iou: float
) -> list[int]:
    """Choose among boxes that overlap: greedy non-maximum suppression.

    Args:
        boxes: Left, top, right and bottom, shape (N, 4).
        scores: Shape (N,).
        max_iou: Of two boxes that overlap more than this the one with the lower score is left out.

    Returns:
        Rows of the boxes that are kept, the highest score first.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(min=0)
    areas = sides.prod(axis=1)
    rows = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(rows):
        best, rows = int(rows[0]), rows[1:]
        kept.append(best)
        shared = np.minimum(boxes[best, 2:], boxes[rows, 2:])
        shared -= np.maximum(boxes[best, :2], boxes[rows, :2])
        overlap = shared.clip(min=0).prod(axis=1)
        rows = rows[overlap <= max_iou * (areas[best] + areas[rows] - overlap)]
    return kept


def crop_face(picture: Image.Image, face: Face, *, margin: float = DEFAULT_MARGIN) -> Image.Image:
    """Cut out the square around a face, as a classifier expects it.

    Outside the picture its edge is repeated. `benchmarks/faces.md` compares that with black bars,
    other margins and level eyes, by how well the bundled model reads the crops.

    Args:
        picture: Of mode RGB.
        face: Where it is.
        margin: Added on each side, as a share of the box's longer side; below 0 it is cut off.

    Returns:
        A square picture of mode RGB, 1 to `MOST_SIDE` pixels wide; larger faces are reduced.

    Raises:
        ValueError: The margins leave nothing.
    """
    if margin <= -0.5:
        raise ValueError(
            f"`margin` is {margin}, expected more than -0.5. Use -0.1 to cut closer, 0.1 for more "
            "around the face."
        )
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    if side > MOST_SIDE:
        factor = math.ceil(side / MOST_SIDE)
        smaller = Face(tuple(at / factor for at in face.box), face.score)  # type: ignore[arg-type]
        return crop_face(picture.reduce(factor), smaller, margin=margin)
    num = max(round(side), 1)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    # Only the necessary part of a large photograph is turned into an array.
    inside = (
        min(max(x, 0), picture.width - 1),
        min(max(y, 0), picture.height - 1),
        max(min(x + num, picture.width), 1),
        max(min(y + num, picture.height), 1),
    )
    pixels = np.asarray(picture.crop(inside))
    columns = np.clip(np.arange(x, x + num) - inside[0], 0, pixels.shape[1] - 1)
    rows = np.clip(np.arange(y, y + num) - inside[1], 0, pixels.shape[0] - 1)
    return Image.fromarray(pixels[np.ix_(rows, columns)])
