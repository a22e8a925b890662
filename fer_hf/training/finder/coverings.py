"""What hides a part of a face, or belongs around it: masks, glasses, hats, hands, hair, shoulders.

Shapes are polygons in units of the face's box: x and y from -1 to 1, of an upright face.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Points = npt.NDArray[np.float64]
Place = Callable[[Points], Points]
"""From units of the face to pixels, both of shape (N, 2)."""

_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def _fill(scene: Image.Image, points: Points, level: float) -> None:
    ImageDraw.Draw(scene).polygon([tuple(p) for p in points.tolist()], fill=int(level))


def _stroke(scene: Image.Image, points: Points, level: float, width: float) -> None:
    line = [tuple(p) for p in points.tolist()]
    ImageDraw.Draw(scene).line(line, fill=int(level), width=max(1, round(width)))


def _ellipse(x: float, y: float, width: float, height: float) -> Points:
    return _CIRCLE * (width, height) + (x, y)


def paint_behind(scene: Image.Image, place: Place, rng: np.random.Generator) -> None:
    """Paint shoulders, a neck and hair, which the cut-out face lies on."""
    skin, hair, clothes = rng.uniform(20, 240), rng.uniform(5, 200), rng.uniform(0, 255)
    if rng.random() < 0.6:
        wide, drop = rng.uniform(1.6, 2.8), rng.uniform(1.5, 1.9)
        neck = rng.uniform(0.4, 0.65)
        body = [(-neck, drop - 0.3), (neck, drop - 0.3), (wide, drop + 0.3), (wide + 0.2, 3.5)]
        body += [(-wide - 0.2, 3.5), (-wide, drop + 0.3)]
        _fill(scene, place(np.array(body)), clothes)
        trunk = [(-neck, 0.6), (neck, 0.6), (neck * 1.1, drop - 0.1), (-neck * 1.1, drop - 0.1)]
        _fill(scene, place(np.array(trunk)), skin)
    if rng.random() < 0.8:
        long = rng.random() < 0.4
        top, wide = rng.uniform(1.15, 1.45), rng.uniform(1.05, 1.45)
        outline = _ellipse(0, -0.1, wide, top)
        if long:
            outline[:, 1] = np.where(
                outline[:, 1] > 0, outline[:, 1] * rng.uniform(1, 1.7), outline[:, 1]
            )
        else:
            outline[:, 1] = np.minimum(outline[:, 1], rng.uniform(-0.2, 0.4))
        outline *= 1 + rng.normal(0, 0.03, (len(outline), 1))
        _fill(scene, place(outline), hair)


def _mask(scene: Image.Image, place: Place, rng: np.random.Generator, side: float) -> None:
    level, top = rng.uniform(0, 255), rng.uniform(-0.15, 0.25)
    bridge = top - rng.uniform(0, 0.25)
    jaw = rng.uniform(0.95, 1.15)
    left = [(-1.0, top), (-0.5, top - 0.02), (0, bridge), (0.5, top - 0.02), (1.0, top)]
    right = [(0.85, 0.62), (0.45, jaw - 0.05), (0, jaw), (-0.45, jaw - 0.05), (-0.85, 0.62)]
    _fill(scene, place(np.array(left + right)), level)
    for y in rng.uniform(0.25, 0.9, rng.integers(0, 4)):
        fold = np.array([(-0.75, y - 0.05), (0, y), (0.75, y - 0.05)])
        _stroke(scene, place(fold), level * rng.uniform(0.8, 1), side / 60)
    if rng.random() < 0.2:  # a scarf, or a pulled-up collar
        _fill(scene, place(np.array([(-1.2, 0.5), (1.2, 0.4), (1.3, 1.6), (-1.3, 1.6)])), level)


def _glasses(scene: Image.Image, place: Place, rng: np.random.Generator, side: float) -> None:
    level, y = rng.uniform(0, 90), rng.uniform(-0.3, -0.15)
    wide, high = rng.uniform(0.3, 0.42), rng.uniform(0.14, 0.26)
    is_dark = rng.random() < 0.65
    for x in (-0.45, 0.45):
        rim = np.sign(_CIRCLE) * np.abs(_CIRCLE) ** rng.uniform(0.5, 1) * (wide, high) + (x, y)
        if is_dark:
            _fill(scene, place(rim), level)
        _stroke(scene, place(np.concatenate([rim, rim[:1]])), level, side * rng.uniform(0.01, 0.04))
    ends = np.array([(-1.0, y), (-0.45 - wide, y), (0.45 - wide, y), (0.45 + wide, y), (1.0, y)])
    _stroke(scene, place(ends), level, side * 0.02)


def _hat(scene: Image.Image, place: Place, rng: np.random.Generator, side: float) -> None:
    level, brim = rng.uniform(0, 255), rng.uniform(-0.75, -0.38)
    crown, wide = rng.uniform(-1.8, -1.2), rng.uniform(1.0, 1.3)
    outline = [(-wide, brim), (-wide * 0.95, crown * 0.8), (0, crown), (wide * 0.95, crown * 0.8)]
    _fill(scene, place(np.array([*outline, (wide, brim)])), level)
    if rng.random() < 0.5:
        reach = rng.uniform(1.1, 1.9)
        edge = [(-reach, brim), (reach, brim), (reach, brim + 0.12), (-reach, brim + 0.12)]
        _fill(scene, place(np.array(edge)), level * rng.uniform(0.5, 1))


def _hand(scene: Image.Image, place: Place, rng: np.random.Generator, side: float) -> None:
    level, angle = rng.uniform(30, 230), rng.uniform(0, 2 * np.pi)
    middle = rng.uniform(-0.8, 0.8, 2)
    along, across = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    wide = rng.uniform(0.08, 0.16)
    for finger in range(int(rng.integers(1, 5))):
        start = middle + across * finger * 2.1 * wide
        length = rng.uniform(0.5, 1.4)
        corners = [start - across * wide, start + across * wide]
        corners += [corners[1] + along * length, corners[0] + along * length]
        _fill(scene, place(np.array(corners)), level * rng.uniform(0.85, 1.05))


def _bar(scene: Image.Image, place: Place, rng: np.random.Generator, side: float) -> None:
    """Paint something in front of the middle or of one side."""
    level = rng.uniform(0, 255)
    if rng.random() < 0.5:
        y, high = rng.uniform(-0.6, 0.4), rng.uniform(0.1, 0.25)
        _fill(
            scene, place(np.array([(-1.2, y), (1.2, y), (1.2, y + high), (-1.2, y + high)])), level
        )
    else:
        edge, end = rng.uniform(0.1, 0.8), 1.5
        flip = rng.choice((-1, 1))
        _fill(
            scene,
            place(np.array([(edge, -1.3), (end, -1.3), (end, 1.3), (edge, 1.3)]) * (flip, 1)),
            level,
        )


_KINDS = (_mask, _glasses, _hat, _hand, _bar)
_SHARES = (0.42, 0.22, 0.14, 0.12, 0.10)


def cover(scene: Image.Image, place: Place, rng: np.random.Generator, side: float) -> None:
    """Hide a part of a face.

    Args:
        scene: Of mode L.
        place: Puts the shapes on it.
        rng: Chooses what.
        side: Height of the face in pixels, for the width of lines.
    """
    kind = _KINDS[rng.choice(len(_KINDS), p=_SHARES)]
    kind(scene, place, rng, side)
    if kind is _mask and rng.random() < 0.15:
        _glasses(scene, place, rng, side)
