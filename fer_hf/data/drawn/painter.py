"""The hand behind the drawn faces: paints one person with one expression.

It is only about anatomy: what each action unit does to which line of the face. Who is painted, with
which units and in which light, is decided in `fer_hf.data.drawn.faces`. All coordinates are the
face units of `fer_hf.data.drawn.canvas`, written for the right half of the picture and mirrored for
the left.
"""

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from fer_hf.data.drawn.canvas import Array, Canvas, Pose, curve, mix
from fer_hf.data.drawn.person import (
    SIDES,
    Person,
    paint_back_hair,
    paint_beard,
    paint_covering,
    paint_front_hair,
    paint_glasses,
)

# Strength (0 to about 1.3) of each action unit on the left and right of the picture.
ActionUnits = dict[int, Array]


def paint_face(
    person: Person, units: ActionUnits, pose: Pose, gaze: ArrayLike, size: int
) -> tuple[Image.Image, Image.Image]:
    """Paint a person in an expression.

    Args:
        person: Who it is.
        units: What the face does.
        pose: How the head is held.
        gaze: Shift (x, y) of the irises in face units.
        size: Side of the picture in pixels.

    Returns:
        The figure on a transparent ground (RGBA), and tints to multiply it with (RGB), where
        `UNTINTED` means no change; both size × size.
    """
    canvas = Canvas(pose, size)
    _Painter(canvas, person, units).paint(np.asarray(gaze, dtype=float))
    return canvas.finish()


