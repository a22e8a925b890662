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
from scipy.stats import rankdata

from fer_hf.evaluation.metrics.intervals import (
    NUM_RESAMPLES,
    UNDEFINED,
    Estimate,
    estimate_bootstrap,
    estimate_normal,
    estimate_share,
    resample_counts,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUM_BINS = 15
# How far a row of scores may be from summing to 1; a half-precision softmax stays within it.
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Evaluation:
    """How good a classifier is on one split.

    Accuracies, precisions, recalls, F1, calibration errors and AUCs are in [0, 1]; `nll` is in nats
    per picture, at least 0; `brier` is in [0, 2]. A label without pictures in the split has recall,
    F1 and AUC None; a label that was never predicted has precision None. Calibration figures and
    AUCs that a report from before they were measured lacks are None, too.

    Attributes:
        num_pictures: Number of pictures in the split.
        accuracy: Share of pictures whose top label is right.
        balanced_accuracy: Mean recall over the labels that occur in the split.
        f1_macro: Mean F1 over the labels that occur in the split.
        nll: Mean negative log-likelihood of the true label.
        ece: Expected calibration error in 15 bins of equal width.
        adaptive_ece: The same in 15 bins of equally many pictures.
        brier: Mean squared distance of the scores from the truth, summed over labels.
        roc_auc_macro: Mean AUC over the labels that have one.
        recall_per_label: Label name to recall.
        precision_per_label: Label name to precision.
        f1_per_label: Label name to F1.
        roc_auc_per_label: Label name to the area under its ROC curve against the other labels.
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
    adaptive_ece: Estimate
    brier: Estimate
    roc_auc_macro: Estimate
    recall_per_label: dict[str, Estimate]
    precision_per_label: dict[str, Estimate]
    f1_per_label: dict[str, Estimate]
    roc_auc_per_label: dict[str, Estimate]
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
            KeyError: If a figure or the label names are missing.
            TypeError: If another field is missing, or one is unknown.
        """
        later = ("adaptive_ece", "brier", "roc_auc_macro")
        figures = ("accuracy", "balanced_accuracy", "f1_macro", "nll", "ece", *later)
        per_label = ("recall_per_label", "precision_per_label", "f1_per_label", "roc_auc_per_label")
        unmeasured = asdict(UNDEFINED)
        fields = {
            **dict.fromkeys(later, unmeasured),
            "roc_auc_per_label": dict.fromkeys(data["label_names"], unmeasured),
            **data,
        }
        for name in figures:
            fields[name] = Estimate(**fields[name])
        for name in per_label:
            fields[name] = {label: Estimate(**value) for label, value in fields[name].items()}
        return cls(**fields)


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


def compute_softmax(logits: npt.ArrayLike) -> Floats:
    """Turn logits (..., C) of any float type into float64 scores that sum to 1 over C."""
    return softmax(np.asarray(logits, dtype=np.float64), axis=-1)


def compute_ece(scores: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS) -> float:
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
    top, right = _find_answers(*check_scores(scores, labels))
    return _average_bin_gaps(_bin_by_width(top, num_bins), right - top)


def compute_adaptive_ece(
    scores: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS
) -> float:
    """Compute the calibration error in bins of equally many pictures instead of equal width.

    A sure classifier has most pictures in one or two bins of equal width, which hides what goes
    wrong within them. Pictures with the same top score are in the same bin.

    Source: the adaptive ranges of Nixon, Dusenberry, Zhang, Jerfel, Tran, "Measuring Calibration in
    Deep Learning", CVPR Workshops 2019, of the top score alone as in the ECE.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        num_bins: At least 1.

    Returns:
        The error in [0, 1]; 0 is perfect calibration.

    Raises:
        ValueError: If the arrays do not fit together (see `evaluate_scores`).
    """
    top, right = _find_answers(*check_scores(scores, labels))
    return _average_bin_gaps(_bin_by_mass(top, num_bins), right - top)


def compute_reliability(
    scores: npt.ArrayLike, labels: npt.ArrayLike, num_bins: int = NUM_BINS
) -> Reliability:
    """Compute what `plots.plot_reliability` draws: accuracy in each bin of `compute_ece`.

    Args:
        scores: (N, C), rows sum to 1.
        labels: (N,) integers in [0, C).
        num_bins: At least 1.

    Raises:
        ValueError: If the arrays do not fit together (see `evaluate_scores`).
    """
    top, right = _find_answers(*check_scores(scores, labels))
    bins = _bin_by_width(top, num_bins)
    counts, tops, hits = (
        np.bincount(bins, weights=weights, minlength=num_bins) for weights in (None, top, right)
    )
    return Reliability(
        counts=counts.astype(int).tolist(),
        confidences=[float(t / n) if n else None for t, n in zip(tops, counts, strict=True)],
        accuracies=[estimate_share(int(h), int(n)) for h, n in zip(hits, counts, strict=True)],
        ece=_average_bin_gaps(bins, right - top),
    )


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
    checked, label_ids = check_scores(scores, labels)
    matrix = _count_confusions(checked, label_ids)
    recall, f1 = _compute_recall_and_f1(matrix)
    return {
        "accuracy": float(matrix.trace() / len(label_ids)),
        "balanced_accuracy": float(np.nanmean(recall)),
        "f1_macro": float(np.nanmean(f1)),
        "nll": float(_compute_losses(checked, label_ids).mean()),
        "ece": compute_ece(checked, label_ids),
    }


def evaluate_scores(
    scores: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str], seed: int = 0
) -> Evaluation:
    """Measure scores against labels, every figure with a 95 % interval over the choice of pictures.

    Accuracy, recall and precision are shares of counts and take Wilson's interval. Balanced
    accuracy and F1 take the bootstrap over pictures, 1,000 resamples. NLL and the Brier score are
    means and take the normal interval. Calibration errors take their value ± 1.96 bootstrap
    standard errors: resampling itself adds calibration error, so percentiles would lie above the
    value. AUCs take DeLong's standard error; an AUC of 1 or 0 has none to show.

    Sources: Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
    Review 1950, with its sum over labels (even chances of two score 0.5). DeLong, DeLong,
    Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 1988.

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
    checked, label_ids = check_scores(scores, labels)
    names = _check_label_names(label_names, checked.shape[1])
    rng = np.random.default_rng(seed)
    figures = compute_metrics(checked, label_ids)

    matrix = _count_confusions(checked, label_ids)
    hits, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = _compute_recall_and_f1(matrix)[1]
    recall_draws, f1_draws = _compute_recall_and_f1(resample_counts(matrix, rng))

    top, right = _find_answers(checked, label_ids)
    gaps, widths, masses = right - top, _bin_by_width(top, NUM_BINS), _bin_by_mass(top, NUM_BINS)
    picks = (rng.integers(len(gaps), size=len(gaps)) for _ in range(NUM_RESAMPLES))
    ece_draws = [
        [_average_bin_gaps(bins[pick], gaps[pick]) for bins in (widths, masses)] for pick in picks
    ]
    ece_error, adaptive_ece_error = np.std(ece_draws, axis=0)
    distances = np.square(checked - np.eye(len(names))[label_ids]).sum(axis=1)
    aucs = _estimate_aucs(checked, label_ids)
    return Evaluation(
        num_pictures=len(label_ids),
        accuracy=estimate_share(int(hits.sum()), len(label_ids)),
        balanced_accuracy=estimate_bootstrap(
            figures["balanced_accuracy"], np.nanmean(recall_draws, axis=1)
        ),
        f1_macro=estimate_bootstrap(figures["f1_macro"], np.nanmean(f1_draws, axis=1)),
        nll=_estimate_mean(_compute_losses(checked, label_ids)),
        ece=estimate_normal(figures["ece"], float(ece_error), highest=1.0),
        adaptive_ece=estimate_normal(
            _average_bin_gaps(masses, gaps), float(adaptive_ece_error), highest=1.0
        ),
        brier=_estimate_mean(distances, highest=2.0),
        roc_auc_macro=aucs.pop(),
        recall_per_label={
            name: estimate_share(int(hits[i]), int(support[i])) for i, name in enumerate(names)
        },
        precision_per_label={
            name: estimate_share(int(hits[i]), int(predicted[i])) for i, name in enumerate(names)
        },
        f1_per_label={
            name: estimate_bootstrap(float(f1[i]), f1_draws[:, i]) for i, name in enumerate(names)
        },
        roc_auc_per_label=dict(zip(names, aucs, strict=True)),
        confusion_matrix=matrix.tolist(),
        support={name: int(support[i]) for i, name in enumerate(names)},
        label_names=names,
    )


def _compute_losses(scores: Floats, labels: Ints) -> Floats:
    """Return the (N,) losses -ln(score of the true label), clipped where `log_loss` clips."""
    true_scores = scores[np.arange(len(labels)), labels]
    return -np.log(true_scores.clip(np.finfo(np.float64).eps, 1.0))


def _estimate_mean(values: Floats, highest: float = np.inf) -> Estimate:
    return estimate_normal(
        float(values.mean()), float(values.std() / np.sqrt(len(values))), highest
    )


def _find_answers(scores: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Return each picture's top score, and whether it is that of the true label (0 or 1)."""
    return scores.max(axis=1), (scores.argmax(axis=1) == labels).astype(np.float64)


