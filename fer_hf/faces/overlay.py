"""Boxes with emotions, drawn on the picture they were read from.

A room of its own because pictures, the webcam and videos are drawn on alike. Colour is never the
only sign: each box has its words, and that of a face the model is not sure of is dashed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from fer_hf.emotions import EMOTIONS
from fer_hf.faces.reading import FaceReading
from fer_hf.faces.tracking import TrackedFace

NOT_SURE = "not sure"
COLORS = ("#d55e00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#bbbbbb", "#0072b2", "#e69f00")
"""One for each of `EMOTIONS`, told apart by the colour-blind: those of Okabe and Ito, "Color
Universal Design", 2008, with grey for their black, which a dark chip would hide."""

_NOT_SURE_COLOR = "#ffffff"
_INK, _PAPER = "#ffffff", "#111827"  # 17.7:1
# Covers Latin, Greek and Cyrillic; Pillow's own font stops after Latin.
_FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")
_FRACTION = 4  # bits behind the point of the pixels that OpenCV is given

_Box = tuple[float, float, float, float]


def name_reading(reading: FaceReading, label_names: Sequence[str]) -> str:
    """Return the label with the highest score, or that the model is not sure."""
    return NOT_SURE if reading.sure is False else label_names[int(np.argmax(reading.scores))]


def format_percent(share: float) -> str:
    """Write a share of 0–1 as a whole per cent that claims neither never nor always."""
    if share <= 0.005:
        return "<1 %"
    return ">99 %" if share >= 0.995 else f"{share:.0%}".replace("%", " %")


def get_label_color(label: str, label_names: Sequence[str]) -> str:
    """Return the colour of a label as `#rrggbb`.

    An emotion has the same in every label set; other labels take those that are left, in turn.

    Raises:
        ValueError: `label` is none of `label_names`.
    """
    if label not in label_names:
        raise ValueError(f"`label` is {label!r}, expected one of {list(label_names)}.")
    colors = dict(zip(EMOTIONS, COLORS, strict=True))
    if label in colors:
        return colors[label]
    left = [color for emotion, color in colors.items() if emotion not in label_names] or COLORS
    others = [name for name in label_names if name not in colors]
    return left[others.index(label) % len(left)]


def draw_readings(
    picture: Image.Image, readings: Sequence[FaceReading], label_names: Sequence[str]
) -> Image.Image:
    """Draw a box and a chip such as "1 happy 92 %" or "2 not sure" for each face.

    Args:
        picture: Of any mode; it stays as it is.
        readings: Of its faces. Whether one is sure, and of which label, chooses line and colour.
        label_names: Names of the labels in the order of the scores.

    Returns:
        A picture of the same size and mode RGB.
    """
    marks = []
    for number, reading in enumerate(readings, 1):
        label = None if reading.sure is False else name_reading(reading, label_names)
        share = "" if label is None else f" {format_percent(float(reading.scores.max()))}"
        marks.append(_Mark(reading.face.box, label, f"{number} {label or NOT_SURE}{share}"))
    return _draw(picture, marks, label_names)


def draw_tracked(
    picture: Image.Image, tracked: Sequence[TrackedFace], label_names: Sequence[str]
) -> Image.Image:
    """Draw a box and a chip such as "1 happy" for each face that is followed.

    Args and return value are those of `draw_readings`; the label is the one that is shown, whether
    its score leads or not.
    """
    marks = [_Mark(face.face.box, face.label, name_tracked(face)) for face in tracked]
    return _draw(picture, marks, label_names)


def name_tracked(face: TrackedFace) -> str:
    """Return the number of a face, and its label or that the model is not sure."""
    return f"{face.number} {face.label or NOT_SURE}"


@dataclass(frozen=True)
class _Mark:
    """What is drawn of one face; no label where the model is not sure."""

    box: _Box
    label: str | None
    caption: str


def _draw(picture: Image.Image, marks: Sequence[_Mark], label_names: Sequence[str]) -> Image.Image:
    drawn = picture.convert("RGB")
    drawn = drawn.copy() if drawn is picture else drawn
    colors = [
        _NOT_SURE_COLOR if mark.label is None else get_label_color(mark.label, label_names)
        for mark in marks
    ]
    longest = max(picture.size)
    line = max(2, round(longest / 400))
    for mark, color in zip(marks, colors, strict=True):
        _draw_outline(drawn, mark.box, color, line, dashed=mark.label is None)
    boxes = [mark.box for mark in marks]
    taken: list[_Box] = []
    for mark, color in zip(marks, colors, strict=True):
        chip = _render_chip(mark.caption, color, max(12, round(longest / 45)), picture.width)
        taken.append(_find_place(chip.size, mark.box, picture.size, taken, boxes))
        left, top = taken[-1][:2]
        drawn.paste(chip, (round(left), round(top)), chip)
    return drawn


def _draw_outline(drawn: Image.Image, box: _Box, color: str, line: int, *, dashed: bool) -> None:
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
    for width, ink in ((line + 2 * rim, _PAPER), (line, color)):
        rgb = ImageColor.getrgb(ink)
        cv2.polylines(part, fixed, False, rgb, width, cv2.LINE_AA, _FRACTION)
    drawn.paste(Image.fromarray(part), corner)


def _trace_rounded_box(box: _Box, dash: float | None, line: int) -> list[npt.NDArray[np.float64]]:
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
def _render_chip(text: str, color: str, font_size: int, max_width: int) -> Image.Image:
    """Write text on a dark chip with a coloured edge, smaller where it would be too wide."""
    font = ImageFont.truetype(_FONT, font_size)
    width, height = round(font.getlength(text) + font_size), round(1.7 * font_size)
    if width > max_width and font_size > 1:
        smaller = min(font_size - 1, font_size * max_width // width)
        return _render_chip(text, color, max(1, smaller), max_width)
    fine = 2  # Pillow's shapes have steps
    edge, radius = max(1, round(font_size / 8)), fine * height // 3
    shapes = Image.new("RGBA", (fine * width, fine * height))
    ImageDraw.Draw(shapes).rounded_rectangle(
        (0, 0, shapes.width - 1, shapes.height - 1), radius, _PAPER, color, fine * edge
    )
    chip = shapes.resize((width, height), Image.Resampling.BOX)
    ImageDraw.Draw(chip).text((width / 2, height / 2), text, _INK, font, anchor="mm")
    return chip


def _find_place(
    size: tuple[int, int],
    box: _Box,
    picture_size: tuple[int, int],
    taken: Sequence[_Box],
    boxes: Sequence[_Box],
) -> _Box:
    """Return where a chip hides the fewest others, then least of the faces, best above its own."""
    (width, height), (left, top, right, bottom) = size, box
    places = []
    for y in (top - height, bottom, top, bottom - height, top - 2 * height, bottom + height):
        for x in (left, right - width):
            x_in, y_in = (
                max(0, min(at, whole - own))
                for at, own, whole in zip((x, y), size, picture_size, strict=True)
            )
            places.append((x_in, y_in, x_in + width, y_in + height))
    return min(
        places,
        key=lambda place: (
            sum(_overlap(place, other) for other in taken),
            sum(_overlap(place, face) for face in boxes),
        ),
    )


def _overlap(one: _Box, other: _Box) -> float:
    """Return the area that two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)
