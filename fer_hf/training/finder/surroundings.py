"""What scenes hold beside faces: parts of rooms, patterns, shuffled blocks, shapes to cut out."""

import string
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Size = tuple[int, int]


def cut(
    picture: Image.Image, share: float, size: int | Size, rng: np.random.Generator
) -> Image.Image:
    """Return a part of a picture of about that share of its shorter side, in another size."""
    width, height = (size, size) if isinstance(size, int) else size
    scale = share * min(picture.width / width, picture.height / height)
    part = [max(2, scale * width), max(2, scale * height)]
    left, top = (rng.uniform(0, max(0, s - p)) for s, p in zip(picture.size, part, strict=True))
    box = (left, top, min(left + part[0], picture.width), min(top + part[1], picture.height))
    shown = picture.resize((width, height), Image.Resampling.BILINEAR, box)
    lot = int(rng.integers(8))
    return shown.transpose(Image.Transpose(lot)) if lot < 2 else shown


def shuffle_blocks(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a picture with its blocks in another order: the parts of a face, and no face."""
    num = int(rng.integers(3, 6))
    side = max(1, min(picture.size) // num)
    pixels = np.asarray(picture.resize((num * side, num * side)))
    blocks = pixels.reshape(num, side, num, side).swapaxes(1, 2).reshape(-1, side, side)
    mixed = rng.permutation(blocks).reshape(num, num, side, side).swapaxes(1, 2)
    return Image.fromarray(mixed.reshape(num * side, -1)).resize(picture.size)


def paint_pattern(size: int | Size, rng: np.random.Generator) -> Image.Image:
    """Return stripes, squares, blobs, rings, noise or text."""
    width, height = (size, size) if isinstance(size, int) else size
    kind, low, high = rng.integers(8), *sorted(rng.uniform(0, 255, 2))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 80)
    along, across = (x * np.cos(a) + y * np.sin(a) for a in (angle, angle + np.pi / 2))
    if kind == 0:
        wave = np.sin(2 * np.pi * along / period) / 2 + 0.5
    elif kind == 1:
        wave = (along // period + across // period) % 2
    elif kind == 2:
        small = rng.random((max(2, int(height / period)), max(2, int(width / period))))
        blobs = Image.fromarray((255 * small).astype(np.uint8))
        wave = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC)) / 255
    elif kind == 3:
        middle = rng.uniform(0, 1, 2) * (width, height)
        wave = np.sin(2 * np.pi * np.hypot(x - middle[0], y - middle[1]) / period) / 2 + 0.5
    elif kind == 4:
        wave = (x + y) / (width + height)
    else:
        wave = np.asarray(_write_text(int(rng.integers(64))).resize((width, height))) / 255
        wave = wave if rng.random() < 0.5 else 1 - wave
    return Image.fromarray((low + (high - low) * wave).astype(np.uint8))


@cache
def _write_text(number: int) -> Image.Image:
    """Return a page of letters of one size, white on black; writing takes longer than pasting."""
    rng = np.random.default_rng(number)
    page = Image.new("L", (320, 320))
    height = float(rng.uniform(10, 60))
    font = ImageFont.load_default(height)
    letters = list(string.ascii_letters + string.digits + "  .,:;!?()&@")
    lines = ("".join(rng.choice(letters, 30)) for _ in range(int(360 / height)))
    ImageDraw.Draw(page).multiline_text((0, 0), "\n".join(lines), 255, font)
    return page


def _build_masks() -> list[Image.Image]:
    """Return soft shapes of 96 pixels: ellipses, ovals, rounded rectangles."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    masks = []
    for power in rng.choice((2.0, 2.0, 2.5, 3.0, 6.0), 48):
        # Chins are narrower than foreheads.
        narrow = 1 + rng.uniform(0, 0.25) * y
        shape = (np.abs(x * narrow) ** power + np.abs(y) ** power) ** (1 / power)
        soft = rng.uniform(0.02, 0.3)
        alpha = ((0.97 - shape) / soft).clip(0, 1)
        mask = Image.fromarray((255 * alpha).astype(np.uint8))
        masks.append(mask.filter(ImageFilter.GaussianBlur(1)))
    return masks


MASKS = _build_masks()
"""Shapes of what is cut out, white inside."""
