"""The brush of the drawn faces: paints one person with one expression, from the back of the head to the glasses.

It is a room of its own because it knows only geometry and colour; who is painted, with which
action units and in which light, is decided in `fer_hf.data.drawn`.

Everything is placed in *face units*: x grows to the right of the picture, y downwards, the crown
is at y = -1, the chin at y = 1, the middle of the face at (0, 0). `Pose` turns them into pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Colour = NDArray[np.float64]
Points = NDArray[np.float64]
ActionUnits = dict[int, NDArray[np.float64]]

OVERSAMPLE = 3
SIDES = ((0, -1.0), (1, 1.0))
# The tint that leaves a colour as it is on the soft layer; 0..255 then means 0..1.28 times.
UNTINTED = 200

_T = np.linspace(0, 1, 6, endpoint=False)
_CATMULL_ROM = 0.5 * np.stack(
    [
        -(_T**3) + 2 * _T**2 - _T,
        3 * _T**3 - 5 * _T**2 + 2,
        -3 * _T**3 + 4 * _T**2 + _T,
        _T**3 - _T**2,
    ],
    axis=1,
)


@dataclass(frozen=True)
class Person:
    """What stays the same whatever the face does. Colours are RGB in 0..255, the rest face units or 0..1."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    age: float
    width: float
    jaw: float
    chin: float
    eye_gap: float
    eye_size: float
    brow_width: float
    nose_width: float
    nose_length: float
    lip_fullness: float
    hair_volume: float
    hair_length: float
    hairline: float
    hair_part: float
    curl: float
    is_bald: bool
    beard: float
    glasses: str
    covering: str


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned.

    Angles are in radians: positive yaw looks to the right of the picture, positive pitch upwards,
    positive roll tips the head clockwise. `scale` is pixels per face unit, `centre` is in pixels.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    centre: tuple[float, float]
    width: float = 1.0

    def place(self, points: ArrayLike, depth: ArrayLike | None = None) -> Points:
        """Turn face units into pixels.

        Args:
            points: (n, 2) in face units.
            depth: how far each point is before the plane of the ears, in face units; without it,
                the points lie on the ellipsoid of the face, so that turning the head moves them.

        Returns:
            (n, 2) pixels.
        """
        x, y = np.asarray(points, dtype=float).T
        if depth is None:
            depth = 0.8 * np.sqrt(np.clip(1 - (x / 0.76) ** 2 - (y / 1.04) ** 2, 0, None))
        z = np.asarray(depth)
        x, z = (
            x * self.width * np.cos(self.yaw) + z * np.sin(self.yaw),
            z * np.cos(self.yaw) - x * self.width * np.sin(self.yaw),
        )
        y = y * np.cos(self.pitch) - z * np.sin(self.pitch)
        cos, sin = self.scale * np.cos(self.roll), self.scale * np.sin(self.roll)
        return np.stack([self.centre[0] + x * cos - y * sin, self.centre[1] + x * sin + y * cos], 1)


def mix(first: Colour, second: ArrayLike, amount: float) -> Colour:
    """Blend two colours: 0 gives the first, 1 the second."""
    return first + (np.asarray(second) - first) * float(np.clip(amount, 0, 1))


def curve(points: ArrayLike, *, closed: bool = False) -> Points:
    """Lead a smooth (Catmull–Rom) curve through (n, 2) points, six steps from each to the next."""
    knots = np.asarray(points, dtype=float)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([knots[:1], knots, knots[-1:]])
    windows = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]])
    smooth = np.einsum("ts,snd->ntd", _CATMULL_ROM, windows).reshape(-1, 2)
    return smooth if closed else np.concatenate([smooth, knots[-1:]])


def _rgb(colour: ArrayLike) -> tuple[int, ...]:
    return tuple(np.clip(np.asarray(colour), 0, 255).astype(int).tolist())


