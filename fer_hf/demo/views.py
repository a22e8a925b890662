"""What the page shows of readings, as HTML that a screen reader can read, too.

Plain strings in and out, so that every tab shows faces alike and no browser is needed to test it.
"""

from collections.abc import Sequence
from html import escape

from fer_hf.faces.reading import FaceReading
from fer_hf.inference.reading import format_percent, get_label_color

STYLE = """
.fer-readings { display: grid; gap: 0.75rem; color: var(--body-text-color);
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.fer-face, .fer-no-face { padding: 0.875rem 1rem; border-radius: 0.75rem;
  border: 1px solid var(--border-color-primary); background: var(--block-background-fill);
  color: var(--body-text-color); overflow-wrap: anywhere; }
.fer-face.fer-not-sure, .fer-no-face { border-style: dashed; border-width: 2px; }
.fer-face h3, .fer-no-face h3 { margin: 0; font-size: 1rem; color: inherit; }
.fer-face p, .fer-no-face p { margin: 0.25rem 0 0.5rem; color: inherit; }
.fer-face p { font-weight: 600; text-wrap: balance; }
.fer-readings table { width: 100%; margin: 0; border: 0; border-collapse: collapse;
  table-layout: fixed; font-size: 0.9rem; color: inherit; }
.fer-readings caption { padding: 0 0 0.25rem; font-size: 0.8rem; text-align: start;
  color: inherit; }
.fer-readings tr, .fer-readings th, .fer-readings td { padding: 0.125rem 0; border: 0;
  font-weight: 400; text-align: start; background: none; color: inherit; }
.fer-readings th { width: 32%; padding-inline-end: 0.5rem; }
.fer-readings td.fer-share { width: 3.5rem; text-align: end; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.fer-readings tr.fer-top > * { font-weight: 700; }
.fer-bar { height: 0.75rem; border-radius: 0.375rem; background: var(--border-color-primary); }
.fer-bar > div { box-sizing: border-box; height: 100%; border-radius: inherit;
  border: 1px solid var(--body-text-color); }
"""
"""Style of the panels, in the page's own colours, light or dark. Nothing in it moves."""


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
        _render_row(name, share, get_label_color(name, list(shares)), name == highest)
        for name, share in shares.items()
    )
    not_sure = "" if reading.label else " fer-not-sure"
    return (
        f'<section class="fer-face{not_sure}" aria-label="Face {reading.number}">'
        f"<h3>Face {reading.number}</h3><p>{escape(render_verdict(reading))}</p>"
        f"<table><caption>{caption}</caption><tbody>{rows}</tbody></table></section>"
    )


def _render_row(name: str, share: float, color: str, is_highest: bool) -> str:
    highest = ' class="fer-top"' if is_highest else ""
    return (
        f'<tr{highest}><th scope="row">{escape(name)}</th>'
        f'<td aria-hidden="true"><div class="fer-bar">'
        f'<div style="width: {share:.1%}; background: {color}"></div></div></td>'
        f'<td class="fer-share">{escape(format_percent(share))}</td></tr>'
    )
