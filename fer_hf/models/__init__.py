"""The networks: where their weights come from, their new head, and what of them is trained."""

from fer_hf.models.freezing import (
    UNFREEZE,
    calibrate_batchnorm,
    find_frozen_modules,
    fold_into_head,
    freeze_backbone,
    get_backbone,
    get_head_parameters,
    round_weights,
)
from fer_hf.models.loading import POOLINGS, LoadedModel, load_checkpoint, load_model
from fer_hf.models.weights import ALIASES, DEFAULT_MODEL

__all__ = [
    "ALIASES",
    "DEFAULT_MODEL",
    "POOLINGS",
    "UNFREEZE",
    "LoadedModel",
    "calibrate_batchnorm",
    "find_frozen_modules",
    "fold_into_head",
    "freeze_backbone",
    "get_backbone",
    "get_head_parameters",
    "load_checkpoint",
    "load_model",
    "round_weights",
]
