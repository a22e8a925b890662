"""Faces followed through a video or a webcam's pictures, with labels that do not flicker.

One tracker and one timeline belong to one stream of pictures, and are plain data: they can be
copied, and nothing in them knows of threads, frames or pages.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from fer_hf.faces import Face
from fer_hf.faces.reading import FaceReading

Scores = npt.NDArray[np.floating]


@dataclass(frozen=True)
class TrackedFace:
    """One face at one time.

    Attributes:
        number: Which face it is, from 1 on; the same as long as the face is followed.
        face: Where it is now.
        scores: Shape (num_labels,), smoothed over time, summing to 1.
        crowd_scores: Shape (num_labels,), how people's votes would spread, smoothed likewise.
        label: The one to show; None for not sure.
    """

    number: int
    face: Face
    scores: Scores
    crowd_scores: Scores
    label: str | None


@dataclass
class _Track:
    """What is remembered of a face; `led_at` is when its label last had the top score."""

    number: int
    box: tuple[float, float, float, float]
    scores: Scores
    crowd_scores: Scores
    seen_at: float
    led_at: float
    label: int | None = None


class FaceTracker:
    """Follows the faces of one stream of pictures.

    Faces are matched from picture to picture by the overlap of their boxes. Their scores are
    smoothed with a time constant, so that the frame rate does not matter, and the label that is
    shown changes only for a rival that leads clearly or lastingly.

    Args:
        label_names: Names of the labels in the order of the scores.
        threshold: Below this top score a label is not shown, 0–1; None where the checkpoint does
            not say.
        min_iou: Boxes that overlap less are not the same face, above 0 and up to 1.
        max_gap: Seconds after which a face that is not seen is forgotten.
        time_constant: Seconds in which smoothed scores make 63 % of the way to new ones; 0 for no
            smoothing.
        margin: By how much a rival's score must lead to replace the label at once.
        patience: Seconds after which a rival that leads by less replaces it, too.
        exit_margin: How far the top score may fall below `threshold` before a label that is shown
            gives way to not sure.

    Raises:
        ValueError: A setting is out of its range.
    """

    def __init__(
        self,
        label_names: Sequence[str],
        *,
        threshold: float | None = None,
        min_iou: float = 0.2,
        max_gap: float = 1.0,
        time_constant: float = 0.4,
        margin: float = 0.15,
        patience: float = 0.6,
        exit_margin: float = 0.1,
    ) -> None:
        if not 0 < min_iou <= 1:
            raise ValueError(f"`min_iou` is {min_iou}, expected above 0 and up to 1. Pass 0.2.")
        durations = {"max_gap": max_gap, "time_constant": time_constant, "patience": patience}
        for name, value in {**durations, "margin": margin, "exit_margin": exit_margin}.items():
            if not value >= 0:
                raise ValueError(f"`{name}` is {value}, expected 0 or more. Leave it out.")
        self.label_names = list(label_names)
        self._enter = 0.0 if threshold is None else threshold
        self._exit = self._enter - exit_margin
        self._min_iou, self._max_gap, self._time_constant = min_iou, max_gap, time_constant
        self._margin, self._patience = margin, patience
        self._tracks: list[_Track] = []
        self._last_number = 0
        self._now = -np.inf

    def update(self, time_seconds: float, readings: Sequence[FaceReading]) -> list[TrackedFace]:
        """Take in what was read at a time, and return it smoothed, in the same order.

        Args:
            time_seconds: On a clock of the stream's own that never goes back.
            readings: All faces of the picture.

        Raises:
            ValueError: The time lies before that of the last call.
        """
        if time_seconds < self._now:
            raise ValueError(
                f"`time_seconds` is {time_seconds} after {self._now}, expected a later time. Call "
                "`reset` before a new stream."
            )
        self._now = time_seconds
        known = [t for t in self._tracks if time_seconds - t.seen_at <= self._max_gap]
        matches = match_boxes(
            [track.box for track in known], [r.face.box for r in readings], min_iou=self._min_iou
        )
        track_of = {reading: known[track] for track, reading in matches}
        seen = [
            self._follow(track_of[row], reading) if row in track_of else self._start(reading)
            for row, reading in enumerate(readings)
        ]
        self._tracks = seen + [track for track in known if track.seen_at < time_seconds]
        return [self._show(track, r.face) for track, r in zip(seen, readings, strict=True)]

    def reset(self) -> None:
        """Forget all faces, as at a cut; the numbers go on, and the clock may start anew."""
        self._tracks = []
        self._now = -np.inf

    def _start(self, reading: FaceReading) -> _Track:
        self._last_number += 1
        scores, crowd_scores = reading.scores, reading.crowd_scores
        now = self._now
        track = _Track(self._last_number, reading.face.box, scores, crowd_scores, now, now)
        self._choose_label(track)
        return track

    def _follow(self, track: _Track, reading: FaceReading) -> _Track:
        # The exponential moving average of unevenly spaced values, new ones taken to hold since the
        # last (A. Eckner, Algorithms for Unevenly Spaced Time Series, 2019, section 4).
        elapsed = self._now - track.seen_at
        share = 1 - np.exp(-elapsed / self._time_constant) if self._time_constant else 1.0
        track.scores = track.scores + share * (reading.scores - track.scores)
        track.crowd_scores = track.crowd_scores + share * (
            reading.crowd_scores - track.crowd_scores
        )
        track.box, track.seen_at = reading.face.box, self._now
        self._choose_label(track)
        return track

    def _choose_label(self, track: _Track) -> None:
        top = int(np.argmax(track.scores))
        if track.scores[top] < (self._enter if track.label is None else self._exit):
            track.label = None
            return
        if track.label is not None and track.label != top:
            lead = track.scores[top] - track.scores[track.label]
            if lead < self._margin and self._now - track.led_at < self._patience:
                return
        track.label, track.led_at = top, self._now

    def _show(self, track: _Track, face: Face) -> TrackedFace:
        label = None if track.label is None else self.label_names[track.label]
        return TrackedFace(track.number, face, track.scores, track.crowd_scores, label)


def match_boxes(
    old: Sequence[tuple[float, float, float, float]],
    new: Sequence[tuple[float, float, float, float]],
    *,
    min_iou: float,
) -> list[tuple[int, int]]:
    """Pair boxes so that the sum of their overlaps is largest (H. W. Kuhn, 1955).

    Args:
        old: Left, top, right, bottom of each.
        new: Likewise.
        min_iou: Intersection over union below which two boxes are no pair, above 0.

    Returns:
        Index into `old`, index into `new`; each box at most once.
    """
    iou = compute_iou(old, new)
    iou[iou < min_iou] = 0
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if iou[i, j]]


def compute_iou(
    old: Sequence[tuple[float, float, float, float]],
    new: Sequence[tuple[float, float, float, float]],
) -> npt.NDArray[np.float64]:
    """Return intersection over union of each old box with each new one, (len(old), len(new))."""
    a = np.asarray(old, dtype=np.float64).reshape(-1, 1, 4)
    b = np.asarray(new, dtype=np.float64).reshape(1, -1, 4)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = sides.clip(min=0).prod(axis=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(axis=-1) for boxes in (a, b)]
    union = areas[0] + areas[1] - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


class Timeline:
    """The scores of the last minute, for a plot that moves along.

    Args:
        label_names: Names of the labels in the order of the scores.
        seconds: How far back it reaches.
        points: How many moments it keeps at most; those that come faster are left out.
    """

    def __init__(
        self, label_names: Sequence[str], *, seconds: float = 60.0, points: int = 600
    ) -> None:
        self.label_names = list(label_names)
        self._seconds, self._spacing = seconds, seconds / points
        self._moments: deque[tuple[float, list[TrackedFace]]] = deque(maxlen=points)

    def add(self, time_seconds: float, tracked: Sequence[TrackedFace]) -> None:
        """Add what `FaceTracker.update` returned, and let go of what is too old."""
        if self._moments and time_seconds - self._moments[-1][0] < self._spacing:
            return
        self._moments.append((time_seconds, list(tracked)))
        while self._moments[0][0] < time_seconds - self._seconds:
            self._moments.popleft()

    def to_rows(self) -> list[dict[str, float | int | str]]:
        """Return a row for each moment, face and label: `time`, `face`, `label`, `score`.

        Times are seconds before the newest moment, 0 or less; a pandas frame takes the rows as
        they are.
        """
        newest = self._moments[-1][0] if self._moments else 0.0
        return [
            {"time": time - newest, "face": face.number, "label": name, "score": float(score)}
            for time, tracked in self._moments
            for face in tracked
            for name, score in zip(self.label_names, face.scores, strict=True)
        ]
