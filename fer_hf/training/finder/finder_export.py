"""The face finder as an ONNX file with half-precision weights, and back for more training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fer_hf.faces.finder import MIN_SCORE_KEY
from fer_hf.training.finder.network import FinderNetwork


def write_finder(network: FinderNetwork, path: Path) -> None:
    """Write a network with its sigmoid, weights in float16.

    onnxruntime widens them when it opens the file, so that it computes in float32.

    Args:
        network: What is written.
        path: Of the ONNX file.
    """
    import onnx
    from onnx import numpy_helper

    class Finder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixel_values: torch.Tensor) -> Any:
            values = self.network(pixel_values)
            return values[..., 0].sigmoid(), values[..., 1:]

    dim = torch.export.Dim
    exported = torch.onnx.export(
        Finder().eval().float(),
        (torch.zeros(2, 1, 96, 128),),
        dynamo=True,
        input_names=["pixel_values"],
        output_names=["scores", "values"],
        dynamic_shapes={"pixel_values": {0: dim("batch"), 2: 32 * dim("h"), 3: 32 * dim("w")}},
        verbose=False,
    )
    model = exported.model_proto  # type: ignore[union-attr]
    graph = model.graph
    casts = []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.size > 64:
            name = weights.name
            weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            casts.append(
                onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT)
            )
    nodes = [*casts, *graph.node]
    del graph.node[:], graph.value_info[:]
    for node in nodes:
        node.doc_string = ""
        del node.metadata_props[:]
    graph.node.extend(nodes)
    del graph.metadata_props[:], model.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def write_min_score(path: Path, min_score: float) -> None:
    """Add to a file that `write_finder` wrote from which score on a box is a face."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {MIN_SCORE_KEY: str(min_score)})
    path.write_bytes(model.SerializeToString())


def read_finder(path: Path) -> FinderNetwork:
    """Return the network of a file that `write_finder` wrote, to train it further.

    Its normalisations are part of its convolutions there: those of the network do nothing, until
    `fit_normalisations` gives them statistics.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds another network.
    """
    import onnx
    from onnx import numpy_helper

    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}, expected a face finder (.onnx).")
    try:
        graph = onnx.load(path).graph
        arrays = {
            tensor.name.removesuffix("_half"): numpy_helper.to_array(tensor).astype(np.float32)
            for tensor in graph.initializer
        }
        # Equal biases are stored once: only the nodes say whose they are.
        found = {}
        for node in (node for node in graph.node if node.op_type == "Conv"):
            _, weight, bias = node.input
            found[weight] = torch.from_numpy(arrays[weight])
            found[weight.removesuffix("weight") + "bias"] = torch.from_numpy(arrays[bias])
        network = FinderNetwork()
        weights = network.state_dict()
        for name, convolution, norm in _list_normalised(network):
            weights[f"{name}.0.weight"] = found[f"network.{name}.0.weight"]
            weights[f"{name}.1.bias"] = found[f"network.{name}.0.bias"]
            weights[f"{name}.1.running_var"] = torch.full((convolution.out_channels,), 1 - norm.eps)
        for name in weights:
            if name.startswith(("laterals", "heads")):
                weights[name] = found[f"network.{name}"]
        network.load_state_dict(weights)
    except Exception as error:  # onnx raises errors of protobuf, which share no base class
        raise ValueError(
            f"{str(path)!r} is no face finder ({type(error).__name__}), expected a file that "
            "`fer-hf train_finder` wrote."
        ) from error
    return network


@torch.no_grad()
def fit_normalisations(network: FinderNetwork, frames: torch.Tensor) -> None:
    """Give normalisations that do nothing the statistics of frames, so that they still do nothing.

    Args:
        network: As `read_finder` returns it.
        frames: What it is trained on, shape (N, 1, S, S), from 0 to 1.
    """
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        norm.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
        for name, _, norm in _list_normalised(network)
    ]
    network.eval()(frames)
    for hook in hooks:
        hook.remove()
    for name, _, norm in _list_normalised(network):
        variance, mean = torch.var_mean(seen[name].float(), dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)


def _list_normalised(network: FinderNetwork) -> list[tuple[str, nn.Conv2d, Any]]:
    return [
        (name, layers[0], layers[1])
        for name, layers in network.named_modules()
        if isinstance(layers, nn.Sequential) and isinstance(layers[0], nn.Conv2d)
    ]
