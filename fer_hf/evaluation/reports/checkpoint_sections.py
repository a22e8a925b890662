"""The tables and sentences of a checkpoint's report; `checkpoint_report` lists them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from fer_hf.evaluation.metrics.evaluation import METRICS, Evaluation
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share
from fer_hf.evaluation.metrics.slices import Slice
from fer_hf.evaluation.metrics.thresholds import count_needed
from fer_hf.evaluation.people.panels import Agreement, PanelComparison
from fer_hf.evaluation.reports.blocks import (
    MISSING,
    Block,
    Picture,
    Table,
    render_estimate,
    render_figures,
    render_value,
)
from fer_hf.evaluation.reports.checkpoint_figures import CrowdComparison, Mistake, NotSureFigures
from fer_hf.evaluation.robustness.measuring import Robustness

FLIP_NOTE = "Flip averaging is the mean score of a picture and its mirror image."
_MOST_PAIRS = 10


def build_figures(plain: Evaluation, flipped: Evaluation, crowd: CrowdComparison | None) -> Table:
    """Build the table of the figures over all labels: a row for each of `METRICS`."""
    against_votes = _list_crowd_figures(crowd) if crowd else []
    blank = [""] * len(against_votes)
    tagger = vars(crowd.tagger) if crowd else {}
    taggers = [render_value(tagger[one.name]) if one.name in tagger else "" for one in METRICS]
    flips = [figure.split(" (")[0] for figure in render_figures(flipped.figures, METRICS)]
    columns = {
        "figure": [*(one.title for one in METRICS), *(name for name, _ in against_votes)],
        "value": [
            *render_figures(plain.figures, METRICS),
            *(render_estimate(figure, is_share=False) for _, figure in against_votes),
        ],
        **({"one human\ntagger": taggers + blank} if crowd else {}),
        "with flip\naveraging": flips + blank,
    }
    return Table.from_columns(columns, "Over all labels, with 95 % intervals")


def build_label_figures(evaluation: Evaluation) -> Table:
    """Build the table of the figures of each label."""
    figures = {
        "recall": evaluation.recall_per_label,
        "precision": evaluation.precision_per_label,
        "F1": evaluation.f1_per_label,
        "ROC-AUC": evaluation.roc_auc_per_label,
    }
    columns = {
        "label": evaluation.label_names,
        "pictures": [f"{count:,}" for count in evaluation.support.values()],
        **{name: map(render_estimate, found.values()) for name, found in figures.items()},
    }
    return Table.from_columns(columns, "Figures of each label, with 95 % intervals")


def build_recalls(
    evaluation: Evaluation, crowd: CrowdComparison | None, not_sure: NotSureFigures | None
) -> Table:
    """Build the table of recalls beside one person's, and of how often the model is sure."""
    recalls = evaluation.recall_per_label
    captions = ["Recall beside one person's" if crowd else "Recall"]
    columns: dict[str, Iterable[str]] = {
        "label": recalls,
        "recall": map(render_estimate, recalls.values()),
    }
    if crowd:
        taggers = crowd.tagger_recall_per_label.values()
        columns["one human\ntagger"] = map(render_value, taggers)
        columns["the\nmodel is"] = map(_compare, recalls.values(), taggers)
    if not_sure:
        answered, held = not_sure.answered_per_label, not_sure.sets.per_label
        columns["sure\nof"] = [render_value(answered[name].value) for name in recalls]
        columns["in set"] = [render_estimate(held[name]) for name in recalls]
        captions += ["share the model is sure of", "share whose set holds the true label"]
    return Table.from_columns(columns, "; ".join(captions))


def build_people(crowd: CrowdComparison) -> list[Block]:
    """Describe how the model compares with one person and with panels."""
    recalls = crowd.tagger_recall_per_label.values()
    blocks: list[Block] = [
        f"The model's recall is above one human tagger's on {len(crowd.labels_above_tagger)} of "
        f"{sum(recall is not None for recall in recalls)} labels, clearly so (its whole interval) "
        f"on {len(crowd.labels_clearly_above_tagger)}. The tagger is drawn at random from those "
        "who voted on the picture.",
        "* Against all votes for the labels, single votes included, of "
        f"{crowd.num_voted_pictures:,} pictures with or without a majority.",
    ]
    if crowd.panels is None:
        return blocks
    worth = crowd.panels.worth
    accuracy, balanced = (
        render_worth(estimate, crowd.panels).replace("<", "less than").replace(">", "more than")
        for estimate in (worth.accuracy, worth.balanced_accuracy)
    )
    return [
        *blocks,
        f"The model is worth {accuracy} taggers: it agrees with the others as often as a panel of "
        f"that many who vote; by balanced accuracy, {balanced}.",
        _build_panels(crowd, crowd.panels),
        "Panel and model are judged alike, by the majority of the taggers who are not on it: the "
        "larger the panel, the fewer they are. A panel's soft cross-entropy is that of the shares "
        "of its votes, smoothed by how frequent each label is.",
    ]


