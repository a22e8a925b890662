"""A network ready to be trained: its weights, a new head for the labels, its preprocessing.

A ResNetV2 or an Inception-ResNet comes out as transformers' own timm wrapper, so that what is saved
is a plain Hub checkpoint; every trick that needs stays in this room.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub.utils import HFValidationError, validate_repo_id
from safetensors import SafetensorError
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    PreTrainedModel,
    TimmWrapperForImageClassification,
    TimmWrapperImageProcessor,
    ViTImageProcessor,
)

from fer_hf.models.baseline import BaselineConfig, BaselineForImageClassification
from fer_hf.models.bundled import locate_model
from fer_hf.models.dense_head import DenseHeadConfig, DenseHeadForImageClassification
from fer_hf.models.freezing import get_backbone, get_head_parameters
from fer_hf.models.timm_networks import (
    MEAN,
    STD,
    fit_preprocessing,
    load_pretrained,
    load_timm,
    reset_head,
)
from fer_hf.models.weights import (
    check_is_checkpoint,
    choose_weights,
    reach,
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
    input_size: int | None = None,
    pooling: str = "avg",
    head: str = "linear",
    dropout: float = 0.2,
    dense_size: int = 256,
    sigmoid: bool = False,
    model_args: dict[str, Any] | None = None,
    revision: str | None = None,
) -> LoadedModel:
    """Load a network, take its old top off and put a new one on.

    Args:
        model_name_or_path: `baseline`, `resnetv2`, `inception-resnet`, the name of a timm network
            (`resnetv2_18`), a Hub id, or a checkpoint folder. `resnetv2-ferplus` is the model in
            the box.
        label_names: Names of the labels in the order of their ids, at least two.
        weights: `imagenet`, `ferplus` (the model in the box), `none` (random), a checkpoint folder
            or Hub id of the same architecture, or `auto`: what the name stands for where it can be
            had; else for `resnetv2` the model in the box, for others random.
        input_size: Side of the square input in pixels, 32 or more (Inception-ResNet: 75 or more).
            By default that of the checkpoint, or 128.
        pooling: `avg`, `max`, `avgmax` (mean of both), or `flatten`, which needs a dense head.
        head: `linear`, the labels right on the pooled features, or `dense`, a layer between them.
        dropout: Share of the head's inputs dropped in training, 0 ≤ dropout < 1.
        dense_size: Width of the dense layer.
        sigmoid: For two labels, a single sigmoid neuron for the second one instead of a softmax.
        model_args: Further arguments of `timm.create_model`, such as `{"channels": [32, 64, …]}`.
        revision: Branch, tag or commit on the Hub.

    Raises:
        ValueError: A setting the network cannot have.
        OSError: Weights that cannot be found or reached.
    """
    _check_settings(label_names, input_size, pooling, dropout, sigmoid)
    if head not in HEADS:
        raise ValueError(f"`head` is {head!r}, expected one of {HEADS}.")
    labels = _label_settings(label_names, sigmoid)
    if model_name_or_path == "baseline":
        if weights not in ("auto", "none"):
            raise ValueError(
                f"The baseline CNN has no pretrained weights, and `weights` is {weights!r}. "
                "Leave `weights` out; to go on from a checkpoint, give its folder as "
                "`model_name_or_path`."
            )
        size = input_size or _DEFAULT_INPUT_SIZE
        config = BaselineConfig(input_size=size, dropout=dropout, **labels)
        processor = _build_square_processor(size, MEAN, STD)
        return LoadedModel(BaselineForImageClassification(config), processor, "nothing")

    source, architecture = resolve_source(model_name_or_path, revision)
    if architecture is None:
        if weights != "auto":
            raise ValueError(
                f"`weights` is {weights!r}, but {model_name_or_path!r} is a checkpoint of its own "
                "kind, not a timm network. Leave `weights` out."
            )
        return _load_other(source, labels, revision)

    if architecture.startswith("inception_resnet") and (input_size or _DEFAULT_INPUT_SIZE) < 75:
        raise ValueError(
            f"`input_size` is {input_size}, but Inception-ResNet needs 75 pixels or more: its five "
            "unpadded reductions leave nothing of a smaller picture. Use --input_size 75 or a "
            "ResNetV2."
        )
    knowledge, weights_source = choose_weights(weights, source, architecture, revision)
    timm_args = {**(model_args or {}), "drop_rate": dropout}
    timm_args["global_pool"] = "avg" if pooling == "flatten" else pooling
    model = load_timm(weights_source, architecture, labels, timm_args, revision)
    if input_size is None:
        knows_faces = knowledge not in ("ImageNet", "nothing")
        own_size = model.config.pretrained_cfg["input_size"][-1]
        input_size = own_size if knows_faces else _DEFAULT_INPUT_SIZE
    fit_preprocessing(model.config, input_size)
    timm_processor = TimmWrapperImageProcessor(
        pretrained_cfg=model.config.pretrained_cfg, architecture=model.config.architecture
    )
    if head == "dense" or pooling == "flatten":
        dense = _put_dense_head_on(model, labels, input_size, pooling, dense_size, dropout)
        mean, std = timm_processor.data_config["mean"], timm_processor.data_config["std"]
        processor = _build_square_processor(input_size, mean, std)
        return LoadedModel(dense, processor, knowledge)
    return LoadedModel(model, timm_processor, knowledge)


def load_checkpoint(path: str, *, revision: str | None = None) -> LoadedModel:
    """Open a checkpoint folder or Hub id as it is, head and labels included, in eval mode.

    `resnetv2-ferplus` is the model in the box.

    Raises:
        ValueError: It is no image classifier, or a part of its network is missing.
        OSError: It cannot be found, reached or read.
    """
    path = locate_model(path)
    is_folder = Path(path).is_dir()
    if not is_folder:
        try:
            validate_repo_id(path)
        except HFValidationError:
            raise FileNotFoundError(
                f"There is no folder {path!r}, and it is no Hub id. Expected a checkpoint folder "
                "or a Hub id like 'you/your-fer'. Check the path."
            ) from None
    check_is_checkpoint(path)

    def load() -> LoadedModel:
        return _load_classifier(path, revision)

    return load() if is_folder else reach(load, "model", path, revision)


def _load_classifier(path: str, revision: str | None) -> LoadedModel:
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        model, loading = AutoModelForImageClassification.from_pretrained(
            path,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are named below, in our words
            output_loading_info=True,
            **options,
        )
    except SafetensorError as error:
        raise OSError(
            f"The weights of {path!r} are damaged or incomplete ({error}). Copy them again."
        ) from error
    except (ValueError, RuntimeError) as error:
        # The other lines list every network there is.
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"{path!r} is no image classifier that can be opened: {first_line}"
        ) from error
    if lost := {*loading["missing_keys"], *(key[0] for key in loading["mismatched_keys"])}:
        raise ValueError(
            f"Checkpoint {path!r} lacks {len(lost)} tensors of its network, such as "
            f"{min(lost)!r}, or has them in another shape: its answers would be random. Give one "
            "that was trained to classify pictures."
        )
    processor = AutoImageProcessor.from_pretrained(path, **options)
    return LoadedModel(model.eval(), processor, Path(path).name)


def _check_settings(
    label_names: Sequence[str], input_size: int | None, pooling: str, dropout: float, sigmoid: bool
) -> None:
    if len(label_names) < 2 or len(set(label_names)) < len(label_names):
        raise ValueError(f"Labels are {list(label_names)!r}, expected two or more, each once.")
    if input_size is not None and input_size < 32:
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


def _put_dense_head_on(
    model: TimmWrapperForImageClassification,
    labels: dict[str, Any],
    input_size: int,
    pooling: str,
    dense_size: int,
    dropout: float,
) -> DenseHeadForImageClassification:
    ours = ("drop_rate", "global_pool")
    model_args = model.config.model_args or {}
    config = DenseHeadConfig(
        architecture=model.config.architecture,
        model_args={k: v for k, v in model_args.items() if k not in ours},
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


def _load_other(source: str, labels: dict[str, Any], revision: str | None) -> LoadedModel:
    """Load a checkpoint that is no timm network, such as a baseline CNN or a vision transformer."""
    model = reach(
        lambda: load_pretrained(
            AutoModelForImageClassification, source, revision=revision, **labels
        ),
        "model",
        source,
        revision,
    )
    if get_backbone(model) is not None:
        reset_head(get_head_parameters(model))
    logger.info("%s keeps its own input size, pooling and dropout.", source)
    processor = AutoImageProcessor.from_pretrained(source, revision=revision)
    if getattr(processor, "do_center_crop", False):
        processor.do_center_crop = False
        processor.size = processor.crop_size
    if getattr(processor, "crop_pct", None):  # ConvNext's way to say the same
        processor.crop_pct = 1.0
    return LoadedModel(model, processor, Path(source).name)
