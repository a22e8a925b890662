"""Faces found again near where they were: how boxes follow between two searches of whole frames.

Only the surroundings of each face are searched, reduced, which costs a fraction of a whole frame.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from fer_hf.faces.face import Box, Face, FaceDetector, keep_best, scale_face
from fer_hf.faces.tracking import match_boxes

REACH = 2.0
"""Side of the square that is searched for a face, as a multiple of its box's longer side."""

FACE_SIDE = 64
"""Larger faces are reduced to about this, in pixels."""

MOST_FACES = 8
"""So many, the largest, are looked for: in a crowd their surroundings add up to a whole frame."""

MIN_IOU = 0.2
"""What overlaps less with the expected box is not the same face."""

Region = tuple[int, int, int, int]
"""Left, top, right and bottom within a picture; all even, as frames of a video are cut."""


def find_again(
    expected: Sequence[Face],
    detector: FaceDetector,
    size: tuple[int, int],
    cut: Callable[[Region], Image.Image],
) -> list[Face | None]:
    """Look for faces around where they are expected.

    Args:
        expected: Faces of the picture before, or where their motion takes them.
        detector: Searches the surroundings of each.
        size: Width and height of the picture.
        cut: Gives a region of it as a picture of mode RGB.

    Returns:
        Where each face is now, in pixels of the picture; None where it was not found, or not looked
        for.
    """
    sides = np.array([_measure_side(face.box) for face in expected])
    searched = [
        (region, max(1, round(sides[row] / FACE_SIDE)))
        for row in np.argsort(-sides, kind="stable")[:MOST_FACES]
        if (region := _surround(expected[row].box, size))
    ]
    parts = [cut(region).reduce(factor) for region, factor in searched]
    found = [
        scale_face(face, factor, origin=region[:2])
        for (region, factor), faces in zip(searched, detector(parts) if parts else [], strict=True)
        for face in faces
    ]
    again: list[Face | None] = [None] * len(expected)
    if found:
        # One face may be in the surroundings of several.
        boxes, scores = np.array([one.box for one in found]), np.array([f.score for f in found])
        found = [found[row] for row in keep_best(boxes, scores, max_iou=0.5)]
        old, new = ([face.box for face in faces] for faces in (expected, found))
        for row, choice in match_boxes(old, new, min_iou=MIN_IOU):
            again[row] = found[choice]
    return again


def _measure_side(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _surround(box: Box, size: tuple[int, int]) -> Region | None:
    """Return the region around a box; None where it lies outside."""
    reach = REACH * _measure_side(box) / 2
    region = []
    for start, end, length in zip(box[:2], box[2:], size, strict=True):
        middle = (start + end) / 2
        low, high = max(0, int(middle - reach)), min(length, int(np.ceil(middle + reach)))
        region.append((low // 2 * 2, min(length, (high + 1) // 2 * 2)))
    (left, right), (top, bottom) = region
    return (left, top, right, bottom) if left < right and top < bottom else None
