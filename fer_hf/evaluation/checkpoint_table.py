"""How the report of a checkpoint looks in a terminal."""

import textwrap

from tabulate import tabulate

from fer_hf.evaluation.checkpoint_report import CheckpointReport
from fer_hf.evaluation.intervals import Estimate

WIDTH = 90


def render_checkpoint_report(report: CheckpointReport) -> str:
    """Render the headline figures and those of each label, in at most about 90 columns.

    Figures are shares of 1 or nats. The columns about people are there if the data has votes.
    """
    num_pictures = report.evaluation.num_pictures
    parts = [
        f"{report.model} on {report.data}, {report.split}: {num_pictures:,} pictures",
        *([_render_match(report)] if _has_other_labels(report) else []),
        _render_headline(report),
        _render_labels(report),
        "\n".join(map(_fill, _list_notes(report))),
    ]
    return "\n\n".join(parts) + "\n"


def _has_other_labels(report: CheckpointReport) -> bool:
    return set(report.label_match) != set(report.evaluation.label_names)


def _render_match(report: CheckpointReport) -> str:
    pairs = [
        data if data == model else f"{data} → {model}" for data, model in report.label_match.items()
    ]
    matched = set(report.label_match.values())
    lacking = [name for name in report.evaluation.label_names if name not in matched]
    text = f"Labels, data → model: {', '.join(pairs)}."
    if lacking:
        text += f" The data has no {', '.join(lacking)}; averages leave it out."
    return _fill(text)


def _render_headline(report: CheckpointReport) -> str:
    plain, flipped, crowd = report.evaluation, report.with_flip_averaging, report.crowd
    accuracy = crowd.tagger.accuracy if crowd else None
    balanced = crowd.tagger.balanced_accuracy if crowd else None
    rows = [
        ("accuracy", plain.accuracy, accuracy, flipped.accuracy),
        ("balanced accuracy", plain.balanced_accuracy, balanced, flipped.balanced_accuracy),
        ("macro-F1", plain.f1_macro, None, None),
        ("NLL, nats", plain.nll, None, flipped.nll),
        ("ECE, 15 bins", plain.ece, None, None),
    ]
    if crowd:
        rows.append(("soft cross-entropy, nats *", crowd.soft_cross_entropy, None, None))
    cells = [
        [
            name,
            _render(estimate.value),
            _render_interval(estimate),
            *([_render(tagger, missing="")] if crowd else []),
            _render(other.value) if other else "",
        ]
        for name, estimate, tagger, other in rows
    ]
    tagger = ["one human\ntagger"] if crowd else []
    headers = ["figure", "value", "95 % interval", *tagger, "with flip\naveraging"]
    return _tabulate(cells, headers)


def _render_labels(report: CheckpointReport) -> str:
    evaluation, crowd = report.evaluation, report.crowd
    cells = []
    for name, recall in evaluation.recall_per_label.items():
        row = [name, f"{evaluation.support[name]:,}", _render(recall.value)]
        row.append(_render_interval(recall))
        if crowd:
            tagger = crowd.tagger_recall_per_label[name]
            row += [_render(tagger), _compare(recall, tagger)]
        cells.append(row)
    people = ["one human\ntagger", "the model is"] if crowd else []
    return _tabulate(cells, ["label", "pictures", "recall", "95 % interval", *people])


def _compare(recall: Estimate, tagger: float | None) -> str:
    """Say where the model's recall lies; clearly so where all of its interval does."""
    if recall.value is None or recall.low is None or recall.high is None or tagger is None:
        return "–"
    if recall.value == tagger:
        return "level"
    if recall.value > tagger:
        return "clearly above" if recall.low > tagger else "above"
    return "clearly below" if recall.high < tagger else "below"


def _list_notes(report: CheckpointReport) -> list[str]:
    flip = "Flip averaging is the mean score of a picture and its mirror image."
    if report.crowd is None:
        return [flip]
    crowd = report.crowd
    recalls = crowd.tagger_recall_per_label.values()
    return [
        f"The model's recall is above one human tagger's on {len(crowd.labels_above_tagger)} of "
        f"{sum(recall is not None for recall in recalls)} labels, clearly so (its whole interval) "
        f"on {len(crowd.labels_clearly_above_tagger)}. The tagger is drawn at random from those "
        "who voted on the picture.",
        f"* Against all votes for the labels, single ones too, of {crowd.num_voted_pictures:,} "
        "pictures with or without a majority.",
        flip,
    ]


def _render(figure: float | None, missing: str = "–") -> str:
    return missing if figure is None else f"{figure:.3f}"


def _render_interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    return f"{estimate.low:.3f} – {estimate.high:.3f}"


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def _tabulate(cells: list[list[str]], headers: list[str]) -> str:
    return tabulate(
        cells,
        headers=headers,
        tablefmt="simple",
        colalign=["left"] + ["right"] * (len(headers) - 1),
        disable_numparse=True,
    )
