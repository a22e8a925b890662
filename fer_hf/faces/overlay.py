"""Boxes with emotions, drawn on the picture they were read from, be it a photograph or a video.

Colour is never the only sign: each box has its words, and that of a face the model is not sure of
is dashed.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from fer_hf.faces.face import Box, intersect_boxes
from fer_hf.faces.reader import FaceReading
from fer_hf.inference.reading import LABEL_INK, LABEL_PAPER, format_percent, get_label_color

_NOT_SURE_COLOR = "#ffffff"


def draw_readings(
    picture: Image.Image, readings: Sequence[FaceReading], *, with_scores: bool = True
) -> Image.Image:
    """Draw a box and a tag such as "1 happy 92 %" or "2 not sure" for each face.

    Args:
        picture: Of any mode; it is not changed.
        readings: Of its faces. Their labels choose line and colour, whether they lead or not.
        with_scores: Whether tags give the label's score; in a video it would flicker.

    Returns:
        A picture of the same size and mode RGB.
    """
    drawn = picture.convert("RGB")
    drawn = drawn.copy() if drawn is picture else drawn
    longest = max(picture.size)
    line = max(2, round(longest / 400))
    colors = [
        get_label_color(one.label, list(one.scores)) if one.label else _NOT_SURE_COLOR
        for one in readings
    ]
    for one, color in zip(readings, colors, strict=True):
        _draw_outline(drawn, one.face.box, color, line, dashed=one.label is None)
    boxes = [one.face.box for one in readings]
    taken: list[Box] = []
    for one, color in zip(readings, colors, strict=True):
        share = f" {format_percent(one.scores[one.label])}" if one.label and with_scores else ""
        tag = _render_tag(one.caption + share, color, max(12, round(longest / 45)), picture.width)
        taken.append(_find_place(tag.size, one.face.box, picture.size, taken, boxes))
        left, top = taken[-1][:2]
        drawn.paste(tag, (round(left), round(top)), tag)
    return drawn


def _draw_outline(drawn: Image.Image, box: Box, color: str, line: int, *, dashed: bool) -> None:
    """Draw a rounded rectangle within the picture, with a dark rim that shows on any ground."""
    half = (line + 1) // 2 + 0.5  # an odd width: sharp where a box begins with a pixel
    rim = max(1, line // 2)
    inset = half + rim
    left, top = (max(inset, at) for at in box[:2])
    right, bottom = (min(s - 1 - inset, at) for s, at in zip(drawn.size, box[2:], strict=True))
    if right <= left or bottom <= top:
        return
    radius = min(6 * line, (right - left) / 2, (bottom - top) / 2)
    inner = (left + radius, top + radius, right - radius, bottom - radius)
    reach = math.ceil(inset) + 1  # for smooth edges
    for tile in _split_frame((left, top, right, bottom), radius, reach):
        far = _measure_distances(tile, inner, radius, 6 * line if dashed else None)
        for reached, ink in ((half + rim, LABEL_PAPER), (half, color)):
            share = (reached + 0.5 - far).clip(0, 1)  # of each pixel that the line covers
            drawn.paste(ink, tile, Image.fromarray(np.rint(255 * share).astype(np.uint8)))


def _split_frame(box: Box, radius: float, reach: int) -> list[tuple[int, int, int, int]]:
    """Return parts of the picture that hold a box's outline, and less of what is within it."""
    left, top = (math.floor(at) - reach for at in box[:2])
    right, bottom = (math.ceil(at) + reach + 1 for at in box[2:])
    side = 2 * reach + 2
    upper, lower = top + side + math.ceil(radius), bottom - side - math.ceil(radius)
    if lower <= upper or right - left <= 2 * side:
        return [(left, top, right, bottom)]
    return [
        (left, top, right, upper),
        (left, upper, left + side, lower),
        (right - side, upper, right, lower),
        (left, lower, right, bottom),
    ]


