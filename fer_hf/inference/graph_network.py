"""A checkpoint on onnxruntime from its own weights: `model.onnx` beside them is the graph alone.

The graph ends in front of the last linear layer, which is read from the weights and applied here:
it does not depend on the labels, and a new head on the same backbone keeps its graph.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from fer_hf.inference.onnx_session import fetch_files, open_session
from fer_hf.inference.preprocessing import read_preprocessing
from fer_hf.models.checkpoint_files import CONFIG_FILE, read_json

GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"
GRAPH_KEY = "fer_hf_graph"
"""Where the graph's metadata keeps, as JSON, what `GraphNetwork` has to know of it."""
GRAPH_VERSION = 1

_METADATA_FIELD = 14
"""`metadata_props` of a `ModelProto`: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto."""


class GraphNetwork:
    """A `Network` whose graph and weights are two files.

    Attributes:
        folder: Of the two.
        head_weight: Of the last linear layer, shape (K, C).
        head_bias: Likewise, shape (K,).
        head_names: What the two are called in the weights' file.
        pools_by_mean: Whether the features are the plain mean of the last feature map.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
        FileNotFoundError: The folder lacks a graph or weights in one file.
        ValueError: The graph does not fit the weights, or is of another version, or the checkpoint
            prepares its pictures in another way.
        OSError: It cannot be reached, or is damaged.
    """

    backend = "onnx"
    files: tuple[str, ...] = (GRAPH_FILE, WEIGHTS_FILE)

    def __init__(self, model_name_or_path: str, *, revision: str | None = None) -> None:
        folder = fetch_files(model_name_or_path, revision, *self.files)
        for name in self.files:
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"Checkpoint {model_name_or_path!r} has no `{name}`, expected a graph beside "
                    f"its weights. Open it with torch."
                )
        self.folder = folder
        self.config = read_json(folder / CONFIG_FILE)
        self.preprocess = read_preprocessing(folder)
        said = _read_description(folder / GRAPH_FILE)
        self.head_names = said["head_weight"], said["head_bias"]
        weights = _read_weights(folder, [*said["weights"], *self.head_names])
        self.head_weight, self.head_bias = (weights.pop(name) for name in self.head_names)
        self.head_weight = self.head_weight.reshape(len(self.head_bias), -1)
        for name, shape in said["weights"].items():
            if list(weights[name].shape) != shape:
                raise ValueError(
                    f"The graph {str(folder / GRAPH_FILE)!r} does not fit its weights: `{name}` "
                    f"has the shape {list(weights[name].shape)}, expected {shape}. Delete the "
                    "graph, or copy the checkpoint again."
                )
        self.num_parameters = int(said["num_backbone_parameters"]) + sum(
            values.size for values in (self.head_weight, self.head_bias)
        )
        self.pools_by_mean = bool(said["pools_by_mean"])
        self._has_map = bool(said["has_feature_map"])
        self._session = open_session(folder / GRAPH_FILE, weights)

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: D102
        return self.apply_head(self.compute_features(pixel_values))

    def apply_head(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn features (N, C) into logits (N, K)."""
        return features @ self.head_weight.T + self.head_bias

    def compute_features(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn `pixel_values` (N, 3, H, W) into the input of the last linear layer, (N, C)."""
        return self._session.run(["features"], {"pixel_values": pixel_values})[0]

    def compute_feature_maps(
        self, pixel_values: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the features (N, C), and the last map before they are pooled, (N, c, h, w).

        Raises:
            ValueError: The network has no such map.
        """
        if not self._has_map:
            raise ValueError(
                "The network has no feature map, expected a convolutional one. Explain a timm "
                "network or the baseline CNN."
            )
        return tuple(self._session.run(["features", "feature_map"], {"pixel_values": pixel_values}))


def _read_description(path: Path) -> dict[str, Any]:
    """Read what a graph says of itself, which onnxruntime tells only after it has the weights."""
    content = path.read_bytes()
    try:
        entries = [dict(_read_fields(e)) for n, e in _read_fields(content) if n == _METADATA_FIELD]
    except (IndexError, ValueError):
        raise OSError(
            f"The graph {str(path)!r} is damaged or incomplete. Delete it, or copy it again."
        ) from None
    said = {entry[1].decode(): entry[2].decode() for entry in entries}
    description = json.loads(said.get(GRAPH_KEY, "{}"))
    if description.get("version") != GRAPH_VERSION:
        raise ValueError(
            f"The graph {str(path)!r} is of version {description.get('version')!r}, expected "
            f"{GRAPH_VERSION}: it was written by another version of fer_hf, or by another program. "
            "Delete it, or train or fit again."
        )
    return description


def _read_fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Take a protobuf message apart: the number of each field that is no integer, and its bytes."""
    position = 0
    while position < len(content):
        tag, position = _read_varint(content, position)
        number, position = _read_varint(content, position)
        if tag & 7 == 2:  # as long as the number says
            if position + number > len(content):
                raise ValueError
            yield tag >> 3, content[position : position + number]
            position += number
        elif tag & 7:  # not an integer either
            raise ValueError


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    """Return an integer of seven bits a byte, low ones first, and where the next thing begins."""
    number = shift = 0
    while True:
        byte = content[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number, position


def _read_weights(folder: Path, names: list[str]) -> dict[str, npt.NDArray[Any]]:
    """Read tensors by name; what is floating point as float32, whatever the file has."""
    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, framework="np") as file:
            known = set(file.keys())
            if missing := sorted(set(names) - known):
                raise ValueError(
                    f"The graph {str(folder / GRAPH_FILE)!r} does not fit its weights, which lack "
                    f"{len(missing)} of its tensors, such as {missing[0]!r}. Delete the graph, or "
                    "copy the checkpoint again."
                )
            found = {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise OSError(
            f"The weights {str(path)!r} are damaged or incomplete ({error}). Copy them again."
        ) from error
    for name, values in found.items():
        if values.dtype.kind == "f":
            found[name] = values = values.astype(np.float32, copy=False)
            if not np.isfinite(values).all():
                raise ValueError(
                    f"The weights of {str(folder)!r} are NaN or infinite, such as in {name!r}, "
                    "expected finite numbers: its training diverged, or the file is damaged. Give "
                    "an earlier checkpoint, or train again with a lower learning rate."
                )
    return found
