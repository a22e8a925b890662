"""Boxes with emotions, drawn on the picture they were read from, be it a photograph or a video.

Colour is never the only sign: each box has its words, and that of a face the model is not sure of
is dashed.
"""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from fer_hf.faces.face import Box, intersect_boxes
from fer_hf.faces.reader import FaceReading
from fer_hf.inference.reading import LABEL_INK, LABEL_PAPER, format_percent, get_label_color

_NOT_SURE_COLOR = "#ffffff"
_FRACTION = 4  # bits behind the point of the pixel positions that OpenCV is given


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
    rim = max(1, line // 2)
    inset = line / 2 + rim
    left, top = (max(inset, at) for at in box[:2])
    right, bottom = (min(s - 1 - inset, at) for s, at in zip(drawn.size, box[2:], strict=True))
    if right <= left or bottom <= top:
        return
    strokes = _trace_rounded_box((left, top, right, bottom), 6 * line if dashed else None, line)
    reach = inset + 2  # for smooth edges
    corner = round(left - reach), round(top - reach)
    # Smooth lines are OpenCV's, not Pillow's. It gets the part it draws on: the whole picture would
    # take longer to turn into an array and back than all the rest.
    part = np.array(drawn.crop((*corner, round(right + reach), round(bottom + reach))))
    fixed = [np.round((points - corner) * 2**_FRACTION).astype(np.int32) for points in strokes]
    for width, ink in ((line + 2 * rim, LABEL_PAPER), (line, color)):
        rgb = ImageColor.getrgb(ink)
        cv2.polylines(part, fixed, False, rgb, width, cv2.LINE_AA, _FRACTION)
    drawn.paste(Image.fromarray(part), corner)


def _trace_rounded_box(box: Box, dash: float | None, line: int) -> list[npt.NDArray[np.float64]]:
    """Return the outline as lines of points (x, y): one, or dashes of about that length."""
    left, top, right, bottom = box
    radius = min(6 * line, (right - left) / 2, (bottom - top) / 2)
    centres = np.array([(right, bottom), (left, bottom), (left, top), (right, top)], float)
    centres += radius * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    angles = np.linspace(0, np.pi / 2, 9) + np.arange(4)[:, None] * np.pi / 2
    arcs = centres[:, None] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    path = np.concatenate([arcs.reshape(-1, 2), arcs[0, :1]])
    if dash is None:
        return [path]
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    num_dashes = max(4, round(lengths[-1] / (2 * dash)))
    period = lengths[-1] / num_dashes
    at = np.arange(num_dashes)[:, None] * period + np.linspace(0, period / 2, 7)
    return list(np.stack([np.interp(at, lengths, path[:, axis]) for axis in (0, 1)], axis=-1))


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