def _measure_distances(
    tile: tuple[int, int, int, int], inner: Box, radius: float, dash: float | None
) -> npt.NDArray[np.float32]:
    """Return how far each pixel is from the outline, or from its nearest dash.

    Args:
        tile: The pixels' left, top, right and bottom.
        inner: The rectangle from which the outline keeps a distance.
        radius: That distance.
        dash: How long dashes are about, and the gaps between them; None for a line without any.

    Returns:
        Shape (height, width), in pixels.
    """
    left, top, right, bottom = inner
    columns, rows = (np.arange(*tile[axis::2], dtype=np.float32) for axis in (0, 1))
    rows = rows[:, None]
    x, y = columns.clip(left, right), rows.clip(top, bottom)  # the nearest point of `inner`
    beside, below = columns - x, rows - y
    across = np.abs(np.hypot(beside, below) - radius)
    if dash is None:
        return across
    # How far along the outline its nearest point is, clockwise from the upper end of the right
    # side on: the angle is 0 there, the straight parts come in the order right, below, left, above.
    width, height = right - left, bottom - top
    angle = np.arctan2(-below, -beside) + np.float32(np.pi)
    sides = np.where(beside < 0, height + width + bottom - y, y - top)
    ends = np.where(below > 0, height + right - x, 2 * height + width + x - left)
    length = 2 * (width + height + np.pi * radius)
    num_dashes = max(4, round(length / (2 * dash)))
    at = (np.where(below == 0, sides, ends) + radius * angle) * (num_dashes / length) - 0.25
    # A dash takes up the half of each period from -0.25 to 0.25.
    along = (np.abs(at - np.rint(at)) - 0.25) * (length / num_dashes)
    return np.hypot(across, along.clip(0))


@lru_cache(maxsize=256)
def _render_tag(text: str, color: str, font_size: int, max_width: int) -> Image.Image:
    """Write text on a dark tag with a coloured edge, smaller where it would be too wide."""
    font = _load_font(font_size)
    width, height = round(font.getlength(text) + font_size), round(1.7 * font_size)
    if width > max_width and font_size > 1:
        smaller = min(font_size - 1, font_size * max_width // width)
        return _render_tag(text, color, max(1, smaller), max_width)
    fine = 2  # Pillow's shapes have steps
    edge, radius = max(1, round(font_size / 8)), fine * height // 3
    shapes = Image.new("RGBA", (fine * width, fine * height))
    ImageDraw.Draw(shapes).rounded_rectangle(
        (0, 0, shapes.width - 1, shapes.height - 1), radius, LABEL_PAPER, color, fine * edge
    )
    tag = shapes.resize((width, height), Image.Resampling.BOX)
    ImageDraw.Draw(tag).text((width / 2, height / 2), text, LABEL_INK, font, anchor="mm")
    return tag


def _load_font(size: int) -> ImageFont.FreeTypeFont:
    """Load a font of a size in pixels: one for Latin, Greek and Cyrillic where matplotlib is."""
    # Found, not imported, which takes a quarter of a second.
    matplotlib = find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        return ImageFont.load_default(size)  # type: ignore[return-value]  # Latin only
    folder = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / "DejaVuSans-Bold.ttf", size)


def _find_place(
    size: tuple[int, int],
    box: Box,
    picture_size: tuple[int, int],
    taken: Sequence[Box],
    boxes: Sequence[Box],
) -> Box:
    """Return where a tag hides the fewest others, then least of the faces, best above its own."""
    (width, height), (left, top, right, bottom) = size, box
    rows = (top - height, bottom, top, bottom - height, top - 2 * height, bottom + height)
    places = []
    for y, x in product(rows, (left, right - width)):
        x_in = max(0, min(x, picture_size[0] - width))
        y_in = max(0, min(y, picture_size[1] - height))
        places.append((x_in, y_in, x_in + width, y_in + height))
    hidden = [intersect_boxes(places, others).sum(axis=1) for others in (boxes, taken)]
    return places[np.lexsort(hidden)[0]]
