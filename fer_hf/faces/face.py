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

LEVEL = 8.0
"""Degrees by which the eyes of a face may be turned that is cut out as it is. Below it, turning it
upright gains no more than the errors of its landmarks cost."""

MOST_SIDE = 4096
"""Of a crop in pixels. A classifier sees it far smaller, and at full size it takes as much memory
as its picture, or more: that of a long strip is mostly its edge, repeated."""


@dataclass(frozen=True)
class Face:
    """A face that a detector found.

    Attributes:
        box: From the forehead to the chin; it may reach beyond the picture. Of a turned face it
            lies around the turned oval: its middle is the face's, its longer side about the face's
            height.
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


def scale_face(face: Face, factor: float, *, origin: Point = (0.0, 0.0)) -> Face:
    """Return a face of a part of a picture as a face of the picture.

    Args:
        face: In pixels of the part.
        factor: Pixels of the picture for each of the part.
        origin: Of the part's upper left corner in the picture, in its pixels.
    """
    x, y = origin

    def scale(point: Point) -> Point:
        return point[0] * factor + x, point[1] * factor + y

    left, top, right, bottom = face.box
    landmarks = face.landmarks and tuple(map(scale, face.landmarks))
    box = (*scale((left, top)), *scale((right, bottom)))
    return Face(box, face.score, landmarks)  # type: ignore[arg-type]


def measure_turn(face: Face) -> float:
    """Return by how many degrees a face is turned clockwise, -180 to 180; 0 without its eyes."""
    if face.eyes is None:
        return 0.0
    (x, y), (other_x, other_y) = face.eyes
    return math.degrees(math.atan2(other_y - y, other_x - x))


def crop_face(picture: Image.Image, face: Face, *, margin: float = DEFAULT_MARGIN) -> Image.Image:
    """Cut out the square around a face, as a classifier expects it.

    A face whose eyes are turned by more than `LEVEL` is turned upright. Outside the picture its
    edge is repeated. `benchmarks/faces.md` compares that with black bars and other margins, by how
    well the bundled model reads the crops.

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
    turn = measure_turn(face)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    is_level = abs(turn) <= LEVEL
    # Of the upright square around a turned one.
    reach = side if is_level else side * (abs(cos) + abs(sin))
    if reach > MOST_SIDE:
        factor = math.ceil(reach / MOST_SIDE)
        return crop_face(picture.reduce(factor), scale_face(face, 1 / factor), margin=margin)
    num = max(round(side), 1)
    x, y = (left + right) / 2, (top + bottom) / 2
    if is_level:
        return _cut(picture, round(x - side / 2), round(y - side / 2), num)
    # A pixel more on each side is what the bilinear filter sees.
    whole = math.ceil(max(reach, 1)) + 2
    corner = math.floor(x - whole / 2), math.floor(y - whole / 2)
    x, y, half = x - corner[0], y - corner[1], num / 2
    return _cut(picture, *corner, whole + 1).transform(
        (num, num),
        Image.Transform.AFFINE,
        (cos, -sin, x + (sin - cos) * half, sin, cos, y - (sin + cos) * half),
        Image.Resampling.BILINEAR,
    )


def _cut(picture: Image.Image, x: int, y: int, side: int) -> Image.Image:
    """Cut out the square at a corner; outside the picture its edge is repeated."""
    if 0 <= x <= picture.width - side and 0 <= y <= picture.height - side:
        cut = picture.crop((x, y, x + side, y + side))
        cut.info.clear()  # its EXIF would have a classifier turn it once more
        return cut
    # Only the necessary part of a large photograph is turned into an array.
    inside = (
        min(max(x, 0), picture.width - 1),
        min(max(y, 0), picture.height - 1),
        max(min(x + side, picture.width), 1),
        max(min(y + side, picture.height), 1),
    )
    pixels = np.asarray(picture.crop(inside))
    columns = np.clip(np.arange(x, x + side) - inside[0], 0, pixels.shape[1] - 1)
    rows = np.clip(np.arange(y, y + side) - inside[1], 0, pixels.shape[0] - 1)
    return Image.fromarray(pixels.take(rows, 0).take(columns, 1))  # far faster than `np.ix_`
