"""A network ready to be trained: its weights, a new head for the labels, its preprocessing.

A ResNetV2 or an Inception-ResNet comes out as transformers' own timm wrapper, so that what is saved
is a plain Hub checkpoint; every trick that needs stays in this room.
"""

import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    TimmWrapperImageProcessor,
    ViTImageProcessor,
)

from fer_hf.baseline import BaselineConfig, BaselineForImageClassification
from fer_hf.flatten_head import FlattenHeadConfig, FlattenHeadForImageClassification
from fer_hf.models.freezing import get_backbone, get_head_parameters
from fer_hf.models.weights import choose_weights, reach, resolve_source

logger = logging.getLogger(__name__)

POOLINGS = ("avg", "max", "avgmax", "flatten")

# Faces fill the whole picture: the published centre crops would cut 10–23 % of them away.
_WHOLE_PICTURE = {"crop_pct": 1.0, "crop_mode": "squash"}
_MEAN = _STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to be trained, with all that belongs to it.

    Attributes:
        model: The network, with a fresh head for the labels asked for.
        image_processor: Turns RGB pictures into `pixel_values`; what `pipeline()` will use later.
        backbone_knowledge: What the backbone knew before: `ImageNet`, `nothing`, or the name of
            the checkpoint it comes from.
    """

    model: PreTrainedModel
    image_processor: BaseImageProcessor
    backbone_knowledge: str


def load_model(
    model_name_or_path: str,
    label_names: Sequence[str],
    *,
    weights: str = "auto",
    input_size: int = 128,
    pooling: str = "avg",
    dropout: float = 0.2,
    dense_size: int = 256,
    sigmoid: bool = False,
    model_args: dict[str, Any] | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Load a network, take its old top off and put a new one on.

    Args:
        model_name_or_path: `baseline`, `resnetv2`, `inception-resnet`, the name of a timm network
            (`resnetv2_18`), a Hub id, or a checkpoint folder.
        label_names: Names of the labels in the order of their ids, at least two.
        weights: `imagenet`, `none` (random), a checkpoint folder or Hub id of the same
            architecture, or `auto`: what the name stands for where it can be had, else random.
        input_size: Side of the square input in pixels, 32 or more (Inception-ResNet: 75 or more).
        pooling: `avg`, `max`, `avgmax` (mean of both), or `flatten` with a dense layer.
        dropout: Share of the head's inputs dropped in training, 0 ≤ dropout < 1.
        dense_size: Width of the dense layer under `flatten`.
        sigmoid: For two labels, a single sigmoid neuron for the second one instead of a softmax.
        model_args: Further arguments of `timm.create_model`, such as `{"channels": [32, 64, …]}`.
        revision: Branch, tag or commit on the Hub.

    Raises:
        ValueError: A setting the network cannot have.
        OSError: Weights that cannot be found or reached.
    """
    _check_settings(label_names, input_size, pooling, dropout, sigmoid)
    labels = _label_settings(label_names, sigmoid)
    if model_name_or_path == "baseline":
        if weights not in ("auto", "none"):
            raise ValueError(
                f"The baseline CNN has no pretrained weights, and `weights` is {weights!r}. "
                "Leave `weights` out; to go on from a checkpoint, give its folder as "
                "`model_name_or_path`."
            )
        config = BaselineConfig(input_size=input_size, dropout=dropout, **labels)
        processor = _build_square_processor(input_size, _MEAN, _STD)
        return LoadedModel(BaselineForImageClassification(config), processor, "nothing")

    source, architecture = resolve_source(model_name_or_path, revision)
    if architecture is None:
        if weights != "auto":
            raise ValueError(
                f"`weights` is {weights!r}, but {model_name_or_path!r} is a checkpoint of its own "
                "kind, not a timm network. Leave `weights` out."
            )
        return _load_other(source, labels, revision)

    if architecture.startswith("inception_resnet") and input_size < 75:
        raise ValueError(
            f"`input_size` is {input_size}, but Inception-ResNet needs 75 pixels or more: its five "
            "unpadded reductions leave nothing of a smaller picture. Use --input_size 75 or a "
            "ResNetV2."
        )
    knowledge, weights_source = choose_weights(weights, source, architecture, revision)
    timm_args = {**(model_args or {}), "drop_rate": dropout}
    timm_args["global_pool"] = "avg" if pooling == "flatten" else pooling
    model = _load_timm(weights_source, architecture, labels, timm_args, revision)
    _fit_preprocessing(model.config, input_size)
    timm_processor = TimmWrapperImageProcessor(
        pretrained_cfg=model.config.pretrained_cfg, architecture=architecture
    )
    if pooling == "flatten":
        flattened = _put_flatten_head_on(model, labels, input_size, dense_size, dropout)
        mean, std = timm_processor.data_config["mean"], timm_processor.data_config["std"]
        processor = _build_square_processor(input_size, mean, std)
        return LoadedModel(flattened, processor, knowledge)
    return LoadedModel(model, timm_processor, knowledge)


def load_checkpoint(path: str, *, revision: str | None = None) -> LoadedModel:
    """Open a checkpoint folder or Hub id as it is, head and labels included, in eval mode."""
    model = AutoModelForImageClassification.from_pretrained(path, revision=revision).eval()
    processor = AutoImageProcessor.from_pretrained(path, revision=revision)
    return LoadedModel(model, processor, Path(path).name)


