"""YuNet, a small network that finds faces and their eyes, run by OpenCV.

Its file (MIT licence) is not part of this package: it comes from the Hub, or from the user.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from huggingface_hub.constants import HF_HUB_CACHE
from PIL import Image

from fer_hf.data.pictures import reduce_huge
from fer_hf.faces.face import Face, sort_faces

PATH_VARIABLE = "FER_HF_YUNET"
"""Environment variable with the path of YuNet's file."""

REPO_ID, FILE = "opencv/face_detection_yunet", "face_detection_yunet_2026may.onnx"

SEARCH_SIDE = 640
"""Larger pictures are searched with their longer side shrunk to this, in pixels."""

MIN_SIDE = 64
"""Shorter sides are padded to this, in pixels: in narrower pictures (16 pixels, say) OpenCV 4.14
finds faces of infinite size at random, as if it read memory that was never written."""

MIN_SCORE = 0.6


class YuNetDetector:
    """Finds faces with YuNet (Wu, Peng and Yu, Machine Intelligence Research, 2023).

    Args:
        path: The network as an ONNX file; None for the one at hand, or else the Hub's.
        thorough: Makes no difference: it searches once.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold a network that OpenCV can read.
        ConnectionError: It cannot be downloaded.
    """

    name = "yunet"

    def __init__(self, path: str | None = None, *, thorough: bool = True) -> None:
        path = path or find_yunet() or _download_yunet()
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"There is no file {path!r}, expected YuNet as an ONNX file. Check the path, or "
                "use the detector 'haar', which is included."
            )
        try:
            self._network = cv2.FaceDetectorYN.create(path, "", (320, 320), MIN_SCORE)
        except cv2.error as error:
            raise ValueError(
                f"{path!r} cannot be read ({error.err or 'damaged'}), expected YuNet as an ONNX "
                "file. Download it again."
            ) from None
        # It holds the size of the picture at work, so only one thread at a time may use it.
        self._lock = threading.Lock()

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture of mode RGB from left to right, with their eyes."""
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Image.Image) -> list[Face]:
        searched = picture
        if max(picture.size) > SEARCH_SIDE:
            searched = reduce_huge(picture).copy()
            searched.thumbnail((SEARCH_SIDE, SEARCH_SIDE), Image.Resampling.BILINEAR)
        right, bottom = (max(MIN_SIDE - side, 0) for side in searched.size)
        bgr = cv2.cvtColor(np.asarray(searched), cv2.COLOR_RGB2BGR)
        bgr = cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        with self._lock:
            self._network.setInputSize(bgr.shape[1::-1])
            _, rows = self._network.detect(bgr)
        scale = np.array(picture.size) / searched.size
        faces = []
        # A row holds x, y, width, height, five landmarks with the eyes first, and the score.
        for *values, score in [] if rows is None else rows:
            (x, y), (width, height), *landmarks = np.reshape(values, (-1, 2)) * scale
            box = (float(x), float(y), float(x + width), float(y + height))
            points = tuple(map(tuple, np.array(landmarks).tolist()))
            faces.append(Face(box, float(score), points))  # type: ignore[arg-type]
        return sort_faces(faces)


def find_yunet() -> str | None:
    """Return where YuNet's file is on this machine; None where it was never downloaded."""
    if path := os.environ.get(PATH_VARIABLE):
        return path
    # Where there is nothing to find, half a second of imports can be saved.
    if not Path(HF_HUB_CACHE, f"models--{REPO_ID.replace('/', '--')}").is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(REPO_ID, FILE)
    # Besides None there is a marker for "the Hub says there is no such file".
    return cached if isinstance(cached, str) else None


def _download_yunet() -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError

    try:
        return hf_hub_download(REPO_ID, FILE)
    except (HTTPError, OSError, ValueError) as error:
        raise ConnectionError(
            f"YuNet cannot be downloaded ({type(error).__name__}), expected `{FILE}` of "
            f"`{REPO_ID}` on the Hub. Go online once, name its file in {PATH_VARIABLE}, or use the "
            "detector 'haar', which is included."
        ) from None