def _build_panels(crowd: CrowdComparison, comparison: PanelComparison) -> Table:
    people = [_list_agreement(panel.people) for panel in comparison.panels]
    model = [_list_agreement(panel.model) for panel in comparison.panels]
    rows = []
    for name, worth in _list_agreement(comparison.worth).items():
        pairs = [
            _render_pair(p[name], m[name], scale=100) for p, m in zip(people, model, strict=True)
        ]
        rows.append([name, *pairs, render_worth(worth, comparison)])
    for name, entropy in _list_soft_cross_entropies(crowd):
        panels = comparison.panels
        pairs = [_render_pair(one.soft_cross_entropy, entropy) for one in panels]
        rows.append([name, *pairs, ""])
    headers = [f"panel\nof {panel.size}" for panel in comparison.panels]
    caption = "Panels of people who vote/the model, judged by the other people; per cent, or nats"
    return Table(["panel/model", *headers, "worth in\ntaggers"], rows, caption)


def build_confusions(evaluation: Evaluation) -> list[Block]:
    """Build the confusion matrix and the commonest mistakes."""
    names, support = evaluation.label_names, evaluation.support
    counts = np.array(evaluation.confusion_matrix)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    matrix = Table(
        ["label (pictures)", *names],
        [
            [
                f"{name} ({support[name]:,})",
                *(
                    f"{n:,} ({100 * share:.0f} %)" if n else "·"
                    for n, share in zip(*row, strict=True)
                ),
            ]
            for name, *row in zip(names, counts, shares, strict=True)
        ],
        "A row is a true label, a column the model's answer; pictures, and the share of the row",
        shares.tolist(),
    )
    # The commonest mistake first; between equals the order of the matrix.
    cells = sorted(np.argwhere(counts), key=lambda cell: -counts[tuple(cell)])
    rows = [
        [
            f"{names[label]} → {names[answer]}",
            f"{counts[label, answer]:,}",
            render_estimate(estimate_share(int(counts[label, answer]), support[names[label]])),
        ]
        for label, answer in cells
        if label != answer
    ]
    if not rows:
        return [matrix, "Every answer is right."]
    headers = ["label → answer", "pictures", "share of the label"]
    return [matrix, Table(headers, rows[:_MOST_PAIRS], "The commonest mistakes")]


def build_slices(slices: Mapping[str, Sequence[Slice]]) -> list[Block]:
    """Build the table of slices by each property, and name the properties without any."""
    rows = [
        [
            name,
            f"{part.low:,.0f} – {part.high:,.0f}",
            f"{part.num_pictures:,}",
            render_estimate(part.accuracy),
        ]
        for name, parts in slices.items()
        for part in parts
    ]
    caption = "Accuracy in fifths of the pictures by what they look like"
    blocks: list[Block] = []
    if rows:
        blocks.append(Table(["slice by", "from – to", "pictures", "accuracy"], rows, caption))
    if constant := [name for name, parts in slices.items() if not parts]:
        blocks.append(f"The same in all pictures, so not sliced by: {', '.join(constant)}.")
    return blocks


def build_robustness(robustness: Robustness) -> list[Block]:
    """Build the table of the accuracies under corruptions, and describe what they are."""
    costliest_first = robustness.sort_corruptions()
    blank = [""] * len(robustness.strengths)
    rows = [
        [
            name,
            *map(render_value, found.accuracy),
            render_estimate(found.mean_accuracy),
            render_value(found.mean_balanced_accuracy.value),
        ]
        for name, found in costliest_first.items()
    ]
    for name, accuracy, balanced in (
        ("mean", robustness.mean_corrupted_accuracy, robustness.mean_corrupted_balanced_accuracy),
        ("clean", robustness.clean_accuracy, robustness.clean_balanced_accuracy),
    ):
        rows.append([name, *blank, render_estimate(accuracy), render_value(balanced.value)])
    shades = [
        [*robustness.compute_shades(found.accuracy).tolist(), None, None]
        for found in costliest_first.values()
    ]
    plain: list[list[float | None]] = [[None] * (len(blank) + 2)] * 2
    table = Table(
        [
            "corruption",
            *map(str, robustness.strengths),
            "mean",
            "mean\nbalanced",
        ],
        rows,
        "Accuracy under each corruption at each strength, the costliest first",
        [*shades, *plain],
    )
    note = f"All on the same {robustness.num_pictures:,} pictures."
    if robustness.unchanged:
        names = ", ".join(robustness.unchanged)
        note += f" Left out, since it changes none of these pictures: {names}."
    return [table, note]


