"""Scenes composed for the face finder: faces cut out softly, on surroundings, in any light.

Each scene has random numbers of its own, from its number: any process can compose any of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.utils.data import Dataset

from fer_hf.faces.finder_cells import BRIGHTNESS
from fer_hf.training.finder.camera import photograph
from fer_hf.training.finder.coverings import cover, paint_behind
from fer_hf.training.finder.pasting import paste_face
from fer_hf.training.finder.portraits import Array, Portrait
from fer_hf.training.finder.surroundings import MASKS, cut, paint_pattern, shuffle_blocks

MAX_FACES = 24
"""Of a scene; batches are padded to it."""

SMALLEST, LARGEST = 9.0, 460.0
"""Heights of faces in pixels; those of over a scene's side are partly beyond its rim."""

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A face in a scene: its box, its landmarks (NaN where unknown), and whether it counts."""

    box: Array
    landmarks: Array
    counts: bool


@dataclass(frozen=True)
class _Place:
    """How a face is shown: its portrait, the matrix that turns and resizes it, and where.

    Attributes:
        portrait: The face.
        matrix: From the portrait's pixels to the scene's, shape (2, 2).
        reach: Half the sides of the box around the turned face, in pixels of the scene.
        flip: -1 for a mirrored face, else 1.
        centre: Of the face in the scene, in pixels.
    """

    portrait: Portrait
    matrix: Array
    reach: Array
    flip: int
    centre: Array

    @classmethod
    def build(
        cls, portrait: Portrait, height: float, angle: float, rng: np.random.Generator
    ) -> "_Place":
        """Turn and resize a face, and perhaps mirror it; its centre is still to be chosen."""
        half = (portrait.box[2:] - portrait.box[:2]) / 2
        flip = -1 if rng.random() < 0.5 else 1
        scale = height / (2 * half[1])
        turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
        matrix = turn * (flip * scale * rng.uniform(0.9, 1.1), scale)
        # The box around a turned ellipse.
        reach = np.hypot(*(half * matrix).T)
        return cls(portrait, matrix, reach, flip, np.zeros(2))

    def to_scene(self, points: Array) -> Array:
        """Place points of the portrait."""
        middle = (self.portrait.box[:2] + self.portrait.box[2:]) / 2
        return (points - middle) @ self.matrix.T + self.centre

    def to_scene_units(self, points: Array) -> Array:
        """Place points in units of the face's box, from -1 to 1."""
        half = (self.portrait.box[2:] - self.portrait.box[:2]) / 2
        return (points * half) @ self.matrix.T + self.centre


