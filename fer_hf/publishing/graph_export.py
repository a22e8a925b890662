"""The graph beside a checkpoint's weights, which `GraphNetwork` runs on them without torch."""

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import torch
from onnxscript import optimizer
from PIL import Image
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from fer_hf.inference.explanation import split_at_feature_map
from fer_hf.inference.graph_network import (
    GRAPH_FILE,
    GRAPH_KEY,
    GRAPH_VERSION,
    WEIGHTS_FILE,
    GraphNetwork,
)
from fer_hf.models import LoadedModel, get_head_parameters

MAX_DIFFERENCE = 1e-4
"""A graph is not kept whose logits differ by more from torch's, relative to the largest of them."""

_MOST_CONSTANTS = 2**16
"""Bytes of the tensors that may stand in the graph itself, because the weights lack them."""

_NARROW = 12
"""Maps of up to so many columns for each column of padding are widened beforehand."""


def write_graph(loaded: LoadedModel, folder: Path, *, like: Path | None = None) -> Path:
    """Write the graph of a checkpoint into its folder, if it answers as torch does.

    Args:
        loaded: The checkpoint that `folder` holds.
        folder: With `config.json` and `model.safetensors`.
        like: A folder with a checkpoint that may be of the same architecture: its graph is copied
            if it fits, which is quicker.

    Raises:
        ValueError: The network's last layer is not linear, or it needs tensors that its weights
            lack.
        RuntimeError: The graph answers differently, or cannot be used.
        OSError: The weights are not in one file, or the graph cannot be written.
    """
    model: Any = copy.deepcopy(loaded.model)
    model.to("cpu", torch.float32).eval()
    levels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    pictures = [Image.fromarray(picture) for picture in levels]
    pixel_values = loaded.image_processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        logits = model(pixel_values=pixel_values).logits
    path = folder / GRAPH_FILE
    if like is not None and like != folder and (like / GRAPH_FILE).is_file():
        shutil.copyfile(like / GRAPH_FILE, path)
        if _find_fault(folder, pixel_values, logits) is None:
            return path
        path.unlink()
    onnx_ir.save(_build_graph(model, folder / WEIGHTS_FILE, pixel_values), path)
    if fault := _find_fault(folder, pixel_values, logits):
        path.unlink()
        raise RuntimeError(f"The graph is not kept: {fault} Use the checkpoint with torch.")
    return path


def _find_fault(folder: Path, pixel_values: torch.Tensor, logits: torch.Tensor) -> str | None:
    """Return what is wrong with the graph in a folder; None if it gives the logits."""
    expected = logits.numpy()
    try:
        found = GraphNetwork(str(folder)).compute_logits(pixel_values.numpy())
    # One that is not of this network fails in whatever way onnxruntime has for it.
    except Exception as error:
        return " ".join(str(error).split())
    difference = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-3)
    if difference <= MAX_DIFFERENCE:
        return None
    return f"its logits differ by up to {difference:.0e}, expected {MAX_DIFFERENCE:.0e} or less."


def _build_graph(model: PreTrainedModel, weights: Path, pixel_values: torch.Tensor) -> Any:
    """Export all of a network but its head, which is cut off it, and say what `GraphNetwork` asks.

    Returns:
        The `onnx_ir.Model`.
    """
    names = _name_as_stored(model, weights)
    head = _cut_head_off(model)
    backbone = _Backbone(model).eval()
    with torch.inference_mode():
        features, *maps = backbone(pixel_values)
        means = [feature_map.mean((2, 3)) for feature_map in maps]
    program: Any = torch.onnx.export(
        backbone,
        (pixel_values,),
        dynamo=True,
        optimize=False,  # it would make new weights of those that the checkpoint has
        verbose=False,
        input_names=["pixel_values"],
        output_names=["features", *["feature_map" for _ in maps]],
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
    )
    shapes = _simplify(program.model, {f"model.{name}": names[name] for name in names})
    description = {
        "version": GRAPH_VERSION,
        "num_backbone_parameters": sum(values.numel() for values in model.parameters()),
        "head_weight": names[f"{head}.weight"],
        "head_bias": names[f"{head}.bias"],
        "has_feature_map": bool(maps),
        "pools_by_mean": any(
            mean.shape == features.shape and torch.allclose(mean, features, atol=1e-5)
            for mean in means
        ),
        "weights": shapes,
    }
    program.model.metadata_props[GRAPH_KEY] = json.dumps(description)
    return program.model


