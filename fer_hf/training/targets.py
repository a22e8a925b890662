"""What is learnt from a picture: its label or its votes, smoothed, weighted and mixed."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from fer_hf.data.layouts.ferplus import drop_single_votes


def compute_vote_shares(votes: np.ndarray) -> np.ndarray:
    """Turn counts of votes into distributions to train on.

    A vote that nobody shares counts as a slip and is left out, as in FER+'s official code
    (Barsoum et al. 2016, arXiv:1608.01041), unless nothing else is left.

    Args:
        votes: Counts of shape (N, num_labels).

    Returns:
        Rows of the same shape that sum to 1.
    """
    shared = drop_single_votes(votes)
    kept = np.where(shared.sum(axis=1, keepdims=True) > 0, shared, votes)
    return kept / kept.sum(axis=1, keepdims=True)


def fill_targets(
    targets: torch.Tensor | None, labels: torch.Tensor, num_labels: int
) -> torch.Tensor:
    """Return `targets` if there are any, otherwise one-hot rows (N, num_labels) of the labels."""
    return functional.one_hot(labels, num_labels).float() if targets is None else targets


def weigh_targets(
    targets: torch.Tensor, label_weights: torch.Tensor | None = None, smoothing: float = 0.0
) -> torch.Tensor:
    """Smooth targets, then multiply each label's by its weight.

    Args:
        targets: Rows (N, num_labels) that sum to 1, one-hot or soft.
        label_weights: Weight of each label, or None for equal ones.
        smoothing: Share of each target that is spread evenly over all labels (Szegedy et al. 2016).
    """
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    return targets if label_weights is None else targets * label_weights.to(targets)


def compute_label_weights(counts: Sequence[int], kind: str) -> list[float] | None:
    """Compute weights of labels in the loss from their number of training pictures.

    Args:
        counts: Pictures per label.
        kind: `none`, `balanced` (inverse frequency), or `effective` (inverse of the effective
            number (1 − βⁿ)/(1 − β) with β = 0.999; Cui et al. 2019, doi:10.1109/CVPR.2019.00949).

    Returns:
        One weight per label whose mean over the pictures is 1, or None.

    Raises:
        ValueError: A label has no picture.
    """
    if kind == "none":
        return None
    if min(counts) == 0:
        raise ValueError(
            f"`class_weights` is {kind!r}, but a label has no training picture: {list(counts)}. "
            "Add pictures, or use --class_weights none."
        )
    beta = 0.999
    inverse = [1 / n if kind == "balanced" else (1 - beta) / (1 - beta**n) for n in counts]
    mean = sum(n * weight for n, weight in zip(counts, inverse, strict=True)) / sum(counts)
    return [weight / mean for weight in inverse]


def mix_batch(
    pixel_values: torch.Tensor, targets: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix each picture with another of its batch (Zhang et al. 2018, arXiv:1710.09412)."""
    share = torch.distributions.Beta(alpha, alpha).sample((len(targets),)).to(pixel_values)
    share = torch.maximum(share, 1 - share)[:, None]
    partner = torch.randperm(len(targets), device=targets.device)
    mixed = torch.lerp(pixel_values[partner], pixel_values, share[:, :, None, None])
    return mixed, torch.lerp(targets[partner], targets, share)
