"""Many heads at once on features that are computed once: which settings suit some pictures.

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
from datasets import DatasetDict
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm
from transformers import get_cosine_schedule_with_warmup, set_seed

from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import (
    FeatureDataset,
    fit_batchnorm,
    load_features,
    load_frozen,
)
from fer_hf.training.losses.cross_entropy import compute_cross_entropy
from fer_hf.training.targets import compute_label_weights, fill_targets

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
    """The figures of one head.

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


def list_settings() -> list[HeadSettings]:
    """List the settings that `sweep_heads` tries by default: 120 of them."""
    grid = itertools.product(POOLINGS, HEADS, LEARNING_RATES, WEIGHT_DECAYS, CLASS_WEIGHTS)
    return [HeadSettings(*values) for values in grid]


def sweep(
    splits: DatasetDict,
    model_name_or_path: str,
    *,
    weights: str = "auto",
    input_size: int | None = None,
    seed: int = 42,
    **options: Any,
) -> tuple[list[SweptHead], float]:
    """Try the heads of `list_settings` on a frozen backbone.

    Args:
        splits: As `load_splits` returns them; test is not used.
        model_name_or_path: As for `load_model`, with `weights` and `input_size`.
        weights: Of the backbone.
        input_size: Side of the square input in pixels.
        seed: Of a random backbone, and of the heads.
        **options: As for `sweep_heads`, which returns the same.

    Raises:
        ValueError: The network has no backbone that can be frozen.
        OSError: The network cannot be read or reached.
    """
    label_names = splits["train"].features["label"].names
    found: dict[str, dict[str, FeatureDataset]] = {"train": {}, "validation": {}}
    for pooling in ("avg", "max"):
        set_seed(seed)  # a random backbone is the same one each time
        loaded = load_frozen(
            model_name_or_path, label_names, weights=weights, input_size=input_size, pooling=pooling
        )
        sets = {
            name: FaceDataset(splits[name], loaded.image_processor, soft_targets=True, seed=seed)
            for name in found
        }
        if loaded.pretrained_on == "none":
            fit_batchnorm(loaded.model, sets["train"], seed)
        for name, faces in sets.items():
            found[name][pooling] = load_features(loaded.model, faces)
    for poolings in found.values():  # no need to compute features a third time
        poolings["avgmax"] = average_poolings(poolings["avg"], poolings["max"])
    options = {"num_labels": len(label_names), "seed": seed, **options}
    return sweep_heads(found["train"], found["validation"], list_settings(), **options)


def average_poolings(average: FeatureDataset, highest: FeatureDataset) -> FeatureDataset:
    """Return the features under `avgmax`: timm takes the mean of those under `avg` and `max`."""
    both = copy.copy(average)
    both.features = (average.features + highest.features) / 2
    return both


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
    """Train a head for each of the settings with AdamW, warm-up and cosine, as `train.py` does.

    Args:
        train: The features of train by pooling.
        validation: Those of validation.
        settings: What to try.
        num_labels: Number of labels.
        epochs: Passes over train, in steps of `batch_size` pictures.
        batch_size: Pictures per step.
        dense_size: Width of the dense layer of dense heads.
        dropout: Share of the last layer's inputs dropped.
        seed: Of weights and order, the same for every head.

    Returns:
        The heads, the best by validation macro-F1 first, and the seconds it took.
    """
    start = time.perf_counter()
    swept: list[SweptHead] = []
    groups: dict[tuple[str, str], list[HeadSettings]] = {}
    for item in settings:
        groups.setdefault((item.pooling, item.head), []).append(item)
    with tqdm(total=len(settings), desc="Heads", unit=" heads", disable=None) as bar:
        for (pooling, head), members in groups.items():
            data = train[pooling], validation[pooling]
            shape = (data[0].features[0, 0].numel(), dense_size, num_labels)
            sizes = shape if head == "dense" else (shape[0], num_labels)
            heads = _SideBySide(sizes, len(members), dropout, seed)
            _train(heads, data[0], members, epochs, batch_size, seed)
            figures = [_measure(heads, dataset) for dataset in data]
            swept += [SweptHead(*row) for row in zip(members, *figures, strict=True)]
            bar.update(len(members))
    swept.sort(key=lambda row: -row.validation["f1_macro"])
    return swept, time.perf_counter() - start


class _SideBySide(nn.Module):
    """S heads with layers of the same sizes and the same first weights, on the same features."""

    def __init__(self, sizes: Sequence[int], num_heads: int, dropout: float, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.num_labels = sizes[-1]
        self.layers: Any = nn.ModuleList()
        for ins, outs in itertools.pairwise(sizes):
            # As `models` does: a linear head starts near zero, a dense one as He et al. propose.
            spread = (2 / ins) ** 0.5 if len(sizes) > 2 else 0.01
            weight = spread * torch.randn(ins, outs, generator=generator)
            layer = nn.ParameterDict()
            layer["weights"] = nn.ParameterList([weight.clone() for _ in range(num_heads)])
            layer["biases"] = nn.ParameterList([torch.zeros(outs) for _ in range(num_heads)])
            self.layers.append(layer)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Turn features (N, D) into logits (S, N, num_labels)."""
        x = features
        for number, layer in enumerate(self.layers, 1):
            if number == len(self.layers):
                x = self.dropout(x)
            x = x.expand(len(layer["weights"]), *x.shape[-2:])
            biases = torch.stack(list(layer["biases"]))[:, None]
            x = torch.baddbmm(biases, x, torch.stack(list(layer["weights"])))
            if number < len(self.layers):
                x = functional.relu(x)
        return x

    def parameter_groups(self, settings: Sequence[HeadSettings]) -> list[dict[str, Any]]:
        """Return the optimizer's groups: weights decay, biases do not."""
        return [
            {
                "params": [layer[kind][number] for layer in self.layers],
                "lr": item.learning_rate,
                "weight_decay": item.weight_decay if kind == "weights" else 0.0,
            }
            for number, item in enumerate(settings)
            for kind in ("weights", "biases")
        ]


def _train(
    heads: _SideBySide,
    dataset: FeatureDataset,
    settings: Sequence[HeadSettings],
    epochs: int,
    batch_size: int,
    seed: int,
) -> None:
    """Train on the features without augmented views."""
    features, labels, num_labels = dataset.features[0].flatten(1), dataset.labels, heads.num_labels
    targets = fill_targets(dataset.targets, labels, num_labels)
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
            losses = compute_cross_entropy(heads(features[rows]), weights * targets[rows])
            # A sum over heads: each gets the gradient of its own mean.
            losses.mean(dim=1).sum().backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


@torch.inference_mode()
def _measure(heads: _SideBySide, dataset: FeatureDataset) -> list[dict[str, float]]:
    """Return the figures of each head."""
    heads.eval()
    parts = dataset.features[0].flatten(1).split(4096)
    logits = torch.cat([heads(part) for part in parts], dim=1).numpy()
    return [compute_metrics(compute_softmax(rows), np.asarray(dataset.labels)) for rows in logits]
