"""A classifier's scores beside the right labels: checked once, and read by every metric."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# How far a row of scores may be from summing to 1; a half-precision softmax stays within it.
SUM_TOLERANCE = 1e-3


def compute_softmax(logits: npt.ArrayLike) -> Floats:
    """Turn logits (..., C) of any float type into float64 scores that sum to 1 over C."""
    return np.exp(compute_log_softmax(logits))


def compute_log_softmax(logits: npt.ArrayLike) -> Floats:
    """Return the logarithm of `compute_softmax`, which is finite even where that is 0."""
    values = np.asarray(logits, dtype=np.float64)
    below = values - values.max(axis=-1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Predictions:
    """Scores and labels that fit together; make them with `Predictions.check`.

    Attributes:
        scores: (N, C), N ≥ 1 and C ≥ 2; rows sum to 1.
        labels: (N,) right label ids in [0, C).
        answers: (N,) labels with the top scores.
        is_right: (N,) whether these are the right ones.
        top_scores: (N,) scores of the answers.
        true_scores: (N,) scores of the right labels.
    """

    scores: Floats
    labels: Ints
    answers: Ints
    is_right: npt.NDArray[np.bool_]
    top_scores: Floats
    true_scores: Floats

    @classmethod
    def check(cls, scores: npt.ArrayLike, labels: npt.ArrayLike) -> "Predictions":
        """Check scores (N, C) of any float type, whose rows are scaled to sum to 1, and labels.

        Raises:
            ValueError: There are no rows, shapes do not fit, a score is not finite or is negative,
                a row is more than 0.001 from summing to 1, or a label is out of range.
        """
        values, label_ids = np.asarray(scores, dtype=np.float64), np.asarray(labels)
        if values.ndim != 2 or values.shape[1] < 2 or label_ids.shape != values.shape[:1]:
            raise ValueError(
                f"Found `scores` of shape {values.shape} and `labels` of shape {label_ids.shape}, "
                "expected (N, C) with C of 2 or more, and (N,). Give one row of scores for each "
                "label."
            )
        if len(values) == 0:
            raise ValueError(
                "Found no rows in `scores`, expected at least one. Check that the split has "
                "pictures."
            )
        _check_rows(values)
        if not np.issubdtype(label_ids.dtype, np.integer):
            raise ValueError(
                f"Found `labels` of type {label_ids.dtype}, expected integers. "
                "Give label ids, not names."
            )
        outside = (label_ids < 0) | (label_ids >= values.shape[1])
        if outside.any():
            raise ValueError(
                f"Found label {int(label_ids[outside][0])} in `labels`, expected 0 to "
                f"{values.shape[1] - 1} for {values.shape[1]} columns of scores. "
                "Evaluate with the label names the model was trained with."
            )
        values, label_ids = values / values.sum(axis=1, keepdims=True), label_ids.astype(np.int64)
        answers = values.argmax(axis=1)
        true_scores = values[np.arange(len(values)), label_ids]
        return cls(
            values, label_ids, answers, answers == label_ids, values.max(axis=1), true_scores
        )

    def __len__(self) -> int:
        """Return the number of pictures, N."""
        return len(self.labels)

    @property
    def num_labels(self) -> int:
        """The number of labels, C."""
        return self.scores.shape[1]


def match_votes(scores: npt.ArrayLike, votes: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the scores and the shares of the votes of all rows that have a vote, (M, C) each.

    Scores are clipped at 2.2e-16, as for the NLL, so that their logarithm is finite.

    Args:
        scores: (N, C), rows sum to 1.
        votes: (N, C) counts in the same order of labels.

    Raises:
        ValueError: The shapes differ.
    """
    scores, votes = np.asarray(scores, dtype=np.float64), np.asarray(votes, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != votes.shape:
        raise ValueError(
            f"Scores have shape {scores.shape} and votes {votes.shape}, expected a vote count for "
            "each score. Put the votes into the order of the scores' labels."
        )
    total = votes.sum(axis=1)
    voted = total > 0
    return clip_scores(scores[voted]), votes[voted] / total[voted, None]


def clip_scores(scores: Floats) -> Floats:
    """Clip scores at 2.2e-16, where `sklearn.metrics.log_loss` does."""
    return scores.clip(np.finfo(np.float64).eps, 1.0)


def _check_rows(scores: Floats) -> None:
    if not np.isfinite(scores).all():
        row = int(np.flatnonzero(~np.isfinite(scores).all(axis=1))[0])
        raise ValueError(
            f"Found {scores[row].tolist()} in row {row} of `scores`, expected finite numbers. "
            "The training has diverged: lower the learning rate, or train in fp32."
        )
    sums = scores.sum(axis=1)
    wrong = (scores < 0).any(axis=1) | (np.abs(sums - 1) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"Row {row} of `scores` sums to {sums[row]:.4g} with a lowest score of "
            f"{scores[row].min():.4g}, expected scores of 0 or more that sum to 1. "
            "Give scores, not logits: call `compute_softmax(logits)` first."
        )
