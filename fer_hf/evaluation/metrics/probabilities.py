"""What scores are worth as probabilities: NLL, Brier score, calibration error, reliability."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share
from fer_hf.evaluation.metrics.metric import Metric, sum_groups
from fer_hf.evaluation.metrics.predictions import Floats, Ints, Predictions, clip_scores

NUM_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """How often a classifier is right in each bin of its top score: a reliability diagram's data.

    Attributes:
        counts: Pictures in each of the bins of equal width, from the lowest top scores on.
        confidences: Mean top score in each bin, 0–1; None in an empty one.
        accuracies: Share of right answers in each bin; undefined in an empty one.
        ece: Expected calibration error over these bins, 0–1.
    """

    counts: list[int]
    confidences: list[float | None]
    accuracies: list[Estimate]
    ece: float


def compute_ece(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    num_bins: int = NUM_BINS,
    *,
    adaptive: bool = False,
) -> float:
    """Compute the expected calibration error: how far confidence is from accuracy, on average.

    Pictures fall into bins by their top score, each bin open below and closed above; the error is
    the mean over pictures of |accuracy − mean top score| of their bin.

    Sources: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
    equation 3; for adaptive bins Nixon, Dusenberry, Zhang, Jerfel, Tran, "Measuring Calibration in
    Deep Learning", CVPR Workshops 2019, here of the top score alone.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        num_bins: At least 1.
        adaptive: Bins of equally many pictures instead of equal width: a sure classifier has most
            pictures in one or two bins of equal width, which hides what goes wrong within them.
            Pictures with the same top score share a bin.

    Returns:
        The error in [0, 1]; 0 is perfect calibration.

    Raises:
        ValueError: The arrays do not fit together (see `evaluate_scores`).
    """
    predictions = Predictions.check(scores, labels)
    once = np.ones((1, len(predictions)))
    return float(_resample_ece(predictions, once, num_bins, adaptive=adaptive)[0])


def compute_reliability(
    scores: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS
) -> Reliability:
    """Compute the data of a reliability diagram: accuracy in each bin of `compute_ece`.

    Args and errors are those of `compute_ece`.
    """
    predictions = Predictions.check(scores, labels)
    bins = _find_bins(predictions.top_scores, num_bins)
    counts, tops, hits = (
        np.bincount(bins, weights=weights, minlength=num_bins).tolist()
        for weights in (None, predictions.top_scores, predictions.is_right)
    )
    return Reliability(
        counts=counts,
        confidences=[top / n if n else None for top, n in zip(tops, counts, strict=True)],
        accuracies=[estimate_share(int(h), n) for h, n in zip(hits, counts, strict=True)],
        ece=compute_ece(scores, labels, num_bins),
    )


def _find_bins(top_scores: Floats, num_bins: int, *, adaptive: bool = False) -> Ints:
    edges = np.linspace(0, 1, num_bins + 1)[1:-1]
    if adaptive:
        edges = np.quantile(top_scores, edges, method="inverted_cdf")
    return np.digitize(top_scores, edges, right=True)


def _resample_ece(
    predictions: Predictions, weights: Floats, num_bins: int = NUM_BINS, *, adaptive: bool
) -> Floats:
    bins = _find_bins(predictions.top_scores, num_bins, adaptive=adaptive)
    gaps = predictions.is_right - predictions.top_scores
    return np.abs(sum_groups(weights, bins, num_bins, gaps)).sum(axis=1) / weights.sum(axis=1)


def _compute_losses(predictions: Predictions) -> Floats:
    """Return −ln(score of the right label); a sure mistake costs 36 nats, as in scikit-learn."""
    return -np.log(clip_scores(predictions.true_scores))


def _compute_distances(predictions: Predictions) -> Floats:
    """Return the squared distance from the truth, summed over labels: 0.5 for two even chances.

    Source: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 1950.
    """
    truth = np.eye(predictions.num_labels)[predictions.labels]
    return np.square(predictions.scores - truth).sum(axis=1)


NLL = Metric("nll", "NLL, nats", "NLL", _compute_losses, highest=np.inf, higher_is_better=False)
BRIER = Metric(
    "brier",
    "Brier score",
    "Brier",
    _compute_distances,
    highest=2.0,
    higher_is_better=False,
    is_secondary=True,
)
ECE = Metric(
    "ece",
    "calibration error (ECE, 15 bins)",
    "ECE",
    resampled=partial(_resample_ece, adaptive=False),
    higher_is_better=False,
    is_biased=True,
)
ADAPTIVE_ECE = Metric(
    "adaptive_ece",
    "adaptive ECE",
    "ad. ECE",
    resampled=partial(_resample_ece, adaptive=True),
    higher_is_better=False,
    is_secondary=True,
    is_biased=True,
)
