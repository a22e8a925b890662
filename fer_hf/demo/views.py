"""How the page shows readings: HTML that a screen reader can read, too.

Plain strings in and out: every tab shows faces alike, and testing it needs no browser.
"""

from collections.abc import Sequence
from html import escape

from fer_hf.faces.reader import FaceReading
from fer_hf.inference.reading import format_percent, get_label_color


def render_readings(readings: Sequence[FaceReading]) -> str:
    """Return a panel for each face: the verdict, and bars of the crowd-like spread.

    The bars keep the order of the labels, so that faces can be compared.
    """
    return f'<div class="fer-readings">{"".join(map(_render_face, readings))}</div>'


def render_no_face() -> str:
    """Return the panel that says that no face was found, and what to do."""
    return (
        '<div class="fer-no-face" role="status"><h3>No face found</h3>'
        "<p>Come closer, face the camera, or tick “treat the whole picture as a face”.</p></div>"
    )


def render_verdict(reading: FaceReading) -> str:
    """Return in a sentence, as plain text, what a face looks like or between what it wavers."""
    if reading.label is not None:
        opening = "Most people would say" if reading.sure else "Most likely"
        return f"{opening}: {reading.label} ({format_percent(reading.scores[reading.label])})"
    if not reading.prediction_set:
        return "Not sure: unlike the faces the model has learnt from"
    *others, last = reading.prediction_set
    if not others:
        return f"Not sure; if anything, {last}"
    return f"Not sure: could be {', '.join(others)} or {last}"


def _render_face(reading: FaceReading) -> str:
    caption = "How people’s votes would spread" if reading.crowd_scores else "How likely each is"
    shares = reading.crowd_scores or reading.scores
    highest = max(shares, key=shares.__getitem__)
    rows = "".join(
        _render_row(name, share, get_label_color(name, list(shares)), is_highest=name == highest)
        for name, share in shares.items()
    )
    not_sure = "" if reading.label else " fer-not-sure"
    return (
        f'<section class="fer-face{not_sure}" aria-label="Face {reading.number}">'
        f"<h3>Face {reading.number}</h3><p>{escape(render_verdict(reading))}</p>"
        f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table></section>"
    )


def _render_row(name: str, share: float, color: str, *, is_highest: bool) -> str:
    highest = ' class="fer-top"' if is_highest else ""
    return (
        f'<tr{highest}><th scope="row">{escape(name)}</th>'
        f'<td aria-hidden="true"><div class="fer-bar">'
        f'<div style="width: {share:.1%}; background: {color}"></div></div></td>'
        f'<td class="fer-share">{escape(format_percent(share))}</td></tr>'
    )
