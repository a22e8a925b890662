"""Many heads at once on features that were computed once: which settings suit a data set.

Heads that differ only in learning rate, weight decay or label weights are trained side by side in
one matrix product, because a small head alone leaves a processor idle.
"""

import copy
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm
from transformers import get_cosine_schedule_with_warmup

from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.training.frozen.features import FeatureDataset
from fer_hf.training.losses import compute_label_weights, fill_targets

LEARNING_RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
WEIGHT_DECAYS = (1e-4, 1e-2)
CLASS_WEIGHTS = ("none", "effective")
POOLINGS = ("avg", "max", "avgmax")
HEADS = ("linear", "dense")


@dataclass(frozen=True)
class HeadSettings:
    """Settings of a head, named as the flags of `train.py`."""

    pooling: str
    head: str
    learning_rate: float
    weight_decay: float
    class_weights: str


@dataclass(frozen=True)
class SweptHead:
    """What one head came to.

    Attributes:
        settings: Of the head.
        train: `accuracy`, `f1_macro`, … on train, without augmentation.
        validation: The same on validation.
    """

    settings: HeadSettings
    train: dict[str, float]
    validation: dict[str, float]

    @property
    def accuracy_gap(self) -> float:
        """Train minus validation accuracy, in [-1, 1]."""
        return self.train["accuracy"] - self.validation["accuracy"]


def average_poolings(average: FeatureDataset, highest: FeatureDataset) -> FeatureDataset:
    """Return the features under `avgmax`: timm takes the mean of those under `avg` and `max`."""
    both = copy.copy(average)
    both.features = (average.features + highest.features) / 2
    return both


def list_settings() -> list[HeadSettings]:
    """List the settings that `sweep_heads` tries by default: 120 of them."""
    grid = itertools.product(POOLINGS, HEADS, LEARNING_RATES, WEIGHT_DECAYS, CLASS_WEIGHTS)
    return [HeadSettings(*values) for values in grid]


def sweep_heads(
    train: dict[str, FeatureDataset],
    validation: dict[str, FeatureDataset],
    settings: Sequence[HeadSettings],
    *,
    num_labels: int,
    epochs: int = 10,
    batch_size: int = 128,
    dense_size: int = 256,
    dropout: float = 0.2,
    seed: int = 0,
) -> tuple[list[SweptHead], float]:
    """Train a head for each of the settings; the best by validation macro-F1 come first.

    AdamW with warm-up and cosine, as `train.py` does by default.

    Args:
        train: Pooling to the features of train under it.
        validation: The same of validation.
        settings: What to try.
        num_labels: How many labels there are.
        epochs: Passes over train.
        batch_size: Pictures a step.
        dense_size: Width of a dense head.
        dropout: Share of the last layer's inputs dropped.
        seed: Of weights and order; the same for every head.

    Returns:
        The heads, and the seconds it took.
    """
    start = time.perf_counter()
    swept: list[SweptHead] = []
    groups: dict[tuple[str, str], list[HeadSettings]] = {}
    for item in settings:
        groups.setdefault((item.pooling, item.head), []).append(item)
    with tqdm(total=len(settings), desc="Heads", unit=" heads", disable=None) as bar:
        for (pooling, head), members in groups.items():
            data = _read(train[pooling]), _read(validation[pooling])
            size = dense_size if head == "dense" else None
            heads = _SideBySide(data[0][0].shape[1], num_labels, len(members), size, dropout, seed)
            _train(heads, data[0], members, num_labels, epochs, batch_size, seed)
            figures = [_measure(heads, features, labels) for features, labels, _ in data]
            swept += [SweptHead(*row) for row in zip(members, *figures, strict=True)]
            bar.update(len(members))
    swept.sort(key=lambda row: -row.validation["f1_macro"])
    return swept, time.perf_counter() - start


class _SideBySide(nn.Module):
    """S heads of the same shape and the same first weights, on the same features."""

    def __init__(
        self,
        num_features: int,
        num_labels: int,
        num_heads: int,
        dense_size: int | None,
        dropout: float,
        seed: int,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = [num_features, *([dense_size] if dense_size else []), num_labels]
        self.layers: Any = nn.ModuleList()
        for ins, outs in itertools.pairwise(sizes):
            # As `models` starts them: a linear head nearly at rest, a dense one as He et al. do.
            spread = (2 / ins) ** 0.5 if dense_size else 0.01
            weight = spread * torch.randn(ins, outs, generator=generator)
            layer = nn.ParameterDict()
            layer["weights"] = nn.ParameterList([weight.clone() for _ in range(num_heads)])
            layer["biases"] = nn.ParameterList([torch.zeros(outs) for _ in range(num_heads)])
            self.layers.append(layer)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Turn features (N, D) into logits (S, N, num_labels)."""
        x = features
        for number, layer in enumerate(self.layers):
            if number == len(self.layers) - 1:
                x = self.dropout(x)
            biases = torch.stack(list(layer["biases"]))[:, None]
            if x.ndim == 2:  # the same for all heads: one wide product
                wide = x @ torch.cat(list(layer["weights"]), dim=1)
                x = wide.unflatten(1, (len(biases), -1)).transpose(0, 1) + biases
            else:
                x = torch.baddbmm(biases, x, torch.stack(list(layer["weights"])))
            if number < len(self.layers) - 1:
                x = functional.relu(x)
        return x

    def parameter_groups(self, settings: Sequence[HeadSettings]) -> list[dict[str, Any]]:
        """Return the optimizer's groups: weights decay, biases do not."""
        groups = []
        for number, item in enumerate(settings):
            for kind, decay in (("weights", item.weight_decay), ("biases", 0.0)):
                parameters = [layer[kind][number] for layer in self.layers]
                groups.append(
                    {"params": parameters, "lr": item.learning_rate, "weight_decay": decay}
                )
        return groups


def _read(dataset: FeatureDataset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return features (N, D), labels (N,) and targets of a set, without augmented views."""
    return dataset.features[0].flatten(1), dataset.labels, dataset.targets


def _train(
    heads: _SideBySide,
    data: tuple[torch.Tensor, torch.Tensor, torch.Tensor | None],
    settings: Sequence[HeadSettings],
    num_labels: int,
    epochs: int,
    batch_size: int,
    seed: int,
) -> None:
    features, labels, targets = data
    targets = fill_targets(targets, labels, num_labels)
    counts = torch.bincount(labels, minlength=num_labels).tolist()
    kinds = [compute_label_weights(counts, item.class_weights) for item in settings]
    weights = torch.tensor([kind or [1.0] * num_labels for kind in kinds])[:, None]
    steps = -(-len(labels) // batch_size) * epochs
    optimizer = torch.optim.AdamW(heads.parameter_groups(settings), fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # for dropout
    heads.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=generator).split(batch_size):
            losses = -(weights * targets[rows] * heads(features[rows]).log_softmax(-1)).sum(-1)
            # A sum over heads: each gets the gradient of its own mean.
            losses.mean(dim=1).sum().backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


@torch.inference_mode()
def _measure(
    heads: _SideBySide, features: torch.Tensor, labels: torch.Tensor
) -> list[dict[str, float]]:
    """Return the figures of each head."""
    heads.eval()
    logits = torch.cat([heads(part) for part in features.split(4096)], dim=1).numpy()
    return [compute_metrics(compute_softmax(rows), np.asarray(labels)) for rows in logits]
