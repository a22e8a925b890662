"""Frames with faces whose place is known, composed for benchmarks/faces.py.

Heads are cut out of portraits and pasted into photographs of rooms, so that size, turn, light and
what covers a face are what a row says and nothing else. The code is apart from what trains a
detector, so that the two share no habit. The same number always gives the same frame.
"""

import math
import string
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

from fer_hf.data.drawn.faces import draw_numbered_face
from fer_hf.data.pictures import load_picture, to_rgb
from fer_hf.faces import Face

SIZE, LARGE = (640, 480), (1280, 720)
"""Of the frames, in pixels."""

USUAL = (120, 200)
"""Height of a face's box, from and to, in pixels, where a row does not say another."""

TURNS = (0, 15, 30, 45, 60, 90, 180)
HEIGHTS = (160, 80, 40, 24, 16, 12)

LEAST_SOURCE = 100
"""Portraits whose box is less high than this are not pasted: they would be blurred."""

ASIDE, ABOVE, BELOW = 0.78, 0.85, 0.65
"""How far a head that is cut out reaches from the middle of its box, in widths and heights of the
box: further up than down, because of the hair."""

FEATHER = 0.1
"""Share of that over which a head fades out."""

DARKNESS = 0.15
SHUFFLED = 8  # blocks in each direction

DRAWN_SEED = 2026
DRAWN_SIDES = (128, 256)
DRAWN_CENTRE, DRAWN_UNIT = (0.5, 0.505), 0.405
"""Middle of a drawn face and length of its face unit, as shares of the picture's side: the means of
what `fer_hf.data.drawn.faces` draws at random (by ±2 % and ±6 %)."""

DRAWN_HALF_WIDTH, DRAWN_FOREHEAD, DRAWN_CHIN = 0.73, -0.75, 1.02
"""In face units. Without its ears the outline of a head reaches 0.745 times its width, 0.985 in the
mean, to each side; its chin is at 1.02, its crown at -1. The hairline is mostly at -0.68 to -0.5; a
face begins a little above it, where the outline leans inwards. YuNet's boxes of 149 such drawings
agree: their medians are ±0.71, -0.75 and 1.01."""

Rng = np.random.Generator
Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """A picture of mode RGB and the faces in it; a portrait is one, too."""

    picture: Image.Image
    truths: tuple[Face, ...] = ()


class FrameMaker:
    """Composes the frames of all rows.

    Args:
        portraits: With one face each; frame n of every row shows the same head.
        rooms: Files of photographs without a face.

    Attributes:
        heads: The portraits that are pasted, in the order of the frames.
        order: Which of all portraits they are.
    """

    def __init__(self, portraits: Sequence[Frame], rooms: Sequence[Path]) -> None:
        self.portraits, self.rooms = portraits, rooms
        order = np.random.default_rng(0).permutation(len(portraits)).tolist()
        self.order = [row for row in order if _height(portraits[row].truths[0]) >= LEAST_SOURCE]
        self.heads = [portraits[row] for row in self.order]

    def make(self, row: str, number: int) -> Frame:
        """Compose frame `number` of a row, a key of `ROWS`."""
        rng = np.random.default_rng((zlib.crc32(row.encode()), number))
        return ROWS[row](self, number, rng)

    def open_room(self, size: tuple[int, int], rng: Rng) -> Image.Image:
        """Return a random part of a random room, as large as a frame."""
        room = to_rgb(load_picture(self.rooms[rng.integers(len(self.rooms))]))
        if rng.random() < 0.5:
            room = ImageOps.mirror(room)
        at = (float(rng.random()), float(rng.random()))
        return ImageOps.fit(room, size, Image.Resampling.BICUBIC, centering=at)


Compose = Callable[[FrameMaker, int, Rng], Frame]


