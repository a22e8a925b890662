"""People as a yardstick: how often one agrees with the crowd, and how near scores are to its votes.

Votes say more than the one label they are boiled down to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.intervals import (
    NUM_RESAMPLES,
    UNDEFINED,
    Estimate,
    estimate_bootstrap,
    estimate_mean,
)
from fer_hf.evaluation.metrics.predictions import Floats, match_votes


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

    Returns:
        Label name to recall, 0–1; None for a label without pictures.
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
        votes: Counts of the same shape; without votes for none of the labels.

    Returns:
        The mean in nats with its normal interval over rows, undefined without a vote, and the
        number of rows that have one.

    Raises:
        ValueError: The shapes differ.
    """
    clipped, shares = match_votes(scores, votes)
    return estimate_mean(-(shares * np.log(clipped)).sum(axis=1)), len(shares)


def estimate_kl_divergence(scores: npt.ArrayLike, votes: npt.ArrayLike) -> Estimate:
    """Estimate the soft cross-entropy (`estimate_soft_cross_entropy`) less the votes' own entropy.

    It is the mean over rows of KL(votes‖scores) = Σ share · ln(share / score). A few votes are a
    sample of the crowd: even the true shares of a whole crowd would not bring it to 0.

    Source: Kullback and Leibler, "On Information and Sufficiency", Annals of Mathematical
    Statistics 1951.
    """
    from scipy.special import rel_entr  # whoever only reads reports need not have it

    clipped, shares = match_votes(scores, votes)
    return estimate_mean(rel_entr(shares, clipped).sum(axis=1))


def estimate_entropy_correlation(
    scores: npt.ArrayLike, votes: npt.ArrayLike, seed: int = 0
) -> tuple[Estimate, Estimate]:
    """Estimate whether the model is unsure where people are divided.

    For each row with a vote there is the entropy −Σ p · ln p of the scores and that of the shares
    of the votes; the figures are their correlations over rows, with bootstrap intervals.

    Source: Pearson's r, and Spearman's ρ, which is Pearson's of the ranks, ties given their mean
    ("The Proof and Measurement of Association between Two Things", 1904).

    Args:
        scores: As for `estimate_soft_cross_entropy`.
        votes: The same.
        seed: Seeds the bootstrap.

    Returns:
        Pearson's and Spearman's correlation, in [-1, 1]; undefined where the scores or the votes
        have the same entropy everywhere.

    Raises:
        ValueError: The shapes differ.
    """
    from scipy.special import entr  # whoever only reads reports need not have it

    clipped, shares = match_votes(scores, votes)
    # Sorted, rows that differ only in the order of labels have the very same entropy, and rank.
    pairs = np.stack([entr(np.sort(rows, axis=1)).sum(axis=1) for rows in (clipped, shares)])
    if len(shares) == 0 or (np.ptp(pairs, axis=1) == 0).any():
        return UNDEFINED, UNDEFINED
    rng = np.random.default_rng(seed)
    picks = (rng.integers(len(shares), size=len(shares)) for _ in range(NUM_RESAMPLES))
    with np.errstate(invalid="ignore"):  # a resample may have the same entropy everywhere
        drawn = np.array([_correlate(pairs[:, pick]) for pick in picks])
    pearson, spearman = _correlate(pairs)
    return estimate_bootstrap(pearson, drawn[:, 0]), estimate_bootstrap(spearman, drawn[:, 1])


def _correlate(pairs: Floats) -> tuple[float, float]:
    """Return Pearson's and Spearman's correlation of two rows."""
    from scipy.stats import rankdata  # whoever only reads reports need not have it

    correlations = np.asarray(np.corrcoef(np.concatenate([pairs, rankdata(pairs, axis=1)])))
    return float(correlations[0, 1]), float(correlations[2, 3])


def _share_right(
    votes: npt.ArrayLike, labels: npt.ArrayLike, other_votes: npt.ArrayLike | float
) -> Floats:
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
