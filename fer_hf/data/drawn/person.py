"""Whom the drawn faces show: what stays the same whatever a face does, and what covers it.

Separate from the painter, which moves the features: hair, beard, glasses and coverings do not move.
"""

from dataclasses import dataclass

import numpy as np

from fer_hf.data.drawn.canvas import Array, Canvas, curve, mix, surface

# Index into a pair of strengths, and the sign of x on that side.
SIDES = ((0, -1), (1, 1))


@dataclass(frozen=True)
class Person:
    """What stays the same whatever the face does: colours are RGB in 0..255, lengths face units."""

    skin: Array
    hair: Array
    iris: Array
    lips: Array
    clothes: Array
    age: float  # 0..1
    width: float  # of the head, 1 is average
    jaw: float
    chin: float
    eye_gap: float  # from the middle of the face to the middle of an eye
    eye_size: float  # 1 is average
    brow_width: float
    nose_width: float
    nose_length: float
    lip_fullness: float  # 1 is average
    hair_volume: float
    hair_length: float  # y of the tips
    hairline: float  # y of the hairline; from -0.35 down a fringe covers the brows
    hair_part: float  # -1..1, the side of the parting
    curl: float
    is_bald: bool
    beard: float  # 0..1, opacity
    glasses: str  # "none", "clear" or "dark"
    covering: str  # "none", "mask", "scarf", "hand" or "bar"

    @property
    def shadow(self) -> Array:
        """The colour of the skin in full shade."""
        return self.skin * (0.60, 0.48, 0.46)

    def shade(self, strength: float) -> Array:
        """Return the colour of the skin in a shade from 0 (none) to 1 (full)."""
        return mix(self.skin, self.shadow, strength)


def paint_back_hair(canvas: Canvas, person: Person) -> None:
    """Paint the hair behind the head; goes before everything else."""
    volume, length = person.hair_volume, person.hair_length
    crown = [
        (0, -1 - volume),
        (0.45, -0.92 - volume),
        (0.72 + volume, -0.5),
        (0.76 + volume, 0),
    ]
    tips = [(0.74 + 1.3 * volume, max(0.6 * length, 0.1)), (0.62 + volume, length)]
    right = np.array([*crown, *tips, (0.2, length + 0.02)])
    outline = curve(np.concatenate([right, right[:0:-1] * (-1, 1)]), closed=True)
    waves = np.sin(23 * np.linspace(0, 2 * np.pi, len(outline))[:, None]) ** 2
    outline *= 1 + person.curl * waves
    canvas.fill(outline, person.hair * 0.72, depth=-0.15)


def paint_beard(canvas: Canvas, person: Person, outline: Array) -> None:
    """Darken the skin between the jaw of the head's `outline` and the mouth."""
    jaw = outline[outline[:, 1] > 0.12]
    cheek = [(0.6, 0.3), (0.42, 0.5), (0.3, 0.47), (0.2, 0.42), (0, 0.44)]
    inner = curve([(-x, y) for x, y in cheek] + cheek[-2::-1])
    depth = np.concatenate([0.45 * np.clip(jaw[:, 1], 0, 1), surface(inner)])
    colour = mix(person.skin, person.hair, person.beard)
    canvas.fill(np.concatenate([jaw, inner]), colour, depth)


