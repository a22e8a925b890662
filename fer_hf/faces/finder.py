"""The bundled face finder: a small network that `fer-hf train_finder` trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fer_hf.data.pictures import reduce_huge
from fer_hf.faces.face import Face, keep_best, sort_faces
from fer_hf.faces.finder_cells import BRIGHTNESS, STRIDES, Floats, decode_cells, locate_cells
from fer_hf.inference.onnx_session import open_session

BUNDLED_FINDER = Path(__file__).with_name("finder.onnx")

OUTPUTS = ["scores", "values"]

MIN_SCORE, MAX_IOU = 0.5, 0.4
"""From which score on a cell has a face, where the file says none; how far faces may overlap."""

MIN_SCORE_KEY = "min_score"
"""Where in the file's metadata that score is."""

SEARCH_SIDE = 1280
"""Larger pictures are searched with their longer side shrunk to this, in pixels."""

OVERVIEW_SIDE = 384
"""Pictures that are searched larger than `LARGEST_SIDE` are searched a second time with their
longer side shrunk to this: faces of more than about 450 pixels are found only so."""

LARGEST_SIDE = 704

LEAST_SIDE = 64
"""Smaller pictures are enlarged until their longer side has so many pixels."""

SURE_HEIGHT = 32.0
"""Height in pixels from which on most faces are found; of 40 pixels nearly all are."""


class FaceFinder:
    """Finds faces, turned, small, dark or half covered, with five landmarks each.

    Args:
        path: The network as `fer-hf train_finder` writes it; None for the bundled one.
        min_face: Height of the smallest face looked for, in pixels of the picture; None for all.
            From 32 on a smaller frame is searched, which is faster in proportion to its area.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file does not hold such a network, or `min_face` is not above 0.
    """

    name = "finder"

    def __init__(self, path: str | None = None, *, min_face: float | None = None) -> None:
        if min_face is not None and not min_face > 0:
            raise ValueError(f"`min_face` is {min_face}, expected above 0 pixels. Pass 32.")
        file = Path(path or BUNDLED_FINDER)
        if not file.is_file():
            raise FileNotFoundError(
                f"There is no file {str(file)!r}, expected a face finder as an ONNX file. Check "
                "the path, or leave it out for the bundled one."
            )
        try:
            self._session = open_session(file)
        except OSError as error:
            raise ValueError(
                f"{str(file)!r} cannot be read (damaged, or made for a newer onnxruntime), "
                "expected a face finder as an ONNX file. Train or copy it again."
            ) from error
        found = [node.name for node in self._session.get_outputs()]
        if found != OUTPUTS:
            raise ValueError(
                f"{str(file)!r} holds another network (outputs {', '.join(found)}), expected a "
                "face finder with scores, values. Choose the file that `fer-hf train_finder` wrote."
            )
        said = self._session.get_modelmeta().custom_metadata_map
        self._min_score = float(said.get(MIN_SCORE_KEY, MIN_SCORE))
        self._shrink = min(1.0, SURE_HEIGHT / min_face) if min_face else 1.0

    def __call__(self, pictures: Sequence[Image.Image]) -> list[list[Face]]:
        """Return the faces of each picture of mode RGB from left to right, with their landmarks."""
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Image.Image) -> list[Face]:
        longest = max(picture.size)
        scale = max(min(self._shrink, SEARCH_SIDE / longest), LEAST_SIDE / longest)
        grey = reduce_huge(picture).convert("L").point(BRIGHTNESS)
        scores, boxes, landmarks = self._search(grey, picture.size, scale)
        if longest * scale > LARGEST_SIDE:
            wide = self._search(grey, picture.size, OVERVIEW_SIDE / longest)
            scores, boxes, landmarks = (
                np.concatenate(pair) for pair in zip((scores, boxes, landmarks), wide, strict=True)
            )
        faces = []
        for row in keep_best(boxes, scores, max_iou=MAX_IOU):
            left, top, right, bottom = boxes[row].tolist()
            points: Any = tuple(map(tuple, landmarks[row].tolist()))
            faces.append(Face((left, top, right, bottom), float(scores[row]), points))
        return sort_faces(faces)

    def _search(
        self, grey: Image.Image, size: tuple[int, int], scale: float
    ) -> tuple[Floats, Floats, Floats]:
        """Return scores, boxes and landmarks, in pixels of a picture of that size."""
        width, height = (max(1, round(side * scale)) for side in size)
        if (width, height) != grey.size:
            grey = grey.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        frame = np.zeros((height + -height % STRIDES[-1], width + -width % STRIDES[-1]), np.float32)
        frame[:height, :width] = np.asarray(grey)
        frame *= 1 / 255
        scores, values = self._session.run(OUTPUTS, {"pixel_values": frame[None, None]})
        rows = np.flatnonzero(scores[0] >= self._min_score)
        middles, sides = locate_cells(frame.shape[1], frame.shape[0])
        boxes, landmarks = decode_cells(values[0, rows], middles[rows], sides[rows])
        back = np.divide(size, (width, height), dtype=np.float32)
        return scores[0, rows], boxes * np.tile(back, 2), landmarks * back
