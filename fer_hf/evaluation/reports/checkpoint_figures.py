"""What the report of a checkpoint measures beside its `Evaluation`.

How the model compares with the people who voted, when it is not sure, and its mistakes: all from
scores and labels, so that any model can be measured on any pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_shares
from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.evaluation.metrics.predictions import Predictions
from fer_hf.evaluation.metrics.thresholds import (
    SelectiveAccuracy,
    SetCoverage,
    measure_selective_accuracy,
    measure_set_coverage,
)
from fer_hf.evaluation.people.human import (
    Yardstick,
    compute_tagger,
    compute_tagger_recalls,
    estimate_entropy_correlation,
    estimate_kl_divergence,
    estimate_soft_cross_entropy,
)
from fer_hf.evaluation.people.panels import PanelComparison, compare_with_panels

NUM_MISTAKES = 24


@dataclass(frozen=True)
class VotesFit:
    """How close scores that were calibrated on votes come to the votes.

    Attributes:
        soft_cross_entropy: Of these scores against the votes, in nats.
        kl_divergence: The same minus the entropy of the votes.
    """

    soft_cross_entropy: Estimate
    kl_divergence: Estimate


@dataclass(frozen=True)
class CrowdComparison:
    """A model beside the people who voted on the same pictures.

    Attributes:
        tagger: One person, drawn at random from those who voted on each picture.
        tagger_recall_per_label: That person's recalls, 0–1; None for a label without pictures.
        labels_above_tagger: Labels on which the model's recall is above the person's.
        labels_clearly_above_tagger: Those on which its whole 95 % interval is.
        soft_cross_entropy: Of the scores against the votes, in nats.
        num_voted_pictures: How many pictures that figure is a mean over: all that have a vote for
            one of the labels, also those without a majority. So are the following.
        kl_divergence: Soft cross-entropy minus the entropy of the votes, in nats.
        entropy_pearson: Correlation of the scores' entropy with that of the votes, in [-1, 1].
        entropy_spearman: The same of the ranks.
        calibrated_on_votes: How near the model's scores for votes are; None if it has none.
        panels: The model beside panels of taggers; None where no tagger is left to judge them.
    """

    tagger: Yardstick
    tagger_recall_per_label: dict[str, float | None]
    labels_above_tagger: list[str]
    labels_clearly_above_tagger: list[str]
    soft_cross_entropy: Estimate
    num_voted_pictures: int
    kl_divergence: Estimate
    entropy_pearson: Estimate
    entropy_spearman: Estimate
    calibrated_on_votes: VotesFit | None
    panels: PanelComparison | None


@dataclass(frozen=True)
class NotSureFigures:
    """How a checkpoint's thresholds for being not sure hold up on these pictures.

    Attributes:
        coverage: What they were fitted to: the share of pictures that are answered, and of sets
            that hold the true label.
        answers: What it answers, and how often rightly.
        answered_per_label: Label to the share of its pictures that are answered.
        sets: How often the sets hold the true label, in all and per label.
        pooled_labels: Labels that had too few pictures for a promise of their own; None where the
            promise is one over all labels.
    """

    coverage: float
    answers: SelectiveAccuracy
    answered_per_label: dict[str, Estimate]
    sets: SetCoverage
    pooled_labels: list[str] | None = None


@dataclass(frozen=True)
class Mistake:
    """A picture that got a wrong answer.

    Attributes:
        row: Where it is in the split, from 0 on.
        label: The true label.
        answer: The model's.
        score: Of the answer, 0–1.
    """

    row: int
    label: str
    answer: str
    score: float


def compare_with_crowd(
    evaluation: Evaluation,
    labels: npt.ArrayLike,
    votes: npt.ArrayLike,
    other_votes: npt.ArrayLike | float,
    all_scores: npt.ArrayLike,
    all_votes: npt.ArrayLike,
    all_other_votes: npt.ArrayLike | float = 0,
    crowd_scores: npt.ArrayLike | None = None,
) -> CrowdComparison:
    """Compare a model with the people who voted.

    The N pictures of the evaluation have a label that most people agree on, and one tagger is
    scored on them; the M pictures of the soft cross-entropy and the panels need not.

    Args:
        evaluation: The model's figures on the N pictures.
        labels: Shape (N,), the crowd's label ids.
        votes: Shape (N, num_labels), counts in the order of `evaluation.label_names`.
        other_votes: Shape (N,), counts of votes for none of the labels.
        all_scores: Shape (M, num_labels), rows sum to 1.
        all_votes: Shape (M, num_labels), counts in the same order.
        all_other_votes: Shape (M,), counts of votes for none of the labels; without them panels
            are drawn from those who chose a label.
        crowd_scores: Shape (M, num_labels), scores for how the votes are spread; None if the model
            has none.

    Raises:
        ValueError: Shapes that do not fit, votes that are not counts, or one of the N pictures has
            no vote.
    """
    recalls = evaluation.recall_per_label
    tagger_recalls = compute_tagger_recalls(votes, labels, evaluation.label_names, other_votes)
    soft_cross_entropy, num_voted_pictures = estimate_soft_cross_entropy(all_scores, all_votes)
    pearson, spearman = estimate_entropy_correlation(all_scores, all_votes)
    fit = None
    if crowd_scores is not None:
        fit = VotesFit(
            estimate_soft_cross_entropy(crowd_scores, all_votes)[0],
            estimate_kl_divergence(crowd_scores, all_votes),
        )
    return CrowdComparison(
        tagger=compute_tagger(votes, labels, other_votes),
        tagger_recall_per_label=tagger_recalls,
        labels_above_tagger=[
            name for name in recalls if _is_above(recalls[name].value, tagger_recalls[name])
        ],
        labels_clearly_above_tagger=[
            name for name in recalls if _is_above(recalls[name].low, tagger_recalls[name])
        ],
        soft_cross_entropy=soft_cross_entropy,
        num_voted_pictures=num_voted_pictures,
        kl_divergence=estimate_kl_divergence(all_scores, all_votes),
        entropy_pearson=pearson,
        entropy_spearman=spearman,
        calibrated_on_votes=fit,
        panels=compare_with_panels(all_scores, all_votes, evaluation.label_names, all_other_votes),
    )


def measure_not_sure(
    scores: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str], not_sure: NotSure
) -> NotSureFigures:
    """Measure a checkpoint's thresholds on other pictures than those they were fitted on.

    Args:
        scores: Shape (N, num_labels), rows sum to 1.
        labels: Shape (N,), label ids.
        label_names: In the order of the columns.
        not_sure: The checkpoint's thresholds.

    Raises:
        ValueError: Arrays that do not fit together.
    """
    predictions = Predictions.check(scores, labels)
    answered = predictions.top_scores >= not_sure.threshold
    sets, each = not_sure.build_prediction_sets(predictions.scores), not_sure.conformal_thresholds
    return NotSureFigures(
        coverage=not_sure.coverage,
        answers=measure_selective_accuracy(scores, labels, not_sure.threshold),
        answered_per_label=estimate_shares(answered, predictions.labels, label_names),
        sets=measure_set_coverage(sets, labels, label_names),
        pooled_labels=None
        if each is None
        else [name for name, own in zip(label_names, each, strict=True) if own is None],
    )


def list_surest_mistakes(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    label_names: Sequence[str],
    most: int = NUM_MISTAKES,
) -> list[Mistake]:
    """List the wrong answers with the highest scores, the surest first.

    Args:
        scores: Shape (N, num_labels), rows sum to 1.
        labels: Shape (N,), label ids.
        label_names: In the order of the columns.
        most: How many at most.

    Raises:
        ValueError: Arrays that do not fit together.
    """
    found = Predictions.check(scores, labels)
    surest_first = np.argsort(-found.top_scores, kind="stable")
    return [
        Mistake(
            int(row),
            label_names[found.labels[row]],
            label_names[found.answers[row]],
            float(found.top_scores[row]),
        )
        for row in surest_first[~found.is_right[surest_first]][:most]
    ]


def _is_above(figure: float | None, other: float | None) -> bool:
    return figure is not None and other is not None and figure > other
