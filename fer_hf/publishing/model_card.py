"""The model card of a run: a pure function of its report and of the evaluations that follow it.

It never sees a model or a Trainer, so that a card can be written again whenever its words change.
The words are those of the template `model_card.md`; here are its figures and tables.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.reports.blocks import (
    Table,
    list_main_metrics,
    render_estimate,
    render_figures,
    render_value,
)
from fer_hf.evaluation.reports.run_report import RunReport
from fer_hf.publishing.licensing import (
    KNOWN_DATA,
    DataFacts,
    derive_license,
    describe_license,
    list_ingredients,
)

if TYPE_CHECKING:
    from fer_hf.evaluation.people.panels import PanelComparison
    from fer_hf.evaluation.reports.checkpoint_report import CheckpointReport
    from fer_hf.evaluation.reports.run_comparison import Comparison

CARD_NAME = "README.md"
_PACKAGE = Path(__file__).parents[1]
# In an installed package the template is inside; in a checkout it is beside it, where people look.
_TEMPLATES = (_PACKAGE / "model_card.md", _PACKAGE.parent / "model_card.md")
# Training measures in batches of its own, perhaps in bf16: a picture or two may fall otherwise.
_ROUNDING = 0.001
# Files that a card shows or mentions; where one is not pushed, neither is what the card says of it.
_MENTIONED = ("curves.png", "confusion_matrix.png", "seen.safetensors")


def render_model_card(
    report: RunReport,
    evaluations: "Sequence[CheckpointReport]" = (),
    *,
    name: str | None = None,
    comparison: "Comparison | None" = None,
) -> str:
    """Write the model card of a run as Markdown with YAML metadata.

    Args:
        report: Of the run. It needs the figures of the test split, or of a cross-validation.
        evaluations: Of the same checkpoint, on other data or on this test split, which adds people;
            the first whose data has the name of the run's counts as that.
        name: Repository id or folder that the snippet opens; by default the run's name.
        comparison: With other runs on the same pictures, if there are some.

    Raises:
        ValueError: The report has no test split, or an evaluation is of another checkpoint.
    """
    split = "test" if "test" in report.evaluations else "validation"
    if split not in report.evaluations:
        raise ValueError(
            f"The report of {report.display_name!r} has no figures of a test split, which a card "
            "needs. Run the training to its end."
        )
    name = name or report.display_name
    here = next((e for e in evaluations if _name_data(e, split) == report.data), None)
    test = here.evaluation if here else report.evaluations[split]
    _check_same(report.evaluations[split], test, split)
    facts = KNOWN_DATA.get(str(report.settings.get("layout")))
    crowd = here.crowd if here else None
    panels = crowd.panels if crowd else None
    lowest, mistakes = _describe_weaknesses(test)
    card = ModelCard.from_template(
        _build_metadata(report, test, split, facts, name),
        template_str=next(path for path in _TEMPLATES if path.is_file()).read_text("utf-8"),
        report=report,
        test=test,
        split=split,
        facts=facts,
        crowd=crowd,
        tagger=next((one for one in report.yardsticks if "tagger" in one.name), None),
        estimate=render_estimate,
        share=render_value,
        name=name,
        title=name.rsplit("/", 1)[-1],
        snippet=render_snippet(report, name),
        figures=_build_figures(test, here).to_markdown(),
        notes=_list_notes(here),
        worth=_describe_worth(panels) if panels else "",
        per_label=_build_labels(test, here).to_markdown(),
        comparison=_build_comparison(comparison, report).to_markdown() if comparison else "",
        elsewhere=_render_elsewhere([e for e in evaluations if e is not here]),
        lowest=lowest,
        mistakes=mistakes,
        settings=_build_settings(report).to_markdown(),
    )
    return str(card).rstrip() + "\n"


def render_snippet(report: RunReport, name: str) -> str:
    """Return the Python that opens the checkpoint."""
    is_dense = report.settings.get("pooling") == "flatten" or report.settings.get("head") == "dense"
    needs_us = report.model_name_or_path == "baseline" or is_dense
    lines = ["import fer_hf"] if needs_us else []
    lines += [
        "from transformers import pipeline",
        "",
        f'fer = pipeline("image-classification", model="{name}")',
    ]
    return "\n".join(lines)


def prepare_card(card: str, repo_id: str, license_name: str, files: Collection[str]) -> str:
    """Adapt a run's card to a repository on the Hub; what somebody wrote into it stays.

    Args:
        card: As it is in the run's folder.
        repo_id: What the snippet and the title name.
        license_name: Of the weights, for the metadata.
        files: Names of the files pushed with it. Lines about other files are left out.

    Raises:
        ValueError: The metadata cannot be read.
    """
    try:
        parsed = ModelCard(card)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The metadata of {CARD_NAME} cannot be read ({error}). Correct it, or write the card "
            "again with `fer-hf card`."
        ) from error
    text, title = parsed.text, repo_id.rsplit("/", 1)[-1]
    if found := re.search(r'pipeline\("image-classification", model="([^"]+)"\)', text):
        old = found[1]
        text = text.replace(f'model="{old}"', f'model="{repo_id}"')
        text = text.replace(f"--model {old}", f"--model {repo_id}")
        text = text.replace(f"# {old.rsplit('/', 1)[-1]}\n", f"# {title}\n", 1)
    parsed.text = leave_out_missing(text, files)
    license_id, own_name = describe_license(license_name)
    vars(parsed.data).update(model_name=title, license=license_id, license_name=own_name)
    return str(parsed).rstrip() + "\n"


def leave_out_missing(text: str, files: Collection[str]) -> str:
    """Remove the lines of a card that show or explain a file that is not beside it."""
    for name in _MENTIONED:
        if name not in files:
            text = re.sub(rf"^.*[(`]{re.escape(name)}[)`].*\n\n?", "", text, flags=re.MULTILINE)
    return text


def _check_same(trained: Evaluation, measured: Evaluation, split: str) -> None:
    first, second = trained.accuracy.value, measured.accuracy.value
    if first is None or second is None or abs(first - second) > _ROUNDING:
        raise ValueError(
            f"The run's report says an accuracy of {first} on {split}, the evaluation {second}. "
            "Evaluate the checkpoint of this run."
        )


def _build_metadata(
    report: RunReport, test: Evaluation, split: str, facts: DataFacts | None, name: str
) -> ModelCardData:
    data_name = facts.name if facts else report.data
    ingredients = list_ingredients(report)
    try:
        license_id, license_name = describe_license(derive_license(ingredients))
    except ValueError:  # nobody knows yet; before it is published somebody must say
        license_id, license_name = "other", "unknown"
    on_hub = {item.kind: item.repo_id for item in ingredients if item.repo_id}
    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=report.data,
            dataset_name=data_name,
            dataset_split=split,
            metric_type=metric.name,
            metric_name=metric.title,
            metric_value=round(test.figures[metric.name].value or 0.0, 4),
        )
        for metric in list_main_metrics()
    ]
    return ModelCardData(
        license=license_id,
        license_name=license_name,
        base_model=on_hub.get("model"),
        datasets=[on_hub["dataset"]] if "dataset" in on_hub else None,
        library_name="transformers",
        pipeline_tag="image-classification",
        tags=["facial-expression-recognition", "emotion", "fer_hf"],
        metrics=[metric.name for metric in list_main_metrics()],
        model_name=name.rsplit("/", 1)[-1],
        eval_results=results,
    )


def _build_figures(test: Evaluation, here: "CheckpointReport | None") -> Table:
    metrics = list_main_metrics()
    columns = {
        "figure": [metric.title for metric in metrics],
        "value": render_figures(test.figures, metrics),
    }
    if here is not None:
        columns["with flip averaging"] = render_figures(here.with_flip_averaging.figures, metrics)
    return Table([*columns], [*zip(*columns.values(), strict=True)])


def _describe_worth(panels: "PanelComparison") -> str:
    # Needs packages that the card of a fresh run does not, and so do the notes.
    from fer_hf.evaluation.reports.checkpoint_sections import render_worth

    return render_worth(panels.worth.accuracy, panels)


def _list_notes(here: "CheckpointReport | None") -> list[str]:
    if here is None:
        return []
    from fer_hf.evaluation.reports.checkpoint_report import describe_seen
    from fer_hf.evaluation.reports.checkpoint_sections import describe_not_sure

    return [*([describe_not_sure(here.not_sure)] if here.not_sure else []), describe_seen(here)]


def _build_labels(test: Evaluation, here: "CheckpointReport | None") -> Table:
    crowd = here.crowd if here else None
    rows = [
        [
            label,
            f"{test.support[label]:,}",
            render_estimate(test.recall_per_label[label]),
            render_estimate(test.precision_per_label[label]),
            *([render_value(crowd.tagger_recall_per_label[label])] if crowd else []),
        ]
        for label in test.label_names
    ]
    people = ["one person's recall"] if crowd else []
    return Table(["label", "pictures", "recall", "precision", *people], rows)


def _build_comparison(comparison: "Comparison", report: RunReport) -> Table:
    rows = [
        [
            f"**{row.display_name}**"
            if row.display_name == report.display_name
            else row.display_name,
            row.pretrained_on,
            row.fine_tuned,
            render_estimate(row.validation_accuracy),
            render_estimate(row.test_accuracy),
        ]
        for row in comparison.rows
    ]
    return Table(
        ["model", "pretrained on", "fine-tuned", "accuracy on validation", "on test"], rows
    )


def _render_elsewhere(others: "Sequence[CheckpointReport]") -> str:
    rows = [
        [
            _name_data(other, "test", "all"),
            f"{other.evaluation.num_pictures:,}",
            "not known" if other.num_seen is None else f"{other.num_seen:,}",
            render_estimate(other.evaluation.accuracy),
            render_estimate(other.evaluation.balanced_accuracy),
        ]
        for other in others
    ]
    headers = ["data", "pictures", "of them trained on", "accuracy", "balanced accuracy"]
    return Table(headers, rows).to_markdown() if rows else ""


def _name_data(evaluation: "CheckpointReport", *usual: str) -> str:
    """Name the data, with a split that is none of the usual ones, and int8 if that ran."""
    split, backend = evaluation.split, evaluation.backend
    unusual = [split] * (split not in usual) + [backend] * (backend == "onnx-int8")
    return ", ".join([evaluation.data, *unusual])


def _describe_weaknesses(test: Evaluation) -> tuple[str, str]:
    """Return the three labels of the lowest recall, and the three commonest mistakes, in words."""
    recalls = {
        label: estimate.value
        for label, estimate in test.recall_per_label.items()
        if estimate.value is not None
    }
    lowest = sorted(recalls, key=lambda label: recalls[label])[:3]
    mistakes = sorted(
        (
            (count / test.support[label], label, guess)
            for label, row in zip(test.label_names, test.confusion_matrix, strict=True)
            for guess, count in zip(test.label_names, row, strict=True)
            if label != guess and count
        ),
        reverse=True,
    )[:3]
    return (
        ", ".join(f"{label} ({100 * recalls[label]:.0f} %)" for label in lowest),
        "; ".join(f"{100 * share:.0f} % of {label} as {guess}" for share, label, guess in mistakes),
    )


def _build_settings(report: RunReport) -> Table:
    values = {name: str(value) for name, value in report.settings.items()}
    rows = [
        # Some say in words what they are, with code in it.
        [f"`{name}`", value if "`" in value else f"`{value}`"]
        for name, value in values.items()
    ]
    return Table(["setting", "value"], rows)
