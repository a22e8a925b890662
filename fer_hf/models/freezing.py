"""Which part of a network is trained, how the rest is kept frozen, and its finishing touches."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from transformers import PreTrainedModel, TimmWrapperForImageClassification

from fer_hf.models.heads import StandaloneHead

UNFREEZE = ("none", "last_stage", "all")

# Modules that make up the last stage, by the class of the timm network.
_LAST_STAGE = {
    "ResNetV2": ("stages.3", "norm"),
    "ResNet": ("layer4",),
    "InceptionResnetV2": ("mixed_7a", "repeat_2", "block8", "conv2d_7b"),
}


def freeze_backbone(model: PreTrainedModel, unfreeze: str = "none") -> str:
    """Set which parameters are trained, and name them for people.

    Args:
        model: A network from `load_model`. A baseline CNN has no backbone: all of it is trained.
        unfreeze: `none` for the head alone, `last_stage` for the last stage with it, or `all`.

    Returns:
        `head`, `head + last stage` or `all layers`.

    Raises:
        ValueError: `unfreeze` is something else, or the last stage of this network is unknown.
    """
    if unfreeze not in UNFREEZE:
        raise ValueError(f"`unfreeze` is {unfreeze!r}, expected one of {UNFREEZE}.")
    backbone = get_backbone(model)
    if backbone is None or unfreeze == "all":
        model.requires_grad_(True)
        return "all layers"
    model.requires_grad_(False)
    for parameter in get_head_parameters(model):
        parameter.requires_grad_(True)
    if unfreeze == "none":
        return "head"
    stage = _LAST_STAGE.get(type(backbone).__name__)
    if stage is None:
        raise ValueError(
            f"The last stage of a {type(backbone).__name__} is not known, only that of "
            f"{sorted(_LAST_STAGE)}. Use --unfreeze none or all."
        )
    for name in stage:
        backbone.get_submodule(name).requires_grad_(True)
    return "head + last stage"


def get_backbone(model: PreTrainedModel) -> nn.Module | None:
    """Return the network below the head, or None for one that is a single piece (the baseline)."""
    backbone = model.base_model
    return None if backbone is model else backbone


def get_head_parameters(model: PreTrainedModel | StandaloneHead) -> list[nn.Parameter]:
    """Return the parameters of the head; without a backbone, all of them."""
    if isinstance(model, StandaloneHead):
        return list(model.parameters())
    if isinstance(model, TimmWrapperForImageClassification):
        return list(model.timm_model.get_classifier().parameters())
    backbone = get_backbone(model)
    below = set() if backbone is None else {id(p) for p in backbone.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in below]


@torch.no_grad()
def fold_into_head(
    model: PreTrainedModel | StandaloneHead,
    temperature: float | Sequence[float],
    offsets: Sequence[float],
) -> None:
    """Change the head's last layer so that its logits become (logits + offsets) / temperature.

    Args:
        model: A network from `load_model`.
        temperature: Above 0; one for all labels or one for each, as for the offsets.
        offsets: One for each label; two for a single sigmoid neuron.
    """
    *_, weight, bias = get_head_parameters(model)
    added = torch.as_tensor(offsets, dtype=bias.dtype, device=bias.device)
    divisors = torch.as_tensor(temperature, dtype=bias.dtype, device=bias.device).expand_as(added)
    added = added / divisors
    if len(bias) < len(added):  # the sigmoid neuron is the second label's logit, the first is 0
        added, divisors = added[1:] - added[:1], divisors[1:]
    bias.div_(divisors).add_(added)
    weight.div_(divisors.view(-1, *[1] * (weight.ndim - 1)))


@torch.no_grad()
def round_weights(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Round weights and buffers to what `dtype` can hold; they stay float32 in memory.

    Raises:
        ValueError: A number is too large for `dtype`.
    """
    for name, values in model.state_dict().items():
        if values.is_floating_point():
            values.copy_(values.to(dtype))
            if not values.isfinite().all():
                raise ValueError(f"`{name}` has a number too large for {dtype}. Save as float32.")


def find_frozen_modules(model: nn.Module) -> list[nn.Module]:
    """List the modules with no trained parameter: they stay in eval mode while the rest trains.

    In train mode their BatchNorm statistics would move although no gradient touches them.
    """
    flags = {module: [p.requires_grad for p in module.parameters()] for module in model.modules()}
    return [module for module, trained in flags.items() if trained and not any(trained)]


def calibrate_batchnorm(model: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Set every BatchNorm's statistics to those of `batches` of `pixel_values`.

    Under the initial statistics (mean 0, variance 1), a frozen random backbone gives nearly
    constant features, from which a head can learn nothing.
    """
    update_bn(batches, model)
