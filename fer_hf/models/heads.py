"""The head of a frozen network on its own, to be trained on features that are computed once."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, TimmWrapperForImageClassification
from transformers.modeling_outputs import ImageClassifierOutput

from fer_hf.models.dense_head import DenseHeadForImageClassification


class StandaloneHead(nn.Module):
    """A network after its backbone, with the same parameters: training one trains both.

    It takes what `compute_features` returns under the name `pixel_values`, as Trainer calls it.

    Args:
        model: A network that `supports_standalone_head`.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.config = model.config
        if isinstance(model, DenseHeadForImageClassification):
            self.head: nn.Module = model.head
        else:
            self.head = _prune_to_head(model.timm_model)

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None
    ) -> ImageClassifierOutput:
        """Classify features of shape (N, D, h, w) into logits (N, num_labels).

        `labels` are unused: Trainer looks for that name to know what to pass to the metrics.
        """
        head: Any = self.head
        classify = head if isinstance(head, nn.Sequential) else head.forward_head
        # It costs next to nothing, so mixed precision would only lose digits.
        with torch.autocast(pixel_values.device.type, enabled=False):
            logits = classify(pixel_values)
        return ImageClassifierOutput(logits=logits)


def supports_standalone_head(model: PreTrainedModel) -> bool:
    """Return whether the head of a network can be trained on its own: those from timm can."""
    return isinstance(model, DenseHeadForImageClassification | TimmWrapperForImageClassification)


def compute_features(model: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Compute the features that the head of a network takes.

    Returns:
        Shape (N, D, 1, 1), pooled; under `--pooling flatten` (N, D, h, w). Pooling one value
        returns that value, so the head may pool again.
    """
    if isinstance(model, DenseHeadForImageClassification):
        return model.compute_features(pixel_values)
    network: Any = model.timm_model
    pooled = network.forward_head(network.forward_features(pixel_values), pre_logits=True)
    return pooled.flatten(1)[:, :, None, None]


def _prune_to_head(network: Any) -> nn.Module:
    """Copy a timm network without the parts below the head that have parameters."""
    kept = {id(parameter) for parameter in network.get_classifier().parameters()}
    # Shallow: the classifier in it is the network's own.
    head = copy.copy(network)
    head._modules = {
        name: child
        for name, child in network._modules.items()
        if all(id(parameter) in kept for parameter in child.parameters())
    }
    return head


def expand_logits(logits: torch.Tensor) -> torch.Tensor:
    """Turn one sigmoid logit (N, 1) into two softmax logits (N, 2); return others unchanged.

    The sigmoid of z is the softmax of (0, z), so one loss and one set of metrics serves both.
    """
    return functional.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits
