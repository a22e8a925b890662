"""Where in a picture the evidence for a label lies: Grad-CAM heat maps, which need torch."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fer_hf.data.pictures import to_rgb
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import TorchNetwork
from fer_hf.inference.preprocessing import is_squashed

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    Layers = Callable[[torch.Tensor], torch.Tensor]

COLORMAP = "inferno"
"""Matplotlib's name of the colours of a heat map; perceptually uniform, dark where it is 0."""


def compute_heat_map(
    classifier: ExpressionClassifier, picture: Image.Image, label: str
) -> npt.NDArray[np.float32]:
    """Show which parts of a picture speak for a label: Grad-CAM on the network's last feature map.

    The mean over the picture and its mirror image. Threads may share the classifier: no hook is
    set, and no gradient is left behind.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017; of the label's log-odds where the paper takes its logit, so that
    evidence for all labels alike does not count.

    Args:
        classifier: On torch, with a convolutional timm backbone or the baseline CNN.
        picture: Of any mode and size.
        label: One of `classifier.label_names`, not necessarily the top one.

    Returns:
        Shape (H, W) of the upright picture, 0–1: 1 where the evidence is strongest, all 0 if there
        is none.

    Raises:
        ValueError: There is no such label, or the network is exported, has no feature map, or does
            not see the whole picture.
    """
    names = classifier.label_names
    if label not in names:
        raise ValueError(f"`label` is {label!r}, expected one of {names}.")
    model = _get_model(classifier)
    upright = to_rgb(picture)
    pixel_values = classifier.preprocess([upright, ImageOps.mirror(upright)])
    plain, mirrored = _compute_grad_cam(model, pixel_values, names.index(label))
    # The network saw the whole picture squashed into a square: stretching the map undoes that.
    mean = Image.fromarray((plain + mirrored[:, ::-1]) / 2)
    heat_map = np.array(mean.resize(upright.size, Image.Resampling.BILINEAR))
    heat_map /= heat_map.max() or 1
    return heat_map


def render_heat_map(picture: Image.Image, heat_map: npt.NDArray[np.floating]) -> Image.Image:
    """Lay a heat map over the grey copy of its picture, in the colours of `COLORMAP`.

    Args:
        picture: Of any mode.
        heat_map: Shape (H, W) of the upright picture, 0–1.

    Raises:
        ValueError: The two differ in size.
    """
    grey = to_rgb(picture).convert("L").convert("RGB")
    if heat_map.shape != (grey.height, grey.width):
        raise ValueError(
            f"`heat_map` has the shape {heat_map.shape}, expected {(grey.height, grey.width)}, the "
            "picture's. Give the picture it was computed for."
        )
    colors = matplotlib.colormaps[COLORMAP](heat_map, bytes=True)[..., :3]
    return Image.blend(grey, Image.fromarray(np.ascontiguousarray(colors)), 0.5)


def _get_model(classifier: ExpressionClassifier) -> "PreTrainedModel":
    network = classifier.network
    if not isinstance(network, TorchNetwork):
        raise ValueError(
            "The classifier runs on an exported network, which has no gradients, expected one on "
            "torch. Open the checkpoint with backend='torch'."
        )
    timm_settings = network.config.get("pretrained_cfg")
    if timm_settings and not is_squashed(timm_settings):
        raise ValueError(
            f"The checkpoint prepares its pictures by {timm_settings!r}, expected the whole "
            "picture squashed to one size. Fine-tune it with fer_hf."
        )
    return network.model


def _compute_grad_cam(
    model: "PreTrainedModel", pixel_values: npt.NDArray[np.float32], index: int
) -> npt.NDArray[np.float32]:
    """Turn `pixel_values` (N, 3, H, W) into a label's maps (N, h, w), 0 or more, unscaled."""
    import torch

    from fer_hf.models.heads import expand_logits

    compute_features, compute_logits = split_at_feature_map(model)
    with torch.no_grad():
        features = compute_features(torch.from_numpy(pixel_values))
    with torch.enable_grad():
        logits = expand_logits(compute_logits(features.requires_grad_()))
        others = [label for label in range(logits.shape[1]) if label != index]
        log_odds = logits[:, index] - logits[:, others].logsumexp(dim=1)
        # Unlike `backward`, this leaves `grad` of the shared parameters alone.
        (gradients,) = torch.autograd.grad(log_odds.sum(), features)
        weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * features.detach()).sum(dim=1).relu().numpy()


def split_at_feature_map(model: "PreTrainedModel") -> "tuple[Layers, Layers]":
    """Return what turns `pixel_values` into the last feature map, and what that into logits."""
    from torch import nn
    from transformers import TimmWrapperForImageClassification

    from fer_hf.models.baseline import BaselineForImageClassification
    from fer_hf.models.dense_head import DenseHeadForImageClassification

    if isinstance(model, TimmWrapperForImageClassification):
        return partial(_compute_features, model.timm_model), model.timm_model.forward_head
    if isinstance(model, DenseHeadForImageClassification):
        pool = partial(model._pool, config=model.config)
        return partial(_compute_features, model.backbone), lambda maps: model.head(pool(maps))
    if isinstance(model, BaselineForImageClassification):
        below = [isinstance(layer, nn.Flatten) for layer in model.layers].index(True)
        return model.layers[:below], nn.Sequential(*model.layers[below:], model.classifier)
    raise ValueError(
        f"The network is a {type(model).__name__}, expected a timm network or the baseline CNN. "
        "Explain a checkpoint made with fer_hf."
    )


def _compute_features(backbone: Any, pixel_values: "torch.Tensor") -> "torch.Tensor":
    features = backbone.forward_features(pixel_values)
    if features.ndim != 4 or features.shape[1] != backbone.num_features:
        raise ValueError(
            f"The network's features have the shape {tuple(features.shape)}, expected maps (N, "
            f"{backbone.num_features}, height, width). Explain a convolutional network."
        )
    return features