def paint_front_hair(canvas: Canvas, person: Person) -> None:
    """Paint the hair over the forehead, or the fringe."""
    hair, volume = person.hair, person.hair_volume
    line, part = person.hairline, person.hair_part
    over = [(-0.77, 0), (-0.74 - 0.5 * volume, -0.45), (-0.47, -0.9 - 0.7 * volume)]
    over += [(0, -1 - volume)] + [(-x, y) for x, y in over[::-1]]
    under = [(0.68, -0.15), (0.62, -0.42), (0.42, line - 0.06 + 0.1 * part)]
    under += [(0.3 * part, line - 0.12), (-0.42, line - 0.06 - 0.1 * part)]
    under += [(-0.62, -0.42), (-0.68, -0.15)]
    above, below = curve(over), curve(under)
    edge = np.concatenate([above, below])
    edge *= 1 + 0.7 * person.curl * np.sin(1.3 * np.arange(len(edge))[:, None]) ** 2
    canvas.fill(edge, hair, np.concatenate([np.zeros(len(above)), surface(below)]))
    shine = mix(hair, (255, 240, 220), 0.16)
    for step, aside in enumerate(np.linspace(-0.83, 0.83, 6)):
        root, crown = line - 0.16 + 0.06 * aside**2, -0.98 - 0.5 * volume + 0.3 * aside**2
        middle = (0.15 * part + 0.56 * aside, (root + crown) / 2)
        strand = [(0.2 * part + 0.42 * aside, root), middle, (0.1 * part + 0.62 * aside, crown)]
        canvas.stroke(strand, 0.035, shine if step % 2 else hair * 0.8, taper=1, depth=0.3)


def paint_glasses(canvas: Canvas, person: Person) -> None:
    """Paint clear or dark glasses."""
    gap, frame = person.eye_gap, np.array((40, 34, 36))
    angle = np.linspace(0, 2 * np.pi, 25)[:, None]
    circle = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    rounded_square = np.sign(circle) * np.abs(circle) ** 0.75
    for _, side in SIDES:
        rim = (rounded_square * (0.215, 0.17) + (gap, 0.03)) * (side, 1)
        temple = np.array([(gap + 0.21, -0.02), (0.66, -0.05), (0.78, -0.02)]) * (side, 1)
        if person.glasses == "dark":
            canvas.fill(rim, frame * 0.8)
        canvas.stroke(rim, 0.032, frame, taper=0)
        canvas.stroke(temple, 0.035, frame, taper=0)
    canvas.stroke([(0.21 - gap, 0), (0, -0.03), (gap - 0.21, 0)], 0.03, frame, taper=0)


def paint_covering(canvas: Canvas, person: Person) -> None:
    """Paint what is held or worn before the face: mask, scarf, hand or bar; maybe nothing."""
    kind, clothes = person.covering, person.clothes
    side = 1 if person.hair_part > 0 else -1
    if kind == "mask":
        half = [(0.3, 0.2), (0.7, 0.15), (0.6, 0.7), (0.25, 0.98)]
        cloth = [(0, 0.14), *half, *((-x, y) for x, y in half[::-1])]
        canvas.fill(curve(cloth, closed=True), (176, 206, 214))
        for y in (0.36, 0.5, 0.64):
            pleat = [(-0.55, y - 0.02), (0, y + 0.02), (0.55, y - 0.02)]
            canvas.stroke(pleat, 0.02, (146, 178, 188))
    elif kind == "scarf":
        half = [(0.4, 0.66), (0.95, 0.62), (1, 1.3)]
        wrap = [(0, 0.7), *half, (0, 1.5), *((-x, y) for x, y in half[::-1])]
        canvas.fill(curve(wrap, closed=True), clothes * 0.75, depth=0.3)
        for y in (0.82, 1, 1.18):
            pleat = [(-0.9, y - 0.06), (0, y + 0.04), (0.9, y - 0.06)]
            canvas.stroke(pleat, 0.04, clothes * 0.6, depth=0.3)
    elif kind == "hand":
        for y, reach in zip((0.5, 0.65, 0.8, 0.95), (0.43, 0.38, 0.38, 0.43), strict=True):
            finger = np.array([(1.15, y + 0.5), (0.75, y + 0.12), (reach, y)]) * (side, 1)
            canvas.stroke(finger, 0.175, person.shade(0.45), taper=0.12, depth=0.5)
            canvas.stroke(finger, 0.15, person.skin * 1.03, taper=0.12, depth=0.5)
    elif kind == "bar":
        bar = np.array([(-1.6, 0.3), (1.6, 0.1), (1.6, 0.32), (-1.6, 0.52)]) * (side, 1)
        canvas.fill(bar, (70, 72, 80), depth=0.4)
