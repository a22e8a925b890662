"""NLL and Brier score: how much weight the scores give to the right label, whatever the answer."""

import numpy as np

from fer_hf.evaluation.metrics.metric import build_mean_metric
from fer_hf.evaluation.metrics.predictions import Floats, Predictions


def _compute_losses(predictions: Predictions) -> Floats:
    """Return −ln(score of the right label); a sure mistake costs 36 nats, as in scikit-learn."""
    return -np.log(predictions.true_scores.clip(np.finfo(np.float64).eps, 1.0))


def _compute_distances(predictions: Predictions) -> Floats:
    """Return the squared distance from the truth, summed over labels: 0.5 for two even chances.

    Source: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 1950.
    """
    truth = np.eye(predictions.num_labels)[predictions.labels]
    return np.square(predictions.scores - truth).sum(axis=1)


NLL = build_mean_metric(
    "nll",
    "NLL, nats",
    _compute_losses,
    short_title="NLL",
    highest=np.inf,
    higher_is_better=False,
)
BRIER = build_mean_metric(
    "brier",
    "Brier score",
    _compute_distances,
    highest=2.0,
    higher_is_better=False,
    is_secondary=True,
)
