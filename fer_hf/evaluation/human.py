"""People as a yardstick: how often one agrees with the crowd, and how near scores are to its votes.

A room of its own because votes say more than the one label they are boiled down to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.intervals import UNDEFINED, Estimate, estimate_normal


@dataclass(frozen=True)
class Yardstick:
    """What somebody without a network scores on the same pictures.

    Attributes:
        name: Who, such as `one human tagger` or `always neutral`.
        accuracy: Expected share of right answers, 0–1.
        balanced_accuracy: Mean of the recalls of the labels that occur, 0–1.
    """

    name: str
    accuracy: float
    balanced_accuracy: float


def compute_constant_answer(labels: npt.ArrayLike, label_names: Sequence[str]) -> Yardstick:
    """Score whoever always answers with the most frequent label.

    Args:
        labels: Label ids of shape (N,), N ≥ 1.
        label_names: Names in the order of the ids.
    """
    counts = np.bincount(np.asarray(labels), minlength=len(label_names))
    return Yardstick(
        f"always {label_names[int(counts.argmax())]}",
        float(counts.max() / counts.sum()),
        float(1 / np.count_nonzero(counts)),
    )


def compute_tagger(
    votes: npt.ArrayLike, labels: npt.ArrayLike, other_votes: npt.ArrayLike | float = 0
) -> Yardstick:
    """Score one person, drawn at random from those who voted on each picture.

    The person is right when the vote is the crowd's label, so the expected accuracy is the mean
    share of votes for that label (the protocol of FER+'s README: 78.5 % on its test split).

    Args:
        votes: Counts of shape (N, num_labels).
        labels: The crowd's label ids of shape (N,).
        other_votes: Counts of votes for none of the labels, of shape (N,).

    Raises:
        ValueError: Shapes that do not fit, or a picture without a vote.
    """
    right = _share_right(votes, labels, other_votes)
    recalls = [right[np.asarray(labels) == label].mean() for label in np.unique(labels)]
    return Yardstick("one human tagger", float(right.mean()), float(np.mean(recalls)))


def compute_tagger_recalls(
    votes: npt.ArrayLike,
    labels: npt.ArrayLike,
    label_names: Sequence[str],
    other_votes: npt.ArrayLike | float = 0,
) -> dict[str, float | None]:
    """Compute how often the person of `compute_tagger` is right on the pictures of each label.

    Args:
        votes: Counts of shape (N, num_labels).
        labels: The crowd's label ids of shape (N,).
        label_names: Names in the order of the ids.
        other_votes: Counts of votes for none of the labels, of shape (N,).

    Returns:
        Label name to recall, 0–1; None for a label without pictures.

    Raises:
        ValueError: As for `compute_tagger`.
    """
    right, label_ids = _share_right(votes, labels, other_votes), np.asarray(labels)
    return {
        name: float(right[label_ids == label].mean()) if label in label_ids else None
        for label, name in enumerate(label_names)
    }


def estimate_soft_cross_entropy(
    scores: npt.ArrayLike, votes: npt.ArrayLike
) -> tuple[Estimate, int]:
    """Estimate how far scores are from the distribution of the votes, whoever has the majority.

    It is the mean over rows of −Σ share · ln(score), where a label's share is its votes over the
    row's votes for all labels, single votes included. Its lowest value is the mean entropy of the
    votes. Scores are clipped at 2.2e-16, as for the NLL. Rows without a vote are left out.

    Source: the loss of Barsoum et al., "Training Deep Networks for Facial Expression Recognition
    with Crowd-Sourced Label Distribution" (ICMI 2016), section 3.4, as a figure.

    Args:
        scores: Shape (N, num_labels), rows sum to 1.
        votes: Counts of the same shape; votes for none of the labels have no place here.

    Returns:
        The mean in nats with its normal interval over rows, and the number of rows that count. It
        is undefined if none does.

    Raises:
        ValueError: The shapes differ.
    """
    scores, votes = np.asarray(scores, dtype=float), np.asarray(votes, dtype=float)
    if scores.ndim != 2 or scores.shape != votes.shape:
        raise ValueError(
            f"Scores have shape {scores.shape} and votes {votes.shape}, expected a vote count for "
            "each score. Put the votes into the order of the scores' labels."
        )
    total = votes.sum(axis=1)
    voted = total > 0
    if not voted.any():
        return UNDEFINED, 0
    shares = votes[voted] / total[voted, None]
    losses = -(shares * np.log(scores[voted].clip(np.finfo(float).eps, 1.0))).sum(axis=1)
    error = float(losses.std() / np.sqrt(len(losses)))
    return estimate_normal(float(losses.mean()), error), len(losses)


def _share_right(
    votes: npt.ArrayLike, labels: npt.ArrayLike, other_votes: npt.ArrayLike | float
) -> npt.NDArray[np.float64]:
    """Return the share of each picture's votes that are for its label, shape (N,)."""
    votes, labels = np.asarray(votes, dtype=float), np.asarray(labels)
    total = votes.sum(axis=1) + np.asarray(other_votes)
    if len(votes) != len(labels) or total.shape != labels.shape:
        raise ValueError(
            f"Votes have shape {votes.shape} and labels {labels.shape}, expected a row of votes "
            "for each label."
        )
    if not (total > 0).all():
        row = int(np.flatnonzero(total <= 0)[0])
        raise ValueError(f"Row {row} has no vote, expected at least one for each picture.")
    return votes[np.arange(len(labels)), labels] / total