class Painter:
    """Paints a person on a transparent sheet, `OVERSAMPLE` times as large as the picture.

    Call `paint`; the `_paint_…` methods are its steps, from back to front. Beside the crisp sheet
    there is a soft layer of the picture's own size, whose blurred tints (sockets, blush, folds)
    are multiplied on later.
    """

    def __init__(self, person: Person, units: ActionUnits, pose: Pose, gaze: Points, size: int):
        self.person, self.units, self.pose, self.gaze, self.size = person, units, pose, gaze, size
        self.sheet = Image.new("RGBA", (size * OVERSAMPLE, size * OVERSAMPLE))
        self.soft = Image.new("RGB", (size, size), (UNTINTED,) * 3)
        self._ink = ImageDraw.Draw(self.sheet)
        self._brush = ImageDraw.Draw(self.soft)
        self._shadow = person.skin * (0.60, 0.48, 0.46)
        self._jaw_drop = 0.09 * self._both(26) + 0.17 * self._both(27)

    def paint(self) -> tuple[Image.Image, Image.Image]:
        """Paint the person.

        Returns:
            The picture (RGBA, size × size) and the tints to multiply it with (RGB, size × size,
            `UNTINTED` meaning no change).
        """
        self._paint_back_hair()
        self._paint_body()
        self._paint_head()
        self._paint_folds()
        self._paint_nose()
        for index, side in SIDES:
            self._paint_eye(index, side)
            self._paint_brow(index, side)
        self._paint_beard()
        self._paint_mouth()
        self._paint_front_hair()
        self._paint_glasses()
        self._paint_covering()
        softened = self.soft.filter(ImageFilter.GaussianBlur(self.size * 0.02))
        return self.sheet.reduce(OVERSAMPLE), softened

    # The strokes all steps are made of.

    def _both(self, unit: int) -> float:
        return float(self.units[unit].mean())

    def _fill(self, points: ArrayLike, colour: ArrayLike, depth: ArrayLike | None = None) -> None:
        self._ink.polygon(self.pose.place(points, depth).ravel().tolist(), fill=_rgb(colour))

    def _dot(
        self, at: Sequence[float], radius: float, colour: ArrayLike, depth: float = 0.0
    ) -> None:
        x, y = self.pose.place([at], None if depth == 0 else [depth])[0]
        r = radius * self.pose.scale
        self._ink.ellipse((x - r, y - r, x + r, y + r), fill=_rgb(colour))

    def _stroke(
        self,
        points: ArrayLike,
        width: float,
        colour: ArrayLike,
        *,
        taper: float = 0.8,
        depth: ArrayLike | None = None,
    ) -> None:
        """Draw a pen stroke through the points, thinner towards both ends by `taper` (0..1)."""
        line = self.pose.place(curve(points), depth)
        along = np.gradient(line, axis=0)
        normal = along[:, ::-1] * (-1, 1) / (np.hypot(*along.T)[:, None] + 1e-9)
        bulge = 1 - taper * np.abs(np.linspace(-1, 1, len(line))) ** 2
        offset = normal * (0.5 * width * self.pose.scale * bulge)[:, None]
        outline = np.concatenate([line + offset, (line - offset)[::-1]])
        self._ink.polygon(outline.ravel().tolist(), fill=_rgb(colour))

    def _crease(self, points: ArrayLike, strength: float, width: float = 0.022) -> None:
        if strength > 0.04:
            self._stroke(points, width, mix(self.person.skin, self._shadow, strength), taper=1)

    def _tint(self, at: Sequence[float], radii: Sequence[float], tint: ArrayLike) -> None:
        x, y = self.pose.place([at])[0] / OVERSAMPLE
        rx, ry = np.asarray(radii) * self.pose.scale / OVERSAMPLE
        self._brush.ellipse((x - rx, y - ry, x + rx, y + ry), fill=_rgb(tint))

    # The steps, from back to front.

    def _paint_back_hair(self) -> None:
        person = self.person
        if person.is_bald:
            return
        volume, length = person.hair_volume, person.hair_length
        half = np.array([(0, -1.0 - volume), (0.45, -0.92 - volume), (0.72 + volume, -0.5)])
        sides = np.array([(0.76 + volume, 0.0), (0.74 + volume * 1.3, max(length * 0.6, 0.1))])
        tips = np.array([(0.62 + volume, length), (0.2, length + 0.02)])
        right = np.concatenate([half, sides, tips])
        outline = curve(np.concatenate([right, right[:0:-1] * (-1, 1)]), closed=True)
        if person.curl > 0:
            around = np.linspace(0, 2 * np.pi, len(outline))
            outline = outline * (1 + person.curl * np.sin(23 * around) ** 2)[:, None]
        self._fill(outline, person.hair * 0.72, depth=-0.15)

    def _paint_body(self) -> None:
        skin, clothes = self.person.skin, self.person.clothes
        shoulders = [
            (-3, 4),
            (-1.9, 1.75),
            (-0.95, 1.42),
            (-0.42, 1.24),
            (0.42, 1.24),
            (0.95, 1.42),
        ]
        neck = [
            (-0.37, 0.4),
            (-0.37, 1.0),
            (-0.5, 1.3),
            (0, 1.52),
            (0.5, 1.3),
            (0.37, 1.0),
            (0.37, 0.4),
        ]
        self._fill(curve([*shoulders, (1.9, 1.75), (3, 4)]), clothes, depth=0)
        self._stroke(
            [(-0.56, 1.24), (-0.3, 1.5), (0, 1.58), (0.3, 1.5), (0.56, 1.24)],
            0.09,
            clothes * 0.8,
            depth=0,
        )
        self._fill(curve(neck), skin * 0.92, depth=0)
        under = [
            (-0.37, 0.7),
            (-0.36, 1.02),
            (0, 1.2 + 0.6 * self._jaw_drop),
            (0.36, 1.02),
            (0.37, 0.7),
        ]
        self._fill(curve(under), mix(skin, self._shadow, 0.55), depth=0.12)

    def _outline(self) -> Points:
        person = self.person
        right = np.array([
            (0, -1), (0.4, -0.93), (0.67, -0.62), (0.745, -0.15), (0.715, 0.25),
            (person.jaw, 0.66), (person.chin, 0.95), (0, 1.02 - 0.02 * self._both(17)),
        ])  # fmt: skip
        right[:, 1] += self._jaw_drop * np.clip(right[:, 1] / 0.7 - 0.4, 0, 1)
        return curve(np.concatenate([right, right[-2:0:-1] * (-1, 1)]), closed=True)

    def _paint_head(self) -> None:
        skin = self.person.skin
        for _, side in SIDES:
            ear = np.array([(0.7, -0.14), (0.84, -0.17), (0.87, 0.0), (0.82, 0.2), (0.71, 0.25)])
            self._fill(curve(ear * (side, 1)), skin * 0.95, depth=-0.05)
            inner = np.array([(0.76, -0.08), (0.82, -0.08), (0.82, 0.04), (0.77, 0.14)])
            self._stroke(inner * (side, 1), 0.03, mix(skin, self._shadow, 0.6), depth=-0.05)
        outline = self._outline()
        self._fill(outline, skin, depth=0.45 * np.clip(outline[:, 1], 0, 1))
        smile = self.units[12] + self.units[6]
        for index, side in SIDES:
            self._tint((0.3 * side, -0.04), (0.19, 0.13), (182, 172, 170))
            self._tint((0.42 * side, 0.24 - 0.04 * smile[index]), (0.15, 0.11), (212, 186, 184))
        self._tint((0, 0.80), (0.14, 0.05), (188, 180, 178))
        self._tint((0, 0.93 + self._jaw_drop), (0.12, 0.07), (210, 208, 206))

    def _paint_folds(self) -> None:
        units, age = self.units, self.person.age
        for index, side in SIDES:
            corner = self._mouth_corner(index)
            lift = units[9][index] + units[10][index]
            pull = units[12][index] + 0.4 * units[20][index]
            strength = 0.12 + 0.4 * age + 0.55 * lift + 0.5 * pull + 0.4 * units[15][index]
            fold = [
                (0.15, 0.27 - 0.03 * lift),
                (corner[0] * 0.9 + 0.03, 0.4),
                (corner[0] + 0.08, corner[1] - 0.02),
            ]
            self._crease(np.array(fold) * (side, 1), strength, 0.03)
            for step in range(3):
                foot = np.array([(0.51, -0.06 + 0.05 * step), (0.6, -0.13 + 0.09 * step)])
                self._crease(foot * (side, 1), 0.7 * units[6][index] + 0.5 * age - 0.2, 0.018)
            bag = np.array([(0.2, 0.1), (0.32, 0.13), (0.43, 0.09)]) - (0, 0.02 * units[6][index])
            self._crease(
                bag * (side, 1), 0.1 + 0.5 * age + 0.5 * units[6][index] + 0.3 * units[7][index]
            )
            furrow = np.array([(0.055, -0.36), (0.045, -0.2)])
            self._crease(
                furrow * (side, 1), 0.9 * units[4][index] + 0.4 * units[9][index] + 0.2 * age, 0.026
            )
            wrinkle = np.array([(0.02, -0.1), (0.11, -0.04)])
            for step in range(2):
                self._crease(
                    (wrinkle + (0, 0.07 * step)) * (side, 1), 0.95 * units[9][index], 0.024
                )
            dimple = np.array([(0.05, -0.06), (0.075, 0.0), (0.05, 0.06)]) + corner
            self._crease(dimple * (side, 1), units[14][index] + 0.3 * units[12][index], 0.028)
            sag = np.array([(0.02, 0.03), (0.05, 0.13)]) + corner
            self._crease(sag * (side, 1), 0.8 * units[15][index] + 0.4 * age - 0.15, 0.024)
        raised = self._both(1) * 0.6 + self._both(2) * 0.6
        for step in range(3):
            y = -0.5 - 0.09 * step
            line = [
                (-0.34, y + 0.02),
                (-0.15, y - 0.01),
                (0.0, y + 0.01),
                (0.15, y - 0.01),
                (0.34, y + 0.02),
            ]
            self._crease(line, 0.75 * raised + 0.5 * age - 0.15, 0.02)
        chin = [(-0.12, 0.82), (0, 0.77), (0.12, 0.82)]
        self._crease(chin, 0.15 + 0.7 * self._both(17), 0.026)

    def _paint_nose(self) -> None:
        person, skin = self.person, self.person.skin
        tip = 0.22 + person.nose_length - 0.03 * self._both(9)
        wing = person.nose_width * (1 + 0.15 * self._both(9) + 0.1 * self._both(10))
        depth = 0.95
        for _, side in SIDES:
            flare = np.array([(0.75, -0.1), (1.0, -0.02), (0.85, 0.045), (0.45, 0.05)]) * (
                wing,
                1,
            ) + (0, tip)
            self._stroke(
                flare * (side, 1), 0.03, mix(skin, self._shadow, 0.75), depth=[depth - 0.1] * 19
            )
            nostril = np.array([(0.25, 0.045), (0.5, 0.02), (0.72, 0.045), (0.5, 0.06)]) * (
                wing,
                1,
            ) + (0, tip)
            self._fill(
                curve(nostril * (side, 1), closed=True), self._shadow * 0.6, depth=depth - 0.08
            )
            self._tint((side * 0.1, 0.1), (0.035, 0.16), (184, 175, 172))
        self._stroke(
            [(-0.06, tip + 0.055), (0, tip + 0.075), (0.06, tip + 0.055)],
            0.024,
            mix(skin, self._shadow, 0.6),
            depth=[depth] * 13,
        )
        self._tint((0, 0.1), (0.035, 0.2), (224, 222, 220))
        self._tint((0, tip - 0.02), (0.06, 0.05), (228, 224, 222))

    def _paint_eye(self, index: int, side: float) -> None:
        person, units = self.person, {unit: pair[index] for unit, pair in self.units.items()}
        size = person.eye_size
        upper = size * (
            0.09
            + 0.05 * units[5]
            - 0.03 * units[7]
            - 0.022 * units[6]
            - 0.012 * units[4]
            - 0.02 * units[9]
        )
        lower = size * (
            0.055 + 0.012 * units[5] - 0.026 * units[7] - 0.034 * units[6] - 0.022 * units[9]
        )
        droop = 0.022 * min(units[1], units[4])
        span = np.linspace(-1, 1, 13)
        arch = np.sqrt(1 - span**2) * (1 - 0.25 * span**2)
        x = person.eye_gap + 0.155 * size * span
        tilt = -0.012 * span + droop * (span + 0.4)
        lid = np.stack([x, tilt - upper * arch], 1) * (side, 1)
        base = np.stack([x, tilt + lower * arch], 1) * (side, 1)
        almond = self.pose.place(np.concatenate([lid, base[::-1]]))
        left, top = np.floor(almond.min(0)).astype(int)
        right, bottom = np.ceil(almond.max(0)).astype(int) + 1
        tile = Image.new("RGB", (int(right - left), int(bottom - top)), _rgb((244, 240, 236)))
        ink = ImageDraw.Draw(tile)
        cx, cy = self.pose.place([(person.eye_gap * side + self.gaze[0], self.gaze[1] - 0.012)])[
            0
        ] - (left, top)
        for radius, colour in (
            (0.083, person.iris * 0.55),
            (0.07, person.iris),
            (0.036, np.array((18.0, 14, 14))),
        ):
            r = radius * size * self.pose.scale
            ink.ellipse((cx - r, cy - r, cx + r, cy + r), fill=_rgb(colour))
        r = 0.019 * self.pose.scale
        ink.ellipse((cx - 2.4 * r, cy - 2.4 * r, cx - 0.4 * r, cy - 0.4 * r), fill=(255, 255, 255))
        shade = np.concatenate([lid - (0, 0.05), (lid + (0, 0.02))[::-1]])
        mask = Image.new("L", tile.size)
        ImageDraw.Draw(mask).polygon((almond - (left, top)).ravel().tolist(), fill=255)
        self.sheet.paste(tile, (int(left), int(top)), mask)
        dark = mix(person.hair, (30, 18, 16), 0.8)
        self._stroke(base[2:-1:2], 0.016, mix(person.skin, self._shadow, 0.8))
        self._stroke(lid[::2] - (0, 0.004), 0.034, dark, taper=0.7)
        lid_fold = 0.035 + 0.02 * person.age - 0.02 * units[4]
        self._crease((lid[1:-1:2] - (0, lid_fold)) * (1, 1), 0.65 - 0.3 * units[5], 0.02)

    def _paint_brow(self, index: int, side: float) -> None:
        units = {unit: pair[index] for unit, pair in self.units.items()}
        brow = np.array([(0.10, -0.2), (0.21, -0.245), (0.35, -0.265), (0.51, -0.2)])
        brow += (self.person.eye_gap - 0.3, 0)
        brow[:, 1] += units[1] * np.array((-0.14, -0.08, -0.02, 0.02))
        brow[:, 1] += units[2] * np.array((-0.02, -0.07, -0.13, -0.11))
        brow[:, 1] += units[4] * np.array((0.10, 0.09, 0.04, -0.01))
        brow[:, 1] += units[9] * np.array((0.05, 0.04, 0.02, 0.0)) + 0.015 * units[6]
        brow[:, 0] -= units[4] * np.array((0.035, 0.02, 0.01, 0))
        width = self.person.brow_width
        colour = mix(self.person.hair * 0.8, self.person.skin, 0.12)
        self._stroke(brow * (side, 1), width, colour, taper=0.75)
        self._stroke(brow[:3] * (side, 1), width * 1.05, colour, taper=0.5)

    def _mouth_corner(self, index: int) -> Points:
        units = {unit: pair[index] for unit, pair in self.units.items()}
        out = 0.235 + 0.085 * units[12] + 0.085 * units[20] + 0.03 * units[14]
        out -= (
            0.03 * units[23]
            + 0.015 * units[24]
            + 0.03 * units[17]
            + 0.055 * units[27]
            + 0.02 * units[26]
        )
        down = 0.565 - 0.115 * units[12] - 0.035 * units[14] + 0.085 * units[15] + 0.03 * units[20]
        return np.array((out, down + 0.3 * self._jaw_drop))

    def _paint_mouth(self) -> None:
        person, both = self.person, self._both
        span = np.linspace(-1, 1, 17)
        corners = np.stack([self._mouth_corner(0), self._mouth_corner(1)])[(span > 0).astype(int)]
        middle = 0.565 - 0.035 * both(17) + 0.012 * both(12)
        gap = 0.05 * both(25) + 0.03 * both(10) + 0.12 * both(26) + 0.27 * both(27)
        bow = np.clip(1 - span**2, 0, 1)
        x = corners[:, 0] * span
        line = middle + (corners[:, 1] - middle) * np.abs(span) ** 1.5
        side = (span + 1) / 2
        snarl = 0.06 * (self.units[10][0] * (1 - side) + self.units[10][1] * side) + 0.02 * both(9)
        upper_edge = line - (snarl + 0.15 * gap) * bow**0.6
        lower_edge = line + (0.85 * gap - 0.3 * snarl * (gap < 0.02)) * bow**0.55
        thin = 1 - 0.5 * both(23) - 0.5 * both(24) - 0.25 * both(12) - 0.15 * both(20)
        fullness = person.lip_fullness * max(thin, 0.15)
        cupid = 1 - 0.28 * np.exp(-((span / 0.16) ** 2))
        top = upper_edge - 0.055 * fullness * bow**0.75 * cupid
        bottom = lower_edge + 0.075 * fullness * (1 + 0.35 * both(17)) * bow**0.65

        def band(above: Points, below: Points, colour: ArrayLike) -> None:
            edge = np.concatenate([np.stack([x, above], 1), np.stack([x, below], 1)[::-1]])
            self._fill(edge, colour)

        band(upper_edge, bottom, person.lips)
        band(top, upper_edge + 0.004, person.lips * 0.88)
        band(upper_edge, lower_edge, (74, 22, 26))
        if gap > 0.1:
            tongue = np.maximum(lower_edge - 0.35 * gap * bow**2, upper_edge)
            band(tongue, lower_edge, (186, 88, 88))
        teeth = np.minimum(upper_edge + 0.075 * np.clip(1.15 - span**2, 0, 1), lower_edge)
        band(upper_edge, teeth, (243, 238, 228))
        self._stroke(np.stack([x, upper_edge], 1)[::2], 0.02, person.lips * 0.5, taper=0.6)
        self._tint((0, bottom[8] - 0.03 * fullness), (0.1, 0.02), (222, 214, 212))

    def _paint_beard(self) -> None:
        if self.person.beard <= 0:
            return
        colour = mix(self.person.skin, self.person.hair, self.person.beard)
        outline = self._outline()
        jaw = outline[outline[:, 1] > 0.12]
        inner = [
            (-0.6, 0.3),
            (-0.42, 0.5),
            (-0.3, 0.47),
            (-0.2, 0.42),
            (0, 0.44),
            (0.2, 0.42),
            (0.3, 0.47),
            (0.42, 0.5),
            (0.6, 0.3),
        ]
        edge = np.concatenate([jaw, curve(inner)])
        on_jaw = np.arange(len(edge)) < len(jaw)
        surface = 0.8 * np.sqrt(
            np.clip(1 - (edge[:, 0] / 0.76) ** 2 - (edge[:, 1] / 1.04) ** 2, 0, None)
        )
        self._fill(edge, colour, depth=np.where(on_jaw, 0.45 * np.clip(edge[:, 1], 0, 1), surface))

    def _paint_front_hair(self) -> None:
        person = self.person
        if person.is_bald:
            return
        volume, line, part = person.hair_volume, person.hairline, person.hair_part
        over = [
            (-0.77, 0.0),
            (-0.74 - 0.5 * volume, -0.45),
            (-0.47, -0.9 - 0.7 * volume),
            (0, -1 - volume),
        ]
        over += [(-x, y) for x, y in over[-2::-1]]
        under = [
            (0.68, -0.15),
            (0.62, -0.42),
            (0.42, line - 0.06 + 0.1 * part),
            (part * 0.3, line - 0.12),
        ]
        under += [(-0.42, line - 0.06 - 0.1 * part), (-0.62, -0.42), (-0.68, -0.15)]
        above, below = curve(over), curve(under)
        edge = np.concatenate([above, below])
        if person.curl > 0:
            edge *= (1 + 0.7 * person.curl * np.sin(np.arange(len(edge)) * 1.3) ** 2)[:, None]
        surface = 0.75 * np.sqrt(np.clip(1 - (below[:, 0] / 0.8) ** 2 - below[:, 1] ** 2, 0, None))
        self._fill(edge, person.hair, depth=np.concatenate([np.zeros(len(above)), surface]))
        for step in range(6):
            share = (step + 0.5) / 6
            start = (part * 0.3, line - 0.15 - 0.12 * abs(share - 0.5))
            end = (1.3 * (share - 0.5), -0.98 - 0.6 * volume + 0.5 * (2 * share - 1) ** 2)
            middle = ((start[0] + end[0]) / 2 * 1.2, (start[1] + end[1]) / 2 - 0.05)
            shine = mix(person.hair, (255, 240, 220), 0.16) if step % 2 else person.hair * 0.8
            self._stroke([start, middle, end], 0.035, shine, taper=1, depth=[0.3] * 13)

    def _paint_glasses(self) -> None:
        if self.person.glasses == "none":
            return
        gap, frame = self.person.eye_gap, np.array((40.0, 34, 36))
        angle = np.linspace(0, 2 * np.pi, 25)
        power = 0.75
        for _, side in SIDES:
            rim = np.stack([
                gap + 0.215 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
                0.03 + 0.17 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power,
            ], 1) * (side, 1)  # fmt: skip
            if self.person.glasses == "dark":
                self._fill(rim, frame * 0.8)
            self._stroke(rim, 0.032, frame, taper=0)
            temple = np.array([(gap + 0.21, -0.02), (0.66, -0.05), (0.78, -0.02)])
            self._stroke(temple * (side, 1), 0.035, frame, taper=0)
        self._stroke([(-gap + 0.21, 0.0), (0, -0.03), (gap - 0.21, 0.0)], 0.03, frame, taper=0)

    def _paint_covering(self) -> None:
        kind, skin = self.person.covering, self.person.skin
        if kind == "mask":
            cloth = [
                (-0.7, 0.15),
                (-0.3, 0.2),
                (0, 0.14),
                (0.3, 0.2),
                (0.7, 0.15),
                (0.6, 0.7),
                (0.25, 0.98),
                (-0.25, 0.98),
                (-0.6, 0.7),
            ]
            self._fill(curve(cloth, closed=True), (176, 206, 214))
            for y in (0.36, 0.5, 0.64):
                self._stroke(
                    [(-0.55, y - 0.02), (0, y + 0.02), (0.55, y - 0.02)], 0.02, (146, 178, 188)
                )
        elif kind == "scarf":
            wrap = [
                (-0.95, 0.62),
                (-0.4, 0.66),
                (0, 0.7),
                (0.4, 0.66),
                (0.95, 0.62),
                (1.0, 1.3),
                (0, 1.5),
                (-1.0, 1.3),
            ]
            self._fill(curve(wrap, closed=True), self.person.clothes * 0.75, depth=0.3)
            for y in (0.82, 1.0, 1.18):
                self._stroke(
                    [(-0.9, y - 0.06), (0, y + 0.04), (0.9, y - 0.06)],
                    0.04,
                    self.person.clothes * 0.6,
                    depth=[0.3] * 13,
                )
        elif kind == "hand":
            side = np.sign(self.person.hair_part) or 1.0
            for step in range(4):
                y = 0.5 + 0.15 * step
                finger = np.array(
                    [(1.15, y + 0.5), (0.75, y + 0.12), (0.36 + 0.05 * abs(step - 1.5), y)]
                ) * (side, 1)
                self._stroke(
                    finger, 0.175, mix(skin, self._shadow, 0.45), taper=0.12, depth=[0.5] * 13
                )
                self._stroke(finger, 0.15, skin * 1.03, taper=0.12, depth=[0.5] * 13)
        elif kind == "bar":
            bar = np.array([(-1.6, 0.3), (1.6, 0.1), (1.6, 0.32), (-1.6, 0.52)]) * (
                1,
                np.sign(self.person.hair_part) or 1,
            )
            self._fill(bar, (70, 72, 80), depth=0.4)
