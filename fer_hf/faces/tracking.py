"""Faces followed through a video or a webcam's pictures, with labels that do not flicker.

One tracker belongs to one stream of pictures, and is plain data: it can be copied, and nothing in
it depends on threads, frames or pages.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import lap
import numpy as np
import numpy.typing as npt

from fer_hf.faces.face import Box, Face, Point, intersect_boxes, scale_face
from fer_hf.faces.reader import FaceReading

_AVERAGED_SECONDS = 0.3
"""Velocities are averaged over about so long."""

_COASTING_SECONDS = 1.0
"""In which a face that is not seen loses 63 % of its speed."""

_REACH = 2.0
"""How many times as large boxes are in which a face is looked for that overlaps none."""


@dataclass(frozen=True)
class _Track:
    """A face as it was last returned.

    Attributes:
        reading: Where it was placed last, and its scores.
        seen_at: When its scores were read.
        led_at: When its label last had the top score.
        placed_at: When its box was measured, `seen_at` or later.
        velocity: Of the middle of its box, in pixels a second.
    """

    reading: FaceReading
    seen_at: float
    led_at: float
    placed_at: float
    velocity: Point = (0.0, 0.0)

    def predict(self, now: float) -> Face:
        """Return where its motion takes the face, which slows down while it is not seen."""
        seconds = -_COASTING_SECONDS * math.expm1((self.placed_at - now) / _COASTING_SECONDS)
        path = (self.velocity[0] * seconds, self.velocity[1] * seconds)
        return scale_face(self.reading.face, 1.0, origin=path)

    def measure_velocity(self, face: Face, now: float) -> Point:
        """Return the velocity after the face was found again at a place of this moment."""
        elapsed = now - self.placed_at
        if elapsed <= 0:
            return self.velocity
        # The same moving average as of the scores.
        share = -math.expm1(-elapsed / _AVERAGED_SECONDS)
        moved = np.subtract(_find_middle(face.box), _find_middle(self.reading.face.box))
        x, y = (1 - share) * np.array(self.velocity) + share * moved / elapsed
        return float(x), float(y)


@dataclass(kw_only=True, eq=False)
class FaceTracker:
    """Follows the faces of one stream of pictures.

    Faces are matched from picture to picture by the overlap of their boxes with where their motion
    takes those before; one that was hidden for a moment also by being near. Their scores are
    smoothed with a time constant, so that the frame rate does not matter, and the label that is
    shown changes only for a rival that leads clearly or lastingly.

    Attributes:
        threshold: Below this top score a label is not shown, 0–1; None where the checkpoint does
            not say.
        min_iou: Boxes that overlap less are not the same face, above 0 and up to 1.
        max_gap: Seconds after which a face that is not seen is forgotten. From the last detection
            to the next one that finds it: of a face hidden for a second somewhat more.
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
    max_gap: float = 1.5
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
        self._num_shown = 0
        self._now = -math.inf

    def update(self, time_seconds: float, readings: Sequence[FaceReading]) -> list[FaceReading]:
        """Take in the faces of one moment, and return them smoothed and numbered, in their order.

        Args:
            time_seconds: On a clock of the stream's own that never goes back.
            readings: All faces of the picture.

        Raises:
            ValueError: The time is before that of the last call.
        """
        self._set_time(time_seconds)
        known = [t for t in self._tracks if time_seconds - t.seen_at <= self.max_gap]
        matches = self._match(known, [reading.face.box for reading in readings])
        track_of = {row: known[track] for track, row in matches}
        seen = [self._follow(track_of.get(row), reading) for row, reading in enumerate(readings)]
        lost = [track for track in known if track not in track_of.values()]
        self._tracks, self._num_shown = seen + lost, len(seen)
        return [track.reading for track in seen]

    def predict(self, time_seconds: float) -> list[FaceReading]:
        """Return the faces of the last update, each where its motion takes it by a later time."""
        return [
            replace(track.reading, face=track.predict(time_seconds))
            for track in self._tracks[: self._num_shown]
        ]

    def move(self, time_seconds: float, faces: Mapping[int, Face]) -> list[FaceReading]:
        """Take in where faces are between two updates; their scores and labels stay.

        Args:
            time_seconds: As for `update`.
            faces: By number. The others stay where they are.

        Returns:
            The faces of the last update at their places, in their order.

        Raises:
            ValueError: The time is before that of the last call.
        """
        self._set_time(time_seconds)
        moved = [
            _Track(
                replace(track.reading, face=face),
                track.seen_at,
                track.led_at,
                time_seconds,
                track.measure_velocity(face, time_seconds),
            )
            if (face := faces.get(track.reading.number))
            else track
            for track in self._tracks[: self._num_shown]
        ]
        self._tracks[: self._num_shown] = moved
        return [track.reading for track in moved]

    def reset(self) -> None:
        """Forget all faces, as at a cut; the numbers go on, and the clock may start anew."""
        self._tracks, self._num_shown = [], 0
        self._now = -math.inf

    def _set_time(self, time_seconds: float) -> None:
        if time_seconds < self._now:
            raise ValueError(
                f"`time_seconds` is {time_seconds} after {self._now}, expected a later time. Call "
                "`reset` before a new stream."
            )
        self._now = time_seconds

    def _match(self, known: Sequence[_Track], boxes: Sequence[Box]) -> list[tuple[int, int]]:
        """Pair tracks and boxes: rows of both."""
        predicted = [track.predict(self._now).box for track in known]
        matches = match_boxes(predicted, boxes, min_iou=self.min_iou)
        # Of what is left, larger boxes: what was hidden for a moment may be near where it was, or
        # near where its motion takes it.
        tracks = [i for i in range(len(known)) if i not in {i for i, _ in matches}]
        rows = [j for j in range(len(boxes)) if j not in {j for _, j in matches}]
        large = [_grow(boxes[row]) for row in rows]
        last = [_grow(known[track].reading.face.box) for track in tracks]
        moved = [_grow(predicted[track]) for track in tracks]
        iou = np.maximum(compute_iou(last, large), compute_iou(moved, large))
        return matches + [(tracks[i], rows[j]) for i, j in _assign(iou, self.min_iou)]

    def _follow(self, track: _Track | None, new: FaceReading) -> _Track:
        """Return a track with a new reading; without one, a new track."""
        if track is None:
            self._last_number += 1
            first = replace(new, number=self._last_number, label=None)
            track = _Track(first, self._now, self._now, self._now)
        # The exponential moving average of unevenly spaced values, new ones taken to hold since the
        # last (A. Eckner, Algorithms for Unevenly Spaced Time Series, 2019, section 4).
        old, elapsed = track.reading, self._now - track.seen_at
        share = 1 - math.exp(-elapsed / self.time_constant) if self.time_constant else 1.0
        scores = _mix(old.scores, new.scores, share)
        crowd = new.crowd_scores and _mix(old.crowd_scores or {}, new.crowd_scores, share)
        smoothed = replace(new, scores=scores, crowd_scores=crowd, number=old.number)
        label = self._choose_label(smoothed, old.label, track.led_at)
        led_at = self._now if label == smoothed.top_label else track.led_at
        velocity = track.measure_velocity(new.face, self._now)
        return _Track(replace(smoothed, label=label), self._now, led_at, self._now, velocity)

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
    return _assign(compute_iou(old, new), min_iou)


def _assign(iou: npt.NDArray[np.float64], min_iou: float) -> list[tuple[int, int]]:
    """Pair rows and columns for the largest sum."""
    iou = np.where(iou < min_iou, 0, iou)
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


def _find_middle(box: Box) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _grow(box: Box) -> Box:
    """Return the box with sides `_REACH` times as long around the same middle."""
    (x, y), width, height = _find_middle(box), box[2] - box[0], box[3] - box[1]
    x_reach, y_reach = _REACH * width / 2, _REACH * height / 2
    return x - x_reach, y - y_reach, x + x_reach, y + y_reach