def _check_settings(
    label_names: Sequence[str], input_size: int, pooling: str, dropout: float, sigmoid: bool
) -> None:
    if len(label_names) < 2 or len(set(label_names)) < len(label_names):
        raise ValueError(f"Labels are {list(label_names)!r}, expected two or more, each once.")
    if input_size < 32:
        raise ValueError(
            f"`input_size` is {input_size}, expected 32 or more: below that the poolings leave "
            "nothing of the picture. Use --input_size 32 or more."
        )
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` is {pooling!r}, expected one of {POOLINGS}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` is {dropout}, expected a share of 0 or more, less than 1.")
    if sigmoid and len(label_names) != 2:
        raise ValueError(
            f"A single sigmoid neuron tells two labels apart, and there are {len(label_names)}: "
            f"{list(label_names)!r}. Use --binary_head softmax."
        )


def _label_settings(label_names: Sequence[str], sigmoid: bool) -> dict[str, Any]:
    names = [label_names[1]] if sigmoid else list(label_names)
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
        # Without it, one label would make transformers regress (and say so in the checkpoint).
        "problem_type": "multi_label_classification" if sigmoid else "single_label_classification",
    }


def _load_timm(
    source: str | None,
    architecture: str,
    labels: dict[str, Any],
    timm_args: dict[str, Any],
    revision: str | None,
) -> TimmWrapperForImageClassification:
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            _write_random_checkpoint(Path(folder), architecture, timm_args, labels["num_labels"])
            return _load_timm(folder, architecture, labels, timm_args, None)

    def load() -> TimmWrapperForImageClassification:
        config = AutoConfig.from_pretrained(source, revision=revision)
        # timm's own exporter writes `num_classes` here too, which transformers then passes twice.
        saved = {k: v for k, v in (config.model_args or {}).items() if k != "num_classes"}
        return _load_pretrained(
            TimmWrapperForImageClassification,
            source,
            revision=revision,
            model_args={**saved, **timm_args},
            **labels,
        )

    model = reach(load, f"weights {source!r}")
    _reset_head(get_head_parameters(model))
    return model


def _is_no_load_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def _load_pretrained(model_class: Any, source: str, *, problem_type: str, **settings: Any) -> Any:
    """Load weights for everything but the head, which may be of another size or absent."""
    # Its report of a replaced head reads like a failure, and replacing it is what we want.
    report = logging.getLogger("transformers.modeling_utils")
    report.addFilter(_is_no_load_report)
    try:
        model, loading = model_class.from_pretrained(
            source, ignore_mismatched_sizes=True, output_loading_info=True, **settings
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
    safetensors.torch.save_file(network.state_dict(), folder / "model.safetensors")
    config: Any = TimmWrapperConfig(architecture=architecture, model_args=timm_args)
    config.num_labels = num_labels
    config.pretrained_cfg = {
        "input_size": [3, 128, 128],
        "interpolation": "bilinear",
        "mean": list(_MEAN),
        "std": list(_STD),
    }
    config.save_pretrained(folder)


@torch.no_grad()
def _reset_head(parameters: Iterable[torch.nn.Parameter]) -> None:
    for parameter in parameters:
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.01)
        else:
            torch.nn.init.zeros_(parameter)


def _fit_preprocessing(config: PreTrainedConfig, input_size: int) -> None:
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


def _build_square_processor(
    input_size: int, mean: Sequence[float], std: Sequence[float]
) -> ViTImageProcessor:
    return ViTImageProcessor(
        size={"height": input_size, "width": input_size},
        resample=2,  # bilinear
        image_mean=list(mean),
        image_std=list(std),
        do_convert_rgb=True,
    )


def _put_flatten_head_on(
    model: TimmWrapperForImageClassification,
    labels: dict[str, Any],
    input_size: int,
    dense_size: int,
    dropout: float,
) -> FlattenHeadForImageClassification:
    ours = ("drop_rate", "global_pool")
    model_args = model.config.model_args or {}
    config = FlattenHeadConfig(
        architecture=model.config.architecture,
        model_args={k: v for k, v in model_args.items() if k not in ours},
        input_size=input_size,
        dense_size=dense_size,
        dropout=dropout,
        **labels,
    )
    flattened = FlattenHeadForImageClassification(config)
    weights = model.timm_model.state_dict()
    flattened.backbone.load_state_dict(
        {name: weights[name] for name in flattened.backbone.state_dict()}
    )
    return flattened


def _load_other(source: str, labels: dict[str, Any], revision: str | None) -> LoadedModel:
    """Load a checkpoint that is no timm network, such as a baseline CNN or a vision transformer."""
    model = reach(
        lambda: _load_pretrained(
            AutoModelForImageClassification, source, revision=revision, **labels
        ),
        f"model {source!r}",
    )
    logger.info("%s keeps its own input size, pooling and dropout.", source)
    processor = AutoImageProcessor.from_pretrained(source, revision=revision)
    if getattr(processor, "do_center_crop", False):
        processor.do_center_crop = False
        processor.size = processor.crop_size
    if getattr(processor, "crop_pct", None):  # ConvNext's way to say the same
        processor.crop_pct = 1.0
    return LoadedModel(model, processor, Path(source).name)
