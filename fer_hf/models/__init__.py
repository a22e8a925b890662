"""The networks: where their weights come from, their new head, and what of them is trained."""

from fer_hf.box import DEFAULT_MODEL
from fer_hf.models.detached_head import DetachedHead, compute_features, has_detachable_head
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
from fer_hf.models.weights import ALIASES

__all__ = [
    "ALIASES",
    "DEFAULT_MODEL",
    "POOLINGS",
    "UNFREEZE",
    "DetachedHead",
    "LoadedModel",
    "calibrate_batchnorm",
    "compute_features",
    "find_frozen_modules",
    "fold_into_head",
    "freeze_backbone",
    "get_backbone",
    "get_head_parameters",
    "has_detachable_head",
    "load_checkpoint",
    "load_model",
    "round_weights",
]
