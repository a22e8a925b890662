"""Exported checkpoints as `fer-hf export` writes them, small enough to check by hand."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TIMM = {
    "crop_mode": "squash",
    "crop_pct": 1.0,
    "input_size": [3, 24, 32],
    "interpolation": "bilinear",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.5, 0.25, 0.2],
}
SQUARE = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "rescale_factor": 1 / 255,
    "resample": 2,
    "size": {"height": 32, "width": 32},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
LABELS = ["calm", "cross"]
WEIGHTS = np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], np.float32)


def write_network(path, weights=WEIGHTS):
    """A network whose logits are the mean of each channel times `weights`."""
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ]
    tensors = [
        numpy_helper.from_array(np.array([2, 3]), "axes"),
        numpy_helper.from_array(weights, "weights"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (
            ("pixel_values", ["batch", 3, None, None]),
            ("logits", ["batch", weights.shape[1]]),
        )
    ]
    graph = helper.make_graph(nodes, "mean", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"num_parameters": str(weights.size)})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def write_config(folder, **settings):
    config = {"label_names": LABELS, "pretrained_cfg": TIMM, **settings}
    (folder / "config.json").write_text(json.dumps(config))
