"""A checkpoint's preprocessing without torch: the same numbers from numpy and Pillow.

Whoever serves an exported network reads it from the checkpoint's files, in Python or a browser.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.pictures import cut_bands
from fer_hf.models.checkpoint_files import CONFIG_FILE, PROCESSOR_FILE, read_json

Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Preprocessing:
    """How a checkpoint prepares its pictures: squashed whole to one size, then normalised.

    Attributes:
        width: Of the network's input, in pixels.
        height: Likewise.
        resample: `BILINEAR` or `BICUBIC`, of `PIL.Image.Resampling`; both with antialiasing.
        mean: Of each channel, subtracted from levels of 0–1.
        std: Of each channel, divides the difference.
        resizer: Whose rounding: the timm wrapper resizes with `pillow`, transformers' own image
            processors with `torchvision`. They differ by one level in some pixels.
    """

    width: int
    height: int
    resample: Image.Resampling
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resizer: str

    def __call__(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Turn RGB pictures of any size into `pixel_values` of shape (N, 3, height, width)."""
        levels = np.stack([self.resize(picture) for picture in pictures])
        pixel_values = np.ascontiguousarray(levels.transpose(0, 3, 1, 2), dtype=np.float32)
        mean, std = np.array([self.mean, self.std], np.float32)[:, :, None, None]
        pixel_values *= 1 / (255 * std)
        pixel_values -= mean / std
        return pixel_values

    def resize(self, picture: Image.Image) -> Levels:
        """Resize one RGB picture to (height, width, 3), of which no copy is made."""
        if self.resizer == "pillow":
            return np.asarray(picture.resize((self.width, self.height), self.resample))
        rows = [
            _resize_rows(np.asarray(band), self.width, self.resample)
            for _, band in cut_bands(picture)
        ]
        return resize_as_torchvision(np.concatenate(rows), self.width, self.height, self.resample)


def read_preprocessing(folder: Path) -> Preprocessing:
    """Read how a checkpoint folder prepares its pictures, from the file that transformers reads.

    Raises:
        ValueError: In another way than squashed whole to one size and normalised, or the file is
            damaged.
        FileNotFoundError: The file is missing.
    """
    timm_settings = read_json(folder / CONFIG_FILE).get("pretrained_cfg")
    settings = timm_settings or read_json(folder / PROCESSOR_FILE)
    try:
        found = _read_timm(settings) if timm_settings else read_processor(settings)
    except (AttributeError, KeyError, TypeError, ValueError):
        found = None
    if found is None or found.resample not in _FILTERS:
        raise ValueError(
            f"Checkpoint {str(folder)!r} prepares its pictures by {settings!r}, expected the whole "
            "picture squashed to one size, bilinear or bicubic, and normalised. Fine-tune it with "
            "fer_hf, or serve it with torch."
        )
    return found


def is_squashed(timm_settings: dict[str, Any]) -> bool:
    """Return whether a timm network sees the whole picture, squashed to one size."""
    return timm_settings.get("crop_mode") == "squash" and timm_settings.get("crop_pct") == 1


def _read_timm(settings: dict[str, Any]) -> Preprocessing | None:
    _, height, width = settings["input_size"]
    if not is_squashed(settings):
        return None
    resample = Image.Resampling[settings["interpolation"].upper()]
    mean, std = tuple(settings["mean"]), tuple(settings["std"])
    return Preprocessing(width, height, resample, mean, std, "pillow")


def read_processor(settings: dict[str, Any]) -> Preprocessing | None:
    """Read the settings of an image processor of transformers; None if it does not squash.

    Raises:
        KeyError: One lacks.
        ValueError: One is of another kind.
    """
    steps = [settings[f"do_{step}"] for step in ("resize", "rescale", "normalize")]
    if not all(steps) or settings.get("do_center_crop") or settings["rescale_factor"] != 1 / 255:
        return None
    size, resample = settings["size"], Image.Resampling(settings["resample"])
    mean, std = tuple(settings["image_mean"]), tuple(settings["image_std"])
    return Preprocessing(size["width"], size["height"], resample, mean, std, "torchvision")


def resize_as_torchvision(
    levels: Levels, width: int, height: int, resample: Image.Resampling
) -> Levels:
    """Resize a picture as torchvision's antialiasing `resize` does, bit for bit.

    Both it and Pillow average with integer weights, a row at a time and then a column: Pillow's
    weights have 22 bits behind the point, torch's as many as fit into 16 bits.

    Source: `aten/src/ATen/native/cpu/UpSampleKernel.cpp` of torch.

    Args:
        levels: (H, W, channels), 0–255.
        width: Of the result.
        height: Of the result.
        resample: `BILINEAR` or `BICUBIC`.
    """
    rows = _resize_rows(levels, width, resample)
    return _resize_rows(rows.swapaxes(0, 1), height, resample).swapaxes(0, 1)


def _resize_rows(levels: Levels, size: int, resample: Image.Resampling) -> Levels:
    """Resize the second axis of (H, W, channels)."""
    if levels.shape[1] == size:
        return levels
    shares = _compute_shares(levels.shape[1], size, resample)
    highest = max(share.max() for _, share in shares)
    bits = next(n for n in range(23) if n == 22 or int(0.5 + highest * 2 ** (n + 1)) >= 2**15)
    columns = []
    for first, share in shares:
        weights = np.trunc(share * 2**bits + np.copysign(0.5, share)).astype(np.int64)
        total = np.tensordot(levels[:, first : first + len(weights)], weights, (1, 0))
        # As bytes at once: the columns of a long strip would take eight times as much.
        columns.append(((total + 2 ** (bits - 1)) >> bits).clip(0, 255).astype(np.uint8))
    return np.stack(columns, axis=1)


def _compute_shares(
    num_inputs: int, num_outputs: int, resample: Image.Resampling
) -> list[tuple[int, npt.NDArray[np.float64]]]:
    """Return for each output pixel of a row its first input pixel, and what each contributes."""
    reach, weigh = _FILTERS[resample]
    scale = num_inputs / num_outputs
    width = max(scale, 1.0)  # a filter that grows with what it shrinks: antialiasing
    shares = []
    for position in range(num_outputs):
        centre = (position + 0.5) * scale
        first = max(0, int(centre - reach * width + 0.5))
        last = min(num_inputs, int(centre + reach * width + 0.5))
        weights = weigh(np.abs(np.arange(first, last) - centre + 0.5) / width)
        shares.append((first, weights / weights.sum()))
    return shares


def _weigh_cubically(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weigh as Keys, "Cubic convolution interpolation", 1981, does, with a = −0.5."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


_FILTERS: dict[Image.Resampling, tuple[int, Callable[[npt.NDArray], npt.NDArray]]] = {
    Image.Resampling.BILINEAR: (1, lambda distance: (1 - distance).clip(0)),
    Image.Resampling.BICUBIC: (2, _weigh_cubically),
}
"""How many output pixels a filter reaches to either side, and how it weighs by distance."""


def read_label_names(config: dict[str, Any], source: str) -> list[str]:
    """Return the names of the labels of a checkpoint's `config.json`, in the order of their ids.

    Raises:
        ValueError: There are none, which names the checkpoint as `source`.
    """
    # The timm wrapper uses timm's name for them.
    found: Any = config.get("label_names") or config.get("id2label")
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return found
    try:
        return [name for _, name in sorted((int(key), name) for key, name in found.items())]
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"`{CONFIG_FILE}` of {source!r} has the labels {found!r}, expected a list of names as "
            "`label_names`, or numbers with names as `id2label`. Add the names of its labels."
        ) from None