class _Backbone(nn.Module):
    """A network whose head was cut off: its features, and the last feature map if it has one."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        try:
            compute_map, pool = split_at_feature_map(self.model)
            feature_map = compute_map(pixel_values)
        except ValueError:
            return (self.model(pixel_values=pixel_values).logits,)
        return pool(feature_map), feature_map


def _name_as_stored(model: PreTrainedModel, path: Path) -> dict[str, str]:
    """Return what the tensors of a network are called in its file, without those it lacks."""
    with safe_open(path, framework="np") as file:
        stored = set(file.keys())
    # The timm wrapper stores timm's own names.
    prefix = f"{model.base_model_prefix}."
    candidates = {name: {name, name.removeprefix(prefix)} & stored for name in model.state_dict()}
    return {name: found.pop() for name, found in candidates.items() if found}


def _cut_head_off(model: PreTrainedModel) -> str:
    """Replace the last linear layer by nothing, and return its name."""
    last = get_head_parameters(model)[-2:]
    for name, module in model.named_modules():
        is_linear = isinstance(module, nn.Linear | nn.Conv2d)
        if is_linear and [id(values) for values in module.parameters()] == [*map(id, last)]:
            model.set_submodule(name, nn.Identity())
            return name
    raise ValueError(
        f"The last layer of a {type(model).__name__} is not linear with a bias, expected one that "
        "is. Use the checkpoint with torch."
    )


def _simplify(program: Any, names: Mapping[str, str]) -> dict[str, list[int]]:
    """Fold what is constant whatever the weights are, and leave these to the checkpoint's file.

    Args:
        program: The `onnx_ir.Model`.
        names: Of the weights in it, and in the file.

    Returns:
        Name in the file to shape, of the weights that the graph needs.
    """
    graph = program.graph
    # Inputs are what nothing folds.
    lifted = [graph.initializers.pop(name) for name in list(graph.initializers) if name in names]
    for value in lifted:
        value.const_value = None
        graph.inputs.append(value)
    optimizer.optimize(program)
    inline = sum(value.const_value.nbytes for value in graph.initializers.values())
    if inline > _MOST_CONSTANTS:
        raise ValueError(
            f"The network needs {inline:,} bytes of constants that its weights lack, expected "
            f"{_MOST_CONSTANTS:,} or fewer. Use the checkpoint with torch."
        )
    _pad_beforehand(graph)
    graph.inputs[:] = graph.inputs[:1]
    shapes: dict[str, list[int]] = {}
    for value in (value for value in lifted if value.uses()):
        value.name = names[value.name]
        value.const_value = onnx_ir.ExternalTensor(
            WEIGHTS_FILE, None, None, value.dtype, shape=value.shape, name=value.name
        )
        graph.register_initializer(value)
        shapes[value.name] = list(value.shape)
    # They would give away which files on this computer the nodes come from.
    for node in graph.all_nodes():
        node.metadata_props.clear()
    return shapes


def _pad_beforehand(graph: Any) -> None:
    """Widen narrow maps by columns of zeros before the convolution that would imagine them.

    onnxruntime computes the columns next to a border one by one, and six others at a time: with
    none next to a border, the bundled model takes 7 % less time.
    """
    for node in [node for node in graph if node.op_type == "Conv"]:
        features, weights = node.inputs[:2]
        top, left, bottom, right = node.attributes["pads"].as_ints()
        channels, width = features.shape[1], features.shape[3]
        is_dense = weights.shape[1] == channels and channels % 16 == 0  # kept in blocks of 16
        keeps_width = node.outputs[0].shape[3] == width
        if not (left and is_dense and keeps_width and width <= _NARROW * (left + right)):
            continue
        ones = onnx_ir.tensor(np.ones((channels, 1, 1, 1), np.float32), name=f"{node.name}_ones")
        widen = onnx_ir.node(
            "Conv",
            [features, onnx_ir.val(ones.name, const_value=ones)],
            {"group": channels, "kernel_shape": [1, 1], "pads": [0, left, 0, right]},
        )
        graph.register_initializer(widen.inputs[1])
        graph.insert_before(node, widen)
        node.replace_input_with(0, widen.outputs[0])
        node.attributes["pads"] = onnx_ir.AttrInt64s("pads", [top, 0, bottom, 0])