def _bin_by_width(top: Floats, num_bins: int) -> Ints:
    return np.digitize(top, np.linspace(0, 1, num_bins + 1)[1:-1], right=True)


def _bin_by_mass(top: Floats, num_bins: int) -> Ints:
    edges = np.quantile(top, np.linspace(0, 1, num_bins + 1)[1:-1], method="inverted_cdf")
    return np.digitize(top, edges, right=True)


def _average_bin_gaps(bins: Ints, gaps: Floats) -> float:
    return float(np.abs(np.bincount(bins, weights=gaps)).sum() / len(bins))


def _estimate_aucs(scores: Floats, labels: Ints) -> list[Estimate]:
    """Estimate the AUC of each label against the rest, and last their mean."""
    each = [_compute_auc(column, labels == label) for label, column in enumerate(scores.T)]
    defined = [(auc, influences) for auc, influences in each if not np.isnan(auc)]
    if not defined:
        return [UNDEFINED] * (len(each) + 1)
    aucs, influences = zip(*defined, strict=True)
    each.append((float(np.mean(aucs)), np.mean(influences, axis=0)))
    return [
        UNDEFINED
        if np.isnan(auc)
        else estimate_normal(auc, float(np.sqrt(np.square(influences).sum())), highest=1.0)
        for auc, influences in each
    ]


