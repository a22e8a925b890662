"""The networks: where their weights come from, their new head, and what of them is trained."""

from fer_hf.models.freezing import (
    UNFREEZE,
    calibrate_batchnorm,
    find_frozen_modules,
    freeze_backbone,
    get_backbone,
    get_head_parameters,
)
from fer_hf.models.loading import POOLINGS, LoadedModel, load_checkpoint, load_model
from fer_hf.models.weights import ALIASES

__all__ = [
    "ALIASES",
    "POOLINGS",
    "UNFREEZE",
    "LoadedModel",
    "calibrate_batchnorm",
    "find_frozen_modules",
    "freeze_backbone",
    "get_backbone",
    "get_head_parameters",
    "load_checkpoint",
    "load_model",
]
