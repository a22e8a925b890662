"""What training minimises: each loss is a module of its own, and has its name in `LOSSES`.

A loss takes logits and targets of shape (N, num_labels) and returns one value for each picture,
shape (N,). Rows of targets sum to 1, unless labels are weighted. Trainer takes the mean.
"""

from collections.abc import Callable

import torch

from fer_hf.training.losses.cross_entropy import compute_cross_entropy

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: dict[str, Loss] = {
    "cross_entropy": compute_cross_entropy,
}
"""By the name that `--loss` takes."""
