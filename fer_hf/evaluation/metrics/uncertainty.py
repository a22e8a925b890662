"""How a model comes to know when it is not sure: thresholds are fitted here, and measured.

A room of its own because these are promises about pictures to come: they are fitted on pictures
that training has not seen, and measured on others.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.calibration import fit_crowd
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share, estimate_shares
from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.evaluation.metrics.predictions import Floats, Predictions


@dataclass(frozen=True)
class Answers:
    """How a model does that answers only where its top score reaches a threshold.

    Attributes:
        threshold: The lowest top score that is answered, 0–1.
        coverage: Share of pictures that are answered.
        accuracy: Share of right ones among the answered; undefined where none is.
    """

    threshold: float
    coverage: Estimate
    accuracy: Estimate


@dataclass(frozen=True)
class Coverage:
    """How often sets of labels hold the true one.

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

    Args:
        scores: (N, C), rows sum to 1, as the checkpoint gives them.
        labels: (N,) integers in [0, C).
        votes: (N, C) counts of people's votes, or None.
        coverage: Above 0, below 1.

    Raises:
        ValueError: Arrays that do not fit together, or `coverage` out of its range.
    """
    (answers,) = fit_confidence_thresholds(scores, labels, [coverage])
    crowd = None if votes is None else fit_crowd(scores, votes)
    return NotSure(
        coverage=coverage,
        threshold=answers.threshold,
        conformal_threshold=fit_conformal_threshold(scores, labels, coverage),
        crowd_temperature=crowd[0] if crowd else None,
        crowd_offsets=crowd[1].tolist() if crowd else None,
    )


def fit_confidence_thresholds(
    scores: npt.ArrayLike, labels: npt.ArrayLike, coverages: Iterable[float]
) -> list[Answers]:
    """Find the threshold on the top score at which a share of the pictures is answered.

    Source: selective classification by the softmax response, Geifman, El-Yaniv, "Selective
    Classification for Deep Neural Networks", NeurIPS 2017, here for a coverage instead of a risk.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        coverages: Shares of pictures to answer, each above 0, below 1; at least one is answered.

    Returns:
        For each coverage the threshold, and what it gives on these pictures. Where pictures have
        the same top score, more than the share may be answered.

    Raises:
        ValueError: Arrays that do not fit together, or a coverage out of its range.
    """
    predictions = Predictions.check(scores, labels)
    surest_first = np.sort(predictions.top_scores)[::-1]
    numbers = [round(_check_share(coverage) * len(predictions)) for coverage in coverages]
    thresholds = [float(surest_first[max(number, 1) - 1]) for number in numbers]
    return [measure_answers(scores, labels, threshold) for threshold in thresholds]


def measure_answers(scores: npt.ArrayLike, labels: npt.ArrayLike, threshold: float) -> Answers:
    """Measure a model that answers only where its top score is `threshold` or more.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        threshold: 0–1.

    Raises:
        ValueError: Arrays that do not fit together.
    """
    predictions = Predictions.check(scores, labels)
    answered = predictions.top_scores >= threshold
    num_answered = int(answered.sum())
    num_right = int((answered & predictions.is_right).sum())
    return Answers(
        threshold=threshold,
        coverage=estimate_share(num_answered, len(predictions)),
        accuracy=estimate_share(num_right, num_answered),
    )


def fit_conformal_threshold(
    scores: npt.ArrayLike, labels: npt.ArrayLike, coverage: float = 0.9
) -> float:
    """Find the score from which on labels belong to a set that holds the true one often enough.

    Of pictures like these ones, a share of `coverage` or more have their true label in the set,
    whatever the model: split conformal prediction. That holds over all labels together; a rare one
    can be covered far less often (see `fit_conformal_thresholds`).

    Source: the least ambiguous sets of Sadinle, Lei, Wasserman, "Least Ambiguous Set-Valued
    Classifiers With Bounded Error Levels", JASA 2019, with the ⌈(n + 1)·coverage⌉-th smallest
    1 − score of the true label (Vovk et al., "Algorithmic Learning in a Random World", 2005).

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        coverage: Above 0, below 1.

    Returns:
        The lowest score in a set, 0–1; 0, every label, where there are too few pictures to promise
        more: fewer than coverage / (1 − coverage).

    Raises:
        ValueError: Arrays that do not fit together, or `coverage` out of its range.
    """
    return _find_conformal_threshold(Predictions.check(scores, labels).true_scores, coverage)


def fit_conformal_thresholds(
    scores: npt.ArrayLike, labels: npt.ArrayLike, coverage: float = 0.9
) -> Floats:
    """Find a threshold for each label, so that every label is covered often enough by itself.

    Source: label-conditional conformal prediction (Vovk, "Conditional validity of inductive
    conformal predictors", ACML 2012); the class-specific coverage of Sadinle et al. 2019.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        coverage: Above 0, below 1.

    Returns:
        (C,) lowest scores; 0 for a label with too few pictures: it is in every set.

    Raises:
        ValueError: Arrays that do not fit together, or `coverage` out of its range.
    """
    found = Predictions.check(scores, labels)
    each = [found.true_scores[found.labels == label] for label in range(found.num_labels)]
    return np.array([_find_conformal_threshold(true_scores, coverage) for true_scores in each])


def measure_coverage(
    prediction_sets: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str]
) -> Coverage:
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
    return Coverage(
        overall=estimate_share(int(held.sum()), len(held)),
        per_label=estimate_shares(held, label_ids, label_names),
        mean_size=float(sizes.mean()),
        num_empty=int((sizes == 0).sum()),
    )


def _find_conformal_threshold(true_scores: Floats, coverage: float) -> float:
    rank = math.ceil((len(true_scores) + 1) * _check_share(coverage))
    return float(np.sort(true_scores)[-rank]) if rank <= len(true_scores) else 0.0


def _check_share(coverage: float) -> float:
    if not 0 < coverage < 1:
        raise ValueError(f"`coverage` is {coverage}, expected a share above 0 and below 1.")
    return coverage
