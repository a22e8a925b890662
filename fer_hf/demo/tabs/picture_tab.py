"""The tab *Picture*: every face of a picture, and what its expression looks like."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from PIL import Image

from fer_hf.demo.examples import build_examples, build_picture_input, build_whole_picture_input
from fer_hf.demo.files import write_picture
from fer_hf.demo.kit import DemoKit
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors
from fer_hf.demo.views import render_no_face, render_readings
from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reading import FaceReader, FaceReading

Shown = tuple[str | None, str, list[dict[str, Any]]]

NOTHING: Shown = (None, "", [])
"""What is shown while there is no picture."""


def build_picture_tab(kit: DemoKit) -> None:
    """Lay out the tab."""
    with gr.Row(equal_height=False):
        with gr.Column():
            picture = build_picture_input()
            whole_picture = build_whole_picture_input()
        with gr.Column():
            annotated = build_annotated_output()
            panels = gr.HTML(label="In words", padding=False)
            with gr.Accordion("As numbers", open=False):
                numbers = gr.JSON(label="Faces", show_label=False)
    build_examples(picture)

    @show_errors
    def read_faces(picture: str | None, whole_picture: bool = False) -> Shown:
        """Find the faces of a picture and say what expression people would see in each.

        Args:
            picture: A photograph or a drawing, as a file.
            whole_picture: Take the whole picture as one face, without looking for any.

        Returns:
            The picture with a box around each face; HTML for people; and a list with an object for
            each face from left to right: its box in pixels, scores, crowd_scores, whether the model
            is sure, and the labels it cannot rule out. The list is empty where no face was found.
        """
        if picture is None:
            return NOTHING
        return read_picture(kit.reader, open_picture(picture, kit.limits), whole_picture)

    gr.on(
        [picture.change, whole_picture.input],
        read_faces,
        [picture, whole_picture],
        [annotated, panels, numbers],
        trigger_mode="always_last",
    )


def build_annotated_output(label: str = "Faces found") -> gr.Image:
    """Add what shows a picture with its boxes."""
    return gr.Image(
        label=label,
        show_label=False,  # it would hide a corner of the picture
        interactive=False,
        buttons=["download", "fullscreen"],
        alt_text="The picture with a numbered box around each face; the panels below say the same",
    )


def read_picture(reader: FaceReader, picture: Image.Image, whole_picture: bool) -> Shown:
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
