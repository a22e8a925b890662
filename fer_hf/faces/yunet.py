"""YuNet, a small network that finds faces and five landmarks of each, run by onnxruntime.

Its file (MIT licence) is not part of this package: it comes from the Hub, or from the user.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from huggingface_hub.constants import HF_HUB_CACHE
from PIL import Image

from fer_hf.data.pictures import reduce_huge
from fer_hf.faces.face import Face, keep_best, sort_faces
from fer_hf.inference.onnx_session import open_session

PATH_VARIABLE = "FER_HF_YUNET"
"""Environment variable with the path of YuNet's file."""

REPO_ID, FILE = "opencv/face_detection_yunet", "face_detection_yunet_2026may.onnx"

SEARCH_SIDE = 640
"""Larger pictures are searched with their longer side shrunk to this, in pixels."""

MIN_SCORE, MAX_IOU = 0.6, 0.3
"""From which score on a cell has a face, and how much two faces may overlap (OpenCV: 0.9, 0.3)."""

STRIDES = (8, 16, 32)
"""Pixels from one cell to the next of its three grids; each cell may find one face."""

_VALUES = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""What it says of each cell, and in how many numbers; the outputs are called `cls_8` and so on."""


class YuNetDetector:
    """Finds faces with YuNet (Wu, Peng and Yu, Machine Intelligence Research, 2023).

    Args:
        path: The network as an ONNX file; None for the one at hand, or else the Hub's.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold this network.
        ConnectionError: It cannot be downloaded.
    """

    name = "yunet"

    def __init__(self, path: str | None = None) -> None:
        path = path or find_yunet() or _download_yunet()
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"There is no file {path!r}, expected YuNet as an ONNX file. Check the path, or "
                "use the detector 'finder', which is included."
            )
        try:
            self._session = open_session(Path(path))
        except OSError as error:
            raise ValueError(
                f"{path!r} cannot be read (damaged, or made for a newer onnxruntime), expected "
                "YuNet as an ONNX file. Download it again."
            ) from error
        self._outputs = [f"{name}_{stride}" for stride in STRIDES for name in _VALUES]
        inputs = [node.shape for node in self._session.get_inputs()]
        found = {node.name: node.shape[-1:] for node in self._session.get_outputs()}
        wanted = {name: [_VALUES[name.partition("_")[0]]] for name in self._outputs}
        if [shape[1:-2] for shape in inputs] != [[3]] or found != wanted:
            raise ValueError(
                f"{path!r} holds another network (outputs {', '.join(found)}), expected YuNet with "
                f"{', '.join(wanted)}. Choose its file, or use the detector 'finder', which is "
                "included."
            )
        # Older versions of the file take frames of one size, others any multiple of a stride.
        self._frame = [side if isinstance(side, int) else None for side in inputs[0][:-3:-1]]
        self._input = self._session.get_inputs()[0].name

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture of mode RGB from left to right, with their landmarks."""
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Image.Image) -> list[Face]:
        searched = picture
        limits = [min(side or SEARCH_SIDE, SEARCH_SIDE) for side in self._frame]
        if any(side > limit for side, limit in zip(picture.size, limits, strict=True)):
            searched = reduce_huge(picture).copy()
            searched.thumbnail((limits[0], limits[1]), Image.Resampling.BILINEAR)
        width, height = (
            fixed or side + -side % STRIDES[-1]
            for side, fixed in zip(searched.size, self._frame, strict=True)
        )
        bgr = np.zeros((1, 3, height, width), np.float32)
        levels = np.asarray(searched).transpose(2, 0, 1)
        bgr[0, :, : levels.shape[1], : levels.shape[2]] = levels[::-1]
        outputs = self._session.run(self._outputs, {self._input: bgr})
        rows = np.concatenate(list(_decode(outputs, width)))
        rows = rows[keep_best(rows[:, 1:5], rows[:, 0], max_iou=MAX_IOU)]
        rows[:, 1:] *= np.tile(np.array(picture.size) / searched.size, 7)
        return sort_faces([_to_face(*row) for row in rows.tolist()])


def _decode(outputs: list[npt.NDArray], width: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the faces of each grid, (N, 15): score, box, and the x and y of five landmarks.

    Follows `FaceDetectorYN` of OpenCV.

    Args:
        outputs: The network's, as it names them stride by stride.
        width: Of the frame it searched, in pixels.
    """
    for number, stride in enumerate(STRIDES):
        shares, objects, boxes, landmarks = (
            values[0].astype(np.float64)
            for values in outputs[number * len(_VALUES) : (number + 1) * len(_VALUES)]
        )
        scores = np.sqrt(shares.clip(0, 1) * objects.clip(0, 1))[:, 0]
        cells = np.flatnonzero(scores >= MIN_SCORE)
        corners = np.stack([cells % (width // stride), cells // (width // stride)], axis=-1)
        centres = (corners + boxes[cells, :2]) * stride
        halves = np.exp(boxes[cells, 2:]) * stride / 2
        points = (np.tile(corners, 5) + landmarks[cells]) * stride
        yield np.column_stack([scores[cells], centres - halves, centres + halves, points])


def _to_face(score: float, *places: float) -> Face:
    (left, top), (right, bottom), *points = zip(places[::2], places[1::2], strict=True)
    return Face((left, top, right, bottom), score, tuple(points))  # type: ignore[arg-type]


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
            "detector 'finder', which is included."
        ) from None
