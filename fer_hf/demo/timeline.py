"""The last minute of a webcam as a picture of lines, small enough to be sent with every frame.

It is drawn as SVG by hand, in the colours of the boxes and on the dark ground of their names: a
plot component would load a library of its own and animate each change.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from html import escape

from fer_hf.faces.reader import FaceReading
from fer_hf.inference.reading import LABEL_INK, LABEL_PAPER, format_percent, get_label_color

Row = Mapping[str, float | int | str]

_WIDTH, _HEIGHT = 420.0, 180.0  # as a phone shows it, so that words stay readable
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 90.0, 10.0, 24.0
_LINE_HEIGHT = 14.0
# Lines that end lower lie on each other; they get no name.
_NAMED_FROM = 0.1
_DASHES = ("none", "7 3", "2 3", "10 3 2 3")


class Timeline:
    """The scores of the last minute.

    Args:
        seconds: How far back it reaches.
        points: How many moments it keeps at most; those that come faster are left out.
    """

    def __init__(self, *, seconds: float = 60.0, points: int = 600) -> None:
        self._seconds, self._spacing = seconds, seconds / points
        self._moments: deque[tuple[float, list[FaceReading]]] = deque(maxlen=points)

    def add(self, time_seconds: float, tracked: Sequence[FaceReading]) -> None:
        """Add what `FaceTracker.update` returned, and drop what is too old."""
        if self._moments and time_seconds - self._moments[-1][0] < self._spacing:
            return
        self._moments.append((time_seconds, list(tracked)))
        while self._moments[0][0] < time_seconds - self._seconds:
            self._moments.popleft()

    def to_rows(self) -> list[Row]:
        """Return a row for each moment, face and label: `time`, `face`, `label`, `score`.

        Times are seconds before the newest moment, 0 or less.
        """
        newest = self._moments[-1][0] if self._moments else 0.0
        return [
            {"time": time - newest, "face": face.number, "label": name, "score": score}
            for time, tracked in self._moments
            for face in tracked
            for name, score in face.scores.items()
        ]


def render_timeline(rows: Sequence[Row], *, seconds: float = 60.0) -> str:
    """Return an SVG of one face's scores over time: of the face that was seen most often.

    Args:
        rows: What `Timeline.to_rows` returns: `time` (seconds, 0 or less), `face`, `label`,
            `score` (0–1).
        seconds: How far back it reaches.
    """
    faces = [row["face"] for row in rows]
    if not faces:
        return '<p class="fer-timeline">The scores of the last minute appear here.</p>'
    face = max(sorted(set(faces)), key=faces.count)
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["face"] == face:
            lines.setdefault(str(row["label"]), []).append(
                (float(row["time"]), float(row["score"]))
            )
    ends = sorted(((points[-1][1], label) for label, points in lines.items()), reverse=True)
    summary = ", ".join(f"{label} {format_percent(score)}" for score, label in ends[:3])
    title = f"Scores of face {face} over the last {seconds:.0f} seconds; at the end {summary}"
    styles = {
        label: f'stroke="{get_label_color(label, list(lines))}" '
        f'stroke-dasharray="{_DASHES[number % len(_DASHES)]}"'
        for number, label in enumerate(lines)
    }
    drawn = [
        _draw_line(points, styles[label], seconds) for label, points in lines.items()
    ] + _draw_names([end for end in ends if end[0] >= _NAMED_FROM], styles)
    return (
        f'<svg class="fer-timeline" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" width="100%" '
        f'aria-label="{escape(title)}" font-size="12" fill="{LABEL_INK}">'
        f'<rect width="100%" height="100%" rx="8" fill="{LABEL_PAPER}"/>'
        f"<title>{escape(title)}</title>{_draw_axes(seconds)}{''.join(drawn)}</svg>"
    )


def _x(time: float, seconds: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (1 + time / seconds)


def _y(score: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - score)


def _draw_axes(seconds: float) -> str:
    right, floor = _x(0, seconds), _HEIGHT - 6
    grid = "".join(
        f'<path d="M{_LEFT} {_y(share):.1f}H{right}" stroke="{LABEL_INK}" stroke-opacity="0.2"/>'
        f'<text x="{_LEFT - 6}" y="{_y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, 0.5, 1.0)
    )
    return (
        f'{grid}<text x="{_LEFT}" y="{floor}">{seconds:.0f} s ago</text>'
        f'<text x="{right}" y="{floor}" text-anchor="end">now</text>'
    )


def _draw_line(points: Sequence[tuple[float, float]], style: str, seconds: float) -> str:
    path = " ".join(f"{_x(time, seconds):.1f},{_y(score):.1f}" for time, score in points)
    return f'<polyline points="{path}" fill="none" stroke-width="2" {style}/>'


def _draw_names(ends: Sequence[tuple[float, str]], styles: Mapping[str, str]) -> list[str]:
    """Name lines at their ends, from top to bottom, and so far apart that names do not touch."""
    drawn, lowest = [], -_LINE_HEIGHT
    left = _WIDTH - _RIGHT + 6
    for score, label in ends:
        lowest = max(_y(score), lowest + _LINE_HEIGHT)
        drawn.append(
            f'<path d="M{left:g} {lowest:.1f}h14" stroke-width="3" {styles[label]}/>'
            f'<text x="{left + 18:g}" y="{lowest + 4:.1f}">{escape(label)}</text>'
        )
    return drawn
