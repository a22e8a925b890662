"""A network ready to be trained: its weights, a new head for the labels, its preprocessing.

A ResNetV2 or an Inception-ResNet comes out as transformers' own timm wrapper, so that what is saved
is a plain Hub checkpoint; every trick that this takes stays in this package.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils import HFValidationError, validate_repo_id
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    PreTrainedConfig,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperImageProcessor,
    ViTImageProcessor,
)

from fer_hf.models.baseline import BaselineConfig, BaselineForImageClassification
from fer_hf.models.bundled import locate_model
from fer_hf.models.checkpoint_files import check_is_checkpoint
from fer_hf.models.timm_networks import (
    MEAN,
    STD,
    fit_preprocessing,
    load_timm,
    load_with_new_head,
    put_dense_head_on,
)
from fer_hf.models.weights import (
    choose_weights,
    explain_faults,
    open_network,
    reach,
    refuse_missing_tensors,
    resolve_source,
)

logger = logging.getLogger(__name__)

_DEFAULT_INPUT_SIZE = 128
HEADS = ("linear", "dense")
POOLINGS = ("avg", "max", "avgmax", "flatten")


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to be trained, with all that belongs to it.

    Attributes:
        model: The network, with a fresh head for the labels asked for.
        image_processor: Turns RGB pictures into `pixel_values`; what `pipeline()` will use later.
        pretrained_on: What the backbone was pretrained on: `ImageNet`, `FER+`, `none`, or the name
            of the checkpoint it comes from.
    """

    model: PreTrainedModel
    image_processor: BaseImageProcessor
    pretrained_on: str

    def save(self, folder: Path, dtype: str = "float32") -> None:
        """Write a checkpoint that transformers opens, in float32 whatever the `dtype` on disk."""
        weights = {
            name: values.to(getattr(torch, dtype)) if values.is_floating_point() else values
            for name, values in self.model.state_dict().items()
        }
        self.model.save_pretrained(folder, state_dict=weights)
        self.save_image_processor(folder)

    def save_image_processor(self, folder: Path) -> None:
        """Write the preprocessing beside the config, if that lacks it."""
        # That of a timm network is in its config.json already.
        if not isinstance(self.image_processor, TimmWrapperImageProcessor):
            self.image_processor.save_pretrained(folder)


