"""The cascades that come with OpenCV, combined to find as many faces as possible."""

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.faces.face import Face, sort_faces

FIRST_PASS = (("frontalface_alt2",), 5)
SECOND_PASS = (("frontalface_alt2", "frontalface_alt", "profileface"), 6)
"""Cascades, and how many votes make a face. One face is found several times, at slightly different
places and sizes: each time is a vote, from whichever cascade. With fewer, textures become faces, as
they do with `frontalface_default`, the cascade of the tutorials."""

ONE_SIDED = "profileface"
"""It finds faces that look to the left of the picture; the others are found in its mirror image."""

SEARCH_SIDE = 256
"""Pictures are searched with their longer side resized to this, in pixels."""

MIN_FACE, PADDING = 0.1, 0.2
"""Shares of the longer side: the smallest face, and by how much each edge is repeated. The cascades
need some background around a face; many tightly cropped portraits are only found so."""

SCALE_FACTOR = 1.2
"""From one size that is searched to the next."""

WIDEN, LOWER = 1.035, 0.022
"""From a cascade's square to the square around YuNet's box, as shares of its side: medians over 220
photographs of the half that `benchmarks/faces.py` does not hold out."""

Boxes = npt.NDArray[np.float64]


class HaarDetector:
    """Finds faces with cascades of Haar features (Viola and Jones, CVPR 2001).

    Args:
        thorough: Whether it searches a second time, with more cascades, where it found nothing.
            That takes several times as long.

    Raises:
        ImportError: This OpenCV has no cascades.
    """

    name = "haar"

    def __init__(self, *, thorough: bool = True) -> None:
        self._passes = (FIRST_PASS, SECOND_PASS) if thorough else (FIRST_PASS,)
        self._cascades = {name: _load_cascade(name) for name in self._passes[-1][0]}
        # A cascade holds the picture at work, so only one thread at a time may use it.
        self._lock = threading.Lock()

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture from left to right."""
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Image.Image) -> list[Face]:
        scale = SEARCH_SIDE / max(picture.size)
        size = [max(round(side * scale), 1) for side in picture.size]
        grey = np.asarray(picture.convert("L").resize(size, Image.Resampling.BILINEAR))
        padding = round(PADDING * SEARCH_SIDE)
        grey = np.pad(grey, padding, mode="edge")
        for cascades, min_votes in self._passes:
            with self._lock:
                boxes, votes = self._search(grey, cascades)
            faces = [
                Face(_widen((box - padding) / scale), float(1 - 1 / num))
                for box, num in merge_boxes(boxes, votes)
                if num >= min_votes
            ]
            if faces:
                return sort_faces(faces)
        return []

    def _search(self, grey: npt.NDArray[np.uint8], cascades: Sequence[str]) -> tuple[Boxes, Boxes]:
        """Return the boxes of all cascades, (N, 4), and how often each was found, (N,)."""
        found = [np.zeros((0, 5))]
        side = round(MIN_FACE * SEARCH_SIDE)
        for name in cascades:
            for searched in (grey, cv2.flip(grey, 1)) if name == ONE_SIDED else (grey,):
                boxes, counts = self._cascades[name].detectMultiScale2(
                    searched, SCALE_FACTOR, minNeighbors=1, minSize=(side, side)
                )
                x, y, width, height = np.reshape(boxes, (-1, 4)).T
                if searched is not grey:
                    x = grey.shape[1] - x - width
                found.append(np.column_stack([x, y, x + width, y + height, np.ravel(counts)]))
        rows = np.concatenate(found)
        return rows[:, :4], rows[:, 4]


def merge_boxes(boxes: Boxes, votes: Boxes) -> list[tuple[Boxes, float]]:
    """Merge boxes that share half of the smaller one, those with the most votes first.

    Greedy non-maximum suppression, except that the suppressed give their votes to the box they
    yield to.

    Args:
        boxes: Shape (N, 4): left, top, right, bottom.
        votes: Shape (N,), above 0.

    Returns:
        Boxes of shape (4,), means weighted with the votes, and the sums of these.
    """
    merged = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(boxes):
        best = votes.argmax()
        top_left = np.maximum(boxes[best, :2], boxes[:, :2])
        shared = (np.minimum(boxes[best, 2:], boxes[:, 2:]) - top_left).clip(0).prod(axis=1)
        same = shared >= np.minimum(areas[best], areas) / 2
        merged.append((np.average(boxes[same], axis=0, weights=votes[same]), votes[same].sum()))
        boxes, votes, areas = boxes[~same], votes[~same], areas[~same]
    return merged


def _widen(box: Boxes) -> tuple[float, float, float, float]:
    side = box[2] - box[0]
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + LOWER * side
    half = WIDEN * side / 2
    return (float(x - half), float(y - half), float(x + half), float(y + half))


def _load_cascade(name: str) -> "cv2.CascadeClassifier":
    path = Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"
    # OpenCV 5 left out the cascades, and in some builds what reads them.
    if "CascadeClassifier" not in vars(cv2) or not path.is_file():
        raise ImportError(
            f"OpenCV {cv2.__version__} has no cascades, expected 4.14 or a later 4. Run: "
            "pip install 'opencv-python-headless>=4.14,<5', or use the detector 'yunet'."
        )
    return cv2.CascadeClassifier(str(path))
