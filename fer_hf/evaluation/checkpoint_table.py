"""How the report of a checkpoint looks in a terminal."""

import textwrap

from tabulate import tabulate

from fer_hf.evaluation.checkpoint_report import CheckpointReport, CrowdComparison, TemperedFit
from fer_hf.evaluation.intervals import Estimate
from fer_hf.evaluation.panels import Agreement, PanelComparison

WIDTH = 90


def render_checkpoint_report(report: CheckpointReport) -> str:
    """Render the headline figures and those of each label, in at most about 90 columns.

    Figures are shares of 1 or nats. The columns about people are there if the data has votes.
    """
    num_pictures = report.evaluation.num_pictures
    crowd = report.crowd
    parts = [
        f"{report.model} on {report.data}, {report.split}: {num_pictures:,} pictures",
        *([_render_match(report)] if _has_other_labels(report) else []),
        _render_headline(report),
        _render_labels(report),
        *([_render_panels(crowd, crowd.panels)] if crowd and crowd.panels else []),
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
        rows += [(name, estimate, None, None) for name, estimate in _list_crowd_figures(crowd)]
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


def _list_crowd_figures(crowd: CrowdComparison) -> list[tuple[str, Estimate]]:
    """Return the figures against all votes."""
    fit = crowd.at_crowd_temperature
    return [
        *((f"{name}, nats *", estimate) for name, estimate in _list_soft_cross_entropies(crowd)),
        ("KL(votes‖scores), nats *", crowd.kl_divergence),
        *([(f"{_name_temperature(fit)}, nats *", fit.kl_divergence)] if fit else []),
        ("entropies, Pearson *", crowd.entropy_pearson),
        ("entropies, Spearman *", crowd.entropy_spearman),
    ]


def _list_soft_cross_entropies(crowd: CrowdComparison) -> list[tuple[str, Estimate]]:
    fit = crowd.at_crowd_temperature
    return [
        ("soft cross-entropy", crowd.soft_cross_entropy),
        *([(_name_temperature(fit), fit.soft_cross_entropy)] if fit else []),
    ]


def _name_temperature(fit: TemperedFit) -> str:
    return f"… at T = {fit.temperature:.2f}"


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


def _render_panels(crowd: CrowdComparison, comparison: PanelComparison) -> str:
    panels = comparison.panels
    people = [_list_agreement(panel.people) for panel in panels]
    model = [_list_agreement(panel.model) for panel in panels]
    rows = []
    for name, worth in _list_agreement(comparison.worth).items():
        pairs = [_render_pair(p[name], m[name]) for p, m in zip(people, model, strict=True)]
        rows.append([name, *pairs, _render_worth(worth, comparison)])
    for name, entropy in _list_soft_cross_entropies(crowd):
        pairs = [_render_pair(panel.soft_cross_entropy, entropy) for panel in panels]
        rows.append([name, *pairs, ""])
    sizes = [f"panel\nof {panel.size}" for panel in panels]
    return _tabulate(rows, ["panel/model", *sizes, "worth in\ntaggers"])


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


def _render_worth(worth: Estimate, comparison: PanelComparison) -> str:
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
        *(_list_panel_notes(crowd.panels) if crowd.panels else []),
        flip,
    ]


def _list_panel_notes(comparison: PanelComparison) -> list[str]:
    worth = comparison.worth
    accuracy, balanced = (
        _render_worth(estimate, comparison).replace("<", "less than").replace(">", "more than")
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