class SceneDataset(Dataset):
    """Composes scenes.

    Args:
        portraits: Groups of faces, each with its share of all faces.
        rooms: Grey surroundings without a face.
        num: How many scenes there are.
        side: Of a scene in pixels, a multiple of 32.
        seed: Of the random numbers.
        mistakes: Pictures without a face in which a finder saw one; a fifth of the surroundings.
    """

    def __init__(
        self,
        portraits: Sequence[tuple[float, Sequence[Portrait]]],
        rooms: Sequence[Image.Image],
        *,
        num: int,
        side: int = 320,
        seed: int = 0,
        mistakes: Sequence[Image.Image] = (),
    ) -> None:
        shares = np.array([share for share, group in portraits if group])
        self._shares = shares / shares.sum()
        self._groups = [group for _, group in portraits if group]
        self._rooms, self._mistakes = rooms, mistakes
        self._num, self._side, self._seed = num, side, seed

    def __len__(self) -> int:
        return self._num

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return `pixel_values` (1, side, side) in bytes, and padded targets."""
        scene, targets = self.compose(index)
        boxes = np.full((MAX_FACES, 4), np.nan, np.float32)
        landmarks = np.full((MAX_FACES, 5, 2), np.nan, np.float32)
        counts = np.zeros(MAX_FACES, bool)
        for row, target in enumerate(targets[:MAX_FACES]):
            boxes[row], landmarks[row], counts[row] = target.box, target.landmarks, target.counts
        return {
            "pixel_values": torch.from_numpy(np.array(scene.point(BRIGHTNESS)))[None],
            "boxes": torch.from_numpy(boxes),
            "landmarks": torch.from_numpy(landmarks),
            "counts": torch.from_numpy(counts),
        }

    def compose(self, index: int) -> tuple[Image.Image, list[Target]]:
        """Return scene number `index`, of mode L, and its faces."""
        rng = np.random.default_rng((self._seed, index))
        kind = rng.choice(5, p=(0.1, 0.3, 0.34, 0.16, 0.1))
        scene = self._choose_surroundings(rng)
        for _ in range(rng.integers(0, 4)):
            self._paste_distractor(scene, rng)
        targets: list[Target] = []
        if kind == 4:
            heights = [self._side * rng.uniform(0.75, 1.15)]
            if rng.random() < 0.6:
                scene, heights = self._show_portrait(heights[0], targets, rng), []
        elif kind == 1:
            heights = [_draw_height(60, LARGEST, rng)]
        elif kind == 2:
            heights = [_draw_height(SMALLEST, 140, rng) for _ in range(rng.integers(1, 7))]
        elif kind == 3:
            # A crowd, as seen by one camera: sizes that are alike.
            middle = _draw_height(12, 50, rng)
            heights = list(middle * rng.uniform(0.7, 1.4, rng.integers(4, 21)))
        else:
            heights = []
        places = [place for height in heights if (place := self._place_face(height, targets, rng))]
        # Before any face is pasted, or the shoulders of one would cover another.
        for place in places:
            if rng.random() < 0.75:
                paint_behind(scene, place.to_scene_units, rng)
        for place in places:
            self._paste_face(scene, place, rng)
        return photograph(scene, rng), targets

    def _choose_surroundings(self, rng: np.random.Generator) -> Image.Image:
        side, lot = self._side, rng.random()
        if lot < 0.14:
            return paint_pattern(side, rng)
        pool = self._mistakes if self._mistakes and lot < 0.34 else self._rooms
        room = _choose(pool, rng)
        share = rng.uniform(0.3, 1) if rng.random() < 0.7 else rng.uniform(0.08, 0.3)
        return cut(room, share, side, rng)

    def _paste_distractor(self, scene: Image.Image, rng: np.random.Generator) -> None:
        """Paste what is no face the way that faces are, so that seams and shapes say nothing."""
        height = _draw_height(12, 250, rng)
        size = max(8, round(height * rng.uniform(0.7, 1.1))), max(8, round(height))
        lot = rng.random()
        if lot < 0.55:
            patch = cut(_choose(self._rooms, rng), rng.uniform(0.1, 0.6), size, rng)
        elif lot < 0.75:
            patch = shuffle_blocks(self._draw_portrait(rng).picture.resize(size), rng)
        elif lot < 0.9:
            patch = paint_pattern(size, rng)
        else:
            noise = rng.normal(128, rng.uniform(5, 80), size[::-1]).clip(0, 255)
            patch = Image.fromarray(noise.astype(np.uint8)).filter(ImageFilter.BoxBlur(1))
        x, y = rng.uniform(-0.3, 1, 2) * self._side
        mask = _choose(MASKS, rng).resize(size)
        if rng.random() < 0.5:
            centre = np.array([x + size[0] / 2, y + size[1] / 2])
            half = np.array(size) / 2
            paint_behind(scene, lambda points: points * half + centre, rng)
        if rng.random() < 0.4:
            angle = rng.uniform(-60, 60)
            patch, mask = (one.rotate(angle, expand=True) for one in (patch, mask))
        scene.paste(patch, (round(x), round(y)), mask)

    def _draw_portrait(self, rng: np.random.Generator, height: float = 0) -> Portrait:
        for _ in range(8):
            group = self._groups[rng.choice(len(self._groups), p=self._shares)]
            portrait = _choose(group, rng)
            if height <= portrait.longest:
                return portrait
        group = max(self._groups, key=lambda one: one[0].longest)
        return _choose(group, rng)

    def _show_portrait(
        self, height: float, targets: list[Target], rng: np.random.Generator
    ) -> Image.Image:
        """Return a scene that a portrait fills as it is, or a part of it."""
        portrait = self._draw_portrait(rng, height)
        side = self._side
        longest = rng.choice((side, side, int(rng.integers(48, side))))
        factor = longest / max(portrait.picture.size)
        size = [max(1, round(length * factor)) for length in portrait.picture.size]
        edge = int(rng.integers(256)) if rng.random() < 0.5 else 0
        scene = Image.new("L", (side, side), edge)
        corner = [int(rng.integers(side - length + 1)) for length in size]
        if rng.random() < 0.5:
            corner = [0, 0]
        portrait_shown = portrait.picture.resize(size, Image.Resampling.BILINEAR)
        boxes, points = portrait.box * factor, portrait.landmarks * factor
        if rng.random() < 0.5:
            portrait_shown = portrait_shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            boxes, points = _mirror(boxes, points, size[0])
        scene.paste(portrait_shown, (corner[0], corner[1]))
        box = boxes + np.tile(corner, 2)
        landmarks = points + corner
        targets.append(Target(box, landmarks, counts=True))
        if rng.random() < 0.25:
            middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
            cover(scene, lambda points: points * half + middle, rng, 2 * half[1])
        return scene

    def _place_face(
        self, height: float, targets: list[Target], rng: np.random.Generator
    ) -> "_Place | None":
        """Choose a face, and where and how it is shown; None where there is no room."""
        portrait = self._draw_portrait(rng, height)
        place = _Place.build(portrait, height, _draw_angle(rng), rng)
        centre = self._find_centre(place.reach, targets, rng)
        if centre is None:
            return None
        place = replace(place, centre=centre)
        box = np.concatenate([centre - place.reach, centre + place.reach])
        for row, old in enumerate(targets):
            if old.counts and _share_inside(old.box, box) > 0.55:
                targets[row] = replace(old, counts=False)
        landmarks = place.to_scene(portrait.landmarks)
        if place.flip < 0:
            landmarks = landmarks[[1, 0, 2, 4, 3]]
        frame = np.array([0, 0, self._side, self._side])
        core = np.concatenate([centre - place.reach / 3, centre + place.reach / 3])
        seen, core_seen = _share_inside(box, frame), _share_inside(core, frame)
        counts = height >= SMALLEST + 1 and (seen > 0.45 or (seen > 0.2 and core_seen > 0.6))
        targets.append(Target(box, landmarks, counts))
        return place

    def _paste_face(self, scene: Image.Image, place: "_Place", rng: np.random.Generator) -> None:
        portrait = place.portrait
        inverse = np.linalg.inv(place.matrix)
        paste_face(scene, portrait.picture, place.to_scene, inverse, portrait.box, rng)
        if rng.random() < 0.3:
            cover(scene, place.to_scene_units, rng, 2 * place.reach[1])

    def _find_centre(
        self, reach: Array, targets: list[Target], rng: np.random.Generator
    ) -> Array | None:
        """Return a place that hides little of the faces that are there, or None."""
        for _ in range(6):
            low = np.minimum(0.6 * reach, self._side / 2)
            centre = rng.uniform(low, self._side - low)
            if rng.random() < 0.08:
                centre = rng.uniform(0, self._side, 2)
            new = np.concatenate([centre - reach, centre + reach])
            allowed = rng.choice((0.0, 0.15, 0.35))
            if all(
                max(_share_inside(old.box, new), _share_inside(new, old.box)) <= allowed
                for old in targets
            ):
                return centre
        return None


def _choose(pool: Sequence[T], rng: np.random.Generator) -> T:
    return pool[int(rng.integers(len(pool)))]


def _draw_height(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_angle(rng: np.random.Generator) -> float:
    lot = rng.random()
    if lot < 0.4:
        return float(np.radians(rng.normal(0, 10)))
    if lot < 0.75:
        return float(np.radians(rng.uniform(-65, 65)))
    return float(np.radians(rng.uniform(-180, 180)))


def _mirror(box: Array, landmarks: Array, width: int) -> tuple[Array, Array]:
    left, top, right, bottom = box
    points = landmarks * (-1, 1) + (width, 0)
    return np.array([width - right, top, width - left, bottom]), points[[1, 0, 2, 4, 3]]


def _share_inside(box: Array, other: Array) -> float:
    """Return the share of a box that lies in another one."""
    shared = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    return float(shared.clip(min=0).prod() / (box[2:] - box[:2]).prod())
