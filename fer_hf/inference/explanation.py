"""Where in a picture the evidence for a label lies: Grad-CAM heat maps.

A network that pools its last feature map by its mean needs no gradients for them, and no torch.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fer_hf.data.pictures import to_rgb
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.graph_network import GraphNetwork
from fer_hf.inference.networks import TorchNetwork
from fer_hf.inference.preprocessing import is_squashed

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    Layers = Callable[[torch.Tensor], torch.Tensor]

_ANCHORS = (0, 6, 17, 31, 43, 53, 71, 92, 115, 140, 162, 184, 195, 203, 215, 228, 239, 248, 255)
_INFERNO = bytes.fromhex(
    "000003 02010e 0b0726 1f0c47 34095f 450a69 62146e 83206b a72d5f cc4148 "
    "e65c2e f68012 fa9306 fba208 fbb91e f6d33f f1e864 f3f689 fcfea4"
)
COLORMAP = np.stack(
    [np.interp(range(256), _ANCHORS, list(_INFERNO[channel::3])) for channel in range(3)], axis=1
)
COLORMAP = COLORMAP.round().astype(np.uint8)
"""The colours of a heat map, (256, 3), from nothing to much evidence: lightness grows evenly.

They are within one level of `inferno` (Smith, van der Walt, Firing, 2015, CC0), of which the
anchors are those colours that straight lines between them need.
"""

_opened_again: WeakKeyDictionary[ExpressionClassifier, TorchNetwork] = WeakKeyDictionary()


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
        classifier: On a graph whose features are the mean of its last feature map, on any machine;
            where torch is installed, with any convolutional timm backbone or the baseline CNN.
        picture: Of any mode and size.
        label: One of `classifier.label_names`, not necessarily the top one.

    Returns:
        Shape (H, W) of the upright picture, 0–1: 1 where the evidence is strongest, all 0 if there
        is none.

    Raises:
        ValueError: There is no such label, or the network has no feature map, does not see the
            whole picture, or needs torch, which is not installed.
    """
    names = classifier.label_names
    if label not in names:
        raise ValueError(f"`label` is {label!r}, expected one of {names}.")
    _check_sees_all(classifier.network.config)
    upright = to_rgb(picture)
    pixel_values = classifier.preprocess([upright, ImageOps.mirror(upright)])
    plain, mirrored = _compute_maps(classifier, pixel_values, names.index(label))
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
    colors = COLORMAP[(heat_map * 256).astype(int).clip(0, 255)]
    return Image.blend(grey, Image.fromarray(colors), 0.5)


def _check_sees_all(config: dict[str, Any]) -> None:
    timm_settings = config.get("pretrained_cfg")
    if timm_settings and not is_squashed(timm_settings):
        raise ValueError(
            f"The checkpoint prepares its pictures by {timm_settings!r}, expected the whole "
            "picture squashed to one size. Fine-tune it with fer_hf."
        )


def _compute_maps(
    classifier: ExpressionClassifier, pixel_values: npt.NDArray[np.float32], index: int
) -> npt.NDArray[np.float32]:
    """Turn `pixel_values` (N, 3, H, W) into a label's maps (N, h, w), 0 or more, unscaled."""
    network = classifier.network
    if isinstance(network, GraphNetwork) and network.pools_by_mean:
        return _compute_class_maps(network, pixel_values, index)
    return _compute_grad_cam(_get_model(classifier), pixel_values, index)


def _compute_class_maps(
    network: GraphNetwork, pixel_values: npt.NDArray[np.float32], index: int
) -> npt.NDArray[np.float32]:
    """Compute what `_compute_grad_cam` does, without gradients.

    Those of logits that are linear in the map's mean are the head's rows, everywhere alike.
    """
    features, maps = network.compute_feature_maps(pixel_values)
    rows, logits = network.head_weight, network.apply_head(features)
    if len(rows) == 1:  # the sigmoid of one logit z is the softmax of (0, z)
        rows, logits = np.pad(rows, ((1, 0), (0, 0))), np.pad(logits, ((0, 0), (1, 0)))
    rivals = np.delete(logits, index, axis=1)
    powers = np.exp(rivals - rivals.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    weights = rows[index] - shares @ np.delete(rows, index, axis=0)
    found = np.einsum("nc,nchw->nhw", weights, maps) / (maps.shape[2] * maps.shape[3])
    return found.clip(0)


def _get_model(classifier: ExpressionClassifier) -> "PreTrainedModel":
    """Return the network on torch, which is opened once where another backend serves."""
    network = classifier.network
    if isinstance(network, TorchNetwork):
        return network.model
    if find_spec("torch") is None:
        raise ValueError(
            "The network does not give the mean of its last feature map to a linear head, expected "
            "a graph that does, or torch. Run: pip install 'fer-hf[train]'"
        )
    if classifier not in _opened_again:
        _opened_again[classifier] = TorchNetwork(
            classifier.model_name_or_path, revision=classifier._revision
        )
    return _opened_again[classifier].model


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
