"""People as a yardstick: how often does one of them agree with the crowd on the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
    right = votes[np.arange(len(labels)), labels] / total
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    return Yardstick("one human tagger", float(right.mean()), float(np.mean(recalls)))
