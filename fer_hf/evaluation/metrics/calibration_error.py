"""Calibration error, and the reliability diagram that shows it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share
from fer_hf.evaluation.metrics.metric import Metric, sum_groups
from fer_hf.evaluation.metrics.predictions import Floats, Ints, Predictions

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
    bins = _find_bins(predictions.top_scores, num_bins, adaptive=adaptive)
    return float(_average_gap(predictions, np.ones((1, len(predictions))), bins)[0])


def compute_reliability(
    scores: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS
) -> Reliability:
    """Compute what `plots.plot_reliability` draws: accuracy in each bin of `compute_ece`.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        num_bins: At least 1.

    Raises:
        ValueError: The arrays do not fit together (see `evaluate_scores`).
    """
    predictions = Predictions.check(scores, labels)
    once = np.ones((1, len(predictions)))
    bins = _find_bins(predictions.top_scores, num_bins, adaptive=False)
    counts, tops, hits = (
        sum_groups(once, bins, num_bins, values)[0]
        for values in (1.0, predictions.top_scores, predictions.is_right)
    )
    return Reliability(
        counts=counts.astype(int).tolist(),
        confidences=[float(t / n) if n else None for t, n in zip(tops, counts, strict=True)],
        accuracies=[estimate_share(int(h), int(n)) for h, n in zip(hits, counts, strict=True)],
        ece=float(_average_gap(predictions, once, bins)[0]),
    )


def _find_bins(top_scores: Floats, num_bins: int, *, adaptive: bool) -> Ints:
    edges = np.linspace(0, 1, num_bins + 1)[1:-1]
    if adaptive:
        edges = np.quantile(top_scores, edges, method="inverted_cdf")
    return np.digitize(top_scores, edges, right=True)


def _average_gap(predictions: Predictions, weights: Floats, bins: Ints) -> Floats:
    gaps = predictions.is_right - predictions.top_scores
    sums = sum_groups(weights, bins, int(bins.max()) + 1, gaps)
    return np.abs(sums).sum(axis=1) / weights.sum(axis=1)


def _compute_error(predictions: Predictions, weights: Floats, *, adaptive: bool) -> Floats:
    bins = _find_bins(predictions.top_scores, NUM_BINS, adaptive=adaptive)
    return _average_gap(predictions, weights, bins)


ECE = Metric(
    "ece",
    "calibration error (ECE, 15 bins)",
    lambda predictions, weights: _compute_error(predictions, weights, adaptive=False),
    short_title="ECE",
    higher_is_better=False,
    is_biased=True,
)
ADAPTIVE_ECE = Metric(
    "adaptive_ece",
    "adaptive ECE",
    lambda predictions, weights: _compute_error(predictions, weights, adaptive=True),
    higher_is_better=False,
    is_secondary=True,
    is_biased=True,
)
