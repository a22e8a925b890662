"""What happens to a picture between the split and the network.

Preprocessing is the checkpoint's own image processor, in training as in evaluation, so that
`pipeline()` gives the same scores later; augmentation comes after it and only in training.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional
from torch.utils import data as torch_data

from fer_hf.data.layouts.ferplus import drop_single_votes
from fer_hf.data.pictures import to_rgb


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the face-safe augmentation: never a quarter turn, never a small crop.

    Attributes:
        flip: Chance of a left-right flip.
        rotation: Largest turn in degrees, either way.
        shift: Largest shift as a share of the side, each way.
        zoom: Largest change of scale, so sizes from 1 − zoom to 1 + zoom.
        brightness: Largest change of brightness, in standard deviations of the preprocessing.
        contrast: Largest change of contrast, as a factor from 1 − contrast to 1 + contrast.
        sharpness: Largest share of the finest detail (what a 3×3 mean takes away) that is taken
            away or added, so that a network trained on small pictures knows sharp ones too.
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


class FaceDataset(torch_data.Dataset):
    """A split as the network sees it, fetched a batch at a time.

    Items are dicts with `pixel_values` (N, 3, S, S) float32, `labels` (N,) int64 and, where the
    split has votes and `soft_targets` is on, `targets` (N, num_labels) float32 rows that sum to 1.

    Random numbers depend on (seed, epoch, row) alone: a resumed run, another batch size or several
    processes see the same pictures.
    """

    def __init__(
        self,
        split: Dataset,
        image_processor: Any,
        *,
        augmentation: Augmentation | None = None,
        soft_targets: bool = False,
        seed: int = 0,
    ) -> None:
        self.split = split
        self.image_processor = image_processor
        self.augmentation = augmentation
        self.seed = seed
        self.epoch = 0
        self.labels = torch.tensor(split["label"][:], dtype=torch.long)
        self.targets = None
        if soft_targets and "votes" in split.column_names:
            votes = np.asarray(split["votes"][:], dtype=np.float32)
            self.targets = torch.from_numpy(compute_targets(votes))

    def set_epoch(self, epoch: int) -> None:
        """Make the augmentation of the next pass differ from the last one's."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        pictures = [to_rgb(picture) for picture in self.split[list(indices)]["image"]]
        pixel_values = self.image_processor(pictures, return_tensors="pt")["pixel_values"]
        if self.augmentation is not None:
            seeds = [(self.seed, self.epoch, index) for index in indices]
            pixel_values = augment(pixel_values, self.augmentation, seeds)
        batch = {"pixel_values": pixel_values, "labels": self.labels[list(indices)]}
        if self.targets is not None:
            batch["targets"] = self.targets[list(indices)]
        return batch


def compute_targets(votes: np.ndarray) -> np.ndarray:
    """Turn counts of votes into distributions to train on.

    A vote that nobody shares is taken for a slip and left out, as FER+'s official code does
    (Barsoum et al. 2016, arXiv:1608.01041), unless nothing else is left.

    Args:
        votes: Counts of shape (N, num_labels).

    Returns:
        Rows of the same shape that sum to 1.
    """
    shared = drop_single_votes(votes)
    kept = np.where(shared.sum(axis=1, keepdims=True) > 0, shared, votes)
    return kept / kept.sum(axis=1, keepdims=True)


def collate(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Hand on what `FaceDataset` has already put into one batch."""
    return batch


def augment(
    pixel_values: torch.Tensor, ranges: Augmentation, seeds: Sequence[tuple[int, ...]]
) -> torch.Tensor:
    """Augment preprocessed pictures, each by random numbers of its own seed.

    Args:
        pixel_values: Pictures of shape (N, 3, S, S), centred around 0 by their preprocessing.
        ranges: How much of what.
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
