"""The tab *Compare*: two models side by side on the same picture."""

from typing import Any

import gradio as gr

from fer_hf.demo.components import (
    NOTHING,
    build_examples,
    build_faces_output,
    build_numbers_output,
    build_picture_input,
    read_picture,
)
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors

HINT = """\
Comparing takes two models, and this demo was started with one. To start it with two:

    fer-hf demo --model resnetv2-ferplus runs/drawn/drawn-baseline
"""


def build_compare_tab(models: DemoModels) -> None:
    """Lay out the tab; with a single model it says how to start with two."""
    if len(models.sources) < 2:
        gr.Markdown(HINT)
        return
    with gr.Row(equal_height=False):
        with gr.Column():
            picture, whole_picture = build_picture_input()
        chosen: list[gr.Dropdown] = []
        shown: list[gr.Image | gr.HTML] = []
        for letter, name in zip("AB", models.names, strict=False):
            with gr.Column():
                title = f"Model {letter}"
                chosen.append(gr.Dropdown(models.names, value=name, label=title))
                shown += build_faces_output(title)
    numbers = build_numbers_output()
    build_examples(picture)

    @show_errors
    def compare_models(
        picture: str | None, whole_picture: bool, first_model: str, second_model: str
    ) -> tuple[Any, ...]:
        """Let two models read the faces of the same picture.

        Args:
            picture: A photograph or a drawing, as a file.
            whole_picture: Take the whole picture as one face, without looking for any.
            first_model: Name of a model that the demo was started with.
            second_model: The other one.

        Returns:
            For the first model the picture with its boxes and HTML for people; the same for the
            second; and a list with, for each of the two, what `read_faces` lists.
        """
        if picture is None:
            return (*NOTHING[:2], *NOTHING[:2], [])
        opened = open_picture(picture, models.limits)
        sources = [models.sources[models.names.index(n)] for n in (first_model, second_model)]
        first, second = (
            read_picture(models.open_reader(source), opened, whole_picture=whole_picture)
            for source in sources
        )
        return (*first[:2], *second[:2], [first[2], second[2]])

    gr.on(
        [picture.change, whole_picture.input, *(choice.input for choice in chosen)],
        compare_models,
        [picture, whole_picture, *chosen],
        [*shown, numbers],
        trigger_mode="always_last",
    )
