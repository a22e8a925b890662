"""The figures of one split: scores and labels in, an `Evaluation` with 95 % intervals out.

Every other room reads these figures instead of computing its own, so that the Trainer's log, the
report, the model card and the comparison can never disagree about what a word means.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from fer_hf.evaluation.intervals import (
    NUM_RESAMPLES,
    Estimate,
    estimate_bootstrap,
    estimate_normal,
    estimate_share,
    resample_counts,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# How far a row of scores may be from summing to 1; a half-precision softmax stays within it.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Evaluation:
    """How good a classifier is on one split.

    Accuracies, precisions, recalls, F1 and ECE are in [0, 1]; `nll` is in nats per picture, at
    least 0. A label without pictures in the split has recall and F1 None; a label that was never
    predicted has precision None.

    Attributes:
        num_pictures: Number of pictures in the split.
        accuracy: Share of pictures whose top label is right.
        balanced_accuracy: Mean recall over the labels that occur in the split.
        f1_macro: Mean F1 over the labels that occur in the split.
        nll: Mean negative log-likelihood of the true label.
        ece: Expected calibration error in 15 bins.
        recall_per_label: Label name to recall.
        precision_per_label: Label name to precision.
        f1_per_label: Label name to F1.
        confusion_matrix: Counts; a row is a true label, a column a predicted one.
        support: Label name to its number of pictures.
        label_names: Names in the order of rows and columns.
    """

    num_pictures: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    f1_macro: Estimate
    nll: Estimate
    ece: Estimate
    recall_per_label: dict[str, Estimate]
    precision_per_label: dict[str, Estimate]
    f1_per_label: dict[str, Estimate]
    confusion_matrix: list[list[int]]
    support: dict[str, int]
    label_names: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write: numbers, names, None; never NaN."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Evaluation":
        """Rebuild an evaluation from what `to_dict` returned.

        Raises:
            KeyError: If a figure is missing.
            TypeError: If another field is missing, or one is unknown.
        """
        figures = ("accuracy", "balanced_accuracy", "f1_macro", "nll", "ece")
        per_label = ("recall_per_label", "precision_per_label", "f1_per_label")
        fields = dict(data)
        for name in figures:
            fields[name] = Estimate(**data[name])
        for name in per_label:
            fields[name] = {label: Estimate(**value) for label, value in data[name].items()}
        return cls(**fields)


def compute_softmax(logits: npt.ArrayLike) -> Floats:
    """Turn logits (..., C) of any float type into float64 scores that sum to 1 over C."""
    return softmax(np.asarray(logits, dtype=np.float64), axis=-1)


def compute_ece(scores: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = 15) -> float:
    """Compute the expected calibration error: how far confidence is from accuracy, on average.

    Pictures fall into `num_bins` bins of equal width by their top score, each bin open below and
    closed above; the error is the mean over pictures of |accuracy - mean top score| of their bin.

    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
    equation 3.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        num_bins: At least 1.

    Returns:
        The error in [0, 1]; 0 is perfect calibration.

    Raises:
        ValueError: If the arrays do not fit together (see `evaluate_scores`).
    """
    checked, label_ids = _check_scores(scores, labels)
    bins, gaps = _bin_pictures(checked, label_ids, num_bins)
    return _average_bin_gaps(bins, gaps)


def compute_metrics(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """Compute the five figures of a split without intervals, fast enough for every epoch.

    Averages run over the labels that occur in `labels`: a label without pictures has no recall, and
    counting it as 0 would make a figure depend on which labels a split happens to lack. NLL equals
    `sklearn.metrics.log_loss`: scores are clipped at 2.2e-16, so a sure mistake costs 36 nats.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).

    Returns:
        `accuracy`, `balanced_accuracy`, `f1_macro`, `nll`, `ece`; ranges as in `Evaluation`.

    Raises:
        ValueError: If the arrays do not fit together (see `evaluate_scores`).
    """
    checked, label_ids = _check_scores(scores, labels)
    predicted = checked.argmax(axis=1)
    # Naming the labels and the value of 0/0 leaves scikit-learn nothing to warn about.
    over_labels = {"labels": np.unique(label_ids), "average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(label_ids, predicted)),
        "balanced_accuracy": float(recall_score(label_ids, predicted, **over_labels)),
        "f1_macro": float(f1_score(label_ids, predicted, **over_labels)),
        "nll": float(_compute_losses(checked, label_ids).mean()),
        "ece": compute_ece(checked, label_ids),
    }


def evaluate_scores(
    scores: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str], seed: int = 0
) -> Evaluation:
    """Measure scores against labels, every figure with a 95 % interval over the choice of pictures.

    Accuracy, recall and precision are shares of counts and take Wilson's interval. Balanced
    accuracy and F1 take the bootstrap over pictures, 1,000 resamples. NLL is a mean and takes the
    normal interval. ECE takes its value ± 1.96 bootstrap standard errors: resampling itself adds
    calibration error, so percentiles would lie above the value.

    Args:
        scores: (N, C), rows sum to 1 within 0.001.
        labels: (N,) integers in [0, C).
        label_names: The C names, in the order of the columns.
        seed: Seeds the bootstrap; the same input gives the same intervals.

    Returns:
        The figures of the split.

    Raises:
        ValueError: If there are no rows, shapes do not fit, a score is not finite or negative, a
            row does not sum to 1, a label is out of range, or names do not match the columns.
    """
    checked, label_ids = _check_scores(scores, labels)
    names = _check_label_names(label_names, checked.shape[1])
    rng = np.random.default_rng(seed)
    figures = compute_metrics(checked, label_ids)

    matrix = confusion_matrix(label_ids, checked.argmax(axis=1), labels=range(len(names)))
    hits, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = _compute_recall_and_f1(matrix)[1]
    recall_draws, f1_draws = _compute_recall_and_f1(resample_counts(matrix, rng))

    bins, gaps = _bin_pictures(checked, label_ids)
    picks = (rng.integers(len(bins), size=len(bins)) for _ in range(NUM_RESAMPLES))
    ece_draws = [_average_bin_gaps(bins[pick], gaps[pick]) for pick in picks]
    losses = _compute_losses(checked, label_ids)
    return Evaluation(
        num_pictures=len(label_ids),
        accuracy=estimate_share(int(hits.sum()), len(label_ids)),
        balanced_accuracy=estimate_bootstrap(
            figures["balanced_accuracy"], np.nanmean(recall_draws, axis=1)
        ),
        f1_macro=estimate_bootstrap(figures["f1_macro"], np.nanmean(f1_draws, axis=1)),
        nll=estimate_normal(figures["nll"], float(losses.std() / np.sqrt(len(losses)))),
        ece=estimate_normal(figures["ece"], float(np.std(ece_draws)), highest=1.0),
        recall_per_label={
            name: estimate_share(int(hits[i]), int(support[i])) for i, name in enumerate(names)
        },
        precision_per_label={
            name: estimate_share(int(hits[i]), int(predicted[i])) for i, name in enumerate(names)
        },
        f1_per_label={
            name: estimate_bootstrap(float(f1[i]), f1_draws[:, i]) for i, name in enumerate(names)
        },
        confusion_matrix=matrix.tolist(),
        support={name: int(support[i]) for i, name in enumerate(names)},
        label_names=names,
    )


def _compute_losses(scores: Floats, labels: Ints) -> Floats:
    """Return the (N,) losses -ln(score of the true label), clipped where `log_loss` clips."""
    true_scores = scores[np.arange(len(labels)), labels]
    return -np.log(true_scores.clip(np.finfo(np.float64).eps, 1.0))


def _bin_pictures(scores: Floats, labels: Ints, num_bins: int = 15) -> tuple[Ints, Floats]:
    """Return per picture the bin of its top score, and right (0 or 1) minus that score."""
    top = scores.max(axis=1)
    bins = np.digitize(top, np.linspace(0, 1, num_bins + 1)[1:-1], right=True)
    return bins, (scores.argmax(axis=1) == labels) - top


def _average_bin_gaps(bins: Ints, gaps: Floats) -> float:
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(bins))


def _compute_recall_and_f1(matrices: Ints) -> tuple[Floats, Floats]:
    """Return recall and F1 (..., C) of matrices (..., C, C), NaN for an absent label."""
    hits = matrices.diagonal(axis1=-2, axis2=-1).astype(np.float64)
    support, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    occurs = support > 0
    recall, f1 = np.full_like(hits, np.nan), np.full_like(hits, np.nan)
    np.divide(hits, support, out=recall, where=occurs)
    np.divide(2 * hits, support + predicted, out=f1, where=occurs)
    return recall, f1


def _check_scores(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Return scores as float64 rows that sum to exactly 1, and labels as integers, or refuse."""
    checked, label_ids = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if checked.ndim != 2 or checked.shape[1] < 2 or label_ids.shape != checked.shape[:1]:
        raise ValueError(
            f"Found `scores` of shape {checked.shape} and `labels` of shape {label_ids.shape}, "
            "expected (N, C) with C of 2 or more, and (N,). Give one row of scores for each label."
        )
    if len(checked) == 0:
        raise ValueError(
            "Found no rows in `scores`, expected at least one. Check that the split has pictures."
        )
    if not np.isfinite(checked).all():
        row = int(np.flatnonzero(~np.isfinite(checked).all(axis=1))[0])
        raise ValueError(
            f"Found {checked[row].tolist()} in row {row} of `scores`, expected finite numbers. "
            "The training has diverged: lower the learning rate, or train in fp32."
        )
    sums = checked.sum(axis=1)
    wrong = (checked < 0).any(axis=1) | (np.abs(sums - 1) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"Row {row} of `scores` sums to {sums[row]:.4g} with a lowest score of "
            f"{checked[row].min():.4g}, expected scores of 0 or more that sum to 1. "
            "Give scores, not logits: call `compute_softmax(logits)` first."
        )
    if not np.issubdtype(label_ids.dtype, np.integer):
        raise ValueError(
            f"Found `labels` of type {label_ids.dtype}, expected integers. "
            "Give label ids, not names."
        )
    outside = (label_ids < 0) | (label_ids >= checked.shape[1])
    if outside.any():
        raise ValueError(
            f"Found label {int(label_ids[outside][0])} in `labels`, expected 0 to "
            f"{checked.shape[1] - 1} for {checked.shape[1]} columns of scores. "
            "Evaluate with the label names the model was trained with."
        )
    return checked / sums[:, None], label_ids.astype(np.int64)


def _check_label_names(label_names: Sequence[str], num_labels: int) -> list[str]:
    names = list(label_names)
    if len(names) != num_labels or len(set(names)) != num_labels:
        raise ValueError(
            f"Found label names {names!r} for {num_labels} columns of scores, expected one "
            "distinct name for each column. Pass the names in the order of the model's `id2label`."
        )
    return names
