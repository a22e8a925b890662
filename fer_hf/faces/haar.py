"""The cascades that come with OpenCV, made to find as many faces as together they can."""

import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.faces.face import Face, sort_faces

FIRST_LOOK = (("frontalface_alt2",), 5)
SECOND_LOOK = (("frontalface_alt2", "frontalface_alt", "profileface"), 6)
"""Cascades, and how many votes make a face. One face is found several times, in places and sizes
close by: each time is a vote, of whichever cascade. With fewer, textures become faces; so they do
with `frontalface_default`, the cascade of the tutorials."""

ONE_SIDED = "profileface"
"""It knows faces that look to the left of the picture; the others are found in its mirror image."""

SEARCH_SIDE = 256
"""Pictures are searched at this size of their longer side, in pixels."""

MIN_FACE = 0.1
"""Of the longer side: how large a face must be."""

SCALE_FACTOR = 1.2
"""From one size that is searched to the next."""

PADDING = 0.2
"""Of the longer side: what the edges are repeated by on each side. The cascades want to see some
background around a face; many tightly cut portraits are only found so."""

WIDEN, LOWER = 1.035, 0.022
"""What turns a cascade's square into the square around YuNet's box, as shares of its side: medians
over 220 photographs of the half that `benchmarks/faces.py` does not hold out."""

Boxes = npt.NDArray[np.float64]


class HaarDetector:
    """Finds faces with cascades of Haar features (Viola and Jones, CVPR 2001).

    Args:
        thorough: Whether it looks a second time, with more cascades, where it found nothing. That
            takes several times as long.

    Raises:
        ImportError: This OpenCV has no cascades.
    """

    name = "haar"

    def __init__(self, *, thorough: bool = True) -> None:
        self._looks = (FIRST_LOOK, SECOND_LOOK) if thorough else (FIRST_LOOK,)
        self._cascades = {name: _load_cascade(name) for name in self._looks[-1][0]}
        # A cascade holds the picture at work, so that one thread at a time may use it.
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
        for cascades, min_votes in self._looks:
            with self._lock:
                boxes, votes = self._search(grey, cascades)
            found = [
                Face(_widen((box - padding) / scale), float(1 - 1 / num))
                for box, num in merge_boxes(boxes, votes)
                if num >= min_votes
            ]
            if found:
                return sort_faces(found)
        return []

    def _search(self, grey: npt.NDArray[np.uint8], cascades: Sequence[str]) -> tuple[Boxes, Boxes]:
        """Return the boxes of all cascades, (N, 4), and how often each was found, (N,)."""
        boxes, votes = [np.zeros((0, 4))], [np.zeros(0)]
        side = round(MIN_FACE * SEARCH_SIDE)
        for name in cascades:
            for mirrored in (False, True) if name == ONE_SIDED else (False,):
                searched = cv2.flip(grey, 1) if mirrored else grey
                found, counts = self._cascades[name].detectMultiScale2(
                    searched, SCALE_FACTOR, minNeighbors=1, minSize=(side, side)
                )
                corners = np.array(found, np.float64).reshape(-1, 4)
                corners[:, 2:] += corners[:, :2]
                if mirrored:
                    corners[:, [0, 2]] = grey.shape[1] - corners[:, [2, 0]]
                boxes.append(corners)
                votes.append(np.array(counts, np.float64).reshape(-1))
        return np.concatenate(boxes), np.concatenate(votes)


def merge_boxes(boxes: Boxes, votes: Boxes) -> list[tuple[Boxes, float]]:
    """Make one box of those that lie on one another, the one with most votes first.

    Greedy non-maximum suppression, but that the suppressed give their votes to the one they yield
    to. Boxes lie on one another where they share half of the smaller.

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
            f"OpenCV {cv2.__version__} has no cascades, expected 4.14 or a later 4. Say: "
            "pip install 'opencv-python-headless>=4.14,<5', or take the detector 'yunet'."
        )
    return cv2.CascadeClassifier(str(path))
