"""The tab *About*: how good the model is, where it fails, and what it must not be used for."""

import logging
from functools import cache
from pathlib import Path

import gradio as gr

from fer_hf.demo.demo_models import DemoModels
from fer_hf.evaluation.reports.blocks import Table, render_estimate
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.models.bundled import locate_model

logger = logging.getLogger(__name__)

_LIMITS = """\
## What it is, and what it is not

The model guesses which expression **people would see** in a picture of a face. An expression is not
a feeling: nobody can read from a picture what somebody feels, and neither can this. Do not decide
anything about a person by it.

- *Not sure* means that the top score is below a threshold that was measured on pictures the model
  had not learned from.
- The bars are how the votes of many people would spread, where the model was calibrated on votes.
- It was not measured by age, gender or skin colour. Expect it to err more on people, poses and
  light unlike those it learned from, and on faces that are cut off, covered or tiny.
"""

_PRIVACY = """\
## Your pictures

- Show only faces of people who agree to it.
- Nothing leaves this server: no picture, no figure, no count of visitors.
- Nothing is kept: an upload and what is made of it are deleted after {minutes:.0f} minutes, and
  when the server stops. The log holds no picture. Nobody else can see yours.
- What you teach in *Teach it* is yours alone, and gone when you leave.

## What it must not be used for

Inferring emotions of people **at work or in education** is prohibited in the European Union (AI
Act, Article 5(1)(f)), other than for medical or safety reasons. Not for surveillance, policing,
hiring, credit, insurance or border control, anywhere.
"""


def build_about_tab(models: DemoModels) -> None:
    """Lay out the tab; the figures are read when somebody first opens the page."""

    @cache
    def render() -> str:
        shown = dict(zip(models.sources, models.names, strict=True))
        shown.setdefault(models.live_source, "the tiny model of the tab Live")
        figures = [render_figures(name, model) for model, name in shown.items()]
        privacy = _PRIVACY.format(minutes=models.limits.kept_seconds / 60)
        return "\n\n".join([_LIMITS, *figures, privacy])

    with gr.Column(elem_classes="fer-about"):
        text = gr.Markdown()
    gr.on(fn=render, outputs=text, show_progress="hidden", api_visibility="private")


def render_figures(name: str, model: str) -> str:
    """Return the figures of a model's own report as Markdown, or where else to look.

    Args:
        name: What visitors call it.
        model: Its folder, its Hub id, or the name of the bundled model.
    """
    title = f"## How good {name} is"
    folder = Path(locate_model(model))
    try:
        report = load_report(folder)
    except (OSError, ValueError) as error:
        logger.info("No report of %s: %s", name, error)
        return f"{title}\n\nNo report of it lies beside it here. Read its model card."
    split = "test" if "test" in report.evaluations else "validation"
    if split not in report.evaluations:
        return f"{title}\n\nIts report has no figures of pictures that it had not seen."
    test = report.evaluations[split]
    tagger = next((y for y in report.yardsticks if "tagger" in y.name), None)
    people = (
        f" One of the people who voted on them: on {100 * tagger.accuracy:.1f} %." if tagger else ""
    )
    rows = [
        [label, f"{test.support[label]:,}", render_estimate(recall)]
        for label, recall in test.recall_per_label.items()
    ]
    headers = ["label", "pictures", "share found (95 % interval)"]
    table = Table(headers, rows).to_markdown()
    return (
        f"{title}\n\nOn the {test.num_pictures:,} pictures of the {split} split of {report.data} "
        f"it is right on {render_estimate(test.accuracy)}; averaged over the labels, on "
        f"{render_estimate(test.balanced_accuracy)}.{people}\n\n{table}"
    )
