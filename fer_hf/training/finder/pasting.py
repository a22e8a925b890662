"""Faces cut out softly, and pasted turned and resized."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops

from fer_hf.training.finder.portraits import Array
from fer_hf.training.finder.surroundings import MASKS


@lru_cache(maxsize=512)
def _build_soft_frame(size: tuple[int, int]) -> Image.Image:
    ramps = [np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / (0.04 * n) for n in size]
    frame = np.minimum(ramps[0], ramps[1][:, None]).clip(0, 1)
    return Image.fromarray((255 * frame).astype(np.uint8))


def paste_face(
    scene: Image.Image,
    picture: Image.Image,
    to_scene: Callable[[Array], Array],
    inverse: npt.NDArray[np.floating],
    face: Array,
    rng: np.random.Generator,
) -> None:
    """Paste a picture with a soft edge around its face.

    Args:
        scene: Of mode L, like `picture`.
        picture: What is pasted.
        to_scene: Places points (N, 2) of the picture in the scene.
        inverse: The matrix (2, 2) back.
        face: Box of the face in the picture.
        rng: Chooses the shape of what is cut out.
    """
    width, height = picture.size
    corners = to_scene(np.array([(0, 0), (width, 0), (0, height), (width, height)], float))
    left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)), scene.size).astype(int)
    if right - left < 2 or bottom - top < 2:
        return
    # Reduced first where it becomes small: a plain transformation would leave out pixels.
    shrink = int(max(1, np.abs(np.linalg.det(inverse)) ** 0.5))
    reduced = picture.reduce(shrink) if shrink > 1 else picture
    origin = to_scene(np.zeros((1, 2)))[0]
    offset = inverse @ (np.array([left, top]) - origin)
    size = int(right - left), int(bottom - top)
    back = np.column_stack([inverse, offset])
    pasted = reduced.transform(
        size, Image.Transform.AFFINE, (back / shrink).ravel().tolist(), Image.Resampling.BILINEAR
    )
    # Of the shape's own pixels, around the face: a bit smaller or larger than it.
    mask = MASKS[int(rng.integers(len(MASKS)))]
    sides = (face[2:] - face[:2]) * rng.uniform(0.95, 1.3, 2)
    corner = (face[:2] + face[2:] - sides) / 2
    to_mask = mask.width / sides
    shape = mask.transform(
        size,
        Image.Transform.AFFINE,
        np.column_stack([back[:, :2] * to_mask[:, None], (back[:, 2] - corner) * to_mask])
        .ravel()
        .tolist(),
        Image.Resampling.BILINEAR,
    )
    # Beyond the picture there is nothing to paste.
    edge = _build_soft_frame(picture.size).transform(
        size, Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR
    )
    scene.paste(pasted, (int(left), int(top)), ImageChops.multiply(shape, edge))
