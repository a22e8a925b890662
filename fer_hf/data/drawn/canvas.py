"""Canvas, pose and pen of the drawn faces: smooth shapes in face units become pixels.

Nothing here is about faces, only about a head-shaped surface that turns. In *face units* x grows to
the right of the picture and y downwards; the crown is at y = -1, the chin at y = 1, the middle of
the face at (0, 0); depth counts from the plane of the ears to the front.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFilter

Array = NDArray[np.float64]

OVERSAMPLE = 3
# The tint that leaves a colour as it is; 0..255 then means 0..1.28 times.
UNTINTED = 200


def mix(first: Array, second: ArrayLike, amount: float) -> Array:
    """Blend two colours: 0 gives the first, 1 the second."""
    return first + (np.asarray(second) - first) * min(max(amount, 0.0), 1.0)


def curve(points: ArrayLike, *, closed: bool = False) -> Array:
    """Lead a smooth (Catmull–Rom) curve through (n, 2) points, six steps from each to the next."""
    knots = np.asarray(points, dtype=float)
    return _smoothing(len(knots), closed=closed) @ knots


@lru_cache
def _smoothing(count: int, *, closed: bool) -> Array:
    """Return the matrix that turns `count` knots into their curve."""
    t = np.linspace(0, 1, 6, endpoint=False)
    weights = [
        -(t**3) + 2 * t**2 - t,
        3 * t**3 - 5 * t**2 + 2,
        -3 * t**3 + 4 * t**2 + t,
        t**3 - t**2,
    ]
    knots = np.eye(count)
    before, after = (knots[-1:], knots[:2]) if closed else (knots[:1], knots[-1:])
    padded = np.concatenate([before, knots, after])
    windows = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]])
    steps = np.einsum("wt,wkn->ktn", np.stack(weights) / 2, windows).reshape(-1, count)
    return steps if closed else np.concatenate([steps, knots[-1:]])


@lru_cache
def _towards_ends(count: int) -> Array:
    """Return (count, 1) numbers that rise from 0 in the middle of a line to 1 at its ends."""
    return np.linspace(-1, 1, count)[:, None] ** 2


def surface(points: Array) -> Array:
    """Return the depth (n,) of the face's ellipsoid at (n, 2) points, 0 outside it."""
    x, y = points[:, 0] / 0.76, points[:, 1] / 1.04
    return 0.8 * np.sqrt(np.maximum(1 - x * x - y * y, 0))


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned.

    Angles are in radians: positive yaw looks to the right of the picture, positive pitch upwards,
    positive roll tips the head clockwise. `scale` is pixels per face unit, `centre` is in pixels,
    `width` stretches the head sideways.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    centre: tuple[float, float]
    width: float = 1.0

    @cached_property
    def _turn(self) -> Array:
        """The (3, 2) matrix from face units to pixels around the centre."""
        (cy, cp, cr), (sy, sp, sr) = (
            wave((self.yaw, self.pitch, self.roll)) for wave in (np.cos, np.sin)
        )
        yawed = np.array([(cy, 0, -sy), (0, 1, 0), (sy, 0, cy)]) * [(self.width,), (1,), (1,)]
        pitched = np.array([(1, 0), (0, cp), (0, -sp)])
        rolled = np.array([(cr, sr), (-sr, cr)])
        return yawed @ pitched @ rolled * self.scale

    def place(self, points: ArrayLike, depth: ArrayLike | None = None) -> Array:
        """Turn (n, 2) face units into (n, 2) pixels.

        Without a `depth` (one number or n) the points are on the face's ellipsoid, so that turning
        the head moves them as it moves a real face's features.
        """
        flat = np.asarray(points, dtype=float)
        solid = np.empty((len(flat), 3))
        solid[:, :2] = flat
        solid[:, 2] = surface(flat) if depth is None else depth
        return solid @ self._turn + self.centre


class Canvas:
    """A transparent sheet and a soft layer to draw one head on.

    The sheet is `OVERSAMPLE` times as large as the picture; scaling it down smooths every edge. The
    soft layer has the picture's own size and holds what has no edge (sockets, blush, highlights):
    tints to multiply the picture with. Points are in face units, colours RGB in 0..255.
    """

    def __init__(self, pose: Pose, size: int):
        self.pose, self.size = pose, size
        self._sheet = Image.new("RGBA", (size * OVERSAMPLE, size * OVERSAMPLE))
        self._soft = Image.new("RGB", (size, size), (UNTINTED,) * 3)
        self._pen = ImageDraw.Draw(self._sheet)
        self._brush = ImageDraw.Draw(self._soft)

    def fill(self, points: ArrayLike, colour: ArrayLike, depth: ArrayLike | None = None) -> None:
        """Fill the polygon through the points."""
        self._pen.polygon(_flat(self.pose.place(points, depth)), fill=_rgb(colour))

    def stroke(
        self,
        points: ArrayLike,
        width: float,
        colour: ArrayLike,
        *,
        taper: float = 0.8,
        depth: float | None = None,
    ) -> None:
        """Draw a curved pen stroke, thinner towards both ends by `taper` (0..1)."""
        line = self.pose.place(curve(points), depth)
        padded = np.concatenate([line[:1], line, line[-1:]])
        along = padded[2:] - padded[:-2]
        along *= 0.5 * width * self.pose.scale / (np.hypot(along[:, :1], along[:, 1:]) + 1e-9)
        along *= 1 - taper * _towards_ends(len(line))
        across = along[:, ::-1] * (-1, 1)
        outline = np.concatenate([line + across, (line - across)[::-1]])
        self._pen.polygon(_flat(outline), fill=_rgb(colour))

    def tint(self, at: tuple[float, float], radii: tuple[float, float], tint: ArrayLike) -> None:
        """Tint a soft ellipse; `UNTINTED` changes nothing, less darkens, more lightens."""
        x, y = self.pose.place([at])[0] / OVERSAMPLE
        rx, ry = (radius * self.pose.scale / OVERSAMPLE for radius in radii)
        self._brush.ellipse((x - rx, y - ry, x + rx, y + ry), fill=_rgb(tint))

    def discs_inside(
        self, opening: ArrayLike, ground: ArrayLike, discs: list[tuple[Array, float, ArrayLike]]
    ) -> None:
        """Fill an opening with a colour and with discs (centre, radius, colour), cut by its rim."""
        rim = self.pose.place(opening)
        corner = np.floor(rim.min(axis=0)).astype(int)
        width, height = (np.ceil(rim.max(axis=0)).astype(int) + 1 - corner).tolist()
        tile, mask = (
            Image.new("RGB", (width, height), _rgb(ground)),
            Image.new("L", (width, height)),
        )
        pen = ImageDraw.Draw(tile)
        for centre, radius, colour in discs:
            (x, y), r = self.pose.place([centre])[0] - corner, radius * self.pose.scale
            pen.ellipse((x - r, y - r, x + r, y + r), fill=_rgb(colour))
        ImageDraw.Draw(mask).polygon(_flat(rim - corner), fill=255)
        self._sheet.paste(tile, tuple(corner.tolist()), mask)

    def finish(self) -> tuple[Image.Image, Image.Image]:
        """Return the picture (RGBA) and its tints (RGB), both size × size."""
        blur = ImageFilter.GaussianBlur(self.size * 0.02)
        return self._sheet.reduce(OVERSAMPLE), self._soft.filter(blur)


def _flat(points: Array) -> list[float]:
    return points.ravel().tolist()


def _rgb(colour: ArrayLike) -> tuple[int, ...]:
    return tuple(min(max(int(part), 0), 255) for part in np.asarray(colour).tolist())
