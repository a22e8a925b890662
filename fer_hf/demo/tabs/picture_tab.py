"""The tab *Picture*: every face of a picture, and what its expression looks like."""

import gradio as gr

from fer_hf.demo.components import (
    NOTHING,
    Shown,
    build_examples,
    build_faces_output,
    build_numbers_output,
    build_picture_input,
    read_picture,
)
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors


def build_picture_tab(models: DemoModels) -> None:
    """Lay out the tab."""
    with gr.Row(equal_height=False):
        with gr.Column():
            picture, whole_picture = build_picture_input()
        with gr.Column():
            shown = [*build_faces_output(), build_numbers_output()]
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
        opened = open_picture(picture, models.limits)
        return read_picture(models.reader, opened, whole_picture=whole_picture)

    gr.on(
        [picture.change, whole_picture.input],
        read_faces,
        [picture, whole_picture],
        shown,
        trigger_mode="always_last",
    )
