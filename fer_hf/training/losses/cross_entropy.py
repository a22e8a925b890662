"""The cross-entropy against labels or soft targets."""

import torch


def compute_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute the cross-entropy in nats of logits (…, num_labels) and targets, shape (…)."""
    return -(targets * logits.log_softmax(dim=-1)).sum(dim=-1)
