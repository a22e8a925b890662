"""ROC-AUC of each label against the rest, with DeLong's intervals, and their mean."""

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.intervals import Estimate, estimate_normal
from fer_hf.evaluation.metrics.metric import Metric
from fer_hf.evaluation.metrics.predictions import Floats, Predictions


def estimate_aucs(predictions: Predictions) -> list[Estimate]:
    """Estimate the AUC of each label against the rest; an AUC of 1 or 0 shows no uncertainty.

    Source: DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated
    receiver operating characteristic curves", Biometrics 1988.
    """
    return [_estimate(*auc) for auc in _list_aucs(predictions)]


def _estimate_mean_auc(predictions: Predictions) -> Estimate:
    """Estimate the mean over the labels that have an AUC."""
    defined = [auc for auc in _list_aucs(predictions) if not np.isnan(auc[0])]
    aucs, influences = zip(*defined, strict=True) if defined else ([np.nan], [0.0])
    return _estimate(float(np.mean(aucs)), np.mean(influences, axis=0))


def _estimate(auc: float, influences: Floats) -> Estimate:
    return estimate_normal(auc, float(np.sqrt(np.square(influences).sum())), highest=1.0)


def _list_aucs(predictions: Predictions) -> list[tuple[float, Floats]]:
    columns = enumerate(predictions.scores.T)
    return [_compute_auc(column, predictions.labels == label) for label, column in columns]


def _compute_auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    """Return an AUC and each picture's influence on it, (N,); NaN and zeros if a side is empty.

    A picture's placement is the share of the other side that its score is on the right side of,
    ties counting half; the AUC is the mean placement of either side.
    """
    num_positive, num_negative = positive.sum(), (~positive).sum()
    if not num_positive or not num_negative:
        return np.nan, np.zeros(len(scores))
    below = _rank(scores)
    for side in (positive, ~positive):
        below[side] -= _rank(scores[side])
    placements = np.where(positive, below / num_negative, 1 - below / num_positive)
    auc = float(placements[positive].mean())
    return auc, (placements - auc) / np.where(positive, num_positive, num_negative)


def _rank(values: Floats) -> Floats:
    """Return the ranks of values (N,) from 1 on; equal ones share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


ROC_AUC_MACRO = Metric(
    "roc_auc_macro", "ROC-AUC, macro", "AUC", known=_estimate_mean_auc, is_secondary=True
)
