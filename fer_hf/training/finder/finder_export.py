"""The face finder as an ONNX file, half its weights' bytes, for `FaceFinder` to open."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_hf.faces.finder import MIN_SCORE_KEY
from fer_hf.training.finder.network import FinderNetwork


def write_finder(network: FinderNetwork, path: Path, *, min_score: float | None = None) -> None:
    """Write a network with its sigmoid, weights in float16.

    onnxruntime widens them when it opens the file, so that it computes in float32.

    Args:
        network: What is written.
        path: Of the ONNX file.
        min_score: The score from which on a box is a face, which the file then says.
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
    if min_score is not None:
        onnx.helper.set_model_props(model, {MIN_SCORE_KEY: str(min_score)})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
