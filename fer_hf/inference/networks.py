"""A checkpoint's network, on torch or on onnxruntime: from pictures to logits.

Each runtime is imported when a network is opened on it, because a machine that only serves has no
torch, and one that only trains no onnxruntime.
"""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.pictures import MOST_PIXELS, reduce_huge
from fer_hf.inference.graph_network import GRAPH_FILE, WEIGHTS_FILE, GraphNetwork
from fer_hf.inference.onnx_session import fetch_files, open_session
from fer_hf.inference.preprocessing import read_preprocessing, read_processor
from fer_hf.models.checkpoint_files import CONFIG_FILE, read_json

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "onnx", "onnx-int8")
"""What a checkpoint can run on; `auto` is the fastest that needs no export."""

MODEL_FILE = "onnx/model.onnx"
QUANTIZED_FILE = "onnx/model_quantized.onnx"
NUM_PARAMETERS_KEY = "num_parameters"
"""Where an exported file's metadata keeps the number of the network's parameters."""


class Network(Protocol):
    """An open checkpoint.

    Attributes:
        backend: What it runs on: `torch`, `onnx` or `onnx-int8`.
        config: The content of its `config.json`.
        num_parameters: Parameters of the whole network.
        files: Those it consists of, from the checkpoint's folder on.
    """

    backend: str
    config: dict[str, Any]
    num_parameters: int
    files: tuple[str, ...]

    def preprocess(self, pictures: Sequence[Image.Image], /) -> npt.NDArray[np.float32]:
        """Turn RGB pictures of any size into `pixel_values` of shape (N, 3, H, W)."""
        ...

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn `pixel_values` (N, 3, H, W) into logits (N, number of outputs)."""
        ...


def open_network(model_name_or_path: str, revision: str | None, backend: str) -> Network:
    """Open a checkpoint folder or a model on the Hub on one of `BACKENDS`.

    `auto` is the graph beside the weights; without one, or where it cannot be used, torch; where
    torch is not installed or the folder holds nothing else, what `fer-hf export` wrote.

    Raises:
        ValueError: There is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"`backend` is {backend!r}, expected one of {BACKENDS}.")
    if backend == "torch":
        return TorchNetwork(model_name_or_path, revision=revision)
    if backend == "onnx-int8":
        return OnnxNetwork(model_name_or_path, revision=revision, file=QUANTIZED_FILE)
    may_learn = backend == "auto" and find_spec("torch") is not None
    try:
        folder = fetch_files(model_name_or_path, revision, GRAPH_FILE)
    except OSError:
        if not may_learn:
            raise
        return TorchNetwork(model_name_or_path, revision=revision)
    if (folder / GRAPH_FILE).is_file():
        try:
            return GraphNetwork(model_name_or_path, revision=revision)
        except (ImportError, OSError, ValueError) as error:
            if not may_learn:
                raise
            logger.warning("%s Torch is used instead.", error)
    is_only_exported = (folder / "onnx").is_dir() and not (folder / WEIGHTS_FILE).exists()
    if may_learn and not is_only_exported:
        return TorchNetwork(model_name_or_path, revision=revision)
    return OnnxNetwork(model_name_or_path, revision=revision)


class TorchNetwork:
    """A `Network` as transformers opens it; `model` is the network itself, in eval mode.

    Raises:
        ValueError: It is not an image classifier.
        OSError: It cannot be found, reached or read.
    """

    backend = "torch"
    files: tuple[str, ...] = (WEIGHTS_FILE,)

    def __init__(self, model_name_or_path: str, *, revision: str | None = None) -> None:
        import torch
        from transformers import TimmWrapperImageProcessor

        from fer_hf.models import load_checkpoint

        loaded = load_checkpoint(model_name_or_path, revision=revision)
        self.model = loaded.model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
        self.config = loaded.model.config.to_dict()
        self.num_parameters = loaded.model.num_parameters()
        self._image_processor = loaded.image_processor
        self._resizes_with_pillow = isinstance(loaded.image_processor, TimmWrapperImageProcessor)

    def preprocess(self, pictures: Sequence[Image.Image], /) -> npt.NDArray[np.float32]:  # noqa: D102
        shrunk = [self._shrink(picture) for picture in pictures]
        return self._image_processor(shrunk, return_tensors="pt")["pixel_values"].numpy()

    def _shrink(self, picture: Image.Image) -> Image.Image:
        """Shrink a huge picture, of which torchvision would make several copies, to no effect."""
        if self._resizes_with_pillow or picture.width * picture.height <= MOST_PIXELS:
            return picture
        try:
            squash = read_processor(self._image_processor.to_dict())
        except (KeyError, TypeError, ValueError):
            squash = None
        return reduce_huge(picture) if squash is None else Image.fromarray(squash.resize(picture))

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: D102
        import torch

        with torch.inference_mode():
            layout = torch.from_numpy(pixel_values).contiguous(memory_format=torch.channels_last)
            return self.model(pixel_values=layout).logits.numpy()


class OnnxNetwork:
    """A `Network` that `fer-hf export` wrote, on onnxruntime.

    It uses every core, or as many as the environment's OMP_NUM_THREADS says, as torch does.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
        FileNotFoundError: The folder lacks the exported network.
        ValueError: The checkpoint prepares its pictures in another way, or was not exported by
            `fer_hf.publishing.onnx_export`.
        OSError: It cannot be reached, or is damaged.
    """

    def __init__(
        self, model_name_or_path: str, *, revision: str | None = None, file: str = MODEL_FILE
    ) -> None:
        folder = fetch_files(model_name_or_path, revision, file)
        if not (folder / file).is_file():
            raise FileNotFoundError(
                f"Checkpoint {model_name_or_path!r} has no `{file}`, expected an exported one. "
                f"On a machine with torch, run: fer-hf export {model_name_or_path}"
            )
        self.files: tuple[str, ...] = (file,)
        self.backend = "onnx-int8" if file == QUANTIZED_FILE else "onnx"
        self.config = read_json(folder / CONFIG_FILE)
        self.preprocess = read_preprocessing(folder)
        self._session = open_session(folder / file)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if NUM_PARAMETERS_KEY not in metadata:
            raise ValueError(
                f"The network {file!r} of {model_name_or_path!r} was written by another exporter, "
                f"expected one that fer_hf has checked. Run: fer-hf export {model_name_or_path}"
            )
        self.num_parameters = int(metadata[NUM_PARAMETERS_KEY])

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: D102
        return self._session.run(["logits"], {"pixel_values": pixel_values})[0]
