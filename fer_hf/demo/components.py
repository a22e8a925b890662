"""What several tabs are made of: the input of a picture, its examples, faces shown and listed."""

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from fer_hf.data.drawn.faces import draw_face
from fer_hf.demo.views import render_no_face, render_readings
from fer_hf.demo.visitor_files import write_picture
from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reader import FaceReader, FaceReading

Shown = tuple[str | None, str, list[dict[str, Any]]]

NOTHING: Shown = (None, "", [])
"""What is shown while there is no picture."""

_DRAWN = {"happy": 5, "surprise": 8, "anger": 3, "sad": 2, "neutral": 0}
"""Emotion to the seed of a face that nothing covers and that the detectors find."""
_SIZE = 320


def build_picture_input() -> tuple[gr.Image, gr.Checkbox]:
    """Add the input of a picture, whose functions get its path, and the choice to find no faces."""
    picture = gr.Image(
        label="Your picture",
        type="filepath",
        image_mode=None,  # anything else would have Gradio decode it, whatever its size
        sources=["upload", "webcam", "clipboard"],
        height=360,
    )
    whole_picture = gr.Checkbox(
        label="Treat the whole picture as a face",
        info="For pictures that one face fills: no face is searched for.",
    )
    return picture, whole_picture


def build_examples(picture: gr.Image) -> None:
    """Add the drawn faces as examples for an input."""
    gr.Examples(
        list(draw_examples()),
        picture,
        label="Faces drawn by this project: they belong to nobody",
        api_visibility="private",
    )


@cache
def draw_examples() -> Sequence[str]:
    """Draw the examples into a folder that is deleted with the process; return their paths."""
    folder = Path(tempfile.mkdtemp(prefix="fer_hf_examples_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths = [folder / f"{emotion}.png" for emotion in _DRAWN]
    for path, (emotion, seed) in zip(paths, _DRAWN.items(), strict=True):
        draw_face(emotion, size=_SIZE, seed=seed).save(path, compress_level=1)
    return [str(path) for path in paths]


def build_faces_output(label: str = "Faces found") -> tuple[gr.Image, gr.HTML]:
    """Add what shows a picture with a box around each face, and a panel for each of them."""
    annotated = gr.Image(
        label=label,
        show_label=False,  # it would hide a corner of the picture
        interactive=False,
        buttons=["download", "fullscreen"],
        alt_text="The picture with a numbered box around each face; the panels below say the same",
    )
    return annotated, gr.HTML(label=f"{label}, in words", padding=False)


def build_numbers_output() -> gr.JSON:
    """Add the numbers behind the panels, folded away."""
    with gr.Accordion("As numbers", open=False):
        return gr.JSON(label="Faces", show_label=False)


def read_picture(reader: FaceReader, picture: Image.Image, *, whole_picture: bool) -> Shown:
    """Return the path of the annotated picture, the panels as HTML, and the readings' numbers."""
    [readings] = reader([picture], whole_picture=whole_picture)
    panels = render_readings(readings) if readings else render_no_face()
    return write_picture(draw_readings(picture, readings)), panels, list_readings(readings)


def list_readings(readings: Sequence[FaceReading]) -> list[dict[str, Any]]:
    """Turn readings into what JSON can hold."""
    return [
        {
            "face": reading.number,
            "box": [round(float(edge)) for edge in reading.face.box],
            "detection_score": round(float(reading.face.score), 4),
            "label": reading.top_label,
            "sure": reading.sure,
            "prediction_set": reading.prediction_set,
            "scores": _round(reading.scores),
            "crowd_scores": _round(reading.crowd_scores or reading.scores),
        }
        for reading in readings
    ]


def _round(scores: dict[str, float]) -> dict[str, float]:
    return {label: round(score, 4) for label, score in scores.items()}
