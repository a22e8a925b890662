"""Label issues by confident learning: where a model is sure of another label.

It needs nothing but labels and scores, whatever gave them; but the scores must come from models
that had not seen the picture, or they repeat its label.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.predictions import Ints, Predictions


@dataclass(frozen=True)
class LabelIssues:
    """Labels that are likely to be wrong.

    Attributes:
        rows: (M,), the clearest issue first.
        suggested: (M,), the label that the scores suggest instead.
    """

    rows: Ints
    suggested: Ints


def find_label_issues(scores: npt.ArrayLike, labels: npt.ArrayLike) -> LabelIssues:
    """Find labels that are likely to be wrong.

    A picture's likely label is the one with the highest score among those that reach their
    threshold; the threshold of a label is its mean score on the pictures that bear it, so that a
    model that is never sure of fear is not asked to be. A given label is an issue where another one
    is likely and scores higher; the wider the gap between the two scores, the clearer.

    Source: Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset
    Labels", JAIR 2021 (arXiv:1911.00068): the off-diagonal of the confident joint (equations 1 and
    2), ranked by the margin. Their estimate of how many labels are wrong is left out: with the few
    rare pictures of this field it says more about the model than about the labels.

    Args:
        scores: (N, C), rows sum to 1; of each picture by a model that had not seen it.
        labels: (N,) integers in [0, C), as given.

    Raises:
        ValueError: If the arrays do not fit together (see `metrics.evaluate_scores`).
    """
    predictions = Predictions.check(scores, labels)
    checked, given = predictions.scores, predictions.labels
    num_labels = predictions.num_labels
    present = np.unique(given)
    thresholds = np.full(num_labels, np.inf)  # what nobody was labelled with is never likely
    thresholds[present] = [checked[given == label, label].mean() for label in present]

    sure = np.where(checked >= thresholds, checked, -1.0)
    likely = np.where(sure.max(axis=1) >= 0, sure.argmax(axis=1), given)
    margins = checked[np.arange(len(given)), likely] - checked[np.arange(len(given)), given]
    rows = np.flatnonzero((likely != given) & (margins > 0))
    rows = rows[np.argsort(-margins[rows], kind="stable")]
    return LabelIssues(rows, likely[rows])
