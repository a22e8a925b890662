"""The tables and sentences of a checkpoint's report, and how they look in a terminal.

The page shows the same ones, so that a figure is worded and rounded in one place.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from fer_hf.evaluation.metrics.intervals import Estimate, render_share
from fer_hf.evaluation.metrics.slices import render_slices
from fer_hf.evaluation.people.panels import Agreement, PanelComparison
from fer_hf.evaluation.reports.checkpoint_report import (
    CheckpointReport,
    CrowdComparison,
    NotSureFigures,
    list_confused_pairs,
)
from fer_hf.evaluation.robustness.measuring import render_robustness

WIDTH = 90
FLIP_NOTE = "Flip averaging is the mean score of a picture and its mirror image."

_FOR_VOTES = "… for votes"


@dataclass(frozen=True)
class Table:
    """A table in words; the first cell of a row names it.

    Attributes:
        headers: One for each column; a line break says where a narrow one may break.
        rows: As many cells each.
    """

    headers: list[str]
    rows: list[list[str]]


def render_checkpoint_report(report: CheckpointReport) -> str:
    """Render the headline figures and those of each label, in at most about 90 columns.

    Figures are shares of 1 or nats. The columns about people are there if the data has votes.
    """
    panels = build_panels(report)
    blocks = [
        f"{report.model} on {report.data}, {report.split}: "
        f"{report.evaluation.num_pictures:,} pictures",
        "\n".join(map(_fill, describe_labels(report))),
        _tabulate(build_headline(report)),
        _tabulate(build_labels(report)),
        _tabulate(panels) if panels else "",
        render_slices(report.slices) if report.slices else "",
        render_robustness(report.robustness) if report.robustness else "",
        "\n".join(map(_fill, _list_notes(report))),
    ]
    return "\n\n".join(block.rstrip() for block in blocks if block) + "\n"


def render_side_by_side(reports: Sequence[CheckpointReport]) -> str:
    """Render a row for each report of one checkpoint: elsewhere beside where it was trained."""
    rows = [
        [
            f"{report.data}, {report.split}",
            f"{report.evaluation.num_pictures:,}",
            "?" if report.num_seen is None else f"{report.num_seen:,}",
            _render(report.evaluation.accuracy.value),
            render_interval(report.evaluation.accuracy),
            _render(report.evaluation.balanced_accuracy.value),
            _render(report.evaluation.f1_macro.value),
            _render(report.evaluation.nll.value),
            _render(report.evaluation.ece.value),
        ]
        for report in reports
    ]
    headers = ["data", "pictures", "seen", "acc.", "95 % interval", "bal.", "F1", "NLL", "ECE"]
    return _tabulate(Table(headers, rows)) + "\n"


def build_headline(report: CheckpointReport) -> Table:
    """Build the table of the figures over all labels."""
    plain, flipped, crowd = report.evaluation, report.with_flip_averaging, report.crowd
    accuracy = crowd.tagger.accuracy if crowd else None
    balanced = crowd.tagger.balanced_accuracy if crowd else None
    rows: list[tuple[str, Estimate, float | None, Estimate | None]] = [
        ("accuracy", plain.accuracy, accuracy, flipped.accuracy),
        ("balanced accuracy", plain.balanced_accuracy, balanced, flipped.balanced_accuracy),
        ("macro-F1", plain.f1_macro, None, flipped.f1_macro),
        ("ROC-AUC, macro", plain.roc_auc_macro, None, flipped.roc_auc_macro),
        ("NLL, nats", plain.nll, None, flipped.nll),
        ("Brier score", plain.brier, None, flipped.brier),
        ("ECE, 15 bins", plain.ece, None, flipped.ece),
        ("adaptive ECE", plain.adaptive_ece, None, flipped.adaptive_ece),
    ]
    if crowd:
        rows += [(name, estimate, None, None) for name, estimate in _list_crowd_figures(crowd)]
    cells = [
        [
            name,
            _render(estimate.value),
            render_interval(estimate),
            *([_render(tagger, missing="")] if crowd else []),
            _render(other.value) if other else "",
        ]
        for name, estimate, tagger, other in rows
    ]
    tagger = ["one human\ntagger"] if crowd else []
    return Table(["figure", "value", "95 % interval", *tagger, "with flip\naveraging"], cells)


def render_interval(estimate: Estimate) -> str:
    """Render the interval of a figure in three decimals."""
    if estimate.value is None:
        return "–"
    return f"{estimate.low:.3f} – {estimate.high:.3f}"


def _list_crowd_figures(crowd: CrowdComparison) -> list[tuple[str, Estimate]]:
    """Return the figures against all votes."""
    fit = crowd.calibrated_on_votes
    return [
        *((f"{name}, nats *", estimate) for name, estimate in _list_soft_cross_entropies(crowd)),
        ("KL(votes‖scores), nats *", crowd.kl_divergence),
        *([(f"{_FOR_VOTES}, nats *", fit.kl_divergence)] if fit else []),
        ("entropies, Pearson *", crowd.entropy_pearson),
        ("entropies, Spearman *", crowd.entropy_spearman),
    ]


def _list_soft_cross_entropies(crowd: CrowdComparison) -> list[tuple[str, Estimate]]:
    fit = crowd.calibrated_on_votes
    return [
        ("soft cross-entropy", crowd.soft_cross_entropy),
        *([(_FOR_VOTES, fit.soft_cross_entropy)] if fit else []),
    ]


def build_labels(report: CheckpointReport) -> Table:
    """Build the table of recalls, beside one person's, and of how often the model is sure."""
    evaluation, crowd, not_sure = report.evaluation, report.crowd, report.not_sure
    cells = []
    for name, recall in evaluation.recall_per_label.items():
        row = [name, f"{evaluation.support[name]:,}", _render(recall.value)]
        row.append(render_interval(recall))
        if crowd:
            tagger = crowd.tagger_recall_per_label[name]
            row += [_render(tagger), _compare(recall, tagger)]
        if not_sure:
            row.append(_render(not_sure.answered_per_label[name].value))
            row.append(_render(not_sure.sets.per_label[name].value))
        cells.append(row)
    people = ["one human\ntagger", "the\nmodel is"] if crowd else []
    sure = ["sure\nof", "in\nset"] if not_sure else []
    return Table(["label", "pictures", "recall", "95 % interval", *people, *sure], cells)


