"""Networks of timm as transformers' timm wrapper: loaded so that both libraries open them again."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import nn
from transformers import (
    PreTrainedConfig,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    TimmWrapperImageProcessor,
)

from fer_hf.models.dense_head import DenseHeadConfig, DenseHeadForImageClassification
from fer_hf.models.freezing import get_backbone, get_head_parameters
from fer_hf.models.weights import load_config, open_network, reach, refuse_missing_tensors

MEAN = STD = (0.5, 0.5, 0.5)
# Faces fill the whole picture: the published centre crops would cut 10–23 % of them away.
_WHOLE_PICTURE = {"crop_pct": 1.0, "crop_mode": "squash"}


def load_timm(
    source: str | None,
    architecture: str,
    labels: dict[str, Any],
    timm_args: dict[str, Any],
    revision: str | None,
) -> TimmWrapperForImageClassification:
    """Load a timm network with a new head, from a folder or the Hub, or with random weights (None).

    `timm_args` override the arguments of `timm.create_model` that are saved with the weights.

    Raises:
        OSError: The weights cannot be found or reached.
        ValueError: The weights are those of another network.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            _write_random_checkpoint(Path(folder), architecture, timm_args, labels["num_labels"])
            return load_timm(folder, architecture, labels, timm_args, None)
    saved = load_config(source, revision).model_args or {}
    # timm's own exporter writes `num_classes` here too, which transformers then passes twice.
    model_args = {k: v for k, v in {**saved, **timm_args}.items() if k != "num_classes"}
    model = load_with_new_head(
        TimmWrapperForImageClassification, source, labels, revision, model_args=model_args
    )
    # Saved beside `id2label` in timm's words, and believed before it: the old ones must go.
    model.config.label_names = list(labels["id2label"].values())
    model.config.num_classes = labels["num_labels"]
    return model


def load_with_new_head(
    model_class: Any, source: str, labels: dict[str, Any], revision: str | None, **settings: Any
) -> Any:
    """Load a network with a new head for other labels."""
    settings = {k: v for k, v in {**labels, **settings}.items() if k != "problem_type"}
    load = partial(open_network, model_class, source, revision=revision, **settings)
    model, missing = reach(load, source, revision)
    model.config.problem_type = labels["problem_type"]
    head = get_head_parameters(model)
    known = {id(parameter) for parameter in head}
    refuse_missing_tensors(
        source, missing & {name for name, p in model.named_parameters() if id(p) not in known}
    )
    if get_backbone(model) is not None:
        for parameter in head:
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.01)
            else:
                nn.init.zeros_(parameter)
    return model


def _write_random_checkpoint(
    folder: Path, architecture: str, timm_args: dict[str, Any], num_labels: int
) -> None:
    """Write a network with timm's own random initialisation as timm publishes its own on the Hub.

    `from_config` would overwrite that initialisation with N(0, 0.02), and save keys that timm
    cannot open.
    """
    network = timm.create_model(architecture, num_classes=num_labels, **timm_args)
    # It starts out seeing grey. Trained on grey pictures, whose channels all get the same gradient,
    # it then answers to a colour picture as to its grey copy, not at random; on others it learns.
    stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad():
        stem.weight.copy_(stem.weight.mean(dim=1, keepdim=True).expand_as(stem.weight))
    safetensors.torch.save_file(network.state_dict(), folder / "model.safetensors")
    config: Any = TimmWrapperConfig(architecture=architecture, model_args=timm_args)
    config.num_labels = num_labels
    config.pretrained_cfg = {
        "input_size": [3, 128, 128],
        "interpolation": "bilinear",
        "mean": list(MEAN),
        "std": list(STD),
    }
    config.save_pretrained(folder)


def put_dense_head_on(
    model: TimmWrapperForImageClassification,
    labels: dict[str, Any],
    input_size: int,
    pooling: str,
    dense_size: int,
    dropout: float,
) -> DenseHeadForImageClassification:
    """Return the backbone of a timm network under a new dense head."""
    ours = ("drop_rate", "global_pool")
    config = DenseHeadConfig(
        architecture=model.config.architecture,
        model_args={k: v for k, v in (model.config.model_args or {}).items() if k not in ours},
        input_size=input_size,
        dense_size=dense_size,
        pooling=pooling,
        dropout=dropout,
        **labels,
    )
    network = DenseHeadForImageClassification(config)
    weights = model.timm_model.state_dict()
    network.backbone.load_state_dict(
        {name: weights[name] for name in network.backbone.state_dict()}
    )
    return network


def fit_preprocessing(config: PreTrainedConfig, input_size: int) -> TimmWrapperImageProcessor:
    """Make the checkpoint's preprocessing squash the whole picture into a square of that size."""
    published = {
        key: value
        for key, value in config.pretrained_cfg.items()
        if key not in ("test_input_size", "test_crop_pct", "pool_size")
    }
    config.pretrained_cfg = {
        **published,
        "input_size": [3, input_size, input_size],
        **_WHOLE_PICTURE,
    }
    return TimmWrapperImageProcessor(config.pretrained_cfg, config.architecture)
