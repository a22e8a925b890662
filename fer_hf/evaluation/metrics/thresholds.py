"""Thresholds on scores: when to answer (selective prediction), what to name (conformal prediction).

They are promises about pictures to come, so they are fitted on pictures that training has not seen,
and measured on others. Functions take scores (N, C), whose rows sum to 1, and labels (N,), integers
in [0, C); they raise ValueError where these do not fit together (see `Predictions.check`), or where
a coverage is not above 0 and below 1.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.calibration import fit_crowd
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share, estimate_shares
from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.evaluation.metrics.predictions import Predictions


@dataclass(frozen=True)
class SelectiveAccuracy:
    """How a model does that answers only where its top score reaches a threshold.

    Attributes:
        threshold: The lowest top score that is answered, 0–1.
        coverage: Share of pictures that are answered.
        accuracy: Share of right answers among those; undefined where there are none.
    """

    threshold: float
    coverage: Estimate
    accuracy: Estimate


@dataclass(frozen=True)
class SetCoverage:
    """How often prediction sets hold the true label.

    Attributes:
        overall: Share of pictures whose set does.
        per_label: Label name to that share among its pictures; undefined without any.
        mean_size: Mean number of labels in a set.
        num_empty: Number of sets without a label.
    """

    overall: Estimate
    per_label: dict[str, Estimate]
    mean_size: float
    num_empty: int


def fit_not_sure(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    votes: npt.ArrayLike | None = None,
    coverage: float = 0.9,
) -> NotSure:
    """Fit what a checkpoint keeps, on pictures that training has not seen; never on test.

    `votes` are (N, C) counts of people's votes, or None.
    """
    crowd = None if votes is None else fit_crowd(scores, votes)
    threshold = fit_confidence_threshold(scores, labels, coverage)
    # An answer that the model is sure of belongs to its set; a lower threshold only adds to it.
    each = [
        None if own is None else min(own, threshold)
        for own in fit_conformal_thresholds(scores, labels, coverage)
    ]
    return NotSure(
        coverage=coverage,
        threshold=threshold,
        conformal_threshold=fit_conformal_threshold(scores, labels, coverage),
        crowd_temperature=crowd[0] if crowd else None,
        crowd_offsets=crowd[1].tolist() if crowd else None,
        conformal_thresholds=None if set(each) == {None} else each,
    )


def fit_confidence_threshold(
    scores: npt.ArrayLike, labels: npt.ArrayLike, coverage: float
) -> float:
    """Find the top score, 0–1, from which on a share of `coverage` of the pictures is answered.

    At least one picture is. Where pictures have the same top score, it may be more than that share.

    Source: selective classification by the softmax response, Geifman, El-Yaniv, "Selective
    Classification for Deep Neural Networks", NeurIPS 2017, here for a coverage instead of a risk.
    """
    predictions = Predictions.check(scores, labels)
    number = round(_check_share(coverage) * len(predictions))
    return float(np.sort(predictions.top_scores)[-max(number, 1)])


def measure_selective_accuracy(
    scores: npt.ArrayLike, labels: npt.ArrayLike, threshold: float
) -> SelectiveAccuracy:
    """Measure a model that answers only where its top score is `threshold` (0–1) or more."""
    predictions = Predictions.check(scores, labels)
    answered = predictions.top_scores >= threshold
    num_answered = int(answered.sum())
    return SelectiveAccuracy(
        threshold=threshold,
        coverage=estimate_share(num_answered, len(predictions)),
        accuracy=estimate_share(int((answered & predictions.is_right).sum()), num_answered),
    )


def fit_conformal_threshold(
    scores: npt.ArrayLike, labels: npt.ArrayLike, coverage: float = 0.9
) -> float:
    """Find the score from which on labels belong to a set that holds the true one often enough.

    Of pictures like these, a share of `coverage` or more have their true label in the set, whatever
    the model: split conformal prediction. That holds over all labels together; a rare one can be
    covered far less often (see `fit_conformal_thresholds`).

    Source: the least ambiguous sets of Sadinle, Lei, Wasserman, "Least Ambiguous Set-Valued
    Classifiers With Bounded Error Levels", JASA 2019, with the ⌈(n + 1)·coverage⌉-th smallest
    1 − score of the true label (Vovk et al., "Algorithmic Learning in a Random World", 2005).

    Returns:
        The lowest score in a set, 0–1; 0, every label, where there are too few pictures to promise
        more: 8 or less for 0.9.
    """
    true_scores = np.sort(Predictions.check(scores, labels).true_scores)
    rank = _find_rank(len(true_scores), coverage)
    return float(true_scores[-rank]) if rank <= len(true_scores) else 0.0


def fit_conformal_thresholds(
    scores: npt.ArrayLike, labels: npt.ArrayLike, coverage: float = 0.9
) -> list[float | None]:
    """Find a threshold for each label, so that each by itself is covered often enough.

    None for a label with so few pictures (see `count_needed`) that their single worst score would
    be the threshold, and the label in nearly every set: that keeps the promise, and says nothing.

    Source: label-conditional conformal prediction (Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012); the class-specific coverage of Sadinle et al. 2019.
    """
    found = Predictions.check(scores, labels)
    each = [found.true_scores[found.labels == label] for label in range(found.num_labels)]
    needed = count_needed(coverage)
    return [
        float(np.sort(true_scores)[-_find_rank(len(true_scores), coverage)])
        if len(true_scores) >= needed
        else None
        for true_scores in each
    ]


def count_needed(coverage: float) -> int:
    """Return how many pictures a label needs for a threshold of its own: 19 for 0.9.

    With fewer, none of them may be outside of its set, so that the worst one decides alone.
    """
    return next(n for n in itertools.count(1) if _find_rank(n, coverage) < n)


def measure_set_coverage(
    prediction_sets: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str]
) -> SetCoverage:
    """Measure how often sets hold the true label, in all and per label, with 95 % intervals.

    Args:
        prediction_sets: (N, C) from `not_sure.build_prediction_sets`, N ≥ 1.
        labels: (N,) integers in [0, C).
        label_names: The C names, in the order of the columns.

    Raises:
        ValueError: Shapes that do not fit together.
    """
    sets, label_ids = np.asarray(prediction_sets, dtype=bool), np.asarray(labels)
    if sets.shape != (len(label_ids), len(label_names)) or not len(sets):
        raise ValueError(
            f"Sets have shape {sets.shape}, expected ({len(label_ids)}, {len(label_names)}) for "
            "that many labels and names, and at least one row. Give one row of sets for each label."
        )
    held = sets[np.arange(len(sets)), label_ids]
    sizes = sets.sum(axis=1)
    return SetCoverage(
        overall=estimate_share(int(held.sum()), len(held)),
        per_label=estimate_shares(held, label_ids, label_names),
        mean_size=float(sizes.mean()),
        num_empty=int((sizes == 0).sum()),
    )


def _find_rank(num_pictures: int, coverage: float) -> int:
    return math.ceil((num_pictures + 1) * _check_share(coverage))


def _check_share(coverage: float) -> float:
    if not 0 < coverage < 1:
        raise ValueError(f"`coverage` is {coverage}, expected a share above 0 and below 1.")
    return coverage