def build_panels(report: CheckpointReport) -> Table | None:
    """Build the table of panels of people beside the model; None where there are no panels."""
    crowd = report.crowd
    if crowd is None or crowd.panels is None:
        return None
    comparison = crowd.panels
    panels = comparison.panels
    people = [_list_agreement(panel.people) for panel in panels]
    model = [_list_agreement(panel.model) for panel in panels]
    rows = []
    for name, worth in _list_agreement(comparison.worth).items():
        pairs = [_render_pair(p[name], m[name]) for p, m in zip(people, model, strict=True)]
        rows.append([name, *pairs, render_worth(worth, comparison)])
    for name, entropy in _list_soft_cross_entropies(crowd):
        pairs = [_render_pair(panel.soft_cross_entropy, entropy) for panel in panels]
        rows.append([name, *pairs, ""])
    sizes = [f"panel\nof {panel.size}" for panel in panels]
    return Table(["panel/model", *sizes, "worth in\ntaggers"], rows)


def describe_labels(report: CheckpointReport) -> list[str]:
    """Say which label of the data is which of the model's, and of which there are no pictures."""
    names, support = report.evaluation.label_names, report.evaluation.support
    sentences = []
    if set(report.label_match) != set(names):
        pairs = [
            data if data == model else f"{data} → {model}"
            for data, model in report.label_match.items()
        ]
        sentences.append(f"Labels, data → model: {', '.join(pairs)}.")
    if lacking := [name for name in names if not support[name]]:
        sentences.append(f"There is no picture of {', '.join(lacking)}; averages leave it out.")
    return sentences


def describe_seen(report: CheckpointReport) -> str:
    """Say how many of the pictures the model was trained on."""
    total = report.evaluation.num_pictures
    if report.num_seen is None:
        return (
            "Whether the model was trained on these pictures is not known: its checkpoint has no "
            "`seen.safetensors`."
        )
    if report.num_seen == 0:
        return f"Seen in training: none of these {total:,} pictures."
    return (
        f"Seen in training: {report.num_seen:,} of these {total:,} pictures, to the pixel. They "
        "flatter the figures."
    )


def describe_confusions(report: CheckpointReport) -> str:
    """Name the commonest mistakes."""
    support = report.evaluation.support
    pairs = [
        f"{pair.label} → {pair.answer} {pair.count:,} "
        f"({100 * pair.count / support[pair.label]:.0f} % of {pair.label})"
        for pair in list_confused_pairs(report.evaluation)
    ]
    return f"Most confused: {', '.join(pairs)}." if pairs else "Every answer is right."