def describe_not_sure(figures: NotSureFigures) -> str:
    """Describe what share of pictures is answered and covered, against what it was fitted to."""
    answers, sets = figures.answers, figures.sets
    share = f"{100 * figures.coverage:.0f} %"
    pooled = figures.pooled_labels
    whose = "" if pooled is None else " of the pictures of each label by itself"
    if pooled:
        whose += (
            f" (not {', '.join(pooled)}, with fewer than {count_needed(figures.coverage)} pictures "
            "to fit on: there it is a share of all pictures)"
        )
    return (
        f"The model answers where its top score is {answers.threshold:.2f} or more. It was fitted "
        f"to answer {share} of pictures; here it answers {render_estimate(answers.coverage)}, and "
        f"{render_estimate(answers.accuracy)} of its answers are right. Its sets of labels were "
        f"fitted to hold the true one for {share}{whose}; here they do for "
        f"{render_estimate(sets.overall)}, with {sets.mean_size:.2f} labels on average and "
        f"{sets.num_empty:,} empty sets."
    )


def show_mistake(png: bytes, mistake: Mistake) -> Picture:
    """Put a caption below the picture of a mistake."""
    return Picture(
        png,
        f"Row {mistake.row}, labelled {mistake.label}, answered {mistake.answer}",
        f"{mistake.answer} {100 * mistake.score:.0f} %\nlabelled {mistake.label}",
    )


def render_worth(worth: Estimate, comparison: PanelComparison) -> str:
    """Render a number of taggers with its interval; beyond the panels' sizes no more is known."""
    smallest, largest = comparison.panels[0].size, comparison.panels[-1].size

    def render(size: float) -> str:
        if size < smallest:
            return f"< {smallest}"
        return f"> {largest}" if size > largest else f"{size:.1f}"

    if worth.value is None or worth.low is None or worth.high is None:
        return MISSING
    return f"{render(worth.value)} ({render(worth.low)} – {render(worth.high)})"


def _list_crowd_figures(crowd: CrowdComparison) -> list[tuple[str, Estimate]]:
    """Return the figures against all votes."""
    fit = crowd.calibrated_on_votes
    return [
        *((f"{name}, nats *", estimate) for name, estimate in _list_soft_cross_entropies(crowd)),
        ("KL(votes‖scores), nats *", crowd.kl_divergence),
        *([("… for votes, nats *", fit.kl_divergence)] if fit else []),
        ("entropies, Pearson *", crowd.entropy_pearson),
        ("entropies, Spearman *", crowd.entropy_spearman),
    ]


def _list_soft_cross_entropies(crowd: CrowdComparison) -> list[tuple[str, Estimate]]:
    fit = crowd.calibrated_on_votes
    return [
        ("soft cross-entropy", crowd.soft_cross_entropy),
        *([("… for votes", fit.soft_cross_entropy)] if fit else []),
    ]


def _list_agreement(agreement: Agreement) -> dict[str, Estimate]:
    return {
        "accuracy": agreement.accuracy,
        "balanced accuracy": agreement.balanced_accuracy,
        **agreement.recall_per_label,
    }


def _render_pair(people: Estimate, model: Estimate, scale: int = 1) -> str:
    """Render two figures in two significant decimals; a scale of 100 means per cent."""
    if people.value is None or model.value is None:
        return MISSING
    digits = 0 if scale == 100 else 2
    return f"{scale * people.value:.{digits}f}/{scale * model.value:.{digits}f}"


def _compare(recall: Estimate, tagger: float | None) -> str:
    """Compare the model's recall with a tagger's; clearly so where all of its interval is."""
    if recall.value is None or recall.low is None or recall.high is None or tagger is None:
        return MISSING
    if recall.value == tagger:
        return "level"
    if recall.value > tagger:
        return "clearly above" if recall.low > tagger else "above"
    return "clearly below" if recall.high < tagger else "below"
