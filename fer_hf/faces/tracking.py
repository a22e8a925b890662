"""Faces followed through a video or a webcam's pictures, with labels that do not flicker.

One tracker belongs to one stream of pictures, and is plain data: it can be copied, and nothing in
it depends on threads, frames or pages.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import lap
import numpy as np
import numpy.typing as npt

from fer_hf.faces.face import Box, intersect_boxes
from fer_hf.faces.reader import FaceReading


@dataclass(frozen=True)
class _Track:
    """A face as it was last returned; `led_at` is when its label last had the top score."""

    reading: FaceReading
    seen_at: float
    led_at: float


@dataclass(kw_only=True, eq=False)
class FaceTracker:
    """Follows the faces of one stream of pictures.

    Faces are matched from picture to picture by the overlap of their boxes. Their scores are
    smoothed with a time constant, so that the frame rate does not matter, and the label that is
    shown changes only for a rival that leads clearly or lastingly.

    Attributes:
        threshold: Below this top score a label is not shown, 0–1; None where the checkpoint does
            not say.
        min_iou: Boxes that overlap less are not the same face, above 0 and up to 1.
        max_gap: Seconds after which a face that is not seen is forgotten.
        time_constant: Seconds in which smoothed scores go 63 % of the way to new ones; 0 for no
            smoothing.
        margin: By how much a rival's score must lead to replace the label at once.
        patience: Seconds after which a rival that leads by less replaces it, too.
        exit_margin: How far the top score may fall below `threshold` before a label that is shown
            gives way to not sure.

    Raises:
        ValueError: A setting is out of its range.
    """

    threshold: float | None = None
    min_iou: float = 0.2
    max_gap: float = 1.0
    time_constant: float = 0.4
    margin: float = 0.15
    patience: float = 0.6
    exit_margin: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.min_iou <= 1:
            raise ValueError(
                f"`min_iou` is {self.min_iou}, expected above 0 and up to 1. Pass 0.2."
            )
        for name in ("max_gap", "time_constant", "margin", "patience", "exit_margin"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"`{name}` is {getattr(self, name)}, expected 0 or more. Leave it out."
                )
        self._tracks: list[_Track] = []
        self._last_number = 0
        self._now = -math.inf

    def update(self, time_seconds: float, readings: Sequence[FaceReading]) -> list[FaceReading]:
        """Take in the faces of one moment, and return them smoothed and numbered, in their order.

        Args:
            time_seconds: On a clock of the stream's own that never goes back.
            readings: All faces of the picture.

        Raises:
            ValueError: The time is before that of the last call.
        """
        if time_seconds < self._now:
            raise ValueError(
                f"`time_seconds` is {time_seconds} after {self._now}, expected a later time. Call "
                "`reset` before a new stream."
            )
        self._now = time_seconds
        known = [t for t in self._tracks if time_seconds - t.seen_at <= self.max_gap]
        matches = match_boxes(
            [track.reading.face.box for track in known],
            [reading.face.box for reading in readings],
            min_iou=self.min_iou,
        )
        track_of = {row: known[track] for track, row in matches}
        seen = [self._follow(track_of.get(row), reading) for row, reading in enumerate(readings)]
        lost = [track for track in known if track not in track_of.values()]
        self._tracks = seen + lost
        return [track.reading for track in seen]

    def reset(self) -> None:
        """Forget all faces, as at a cut; the numbers go on, and the clock may start anew."""
        self._tracks = []
        self._now = -math.inf

    def _follow(self, track: _Track | None, new: FaceReading) -> _Track:
        """Return a track with a new reading; without one, a new track."""
        if track is None:
            self._last_number += 1
            first = replace(new, number=self._last_number, label=None)
            track = _Track(first, self._now, self._now)
        # The exponential moving average of unevenly spaced values, new ones taken to hold since the
        # last (A. Eckner, Algorithms for Unevenly Spaced Time Series, 2019, section 4).
        old, elapsed = track.reading, self._now - track.seen_at
        share = 1 - math.exp(-elapsed / self.time_constant) if self.time_constant else 1.0
        scores = _mix(old.scores, new.scores, share)
        crowd = new.crowd_scores and _mix(old.crowd_scores or {}, new.crowd_scores, share)
        smoothed = replace(new, scores=scores, crowd_scores=crowd, number=old.number)
        label = self._choose_label(smoothed, old.label, track.led_at)
        led_at = self._now if label == smoothed.top_label else track.led_at
        return _Track(replace(smoothed, label=label), self._now, led_at)

    def _choose_label(self, new: FaceReading, shown: str | None, led_at: float) -> str | None:
        top, scores = new.top_label, new.scores
        lowest = (self.threshold or 0.0) - (0.0 if shown is None else self.exit_margin)
        if scores[top] < lowest:
            return None
        is_level = shown is not None and scores[top] - scores[shown] < self.margin
        return shown if is_level and self._now - led_at < self.patience else top


def _mix(old: dict[str, float], new: dict[str, float], share: float) -> dict[str, float]:
    """Move each old value by a share of the way to the new one."""
    return {name: old[name] + share * (value - old[name]) for name, value in new.items()}


def match_boxes(old: Sequence[Box], new: Sequence[Box], *, min_iou: float) -> list[tuple[int, int]]:
    """Pair boxes so that the sum of their overlaps is largest (Jonker and Volgenant, 1987).

    Args:
        old: Boxes of the picture before.
        new: Boxes of this picture.
        min_iou: Boxes with less intersection over union are not a pair; above 0.

    Returns:
        Index into `old`, index into `new`; each box at most once.
    """
    iou = compute_iou(old, new)
    iou[iou < min_iou] = 0
    if not iou.any():  # the solver takes no empty matrices, either
        return []
    _, columns, _ = lap.lapjv(-iou, extend_cost=True)
    return [(i, j) for i, j in enumerate(columns.tolist()) if j >= 0 and iou[i, j]]


def compute_iou(old: Sequence[Box], new: Sequence[Box]) -> npt.NDArray[np.float64]:
    """Return intersection over union of each old box with each new one, (len(old), len(new))."""
    shared = intersect_boxes(old, new)
    areas_old, areas_new = (intersect_boxes(boxes, boxes).diagonal() for boxes in (old, new))
    union = areas_old[:, None] + areas_new - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
