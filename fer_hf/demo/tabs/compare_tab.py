"""The tab *Compare*: two models side by side on the same picture."""

from typing import Any

import gradio as gr

from fer_hf.demo.examples import build_examples, build_picture_input, build_whole_picture_input
from fer_hf.demo.kit import DemoKit
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors
from fer_hf.demo.tabs.picture_tab import NOTHING, build_annotated_output, read_picture

HINT = """\
Two models are needed to compare, and this demo was started with one. To start it with two:

    fer-hf demo --model resnetv2-ferplus runs/drawn/drawn-baseline
"""


def build_compare_tab(kit: DemoKit) -> None:
    """Lay out the tab; with a single model it says how to start with two."""
    if len(kit.models) < 2:
        gr.Markdown(HINT)
        return
    with gr.Row(equal_height=False):
        with gr.Column():
            picture = build_picture_input()
            whole_picture = build_whole_picture_input()
        chosen, shown = [], []
        for number, name in enumerate(kit.model_names[:2]):
            with gr.Column():
                title = f"Model {'AB'[number]}"
                chosen.append(gr.Dropdown(kit.model_names, value=name, label=title))
                shown += [
                    build_annotated_output(title),
                    gr.HTML(label=f"{title} in words", padding=False),
                ]
    with gr.Accordion("As numbers", open=False):
        numbers = gr.JSON(label="Faces of both", show_label=False)
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
        opened = open_picture(picture, kit.limits)
        names = [first_model, second_model]
        readers = [kit.open_reader(kit.models[kit.model_names.index(name)]) for name in names]
        first, second = (read_picture(reader, opened, whole_picture) for reader in readers)
        return (*first[:2], *second[:2], [first[2], second[2]])

    gr.on(
        [picture.change, whole_picture.input, *(choice.input for choice in chosen)],
        compare_models,
        [picture, whole_picture, *chosen],
        [*shown, numbers],
        trigger_mode="always_last",
    )
