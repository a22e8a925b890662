"""Face-safe augmentation: each picture moved, lit and covered by random numbers of its own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the augmentation: never a quarter turn, never a small crop.

    Attributes:
        flip: Chance of a left-right flip.
        rotation: Largest turn in degrees, either way.
        shift: Largest shift as a share of the side, each way.
        zoom: Largest change of scale, so sizes from 1 − zoom to 1 + zoom.
        brightness: Largest change of brightness, in standard deviations of the preprocessing.
        contrast: Largest change of contrast, as a factor from 1 − contrast to 1 + contrast.
        sharpness: Largest share of the finest detail (what a 3×3 mean removes) that is removed or
            added, so that a network trained on small pictures copes with sharp ones.
        erase: Chance that a rectangle is filled with the mean colour.
        erase_side: Largest side of that rectangle as a share of the picture's.
    """

    flip: float = 0.5
    rotation: float = 12.0
    shift: float = 0.08
    zoom: float = 0.2
    brightness: float = 0.3
    contrast: float = 0.25
    sharpness: float = 1.0
    erase: float = 0.25
    erase_side: float = 0.35


def augment(
    pixel_values: torch.Tensor, ranges: Augmentation, seeds: Sequence[tuple[int, ...]]
) -> torch.Tensor:
    """Augment preprocessed pictures, each with the random numbers of its own seed.

    Args:
        pixel_values: Pictures of shape (N, 3, S, S), centred around 0 by their preprocessing.
        ranges: How much each may change at most.
        seeds: One tuple of whole numbers ≥ 0 for each picture.

    Returns:
        A tensor of the same shape.
    """
    draws = torch.tensor(
        np.stack([np.random.default_rng(seed).random(13) for seed in seeds]), dtype=torch.float32
    )
    pixel_values = _move(pixel_values, ranges, draws[:, :5])
    pixel_values = _sharpen(pixel_values, ranges, draws[:, 12])
    pixel_values = _light(pixel_values, ranges, draws[:, 5:7])
    return _erase(pixel_values, ranges, draws[:, 7:12])


def _move(pictures: torch.Tensor, ranges: Augmentation, draws: torch.Tensor) -> torch.Tensor:
    """Flip, turn, shift and zoom in a single resampling; edges are repeated outwards."""
    flip = torch.where(draws[:, 0] < ranges.flip, -1.0, 1.0)
    signed = 2 * draws[:, 1:] - 1
    angle = signed[:, 0] * math.radians(ranges.rotation)
    # grid_sample maps output places to input places, so a larger picture means a smaller step.
    step = 1 / (1 + signed[:, 1] * ranges.zoom)
    # Its coordinates run from -1 to 1, twice the side.
    shift = 2 * ranges.shift * signed[:, 2:4]
    cos, sin = angle.cos() * step, angle.sin() * step
    rows = [
        torch.stack([flip * cos, -flip * sin, shift[:, 0]], dim=1),
        torch.stack([sin, cos, shift[:, 1]], dim=1),
    ]
    grid = functional.affine_grid(
        torch.stack(rows, dim=1), list(pictures.shape), align_corners=False
    )
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _sharpen(pictures: torch.Tensor, ranges: Augmentation, draws: torch.Tensor) -> torch.Tensor:
    blurred = functional.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    share = ranges.sharpness * (2 * draws - 1)[:, None, None, None]
    return torch.lerp(pictures, blurred, share)


def _light(pictures: torch.Tensor, ranges: Augmentation, draws: torch.Tensor) -> torch.Tensor:
    signed = (2 * draws - 1)[:, :, None, None, None]
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (pictures - mean) * (1 + ranges.contrast * signed[:, 0]) + (
        mean + ranges.brightness * signed[:, 1]
    )


def _erase(pictures: torch.Tensor, ranges: Augmentation, draws: torch.Tensor) -> torch.Tensor:
    side = pictures.shape[-1]
    heights, widths = (draws[:, 1:3] * ranges.erase_side * side).round().int().T
    tops = (draws[:, 3] * (side - heights)).int()
    lefts = (draws[:, 4] * (side - widths)).int()
    for row in torch.nonzero(draws[:, 0] < ranges.erase).flatten().tolist():
        top, left = tops[row], lefts[row]
        pictures[row, :, top : top + heights[row], left : left + widths[row]] = 0
    return pictures