def _compute_auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float, Floats]:
    """Return an AUC and each picture's influence on it, (N,); NaN and zeros if a side is empty.

    A picture's placement is the share of the other side that its score is on the right side of,
    ties counting half; the AUC is the mean placement of either side.
    """
    num_positive, num_negative = positive.sum(), (~positive).sum()
    if not num_positive or not num_negative:
        return np.nan, np.zeros(len(scores))
    below = rankdata(scores)
    for side in (positive, ~positive):
        below[side] -= rankdata(scores[side])
    placements = np.where(positive, below / num_negative, 1 - below / num_positive)
    auc = float(placements[positive].mean())
    return auc, (placements - auc) / np.where(positive, num_positive, num_negative)


def _count_confusions(scores: Floats, labels: Ints) -> Ints:
    """Return the confusion matrix (C, C); a row is a true label, a column a predicted one.

    Not scikit-learn's: importing that takes half a second, and a run logs this at every epoch.
    """
    num_labels = scores.shape[1]
    cells = labels * num_labels + scores.argmax(axis=1)
    return np.bincount(cells, minlength=num_labels**2).reshape(num_labels, num_labels)


def _compute_recall_and_f1(matrices: Ints) -> tuple[Floats, Floats]:
    """Return recall and F1 (..., C) of matrices (..., C, C), NaN for an absent label."""
    hits = matrices.diagonal(axis1=-2, axis2=-1).astype(np.float64)
    support, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    occurs = support > 0
    recall, f1 = np.full_like(hits, np.nan), np.full_like(hits, np.nan)
    np.divide(hits, support, out=recall, where=occurs)
    np.divide(2 * hits, support + predicted, out=f1, where=occurs)
    return recall, f1


def check_scores(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Ints]:
    """Return scores (N, C) as float64 rows that sum to 1, and labels (N,) as int64.

    Raises:
        ValueError: As for `evaluate_scores`.
    """
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
