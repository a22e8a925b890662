"""Accuracy, balanced accuracy and F1: what a confusion matrix says."""

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.metric import Metric, sum_groups
from fer_hf.evaluation.metrics.predictions import Floats, Predictions


def count_confusions(predictions: Predictions, weights: Floats) -> Floats:
    """Return the confusion matrix (R, C, C) of each resample; a row is a true label.

    Not scikit-learn's, which takes one resample at a time.
    """
    num_labels = predictions.num_labels
    cells = predictions.labels * num_labels + predictions.answers
    return sum_groups(weights, cells, num_labels**2).reshape(-1, num_labels, num_labels)


def compute_recall(matrices: npt.NDArray) -> Floats:
    """Return the recalls (..., C) of confusion matrices (..., C, C), NaN for an absent label."""
    return divide(matrices.diagonal(axis1=-2, axis2=-1), matrices.sum(axis=-1))


def compute_f1(matrices: npt.NDArray) -> Floats:
    """Return F1 (..., C) of confusion matrices (..., C, C), NaN for an absent label."""
    hits, support = matrices.diagonal(axis1=-2, axis2=-1), matrices.sum(axis=-1)
    return np.where(support > 0, divide(2 * hits, support + matrices.sum(axis=-2)), np.nan)


def divide(part: npt.NDArray, whole: npt.NDArray) -> Floats:
    """Return part / whole, NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


# Averages run over the labels that occur: a label without pictures has no recall, and counting it
# as 0 would make a figure depend on which labels a split happens to lack.
ACCURACY = Metric("accuracy", "accuracy", "acc.", lambda predictions: predictions.is_right)
BALANCED_ACCURACY = Metric(
    "balanced_accuracy",
    "balanced accuracy",
    "bal. acc.",
    resampled=lambda *given: np.nanmean(compute_recall(count_confusions(*given)), axis=1),
)
F1_MACRO = Metric(
    "f1_macro",
    "macro F1",
    "F1",
    resampled=lambda *given: np.nanmean(compute_f1(count_confusions(*given)), axis=1),
)
