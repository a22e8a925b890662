"""What goes wrong with pictures outside the laboratory, in five strengths, to measure with.

Augmentation is drawn anew in every epoch and must be cheap; a corruption must be the same wherever
it is measured.

The protocol is that of Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", ICLR 2019 (arXiv:1903.12261): several kinds, each at five strengths,
for measuring and never for training. The kinds and strengths are this project's, chosen for faces
by looking: 1 is barely visible (a bar as thin as it gets), at 5 a person still sees the emotion, if
with effort.
"""

import io
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from fer_hf.data.pictures import to_rgb

STRENGTHS = (1, 2, 3, 4, 5)

_Polygon = Sequence[tuple[float, float]]
_Change = Callable[[Image.Image, float, np.random.Generator], Image.Image]

# Places are shares of a picture that an upright face fills, measured on the mean face of FER+ and
# on the photographs: eyes at a height of 0.37, tip of the nose at 0.62, mouth at 0.78. The drawn
# faces show more hair and have their eyes at 0.49: small bars there lie above the eyes.
_EYES, _MOUTH = (0.5, 0.37), (0.5, 0.78)
_LENS = ((-0.15, -0.08), (0.15, -0.08), (0.15, 0.03), (0.09, 0.11), (-0.09, 0.11), (-0.15, 0.03))
_MASK = (
    *((0.12, 0.05), (0.5, 0.0), (0.88, 0.05)),
    *((0.8, 0.36), (0.6, 0.47), (0.4, 0.47), (0.2, 0.36)),
)
_BLACK, _MASK_BLUE = (10, 10, 12), (178, 206, 222)
_DRAWING_SIDE = 512


def corrupt(picture: Image.Image, corruption: str, strength: int) -> Image.Image:
    """Corrupt one picture; what is random depends on its pixels and the corruption alone.

    A picture gets the same random numbers at every strength, alone or in a batch, in every process,
    and whether its grey is stored as grey or as colour. Beyond its edges it is continued with its
    edge pixels, as augmentation does. `grey` leaves a grey picture as it is, and `low
    resolution` one that has no more pixels than that. Noise and JPEG act on the picture's own
    pixels, and so do more harm to a small one.

    Args:
        picture: Any mode and size; the face is upright and fills it.
        corruption: One of `CORRUPTIONS`.
        strength: 1 (barely visible) to 5 (hard).

    Returns:
        A picture of the size of the upright original: of mode L if the original is, otherwise RGB.

    Raises:
        ValueError: An unknown corruption or strength.
    """
    if corruption not in _CHANGES:
        raise ValueError(
            f"Found corruption {corruption!r}, expected one of {list(CORRUPTIONS)}. Pass one of "
            "these names."
        )
    if strength not in STRENGTHS:
        raise ValueError(f"Found strength {strength!r}, expected 1, 2, 3, 4 or 5. Pass one.")
    change, amounts = _CHANGES[corruption]
    upright = to_rgb(picture)
    rng = np.random.default_rng([zlib.crc32(corruption.encode()), zlib.crc32(upright.tobytes())])
    corrupted = change(upright, amounts[strength - 1], rng)
    return corrupted.convert("L") if picture.mode == "L" else corrupted


def _blur_by_motion(picture: Image.Image, length: float, rng: np.random.Generator) -> Image.Image:
    """Average the picture along a line of any direction; `length` is a share of the side."""
    angle = rng.uniform(0, math.pi)
    # A position for each pixel; more than 32 no network sees.
    num_positions = min(32, 2 + math.ceil(length * max(picture.size)))
    extended = _extend(picture)
    views = [
        np.asarray(_view(extended, picture.size, angle, distance), np.float32)
        for distance in np.linspace(-length / 2, length / 2, num_positions)
    ]
    return _from_levels(np.mean(views, axis=0))


