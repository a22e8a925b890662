"""What the values of the face finder's network mean: the same in training and in use."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

STRIDES = (8, 16, 32)
"""Pixels from one cell to the next, of each of the network's feature maps."""

BASE_SIDES = (24.0, 64.0, 192.0)
"""Of each stride the side in pixels that its values are relative to."""

NUM_VALUES = 15
"""Of a cell: the logit of "a face"; centre and log sides of the box; x and y of five landmarks."""

Floats = npt.NDArray[np.float32]

BRIGHTNESS = tuple(round(255 * (level / 255) ** 0.5) for level in range(256))
"""What the network sees in place of each grey level: the root gives faces in the dark more of the
range, and it costs nothing."""


@lru_cache(maxsize=16)
def locate_cells(width: int, height: int) -> tuple[Floats, Floats]:
    """Return where the cells of a frame are.

    Args:
        width: Of the frame in pixels, a multiple of 32, as is `height`.
        height: Of the frame.

    Returns:
        The middles (x, y) of all cells in the order of the network's output, shape (cells, 2), and
        their base sides, shape (cells, 1); do not write into them.
    """
    middles, sides = [], []
    for stride, side in zip(STRIDES, BASE_SIDES, strict=True):
        x = (np.arange(width // stride, dtype=np.float32) + 0.5) * stride
        y = (np.arange(height // stride, dtype=np.float32) + 0.5) * stride
        middles.append(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
        sides.append(np.full((len(middles[-1]), 1), side, np.float32))
    return np.concatenate(middles), np.concatenate(sides)


def decode_cells(values: Floats, middles: Floats, sides: Floats) -> tuple[Floats, Floats]:
    """Turn the values of cells into boxes and landmarks.

    Args:
        values: Of some cells, without their logits, shape (N, 14).
        middles: Of these cells, shape (N, 2).
        sides: Their base sides, shape (N, 1).

    Returns:
        Boxes (left, top, right, bottom), shape (N, 4), and landmarks (x, y), shape (N, 5, 2), in
        pixels of the frame.
    """
    centres = middles + values[:, :2] * sides
    halves = np.exp(values[:, 2:4].clip(-5, 5)) * sides / 2
    landmarks = middles[:, None] + values[:, 4:].reshape(-1, 5, 2) * sides[:, None]
    return np.concatenate([centres - halves, centres + halves], axis=1), landmarks
