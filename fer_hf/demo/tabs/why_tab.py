"""The tab *Why?*: which parts of a face a label rests on, as a heat map."""

from html import escape

import gradio as gr

from fer_hf.demo.components import build_examples, build_picture_input
from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import show_errors
from fer_hf.demo.views import render_no_face
from fer_hf.demo.visitor_files import write_picture
from fer_hf.faces.face import crop_face
from fer_hf.inference.explanation import COLORMAP, compute_heat_map, render_heat_map
from fer_hf.inference.reading import format_percent

TOP_LABEL = "the likeliest"
_SIDE = 480


def build_why_tab(models: DemoModels) -> None:
    """Lay out the tab."""
    with gr.Row(equal_height=False):
        with gr.Column():
            picture, whole_picture = build_picture_input()
            with gr.Row():
                face, label = _build_choices()
        with gr.Column():
            heat_map, legend = _build_heat_map()
    build_examples(picture)

    @show_errors
    def explain_face(
        picture: str | None, whole_picture: bool = False, face: int = 1, label: str = TOP_LABEL
    ) -> tuple[str | None, str]:
        """Show which parts of a face spoke for a label, by Grad-CAM.

        Args:
            picture: A photograph or a drawing, as a file.
            whole_picture: Take the whole picture as one face, without looking for any.
            face: Number of the face, counted from the left from 1.
            label: Name of a label of the model, or "the likeliest".

        Returns:
            The face under a heat map, nothing where no face was found; and its legend as HTML.
        """
        if picture is None:
            return None, ""
        reader, opened = models.reader, open_picture(picture, models.limits)
        [readings] = reader([opened], whole_picture=whole_picture)
        if not readings:
            return None, render_no_face()
        if not 1 <= face <= len(readings):
            raise ValueError(
                f"The face is number {face}, expected 1 to {len(readings)}: that many were found. "
                "Choose one of these."
            )
        reading = readings[face - 1]
        if label == TOP_LABEL:
            label = reading.top_label
        crop = opened if whole_picture else crop_face(opened, reading.face)
        crop.thumbnail((_SIDE, _SIDE))  # the map is far coarser
        found = compute_heat_map(reader.classifier, crop, label)
        legend = render_legend(face, label, reading.scores[label], has_evidence=bool(found.any()))
        return write_picture(render_heat_map(crop, found)), legend

    gr.on(
        [picture.change, whole_picture.input, face.submit, face.blur, label.input],
        explain_face,
        [picture, whole_picture, face, label],
        [heat_map, legend],
        trigger_mode="always_last",
    )
    # Without a trigger: when the page is opened, which does not wait for the model to open.
    gr.on(
        fn=lambda: gr.Dropdown([TOP_LABEL, *models.reader.label_names]),
        outputs=label,
        show_progress="hidden",
        api_visibility="private",
    )


def _build_choices() -> tuple[gr.Number, gr.Dropdown]:
    face = gr.Number(1, label="Face", info="Counted from the left.", precision=0, minimum=1)
    label = gr.Dropdown(
        [TOP_LABEL], label="Label", info="What spoke for it?", allow_custom_value=True
    )
    return face, label


def _build_heat_map() -> tuple[gr.Image, gr.HTML]:
    heat_map = gr.Image(
        label="What spoke for the label",
        show_label=False,
        interactive=False,
        height=360,
        buttons=["download", "fullscreen"],
        alt_text="The face under a heat map; the legend is below",
    )
    return heat_map, gr.HTML(label="Legend", padding=False)


def render_legend(face: int, label: str, score: float, *, has_evidence: bool) -> str:
    """Explain in HTML what the colours of a heat map mean.

    Args:
        face: Number of the face.
        label: What the map is for.
        score: Of the label, 0–1.
        has_evidence: Whether anything in the map is above 0.
    """
    name = escape(label)
    if not has_evidence:
        return f"<p>Nothing in face {face} spoke for <b>{name}</b> ({format_percent(score)}).</p>"
    stops = ", ".join(f"#{bytes(color).hex()}" for color in COLORMAP[::51])
    return (
        f"<p>Face {face}: what spoke for <b>{name}</b> ({format_percent(score)}).</p>"
        f'<div class="fer-legend"><span>dark: little</span>'
        f'<span aria-hidden="true" style="background: linear-gradient(90deg, {stops})"></span>'
        f"<span>bright: much</span></div>"
        "<p>The map shows where the network looked, which is not why a person smiles or frowns. "
        "It is coarse, and the same face in another light may give another map.</p>"
    )