def paste_head(
    frame: Image.Image, head: Frame, centre: tuple[float, float], height: float, turn: float = 0.0
) -> Face:
    """Paste a head into a frame.

    Args:
        frame: Changed in place.
        head: A picture with its face.
        centre: Where the middle of the box comes, in pixels of the frame.
        height: Of the box before the turn, in pixels.
        turn: In degrees, clockwise.

    Returns:
        Where the face is: the upright box around the turned ellipse in its box, and its landmarks.
    """
    face = head.truths[0]
    cut, corner = _cut_head(head)
    size = [max(round(side * height / _height(face)), 1) for side in cut.size]
    scale = np.array(size) / cut.size  # after rounding, which moves the eyes of small faces
    cut = cut.resize(size, Image.Resampling.BICUBIC)
    left, top, right, bottom = face.box
    middle = np.array(((left + right) / 2, (top + bottom) / 2))
    inside = (middle - corner) * scale
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    rotation = np.array(((cos, -sin), (sin, cos)))
    if turn:
        reach = math.ceil(math.hypot(*np.maximum(inside, size - inside)))
        at = np.floor(centre).astype(int) - reach
        # Pillow wants the way from a pixel of the result to one of what is turned.
        back = rotation.T
        offset = inside - back @ (np.array(centre) - at)
        data = (*back[0], offset[0], *back[1], offset[1])
        around = (2 * reach + 1, 2 * reach + 1)
        cut = cut.transform(around, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    else:  # onto whole pixels, so that nothing is blurred
        at = np.round(centre - inside).astype(int)
        centre = tuple(at + inside)
    frame.paste(cut, tuple(at.tolist()), cut)
    half = np.array((right - left, bottom - top)) * scale / 2
    reach_x, reach_y = np.hypot(*(rotation * half).T).tolist()
    x, y = centre
    box = (x - reach_x, y - reach_y, x + reach_x, y + reach_y)
    if face.landmarks is None:
        return Face(box, 1.0)
    points = (np.array(face.landmarks) - middle) * scale @ rotation.T + centre
    return Face(box, 1.0, tuple(map(tuple, points.tolist())))


def _cut_head(head: Frame) -> tuple[Image.Image, Points]:
    """Return the head on a transparent ground, and where its corner was in the picture.

    It is cut along four quarters of ellipses that end where the picture does: a straight edge
    would give a head away. A face that reaches the edge keeps one.
    """
    left, top, right, bottom = head.truths[0].box
    width, height = right - left, bottom - top
    x, y = (left + right) / 2, (top + bottom) / 2
    most_x, most_y = head.picture.size
    columns, rows = np.arange(most_x) + 0.5, np.arange(most_y) + 0.5
    to_left, to_right = (max(min(ASIDE * width, room), width / 2) for room in (x, most_x - x))
    to_top = max(min(ABOVE * height, y), height / 2)
    to_bottom = max(min(BELOW * height, most_y - y), height / 2)
    across = (columns - x) / np.where(columns < x, to_left, to_right)
    down = (rows - y) / np.where(rows < y, to_top, to_bottom)
    radius = np.hypot(across, down[:, None])
    alpha = 255 * ((1 - radius) / FEATHER).clip(0, 1)
    cut = head.picture.copy()
    cut.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    box = cut.getchannel("A").getbbox()
    return cut.crop(box), np.array(box[:2], dtype=float)


def _height(face: Face) -> float:
    return face.box[3] - face.box[1]


def _somewhere(size: tuple[int, int], height: float, rng: Rng) -> tuple[float, float]:
    """Return a middle for a head that lets all of it be in the frame."""
    reach = ABOVE * height
    x, y = (float(rng.uniform(reach, max(side - reach, reach + 1))) for side in size)
    return x, y


def _single(
    maker: FrameMaker,
    number: int,
    rng: Rng,
    *,
    heights: tuple[float, float] = USUAL,
    turn: float = 0.0,
    cover: Callable[[Image.Image, Face, Rng], None] | None = None,
) -> Frame:
    """Return one head in a room; it is turned either way."""
    frame, height = maker.open_room(SIZE, rng), float(rng.uniform(*heights))
    head, side = maker.heads[number % len(maker.heads)], float(rng.choice((-1, 1)))
    truth = paste_head(frame, head, _somewhere(SIZE, height, rng), height, side * turn)
    if cover:
        cover(frame, truth, rng)
    return Frame(frame, (truth,))


def _several(
    maker: FrameMaker,
    number: int,
    rng: Rng,
    *,
    size: tuple[int, int],
    grid: tuple[int, int],
    heights: tuple[float, float],
    jitter: tuple[float, float],
) -> Frame:
    """Return heads in the cells of a grid of columns and rows, away from the middle by `jitter`."""
    frame, truths = maker.open_room(size, rng), []
    num = grid[0] * grid[1]
    for cell in range(num):
        head = maker.heads[(number * num + cell) % len(maker.heads)]
        spot = np.array((cell % grid[0], cell // grid[0])) + 0.5 + jitter * rng.uniform(-1, 1, 2)
        centre = tuple((spot * size / grid).tolist())
        truths.append(paste_head(frame, head, centre, float(rng.uniform(*heights))))
    return Frame(frame, tuple(truths))


def _dark(maker: FrameMaker, number: int, rng: Rng) -> Frame:
    frame = _single(maker, number, rng)
    pixels = np.rint(DARKNESS * np.asarray(frame.picture, dtype=float)).astype(np.uint8)
    return replace(frame, picture=Image.fromarray(pixels))


def _portrait(maker: FrameMaker, number: int, rng: Rng) -> Frame:
    return maker.portraits[number]


def _fill(picture: Image.Image, outlines: Sequence[Points], rng: Rng, brightest: int) -> None:
    """Fill outlines, (N, 2) pixels each, smoothly with one random colour."""
    fine = 4
    mask = Image.new("L", (fine * picture.width, fine * picture.height))
    for outline in outlines:
        ImageDraw.Draw(mask).polygon((fine * outline).ravel().tolist(), fill=255)
    colour = tuple(rng.integers(0, brightest, 3, endpoint=True).tolist())
    picture.paste(colour, mask=mask.reduce(fine))


def _on_face(face: Face, points: Sequence[tuple[float, float]]) -> Points:
    """Turn shares of a face's box, 0–1 from its left top, into pixels; leaning as the eyes do."""
    left, top, right, bottom = face.box
    half = np.array((right - left, bottom - top)) / 2
    (left_x, left_y), (right_x, right_y) = face.eyes
    lean = math.atan2(right_y - left_y, right_x - left_x)
    rotation = np.array(((math.cos(lean), -math.sin(lean)), (math.sin(lean), math.cos(lean))))
    return (2 * np.array(points) - 1) * half @ rotation.T + (left, top) + half


def _mirror(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Close an outline whose left half is given, from top to bottom."""
    return [*points, *((1 - x, y) for x, y in points[::-1])]


def put_on_mask(frame: Image.Image, face: Face, rng: Rng) -> None:
    """Cover the lower half of a face with a mask on ribbons."""
    cloth = _mirror([(0.5, 0.45), (0.25, 0.49), (0, 0.54), (0.04, 0.8), (0.22, 1.0), (0.5, 1.06)])
    ribbon = [(0.01, 0.55), (-0.1, 0.48), (-0.1, 0.51), (0.01, 0.59)]
    outlines = [cloth, ribbon, [(1 - x, y) for x, y in ribbon]]
    _fill(frame, [_on_face(face, outline) for outline in outlines], rng, 255)


def put_on_glasses(frame: Image.Image, face: Face, rng: Rng) -> None:
    """Cover the eyes with dark glasses."""
    left, right = np.array(face.eyes)
    # Of a face in profile the eyes are close together, but the glasses are no smaller.
    distance = max(math.dist(left, right), 0.4 * (face.box[2] - face.box[0]))
    along = (right - left) / math.dist(left, right)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    axes = distance * np.array((along * 0.42, along[::-1] * (-0.32, 0.32)))
    lens = np.sign(circle) * np.abs(circle) ** 0.7 @ axes + 0.2 * axes[1]
    ends = np.array((left - along * 0.7 * distance, right + along * 0.7 * distance))
    thickness = 0.15 * axes[1]
    bar = np.concatenate([ends - thickness, ends[::-1] + thickness])
    _fill(frame, [left + lens, right + lens, bar], rng, 45)


def put_on_hat(frame: Image.Image, face: Face, rng: Rng) -> None:
    """Cover the upper 35 % of a face and all above it with a hat."""
    crown = [(0.5, -0.35), (0.2, -0.32), (0, -0.2), (-0.08, 0), (-0.1, 0.24)]
    brim = [(-0.25, 0.27), (-0.25, 0.33), (0, 0.35), (0.5, 0.35)]
    _fill(frame, [_on_face(face, _mirror([*crown, *brim]))], rng, 255)


def _draw(number: int, rng: Rng) -> Frame:
    side = int(rng.integers(*DRAWN_SIDES, endpoint=True))
    x, y = (side * share for share in DRAWN_CENTRE)
    unit = side * DRAWN_UNIT
    half = DRAWN_HALF_WIDTH * unit
    box = (x - half, y + DRAWN_FOREHEAD * unit, x + half, y + DRAWN_CHIN * unit)
    return Frame(draw_numbered_face(number, size=side, seed=DRAWN_SEED), (Face(box, 1.0),))


def _drawn(maker: FrameMaker, number: int, rng: Rng) -> Frame:
    return _draw(number, rng)


def _drawn_in_room(maker: FrameMaker, number: int, rng: Rng) -> Frame:
    frame, head = maker.open_room(SIZE, rng), _draw(number, rng)
    height = _height(head.truths[0])
    truth = paste_head(frame, head, _somewhere(SIZE, height, rng), height)
    return Frame(frame, (truth,))


def _room(maker: FrameMaker, number: int, rng: Rng) -> Frame:
    return Frame(maker.open_room(SIZE, rng))


def _pattern(maker: FrameMaker, number: int, rng: Rng) -> Frame:
    kind = PATTERNS[number % len(PATTERNS)]
    return Frame(kind(maker, rng))


def _wave(rng: Rng, *, shortest: float = 6, longest: float = 120) -> Points:
    """Return -1..1 waves in a random direction, of the shape of a frame."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    direction, length = rng.uniform(0, np.pi), math.exp(rng.uniform(*np.log((shortest, longest))))
    along = x * math.cos(direction) + y * math.sin(direction)
    return np.sin(2 * np.pi * along / length + rng.uniform(0, 2 * np.pi))


def _colour(share: Points, rng: Rng) -> Image.Image:
    """Turn shares 0–1, (H, W) or (H, W, 3), into a picture between two random colours."""
    first, second = rng.uniform(0, 255, (2, 3))
    share = share if share.ndim == 3 else share[..., None]
    return Image.fromarray((first + (second - first) * share).astype(np.uint8))


def _grating(maker: FrameMaker, rng: Rng) -> Image.Image:
    waves = np.mean([_wave(rng) for _ in range(rng.integers(1, 4))], axis=0)
    return _colour(waves / 2 + 0.5, rng)


def _noise(maker: FrameMaker, rng: Rng) -> Image.Image:
    """Return noise with grains of 1 to 60 pixels, in colours or between two."""
    grain, num = math.exp(rng.uniform(0, math.log(60))), rng.choice((1, 3))
    size = tuple(math.ceil(side / grain) for side in SIZE)
    fields = [Image.fromarray(rng.random(size[::-1], dtype=np.float32)) for _ in range(num)]
    resized = [np.asarray(field.resize(SIZE, Image.Resampling.BICUBIC)) for field in fields]
    return _colour(np.stack(resized, axis=-1).clip(0, 1), rng)


def _checkerboard(maker: FrameMaker, rng: Rng) -> Image.Image:
    longest = math.exp(rng.uniform(*np.log((12, 200))))
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    lean, cell = rng.uniform(0, np.pi / 2), longest / 2
    across = np.floor((x * math.cos(lean) + y * math.sin(lean)) / cell)
    down = np.floor((y * math.cos(lean) - x * math.sin(lean)) / cell)
    return _colour((across + down) % 2, rng)


def _text(maker: FrameMaker, rng: Rng) -> Image.Image:
    """Return lines of random words in Pillow's own font."""
    ground, ink = (tuple(rng.integers(0, 256, 3).tolist()) for _ in range(2))
    picture, height = Image.new("RGB", SIZE, ground), int(rng.integers(10, 80))
    letters = list(string.ascii_letters + string.digits)
    words = ["".join(rng.choice(letters, rng.integers(1, 10))) for _ in range(4000 // height)]
    lines = "\n".join(" ".join(words[row : row + 8]) for row in range(0, len(words), 8))
    pen = ImageDraw.Draw(picture)
    pen.text((5, 5), lines, fill=ink, font=ImageFont.load_default(height))
    return picture


def _shuffled(maker: FrameMaker, rng: Rng) -> Image.Image:
    """Return a portrait, stretched to the frame, whose blocks are in random order."""
    head = maker.heads[rng.integers(len(maker.heads))].picture
    width, height = (side // SHUFFLED for side in SIZE)
    pixels = np.asarray(head.resize(SIZE, Image.Resampling.BICUBIC))
    blocks = pixels.reshape(SHUFFLED, height, SHUFFLED, width, 3).swapaxes(1, 2)
    mixed = rng.permutation(blocks.reshape(-1, height, width, 3)).reshape(blocks.shape)
    return Image.fromarray(mixed.swapaxes(1, 2).reshape(pixels.shape))


PATTERNS = (_grating, _noise, _checkerboard, _text, _shuffled)

PORTRAITS = "portraits"


def name_turn(turn: float) -> str:
    """Return the row of heads turned by so many degrees."""
    return f"turned {turn}°" if turn else "upright"


ROWS: Mapping[str, Compose] = {
    PORTRAITS: _portrait,
    **{name_turn(turn): partial(_single, turn=turn) for turn in TURNS},
    "lower half masked": partial(_single, cover=put_on_mask),
    "dark glasses": partial(_single, cover=put_on_glasses),
    "hat over the upper 35 %": partial(_single, cover=put_on_hat),
    "dark, × 0.15": _dark,
    **{f"{height} px in 640×480": partial(_single, heights=(height, height)) for height in HEIGHTS},
    "four side by side": partial(
        _several, size=SIZE, grid=(4, 1), heights=(90, 120), jitter=(0.05, 0.2)
    ),
    "30 of 24–60 px in 1280×720": partial(
        _several, size=LARGE, grid=(6, 5), heights=(24, 60), jitter=(0.3, 0.15)
    ),
    "drawn, alone": _drawn,
    "drawn, in a room": _drawn_in_room,
    "rooms": _room,
    "patterns": _pattern,
}
"""What `FrameMaker.make` composes; the last two are without a face."""