def load_model(
    model_name_or_path: str,
    label_names: Sequence[str],
    *,
    weights: str = "auto",
    input_size: int | None = None,
    pooling: str = "avg",
    head: str = "linear",
    dropout: float = 0.2,
    dense_size: int = 256,
    sigmoid: bool = False,
    model_args: dict[str, Any] | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Load a network and replace its head by a new one.

    Args:
        model_name_or_path: `baseline`, `resnetv2`, `inception-resnet`, `resnetv2-ferplus` (the
            bundled model), the name of a timm network, a Hub id, or a checkpoint folder.
        label_names: Names of the labels in the order of their ids, at least two.
        weights: `imagenet`, `ferplus` (those of the bundled model), `none` (random), a checkpoint
            of the same architecture, or `auto`: the pretrained weights of that name if they can be
            reached; otherwise those of the bundled model for `resnetv2`, random ones for others.
        input_size: Side of the square input in pixels, at least 32 (Inception-ResNet: 75).
            Default: that of the checkpoint, or 128.
        pooling: `avg`, `max`, `avgmax` (mean of both), or `flatten`, which implies a dense head.
        head: `linear`, the logits directly on the pooled features, or `dense`, a layer in between.
        dropout: Share of the head's inputs dropped in training, 0 ≤ dropout < 1.
        dense_size: Width of the dense layer.
        sigmoid: For two labels, a single sigmoid neuron for the second one instead of a softmax.
        model_args: Further arguments of `timm.create_model`, such as `{"channels": [32, 64, …]}`.
        revision: Branch, tag or commit on the Hub.

    Raises:
        ValueError: A setting the network cannot have.
        OSError: Weights that cannot be found or reached.

    Example:
        >>> load_model("resnetv2-ferplus", ["pleased", "cross"]).pretrained_on
        'FER+'
    """
    _check_settings(label_names, input_size, pooling, head, dropout, sigmoid=sigmoid)
    labels = _describe_labels(label_names, sigmoid=sigmoid)
    if model_name_or_path == "baseline":
        return _build_baseline(labels, weights, input_size or _DEFAULT_INPUT_SIZE, dropout)
    source, architecture = resolve_source(model_name_or_path, revision)
    if architecture is None:
        return _load_other(source, labels, weights, revision)
    _check_inception_size(architecture, input_size or _DEFAULT_INPUT_SIZE)
    pretrained_on, weights_source = choose_weights(weights, source, architecture, revision)
    global_pool = "avg" if pooling == "flatten" else pooling
    timm_args = {**(model_args or {}), "drop_rate": dropout, "global_pool": global_pool}
    model = load_timm(weights_source, architecture, labels, timm_args, revision)
    input_size = input_size or _choose_input_size(model.config, pretrained_on)
    processor = fit_preprocessing(model.config, input_size)
    if head == "linear" and pooling != "flatten":
        return LoadedModel(model, processor, pretrained_on)
    dense = put_dense_head_on(model, labels, input_size, pooling, dense_size, dropout)
    square = _build_square_processor(input_size, processor.data_config)
    return LoadedModel(dense, square, pretrained_on)


def load_checkpoint(path: str, *, revision: str | None = None) -> LoadedModel:
    """Open a checkpoint folder or Hub id unchanged, with its head and labels, in eval mode.

    `resnetv2-ferplus` is the bundled model.

    Raises:
        ValueError: It is not an image classifier, or a part of its network is missing.
        OSError: It cannot be found, reached or read.
    """
    path = locate_model(path)

    def load() -> LoadedModel:
        model, missing = open_network(AutoModelForImageClassification, path, revision=revision)
        refuse_missing_tensors(path, missing)
        # By its own class: `AutoImageProcessor` warns that there is no torchvision backend of it.
        is_timm = isinstance(model.config, TimmWrapperConfig)
        processor_class: Any = TimmWrapperImageProcessor if is_timm else AutoImageProcessor
        with explain_faults(path):
            processor = processor_class.from_pretrained(path, revision=revision)
        return LoadedModel(model.eval(), processor, Path(path).name)

    if Path(path).is_dir():
        check_is_checkpoint(path)
        return load()
    try:
        validate_repo_id(path)
    except HFValidationError:
        raise FileNotFoundError(
            f"There is no folder {path!r}, and it is not a Hub id. Expected a checkpoint folder or "
            "a Hub id like 'you/your-fer'. Check the path."
        ) from None
    return reach(load, path, revision)


def _check_settings(
    label_names: Sequence[str],
    input_size: int | None,
    pooling: str,
    head: str,
    dropout: float,
    *,
    sigmoid: bool,
) -> None:
    if len(label_names) < 2 or len(set(label_names)) < len(label_names):
        raise ValueError(f"Labels are {list(label_names)!r}, expected two or more, each once.")
    if input_size is not None and input_size < 32:
        raise ValueError(
            f"`input_size` is {input_size}, expected 32 or more: below that, pooling leaves "
            "nothing of the picture. Use --input_size 32 or more."
        )
    for name, value, known in (("pooling", pooling, POOLINGS), ("head", head, HEADS)):
        if value not in known:
            raise ValueError(f"`{name}` is {value!r}, expected one of {known}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` is {dropout}, expected a share of at least 0 and below 1.")
    if sigmoid and len(label_names) != 2:
        raise ValueError(
            f"A single sigmoid neuron distinguishes two labels, and there are {len(label_names)}: "
            f"{list(label_names)!r}. Use --binary_head softmax."
        )


def _check_inception_size(architecture: str, input_size: int) -> None:
    if architecture.startswith("inception_resnet") and input_size < 75:
        raise ValueError(
            f"`input_size` is {input_size}, but Inception-ResNet needs 75 pixels or more: its five "
            "unpadded reductions leave nothing of a smaller picture. Use --input_size 75 or a "
            "ResNetV2."
        )


def _choose_input_size(config: PreTrainedConfig, pretrained_on: str) -> int:
    """Return the size that faces were learnt at, if they were."""
    if pretrained_on in ("ImageNet", "none"):
        return _DEFAULT_INPUT_SIZE
    return config.pretrained_cfg["input_size"][-1]


def _describe_labels(label_names: Sequence[str], *, sigmoid: bool) -> dict[str, Any]:
    names = [label_names[1]] if sigmoid else list(label_names)
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
        # Without it, one label would make transformers regress (and say so in the checkpoint).
        "problem_type": "multi_label_classification" if sigmoid else "single_label_classification",
    }


def _build_square_processor(input_size: int, scaling: dict[str, Any]) -> ViTImageProcessor:
    return ViTImageProcessor(
        size={"height": input_size, "width": input_size},
        resample=2,  # bilinear
        image_mean=list(scaling["mean"]),
        image_std=list(scaling["std"]),
        do_convert_rgb=True,
    )


def _build_baseline(
    labels: dict[str, Any], weights: str, input_size: int, dropout: float
) -> LoadedModel:
    if weights not in ("auto", "none"):
        raise ValueError(
            f"The baseline CNN has no pretrained weights, and `weights` is {weights!r}. Leave "
            "`weights` out; to go on from a checkpoint, give its folder as `model_name_or_path`."
        )
    config = BaselineConfig(input_size=input_size, dropout=dropout, **labels)
    processor = _build_square_processor(input_size, {"mean": MEAN, "std": STD})
    return LoadedModel(BaselineForImageClassification(config), processor, "none")


def _load_other(
    source: str, labels: dict[str, Any], weights: str, revision: str | None
) -> LoadedModel:
    """Load a network that is not from timm, such as a baseline CNN or a vision transformer."""
    if weights != "auto":
        raise ValueError(
            f"`weights` is {weights!r}, but {source!r} is a checkpoint of its own kind, not a timm "
            "network. Leave `weights` out."
        )
    model = load_with_new_head(AutoModelForImageClassification, source, labels, revision)
    logger.info("%s keeps its own input size, pooling and dropout.", source)
    with explain_faults(source):
        processor = AutoImageProcessor.from_pretrained(source, revision=revision)
    if getattr(processor, "do_center_crop", False):
        processor.do_center_crop = False
        processor.size = processor.crop_size
    if getattr(processor, "crop_pct", None):  # ConvNext's way to say the same
        processor.crop_pct = 1.0
    return LoadedModel(model, processor, Path(source).name)