class _Painter:
    """The steps of `paint_face`, in the order in which one covers the other."""

    def __init__(self, canvas: Canvas, person: Person, units: ActionUnits):
        self.canvas, self.person, self.units = canvas, person, units
        self.mean = {unit: float(pair.mean()) for unit, pair in units.items()}
        self.half = [{unit: float(pair[i]) for unit, pair in units.items()} for i, _ in SIDES]
        self.drop = 0.09 * self.mean[26] + 0.17 * self.mean[27]

    def paint(self, gaze: Array) -> None:
        if not self.person.is_bald:
            paint_back_hair(self.canvas, self.person)
        self._body()
        self._head()
        self._folds()
        self._nose()
        for index, side in SIDES:
            self._eye(self.half[index], side, gaze)
            self._brow(self.half[index], side)
        if self.person.beard > 0:
            paint_beard(self.canvas, self.person, self._outline())
        self._mouth()
        if not self.person.is_bald:
            paint_front_hair(self.canvas, self.person)
        if self.person.glasses != "none":
            paint_glasses(self.canvas, self.person)
        paint_covering(self.canvas, self.person)

    def _crease(self, points: ArrayLike, strength: float, width: float = 0.022) -> None:
        if strength > 0.04:
            self.canvas.stroke(points, width, self.person.shade(strength), taper=1)

    def _body(self) -> None:
        clothes, chin = self.person.clothes, 1.2 + 0.6 * self.drop
        shoulder = [(3, 4), (1.9, 1.75), (0.95, 1.42), (0.42, 1.24)]
        collar = [(0.56, 1.24), (0.3, 1.5), (0, 1.58), (-0.3, 1.5), (-0.56, 1.24)]
        neck = [(0.37, 0.4), (0.37, 1.0), (0.5, 1.3), (0, 1.52)]
        under = [(0.37, 0.7), (0.36, 1.02), (0, chin), (-0.36, 1.02), (-0.37, 0.7)]
        self.canvas.fill(curve(shoulder + [(-x, y) for x, y in shoulder[::-1]]), clothes, depth=0)
        self.canvas.stroke(collar, 0.09, clothes * 0.8, depth=0)
        neck += [(-x, y) for x, y in neck[-2::-1]]
        self.canvas.fill(curve(neck), self.person.skin * 0.92, depth=0)
        self.canvas.fill(curve(under), self.person.shade(0.55), depth=0.12)

    def _outline(self) -> Array:
        top = [(0, -1), (0.4, -0.93), (0.67, -0.62), (0.745, -0.15), (0.715, 0.25)]
        chin = (0, 1.02 - 0.02 * self.mean[17])
        right = np.array([*top, (self.person.jaw, 0.66), (self.person.chin, 0.95), chin])
        right[:, 1] += self.drop * np.clip(right[:, 1] / 0.7 - 0.4, 0, 1)
        return curve(np.concatenate([right, right[-2:0:-1] * (-1, 1)]), closed=True)

    def _head(self) -> None:
        canvas, outline = self.canvas, self._outline()
        for _, side in SIDES:
            ear = np.array([(0.7, -0.14), (0.84, -0.17), (0.87, 0), (0.82, 0.2), (0.71, 0.25)])
            shell = np.array([(0.76, -0.08), (0.82, -0.08), (0.82, 0.04), (0.77, 0.14)])
            canvas.fill(curve(ear * (side, 1)), self.person.skin * 0.95, depth=-0.05)
            canvas.stroke(shell * (side, 1), 0.03, self.person.shade(0.6), depth=-0.05)
        canvas.fill(outline, self.person.skin, depth=0.45 * np.clip(outline[:, 1], 0, 1))
        for index, side in SIDES:
            lift = 0.04 * (self.half[index][12] + self.half[index][6])
            canvas.tint((0.3 * side, -0.04), (0.19, 0.13), (182, 172, 170))
            canvas.tint((0.42 * side, 0.24 - lift), (0.15, 0.11), (212, 186, 184))
        canvas.tint((0, 0.8), (0.14, 0.05), (188, 180, 178))
        canvas.tint((0, 0.93 + self.drop), (0.12, 0.07), (210, 208, 206))

    def _folds(self) -> None:
        age = self.person.age
        for index, side in SIDES:
            au, corner = self.half[index], self._mouth_corner(index)

            def fold(
                points: ArrayLike, strength: float, width: float = 0.022, side: int = side
            ) -> None:
                self._crease(np.asarray(points) * (side, 1), strength, width)

            snarl = au[9] + au[10]
            beside = [
                (0.15, 0.27 - 0.03 * snarl),
                (0.9 * corner[0] + 0.03, 0.4),
                (corner[0] + 0.08, corner[1] - 0.02),
            ]
            pull = 0.5 * au[12] + 0.4 * au[15] + 0.2 * au[20]
            fold(beside, 0.1 + 0.35 * age + 0.55 * snarl + pull, 0.03)
            for y in (-0.06, -0.01, 0.04):
                crows_foot = [(0.51, y), (0.6, 1.8 * y - 0.022)]
                fold(crows_foot, 0.7 * au[6] + 0.5 * age - 0.2, 0.018)
            bag = np.array([(0.2, 0.1), (0.32, 0.13), (0.43, 0.09)]) - (0, 0.02 * au[6])
            fold(bag, 0.08 + 0.45 * age + 0.5 * au[6] + 0.3 * au[7])
            fold([(0.055, -0.36), (0.045, -0.2)], 0.9 * au[4] + 0.4 * au[9] + 0.15 * age, 0.026)
            for y in (-0.1, -0.03):
                fold([(0.02, y), (0.11, y + 0.06)], 0.95 * au[9], 0.024)
            dimple = np.array([(0.05, -0.06), (0.075, 0), (0.05, 0.06)]) + corner
            fold(dimple, au[14] + 0.3 * au[12], 0.028)
            sag = np.array([(0.02, 0.03), (0.05, 0.13)]) + corner
            fold(sag, 0.8 * au[15] + 0.4 * age - 0.15, 0.024)
        for y in (-0.68, -0.59, -0.5):
            line = [
                (-0.34, y + 0.02),
                (-0.15, y - 0.01),
                (0, y + 0.01),
                (0.15, y - 0.01),
                (0.34, y + 0.02),
            ]
            self._crease(line, 0.45 * (self.mean[1] + self.mean[2]) + 0.5 * age - 0.15, 0.02)
        chin = [(-0.12, 0.82), (0, 0.77), (0.12, 0.82)]
        self._crease(chin, 0.15 + 0.7 * self.mean[17], 0.026)

    def _nose(self) -> None:
        tip = 0.22 + self.person.nose_length - 0.03 * self.mean[9]
        widening = 1 + 0.15 * self.mean[9] + 0.1 * self.mean[10]
        for _, side in SIDES:
            scale, base = (side * self.person.nose_width * widening, 1), (0, tip)
            wing = [(0.75, -0.1), (1, -0.02), (0.85, 0.045), (0.45, 0.05)]
            hole = [(0.25, 0.045), (0.5, 0.02), (0.72, 0.045), (0.5, 0.06)]
            self.canvas.stroke(
                np.array(wing) * scale + base, 0.03, self.person.shade(0.75), depth=0.85
            )
            nostril = curve(np.array(hole) * scale + base, closed=True)
            self.canvas.fill(nostril, self.person.shadow * 0.6, depth=0.87)
            self.canvas.tint((side * 0.1, 0.1), (0.035, 0.16), (184, 175, 172))
        under = [(-0.06, tip + 0.055), (0, tip + 0.075), (0.06, tip + 0.055)]
        self.canvas.stroke(under, 0.024, self.person.shade(0.6), depth=0.95)
        self.canvas.tint((0, 0.1), (0.035, 0.2), (224, 222, 220))
        self.canvas.tint((0, tip - 0.02), (0.06, 0.05), (228, 224, 222))

    def _eye(self, au: dict[int, float], side: int, gaze: Array) -> None:
        person, size = self.person, self.person.eye_size
        narrowing = 0.03 * au[7] + 0.022 * au[6] + 0.012 * au[4] + 0.02 * au[9]
        above = size * (0.09 + 0.05 * au[5] - narrowing)
        below = size * (0.055 + 0.012 * au[5] - 0.026 * au[7] - 0.034 * au[6] - 0.022 * au[9])
        span = np.linspace(-1, 1, 13)
        arch = np.sqrt(1 - span**2) * (1 - 0.25 * span**2)
        # Grief (1 and 4 together) lets the outer half of the upper lid hang.
        tilt = 0.022 * min(au[1], au[4]) * (span + 0.4) - 0.012 * span
        x = side * (person.eye_gap + 0.155 * size * span)
        upper_lid = np.stack([x, tilt - above * arch], axis=1)
        lower_lid = np.stack([x, tilt + below * arch], axis=1)
        iris = np.array((side * person.eye_gap, -0.012)) + gaze
        self.canvas.discs_inside(
            np.concatenate([upper_lid, lower_lid[::-1]]),
            (244, 240, 236),
            [
                (iris, 0.083 * size, person.iris * 0.55),
                (iris, 0.07 * size, person.iris),
                (iris, 0.036 * size, (18, 14, 14)),
                (iris - 0.027, 0.019, (255, 255, 255)),
            ],
        )
        self.canvas.stroke(lower_lid[2:-1:2], 0.016, self.person.shade(0.8))
        lashes = mix(person.hair, (30, 18, 16), 0.8)
        self.canvas.stroke(upper_lid[::2] - (0, 0.004), 0.034, lashes, taper=0.7)
        lid_fold = upper_lid[1:-1:2] - (0, 0.035 + 0.02 * person.age - 0.02 * au[4])
        self._crease(lid_fold, 0.65 - 0.3 * au[5], 0.02)

    def _brow(self, au: dict[int, float], side: int) -> None:
        brow = np.array([(0.1, -0.21), (0.21, -0.25), (0.35, -0.265), (0.51, -0.2)])
        brow[:, 0] += self.person.eye_gap - 0.3 - au[4] * np.array((0.035, 0.02, 0.01, 0))
        brow[:, 1] += au[1] * np.array((-0.14, -0.08, -0.02, 0.02))
        brow[:, 1] += au[2] * np.array((-0.02, -0.07, -0.13, -0.11))
        # A frown leaves up what unit 1 raises: together they are the oblique brow of grief.
        frown = 1 - min(au[1], 1.0) * np.array((0.9, 0.5, 0, 0))
        brow[:, 1] += au[4] * frown * np.array((0.1, 0.09, 0.04, -0.01))
        brow[:, 1] += au[9] * np.array((0.05, 0.04, 0.02, 0)) + 0.015 * au[6]
        colour = mix(self.person.hair * 0.8, self.person.skin, 0.12)
        width = self.person.brow_width
        self.canvas.stroke(brow * (side, 1), width, colour, taper=0.75)
        self.canvas.stroke(brow[:3] * (side, 1), 1.05 * width, colour, taper=0.5)

    def _mouth_corner(self, index: int) -> Array:
        au = self.half[index]
        outward = 0.085 * au[12] + 0.085 * au[20] + 0.03 * au[14]
        inward = 0.03 * au[23] + 0.015 * au[24] + 0.03 * au[17] + 0.02 * au[26] + 0.055 * au[27]
        down = 0.085 * au[15] + 0.03 * au[20] - 0.115 * au[12] - 0.035 * au[14] + 0.3 * self.drop
        return np.array((0.235 + outward - inward, 0.553 + down))

    def _mouth(self) -> None:
        au, lips = self.mean, self.person.lips
        span = np.linspace(-1, 1, 17)
        bow = 1 - span**2
        corners = np.stack([self._mouth_corner(0), self._mouth_corner(1)])[(span > 0).astype(int)]
        middle = 0.565 - 0.035 * au[17] + 0.012 * au[12]
        x, line = corners[:, 0] * span, middle + (corners[:, 1] - middle) * np.abs(span) ** 1.5
        gap = 0.05 * au[25] + 0.03 * au[10] + 0.12 * au[26] + 0.27 * au[27]
        left, right = self.units[10]
        snarl = 0.06 * (left + (right - left) * (span + 1) / 2) + 0.02 * au[9]
        upper = line - (snarl + 0.15 * gap) * bow**0.6
        lower = line + (0.85 * gap - 0.3 * snarl * (gap < 0.02)) * bow**0.55
        thinning = 0.5 * au[23] + 0.5 * au[24] + 0.25 * au[12] + 0.15 * au[20]
        fullness = self.person.lip_fullness * max(1 - thinning, 0.15)
        cupids_bow = 1 - 0.28 * np.exp(-((span / 0.16) ** 2))
        top = upper - 0.055 * fullness * bow**0.75 * cupids_bow
        bottom = lower + 0.075 * fullness * (1 + 0.35 * au[17]) * bow**0.65

        def band(over: Array, under: Array, colour: ArrayLike) -> None:
            edges = np.concatenate([np.stack([x, over], 1), np.stack([x, under], 1)[::-1]])
            self.canvas.fill(edges, colour)

        band(upper, bottom, lips)
        band(top, upper + 0.004, lips * 0.88)
        band(upper, lower, (74, 22, 26))
        if gap > 0.1:
            band(np.maximum(lower - 0.35 * gap * bow**2, upper), lower, (186, 88, 88))
        teeth = np.minimum(upper + 0.075 * np.minimum(1.15 - span**2, 1), lower)
        band(upper, teeth, (243, 238, 228))
        self.canvas.stroke(np.stack([x, upper], 1)[::2], 0.02, lips * 0.5, taper=0.6)
        self.canvas.tint((0, bottom[8] - 0.03 * fullness), (0.1, 0.02), (222, 214, 212))
