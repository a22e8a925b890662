"""What a trained finder does on scenes it did not see: from which score on it is to be believed."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm.auto import tqdm

from fer_hf.faces.finder import FaceFinder
from fer_hf.faces.tracking import compute_iou, match_boxes
from fer_hf.training.finder.scenes import SceneDataset, Target

FOUND_IOU, EXTRA_IOU = 0.4, 0.1
"""A face is found by a box that overlaps it so much; a box is extra that overlaps none so much."""

EXTRA_SHARE = 0.03
"""Of the scenes may hold a box too many. Scenes hold much that is made to look like a face."""

SCORES = np.round(np.arange(0.5, 0.9, 0.01), 2)
"""Among which the least score is chosen."""

SHEET_COLUMNS, SHEET_ROWS = 6, 4


@dataclass(frozen=True)
class FinderCheck:
    """What a finder found on validation scenes.

    Attributes:
        min_score: The score from which on its boxes are faces.
        num_extra: Boxes too many, from that score on.
        num_scenes: How many scenes were searched.
        recall: Shares of the faces found, by the lower edge of their height in pixels.
    """

    min_score: float
    num_extra: int
    num_scenes: int
    recall: dict[int, float]

    def render(self) -> str:
        """Return a line for people."""
        found = ", ".join(
            f"from {low} px {100 * share:.1f} %" for low, share in self.recall.items()
        )
        return (
            f"On {self.num_scenes} validation scenes, from score {self.min_score:g} on: "
            f"{self.num_extra} boxes too many; found {found}"
        )


def check_finder(finder: FaceFinder, scenes: SceneDataset) -> FinderCheck:
    """Search scenes, and choose the least score with few boxes too many."""
    extra: list[float] = []
    heights, scores = [], []
    for index in tqdm(range(len(scenes)), desc="validation scenes", disable=None):
        picture, targets = scenes.compose(index)
        faces = finder([picture.convert("RGB")])[0]
        boxes = [face.box for face in faces]
        truths = [tuple(target.box.tolist()) for target in targets]
        pairs = dict(match_boxes(truths, boxes, min_iou=FOUND_IOU))
        overlap = compute_iou(truths, boxes).max(axis=0, initial=0)
        extra += [face.score for face, iou in zip(faces, overlap, strict=True) if iou < EXTRA_IOU]
        for row, target in enumerate(targets):
            if target.counts:
                heights.append(target.box[3] - target.box[1])
                scores.append(faces[pairs[row]].score if row in pairs else 0.0)
    allowed = EXTRA_SHARE * len(scenes)
    counts = [sum(score >= least for score in extra) for least in SCORES]
    chosen = next((row for row, num in enumerate(counts) if num <= allowed), len(SCORES) - 1)
    tall, sure = np.array(heights), np.array(scores)
    edges = [10, 16, 24, 40, 80, 10_000]
    recall = {
        low: float(np.mean(sure[inside] >= SCORES[chosen]))
        for low, high in pairwise(edges)
        if (inside := (tall >= low) & (tall < high)).any()
    }
    return FinderCheck(float(SCORES[chosen]), counts[chosen], len(scenes), recall)


def draw_scenes(scenes: SceneDataset, path: Path) -> None:
    """Write a sheet of scenes with their targets, for a look before hours of training."""
    first, _ = scenes.compose(0)
    side = first.width
    sheet = Image.new("RGB", (SHEET_COLUMNS * side, SHEET_ROWS * side))
    for number in range(min(SHEET_COLUMNS * SHEET_ROWS, len(scenes))):
        picture, targets = scenes.compose(number)
        shown = picture.convert("RGB")
        for target in targets:
            _draw_target(ImageDraw.Draw(shown), target)
        row, column = divmod(number, SHEET_COLUMNS)
        sheet.paste(shown, (column * side, row * side))
    sheet.save(path)


def _draw_target(pen: ImageDraw.ImageDraw, target: Target) -> None:
    pen.rectangle(tuple(target.box.tolist()), outline="#ffb000" if target.counts else "#648fff")
    for x, y in target.landmarks[~np.isnan(target.landmarks).any(axis=1)]:
        pen.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill="#ffffff")
