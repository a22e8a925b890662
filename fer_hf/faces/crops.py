"""The square crop of a face, as a classifier wants to see it."""

import numpy as np
from PIL import Image

from fer_hf.faces.boxes import Face

DEFAULT_MARGIN = -0.05
"""Of the margins in `benchmarks/faces.md` the best one for the model in the box, by both
detectors and both measures, on the half of the photographs that settings are chosen on."""


def crop_face(picture: Image.Image, face: Face, *, margin: float = DEFAULT_MARGIN) -> Image.Image:
    """Cut out the square around a face.

    What lies outside the picture repeats its edge. `benchmarks/faces.md` compares that with black
    bars, other margins and level eyes, by how well the model in the box reads the crops.

    Args:
        picture: Of mode RGB.
        face: Where it is.
        margin: What is added on each side, as a share of the box's longer side; below 0 it is cut
            off.

    Returns:
        A square picture of mode RGB, one pixel wide at least.

    Raises:
        ValueError: Nothing is left between the margins.
    """
    if margin <= -0.5:
        raise ValueError(
            f"`margin` is {margin}, expected more than -0.5. Take -0.1 to cut closer, 0.1 for more "
            "around the face."
        )
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    num = max(round(side), 1)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    # Only what is needed of a large photograph is turned into an array.
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
