"""Accuracy, balanced accuracy and F1: what a confusion matrix says."""

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.metric import Metric, build_mean_metric, sum_groups
from fer_hf.evaluation.metrics.predictions import Floats, Predictions


def count_confusions(predictions: Predictions, weights: Floats) -> Floats:
    """Return the confusion matrix of each resample, (R, C, C): rows are true labels.

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
def _average_recall(predictions: Predictions, weights: Floats) -> Floats:
    return np.nanmean(compute_recall(count_confusions(predictions, weights)), axis=1)


def _average_f1(predictions: Predictions, weights: Floats) -> Floats:
    return np.nanmean(compute_f1(count_confusions(predictions, weights)), axis=1)


ACCURACY = build_mean_metric("accuracy", "accuracy", lambda p: p.is_right, short_title="acc.")
BALANCED_ACCURACY = Metric(
    "balanced_accuracy", "balanced accuracy", _average_recall, short_title="bal. acc."
)
F1_MACRO = Metric("f1_macro", "macro F1", _average_f1, short_title="F1")
