"""Networks of timm as transformers' timm wrapper: loaded so that both libraries open them again."""

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import nn
from transformers import (
    AutoConfig,
    PreTrainedConfig,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
)

from fer_hf.models.freezing import get_backbone, get_head_parameters
from fer_hf.models.weights import reach

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
    """Load a timm network with a new head.

    Args:
        source: Folder or Hub id of the weights; None for timm's random initialisation.
        architecture: Name of the timm network, without a tag.
        labels: `num_labels`, `id2label`, `label2id` and `problem_type` of the new head.
        timm_args: Arguments of `timm.create_model`; they win over those saved with the weights.
        revision: Branch, tag or commit on the Hub.

    Raises:
        OSError: The weights cannot be found or reached.
        ValueError: The weights are those of another network.
    """
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            _write_random_checkpoint(Path(folder), architecture, timm_args, labels["num_labels"])
            return load_timm(folder, architecture, labels, timm_args, None)

    def load() -> TimmWrapperForImageClassification:
        config = AutoConfig.from_pretrained(source, revision=revision)
        # timm's own exporter writes `num_classes` here too, which transformers then passes twice.
        saved = {k: v for k, v in (config.model_args or {}).items() if k != "num_classes"}
        return load_pretrained(
            TimmWrapperForImageClassification,
            source,
            revision=revision,
            model_args={**saved, **timm_args},
            **labels,
        )

    model = reach(load, "weights", source, revision)
    reset_head(get_head_parameters(model))
    return model


def _is_no_load_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def load_pretrained(model_class: Any, source: str, *, problem_type: str, **settings: Any) -> Any:
    """Load weights for everything but the head, which may be of another size or absent."""
    # Its report of a replaced head reads like a failure, and replacing it is what we want.
    report = logging.getLogger("transformers.modeling_utils")
    report.addFilter(_is_no_load_report)
    try:
        model, loading = model_class.from_pretrained(
            source,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **settings,
        )
    finally:
        report.removeFilter(_is_no_load_report)
    model.config.problem_type = problem_type
    if isinstance(model.config, TimmWrapperConfig):
        # Saved beside `id2label` in timm's words, and believed before it: the old ones must go.
        model.config.label_names = list(settings["id2label"].values())
        model.config.num_classes = settings["num_labels"]
    head = {id(parameter) for parameter in get_head_parameters(model)}
    backbone = {name for name, p in model.named_parameters() if id(p) not in head}
    lost = {*loading["missing_keys"], *(key[0] for key in loading["mismatched_keys"])} & backbone
    if lost and get_backbone(model) is not None:
        raise ValueError(
            f"Checkpoint {source!r} lacks {len(lost)} tensors of the network, such as "
            f"{min(lost)!r}, or has them in another shape. Give the settings it was made with "
            "(`model_args`), or another checkpoint."
        )
    return model


def _write_random_checkpoint(
    folder: Path, architecture: str, timm_args: dict[str, Any], num_labels: int
) -> None:
    """Write a network with timm's own random initialisation the way timm's repos on the Hub look.

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


@torch.no_grad()
def reset_head(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Give a head small random weights and no bias, in place of what it had learnt."""
    for parameter in parameters:
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.01)
        else:
            torch.nn.init.zeros_(parameter)


def fit_preprocessing(config: PreTrainedConfig, input_size: int) -> None:
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