def describe_people(crowd: CrowdComparison) -> list[str]:
    """Say how the model stands beside one person and beside panels."""
    recalls = crowd.tagger_recall_per_label.values()
    return [
        f"The model's recall is above one human tagger's on {len(crowd.labels_above_tagger)} of "
        f"{sum(recall is not None for recall in recalls)} labels, clearly so (its whole interval) "
        f"on {len(crowd.labels_clearly_above_tagger)}. The tagger is drawn at random from those "
        "who voted on the picture.",
        f"* Against all votes for the labels, single ones too, of {crowd.num_voted_pictures:,} "
        "pictures with or without a majority.",
        *(_list_panel_notes(crowd.panels) if crowd.panels else []),
    ]


def describe_not_sure(figures: NotSureFigures) -> str:
    """Say what share is answered and covered, of all pictures, against what was promised."""
    answers, sets = figures.answers, figures.sets
    promised = f"{100 * figures.coverage:.0f} %"
    return (
        f"Not sure: it answers where its top score is {answers.threshold:.2f} or more, which was "
        f"to be {promised} of pictures and is {render_share(answers.coverage)} of "
        f"these; of those answers {render_share(answers.accuracy)} are right. Its sets of labels "
        f"were to hold the true one for {promised} and do for "
        f"{render_share(sets.overall)}, with {sets.mean_size:.2f} labels on average and "
        f"{sets.num_empty:,} empty."
    )


def _list_notes(report: CheckpointReport) -> list[str]:
    return [
        *(describe_people(report.crowd) if report.crowd else []),
        *([describe_not_sure(report.not_sure)] if report.not_sure else []),
        describe_confusions(report),
        FLIP_NOTE,
        describe_seen(report),
    ]


def _list_agreement(agreement: Agreement) -> dict[str, Estimate]:
    return {
        "accuracy": agreement.accuracy,
        "balanced accuracy": agreement.balanced_accuracy,
        **agreement.recall_per_label,
    }


def _render_pair(people: Estimate, model: Estimate) -> str:
    if people.value is None or model.value is None:
        return "–"
    return f"{people.value:.2f}/{model.value:.2f}"


def render_worth(worth: Estimate, comparison: PanelComparison) -> str:
    """Render a number of taggers with its interval; beyond the panels it is only known to be so."""
    smallest, largest = comparison.panels[0].size, comparison.panels[-1].size

    def render(size: float) -> str:
        if size < smallest:
            return f"< {smallest}"
        return f"> {largest}" if size > largest else f"{size:.1f}"

    if worth.value is None or worth.low is None or worth.high is None:
        return "–"
    return f"{render(worth.value)} ({render(worth.low)} – {render(worth.high)})"


def _compare(recall: Estimate, tagger: float | None) -> str:
    """Say where the model's recall lies; clearly so where all of its interval does."""
    if recall.value is None or recall.low is None or recall.high is None or tagger is None:
        return "–"
    if recall.value == tagger:
        return "level"
    if recall.value > tagger:
        return "clearly above" if recall.low > tagger else "above"
    return "clearly below" if recall.high < tagger else "below"


def _list_panel_notes(comparison: PanelComparison) -> list[str]:
    worth = comparison.worth
    accuracy, balanced = (
        render_worth(estimate, comparison).replace("<", "less than").replace(">", "more than")
        for estimate in (worth.accuracy, worth.balanced_accuracy)
    )
    return [
        f"The model is worth {accuracy} taggers: it agrees with the others as often as a panel of "
        f"so many who vote; by balanced accuracy, {balanced}.",
        "Panel and model are judged alike, by the majority of the taggers who are not on it: the "
        "larger the panel, the fewer they are. Its soft cross-entropy is that of the shares of its "
        "votes, smoothed by how frequent each label is.",
    ]


def _render(figure: float | None, missing: str = "–") -> str:
    return missing if figure is None else f"{figure:.3f}"


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False)


def _tabulate(table: Table) -> str:
    return tabulate(
        table.rows,
        headers=table.headers,
        tablefmt="simple",
        colalign=["left"] + ["right"] * (len(table.headers) - 1),
        disable_numparse=True,
    )