def _lower_resolution(
    picture: Image.Image, num_pixels: float, _: np.random.Generator
) -> Image.Image:
    """Leave `num_pixels` across the shorter side, as of a face far away."""
    scale = num_pixels / min(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(1, round(scale * side)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BICUBIC)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def _add_noise(picture: Image.Image, sigma: float, rng: np.random.Generator) -> Image.Image:
    """Add Gaussian noise of `sigma` (of 255 levels), the same to all channels."""
    noise = rng.normal(0, sigma, (picture.height, picture.width, 1))
    return _from_levels(np.asarray(picture, np.float32) + noise)


def _compress(picture: Image.Image, quality: float, _: np.random.Generator) -> Image.Image:
    """Save as JPEG of `quality` (0–100) and load again."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(quality))
    return Image.open(stream).convert("RGB")


def _wear_glasses(picture: Image.Image, opacity: float, _: np.random.Generator) -> Image.Image:
    """Put on glasses whose lenses swallow the share `opacity` of the light."""
    x, y = _EYES
    lenses = [[(x + side + dx, y + dy) for dx, dy in _LENS] for side in (-0.18, 0.18)]
    return _cover(picture, [*lenses, _rectangle((x, y - 0.06), 0.84, 0.03)], _BLACK, opacity)


def _extend(picture: Image.Image) -> Image.Image:
    """Continue the picture with its edge pixels, by half its size on every side."""
    rows, columns = (
        np.arange(-((side + 1) // 2), side + (side + 1) // 2).clip(0, side - 1)
        for side in (picture.height, picture.width)
    )
    return Image.fromarray(np.asarray(picture)[rows][:, columns])


def _view(
    extended: Image.Image,
    size: tuple[int, int],
    angle: float = 0,
    distance: float = 0,
    side: float = 1,
) -> Image.Image:
    """Show the middle of an extended picture, or what lies beside it, at the picture's `size`.

    Args:
        extended: What `_extend` returned.
        size: Width and height of the picture before that.
        angle: The direction in which the window moves.
        distance: How far it moves, in sides of the picture.
        side: How large the window is, in sides of the picture.
    """
    (width, height) = size
    x = extended.width / 2 + distance * math.cos(angle) * width
    y = extended.height / 2 + distance * math.sin(angle) * height
    dx, dy = side * width / 2, side * height / 2
    return extended.resize(size, Image.Resampling.BICUBIC, (x - dx, y - dy, x + dx, y + dy))


def _cover(
    picture: Image.Image,
    polygons: Sequence[_Polygon],
    colour: tuple[int, int, int],
    opacity: float = 1,
) -> Image.Image:
    """Paint polygons, whose points are shares of the sides, with smooth edges."""
    drawing = Image.new("L", (_DRAWING_SIDE, _DRAWING_SIDE))
    pen = ImageDraw.Draw(drawing)
    for polygon in polygons:
        points = [(_DRAWING_SIDE * x, _DRAWING_SIDE * y) for x, y in polygon]
        pen.polygon(points, fill=round(255 * opacity))
    drawing = drawing.resize(picture.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", picture.size, colour), picture, drawing)


def _rectangle(centre: tuple[float, float], width: float, height: float) -> _Polygon:
    (x, y), dx, dy = centre, width / 2, height / 2
    return [(x - dx, y - dy), (x + dx, y - dy), (x + dx, y + dy), (x - dx, y + dy)]


def _enhance(kind: Callable[[Image.Image], Any]) -> _Change:
    return lambda picture, factor, _: kind(picture).enhance(factor)


def _lay_bar(centre: tuple[float, float], width: float) -> _Change:
    return lambda picture, height, _: _cover(picture, [_rectangle(centre, width, height)], _BLACK)


def _crop(picture: Image.Image, side: float, _: np.random.Generator) -> Image.Image:
    """Crop the face anew; `side` below 1 is a tighter crop, above 1 a looser one."""
    return _view(_extend(picture), picture.size, side=side)


def _from_levels(levels: np.ndarray) -> Image.Image:
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def _turn(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """Turn by `degrees`, either way."""
    turned = _extend(picture).rotate(degrees * rng.choice((-1, 1)), Image.Resampling.BICUBIC)
    return _view(turned, picture.size)


# What changes a picture by an amount, and the amounts. Shares are those of the picture's side.
_CHANGES: dict[str, tuple[_Change, tuple[float, float, float, float, float]]] = {
    "gaussian blur": (  # the standard deviation, as a share of the shorter side
        lambda picture, sigma, _: picture.filter(
            ImageFilter.GaussianBlur(sigma * min(picture.size))
        ),
        (0.008, 0.014, 0.021, 0.029, 0.038),
    ),
    "motion blur": (_blur_by_motion, (0.03, 0.055, 0.085, 0.12, 0.16)),
    "low resolution": (_lower_resolution, (36, 28, 22, 18, 14)),
    "gaussian noise": (_add_noise, (4, 8, 14, 22, 32)),
    "jpeg": (_compress, (45, 28, 18, 12, 8)),
    # Levels are multiplied; too bright ones are clipped, as by a sensor.
    "dark": (_enhance(ImageEnhance.Brightness), (0.8, 0.62, 0.46, 0.33, 0.22)),
    "bright": (_enhance(ImageEnhance.Brightness), (1.12, 1.28, 1.48, 1.72, 2)),
    # What is left of each level's distance to the mean level, and of the colour.
    "low contrast": (_enhance(ImageEnhance.Contrast), (0.8, 0.62, 0.46, 0.33, 0.22)),
    "grey": (_enhance(ImageEnhance.Color), (0.8, 0.6, 0.4, 0.2, 0)),
    # The height of a black bar across eyes and brows, and of a patch over the mouth.
    "eyes covered": (_lay_bar(_EYES, 0.84), (0.03, 0.08, 0.14, 0.21, 0.3)),
    "mouth covered": (_lay_bar(_MOUTH, 0.56), (0.03, 0.08, 0.14, 0.21, 0.3)),
    "dark glasses": (_wear_glasses, (0.2, 0.4, 0.6, 0.8, 1)),
    "face mask": (  # the height it is pulled up to
        lambda picture, top, _: _cover(picture, [[(x, top + y) for x, y in _MASK]], _MASK_BLUE),
        (0.92, 0.84, 0.75, 0.64, 0.52),
    ),
    "rotation": (_turn, (5, 11, 18, 27, 38)),
    "shift": (  # a distance in any direction
        lambda picture, distance, rng: _view(
            _extend(picture), picture.size, rng.uniform(0, 2 * math.pi), distance
        ),
        (0.03, 0.07, 0.12, 0.18, 0.25),
    ),
    "tighter crop": (_crop, (0.95, 0.88, 0.8, 0.71, 0.61)),
    "looser crop": (_crop, (1.06, 1.16, 1.3, 1.5, 1.8)),
}

CORRUPTIONS = tuple(_CHANGES)
"""The corruptions by name."""
