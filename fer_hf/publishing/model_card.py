"""The model card of a run: a pure function of its report and of the evaluations that follow it.

It never sees a model or a Trainer, so that a card can be written again whenever its words change.
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from tabulate import tabulate

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.reports.blocks import list_main_metrics, render_estimate, render_figures
from fer_hf.evaluation.reports.checkpoint_report import CheckpointReport, describe_seen
from fer_hf.evaluation.reports.checkpoint_sections import describe_not_sure, render_worth
from fer_hf.evaluation.reports.run_comparison import Comparison
from fer_hf.evaluation.reports.run_report import RunReport
from fer_hf.publishing.licensing import (
    KNOWN_DATA,
    DataFacts,
    derive_license,
    describe_license,
    list_ingredients,
)

CARD_NAME = "README.md"
_PACKAGE = Path(__file__).parents[1]
# In an installed package the template lies inside; in a checkout beside it, where people look.
_TEMPLATES = (_PACKAGE / "model_card.md", _PACKAGE.parent / "model_card.md")
# Training measures in batches of its own, perhaps in bf16: a picture or two may fall otherwise.
_ROUNDING = 0.001
# Files that a card shows or speaks of; where one is not pushed, neither is what it says.
_MENTIONED = ("curves.png", "confusion_matrix.png", "seen.safetensors")


def render_model_card(
    report: RunReport,
    evaluations: Sequence[CheckpointReport] = (),
    *,
    name: str | None = None,
    comparison: Comparison | None = None,
) -> str:
    """Write the model card of a run as Markdown with YAML metadata.

    Args:
        report: Of the run. It needs the figures of the test split, or of a cross-validation.
        evaluations: Of the same checkpoint: on the test split of the same data, for the comparison
            with people, and on other data. The first counts as the same data if its name is.
        name: Repository id or folder that the snippet opens; by default the run's name.
        comparison: With other runs on the same pictures, if there are some.

    Raises:
        ValueError: The report has no test split, or an evaluation is of another checkpoint.
    """
    split = "test" if "test" in report.evaluations else "validation"
    if split not in report.evaluations:
        raise ValueError(
            f"The report of {report.display_name!r} has no figures of a test split, expected some: "
            "a card without them says nothing. Run the training to its end."
        )
    name = name or report.display_name
    here = next(
        (e for e in evaluations if e.data == report.data and e.split == split),
        None,
    )
    test = here.evaluation if here else report.evaluations[split]
    trained, measured = report.evaluations[split].accuracy.value, test.accuracy.value
    if trained is None or measured is None or abs(trained - measured) > _ROUNDING:
        raise ValueError(
            f"The run's report says an accuracy of {trained} on {split}, the evaluation "
            f"{measured}. Evaluate the checkpoint of this run."
        )
    facts = KNOWN_DATA.get(str(report.settings.get("layout")))
    card = ModelCard.from_template(
        _build_metadata(report, test, split, facts, name),
        template_str=_read_template(),
        name=name,
        title=name.rsplit("/", 1)[-1],
        labels=report.label_names,
        input_size=report.input_size,
        data=facts.name if facts else report.data,
        measured_on=_render_measured_on(report, test, split),
        headline=_render_headline(report, test),
        snippet=render_snippet(report, name),
        figures=_render_figures(test, here),
        figure_notes=_list_figure_notes(here),
        people=_render_people(here),
        per_label=_render_labels(test, here),
        comparison=_render_comparison(comparison, report),
        elsewhere=_render_elsewhere([e for e in evaluations if e is not here]),
        weaknesses=_render_weaknesses(test),
        data_text=facts.text if facts else _render_data(report),
        split_sizes=", ".join(f"{split} {size:,}" for split, size in report.split_sizes.items()),
        training_text=_render_training(report),
        has_curves=bool(report.history),
        settings=_render_settings(report),
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
    """Make a run's card that of a repository on the Hub; what somebody wrote into it stays.

    Args:
        card: As it is in the run's folder.
        repo_id: What the snippet and the title are to name.
        license_name: Of the weights, for the metadata.
        files: Names of the files pushed with it. Lines that speak of others are left out.

    Raises:
        ValueError: The metadata cannot be read.
    """
    try:
        parsed = ModelCard(card)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"The metadata of {CARD_NAME} cannot be read ({error}). Mend it, or write the card "
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
    """Take the lines out of a card that show or explain a file that is not beside it."""
    for name in _MENTIONED:
        if name not in files:
            text = re.sub(rf"^.*[(`]{re.escape(name)}[)`].*\n\n?", "", text, flags=re.MULTILINE)
    return text


def _read_template() -> str:
    return next(path for path in _TEMPLATES if path.is_file()).read_text(encoding="utf-8")


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
            metric_value=round(value, 4),
        )
        for metric in list_main_metrics()
        if (value := test.figures[metric.name].value) is not None
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


def _render_headline(report: RunReport, test: Evaluation) -> str:
    tagger = next((y for y in report.yardsticks if "tagger" in y.name), None)
    if tagger is None:
        return f"It was right on {render_estimate(test.accuracy)} of pictures it had not seen."
    share = f"It agrees with the crowd on {render_estimate(test.accuracy)} of the test pictures"
    return f"{share}; one person who voted on them does on {100 * tagger.accuracy:.1f} %."


def _render_measured_on(report: RunReport, test: Evaluation, split: str) -> str:
    number = f"{test.num_pictures:,} pictures"
    if split == "test":
        return f"On the test split, {number}; epoch and settings were chosen on validation."
    folds = report.settings.get("num_folds")
    if folds is not None:
        return f"Cross-validated on all {number} in {folds} folds: each scored by a head new to it."
    return f"On the validation split, {number}, by which epoch and settings were chosen."


def _render_figures(test: Evaluation, here: CheckpointReport | None) -> str:
    metrics = list_main_metrics()
    columns = {
        "figure": [metric.title for metric in metrics],
        "value": render_figures(test.figures, metrics),
    }
    if here is not None:
        columns["with flip averaging"] = render_figures(here.with_flip_averaging.figures, metrics)
    return _render_table(list(columns), list(zip(*columns.values(), strict=True)))


def _list_figure_notes(here: CheckpointReport | None) -> list[str]:
    if here is None:
        return []
    notes = [describe_seen(here)]
    return [describe_not_sure(here.not_sure), *notes] if here.not_sure else notes


def _render_people(here: CheckpointReport | None) -> str:
    if here is None or here.crowd is None:
        return ""
    crowd, labels = here.crowd, here.evaluation.label_names
    above = crowd.labels_above_tagger
    entropy = crowd.soft_cross_entropy
    text = (
        f"One of the people who voted on each picture, drawn at random, has an accuracy of "
        f"{100 * crowd.tagger.accuracy:.1f} % and a balanced accuracy of "
        f"{100 * crowd.tagger.balanced_accuracy:.1f} %. The model finds more than that person on "
        f"{len(above)} of {len(labels)} labels: {', '.join(above) or 'none'}. Its cross-entropy "
        f"against all votes is {_render_nats(entropy)} nats on {crowd.num_voted_pictures:,} "
        "pictures, majority or not."
    )
    if fit := crowd.calibrated_on_votes:
        text += (
            " Calibrated on votes by what the config keeps for it (`fer-hf predict --crowd`), it "
            f"is {_render_nats(fit.soft_cross_entropy)}."
        )
    if panels := crowd.panels:
        largest = panels.panels[-1]
        text += (
            f" A panel of {largest.size} people has {_render_nats(largest.soft_cross_entropy)}. "
            f"The model is worth {render_worth(panels.worth.accuracy, panels)} people: so large a "
            "panel, taking a vote, agrees as often with the majority of the others."
        )
    return text


def _render_labels(test: Evaluation, here: CheckpointReport | None) -> str:
    crowd = here.crowd if here else None
    rows = []
    for label in test.label_names:
        row = [label, f"{test.support[label]:,}", render_estimate(test.recall_per_label[label])]
        row.append(render_estimate(test.precision_per_label[label]))
        if crowd:
            recall = crowd.tagger_recall_per_label[label]
            row.append("–" if recall is None else f"{100 * recall:.1f} %")
        rows.append(row)
    headers = ["label", "pictures", "recall", "precision", *(["one person"] if crowd else [])]
    return _render_table(headers, rows)


def _render_comparison(comparison: Comparison | None, report: RunReport) -> str:
    if comparison is None:
        return ""
    rows = []
    for row in comparison.rows:
        name = row.display_name
        rows.append(
            [
                f"**{name}**" if name == report.display_name else name,
                row.pretrained_on,
                row.fine_tuned,
                render_estimate(row.validation_accuracy),
                render_estimate(row.test_accuracy),
            ]
        )
    headers = ["model", "pretrained on", "fine-tuned", "accuracy on validation", "on test"]
    return _render_table(headers, rows)


def _render_elsewhere(others: Sequence[CheckpointReport]) -> str:
    rows = [
        [
            other.data if other.split in ("test", "all") else f"{other.data}, {other.split}",
            f"{other.evaluation.num_pictures:,}",
            "not known" if other.num_seen is None else f"{other.num_seen:,}",
            render_estimate(other.evaluation.accuracy),
            render_estimate(other.evaluation.balanced_accuracy),
        ]
        for other in others
    ]
    headers = ["data", "pictures", "of them trained on", "accuracy", "balanced"]
    return _render_table(headers, rows) if rows else ""


def _render_weaknesses(test: Evaluation) -> str:
    recalls = {
        label: estimate.value
        for label, estimate in test.recall_per_label.items()
        if estimate.value is not None
    }
    lowest = sorted(recalls, key=lambda label: recalls[label])[:3]
    pairs = sorted(
        (
            (count / test.support[label], label, guess)
            for label, row in zip(test.label_names, test.confusion_matrix, strict=True)
            for guess, count in zip(test.label_names, row, strict=True)
            if label != guess and count
        ),
        reverse=True,
    )[:3]
    found = ", ".join(f"{label} ({100 * recalls[label]:.0f} %)" for label in lowest)
    text = f"It finds least of: {found}."
    if pairs:
        mistakes = "; ".join(f"{100 * s:.0f} % of {label} as {guess}" for s, label, guess in pairs)
        text += f" Its commonest mistakes: {mistakes}."
    return (
        f"{text} Labels with few test pictures have wide intervals: read those. It was not "
        "measured by age, gender or skin colour, which the data does not tell; expect it to err "
        "more on people, poses and light unlike those in its data, and on faces that are cut off, "
        "covered, tiny, or surrounded by much background. On a picture without a face its answer "
        "means nothing."
    )


def _render_data(report: RunReport) -> str:
    license_name = report.settings.get("data_license")
    return f"{report.data}. Licence: {license_name or 'that of its source'}."


def _render_training(report: RunReport) -> str:
    pretrained_on = report.pretrained_on
    start = "random weights"
    if pretrained_on != "none":
        start = f"weights pretrained on {pretrained_on}"
    minutes = report.train_seconds / 60
    versions = dict(report.versions)
    commit, hardware = versions.pop("commit", None), versions.pop("hardware", None)
    shown = ", ".join(f"{package} {version}" for package, version in versions.items())
    taught = ""
    if teachers := report.settings.get("teachers"):
        share = f"{100 * report.settings['teacher_weight']:.0f} %"
        taught = f" {share} of what it learned are the scores of {' and '.join(teachers)}."
    return (
        f"{report.model_name_or_path} with {report.num_parameters:,} parameters, from {start}; "
        f"fine-tuned: {report.fine_tuned}.{taught} Seed {report.seed}, {minutes:.0f} minutes"
        f"{f' on {hardware}' if hardware else ''}. {shown}"
        f"{f', fer_hf at commit {commit}' if commit else ''}."
    )


def _render_settings(report: RunReport) -> str:
    rows = [[f"`{name}`", f"`{value}`"] for name, value in report.settings.items()]
    table = _render_table(["setting", "value"], rows)
    return f"<details><summary>All settings</summary>\n\n{table}\n\n</details>"


def _render_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def _render_nats(estimate: Estimate) -> str:
    return render_estimate(estimate, is_share=False)
