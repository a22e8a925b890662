"""A checkpoint's network, on torch or on onnxruntime: from pictures to logits.

Each runtime is imported when a network is opened on it, because a machine that only serves has no
torch, and one that only trains no onnxruntime.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.pictures import MOST_PIXELS, reduce_huge
from fer_hf.inference.preprocessing import read_preprocessing, read_processor
from fer_hf.models.bundled import locate_model
from fer_hf.models.checkpoint_files import CONFIG_FILE, PROCESSOR_FILE, read_json

BACKENDS = ("auto", "torch", "onnx", "onnx-int8")
"""What a checkpoint can run on; `auto` is torch where it is installed."""

WEIGHTS_FILE = "model.safetensors"
MODEL_FILE = "onnx/model.onnx"
QUANTIZED_FILE = "onnx/model_quantized.onnx"
NUM_PARAMETERS_KEY = "num_parameters"
"""Where an exported file's metadata keeps the number of the network's parameters."""


class Network(Protocol):
    """An open checkpoint.

    Attributes:
        config: The content of its `config.json`.
        num_parameters: Parameters of the whole network.
        file: Where its weights are, from the checkpoint's folder on.
    """

    config: dict[str, Any]
    num_parameters: int
    file: str

    def preprocess(self, pictures: Sequence[Image.Image], /) -> npt.NDArray[np.float32]:
        """Turn RGB pictures of any size into `pixel_values` of shape (N, 3, H, W)."""
        ...

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn `pixel_values` (N, 3, H, W) into logits (N, number of outputs)."""
        ...


def choose_backend(model_name_or_path: str, backend: str) -> str:
    """Return the backend that `auto` stands for with a checkpoint, or `backend` itself.

    Raises:
        ValueError: There is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"`backend` is {backend!r}, expected one of {BACKENDS}.")
    if backend != "auto":
        return backend
    folder = Path(model_name_or_path)
    is_only_exported = (folder / "onnx").is_dir() and not (folder / WEIGHTS_FILE).exists()
    return "onnx" if is_only_exported or find_spec("torch") is None else "torch"


def open_network(model_name_or_path: str, revision: str | None, backend: str) -> Network:
    """Open a checkpoint folder or a model on the Hub on one of `BACKENDS`."""
    chosen = choose_backend(model_name_or_path, backend)
    if chosen == "torch":
        return TorchNetwork(model_name_or_path, revision=revision)
    file = QUANTIZED_FILE if chosen == "onnx-int8" else MODEL_FILE
    return OnnxNetwork(model_name_or_path, revision=revision, file=file)


class TorchNetwork:
    """A `Network` as transformers opens it; `model` is the network itself, in eval mode.

    Raises:
        ValueError: It is not an image classifier.
        OSError: It cannot be found, reached or read.
    """

    def __init__(self, model_name_or_path: str, *, revision: str | None = None) -> None:
        import torch
        from transformers import TimmWrapperImageProcessor

        from fer_hf.models import load_checkpoint

        loaded = load_checkpoint(model_name_or_path, revision=revision)
        self.model = loaded.model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
        self.config = loaded.model.config.to_dict()
        self.num_parameters = loaded.model.num_parameters()
        self.file = WEIGHTS_FILE
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
        folder = Path(locate_model(model_name_or_path))
        if not folder.is_dir():
            folder = _fetch(model_name_or_path, revision, file)
        if not (folder / file).is_file():
            raise FileNotFoundError(
                f"Checkpoint {model_name_or_path!r} has no `{file}`, expected an exported one. "
                f"On a machine with torch, run: fer-hf export {model_name_or_path}"
            )
        self.file = file
        self.config = read_json(folder / CONFIG_FILE)
        self.preprocess = read_preprocessing(folder)
        self._session = _open_session(folder / file)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if NUM_PARAMETERS_KEY not in metadata:
            raise ValueError(
                f"The network {file!r} of {model_name_or_path!r} was written by another exporter, "
                f"expected one that fer_hf has checked. Run: fer-hf export {model_name_or_path}"
            )
        self.num_parameters = int(metadata[NUM_PARAMETERS_KEY])

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # noqa: D102
        return self._session.run(["logits"], {"pixel_values": pixel_values})[0]


def _fetch(repo_id: str, revision: str | None, file: str) -> Path:
    # Needed for the Hub only, and half a second to import.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        wanted = [CONFIG_FILE, PROCESSOR_FILE, file]
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=wanted))
    except HFValidationError:
        raise FileNotFoundError(
            f"There is no folder {repo_id!r}, and it is not a Hub id. Expected a checkpoint folder "
            "or a Hub id like 'you/your-fer'. Check the path."
        ) from None
    except OSError as error:
        raise OSError(
            f"Could not load model {repo_id!r}: it is not a folder here, nor in the cache, nor on "
            "a Hub that answers. Check the name and the network."
        ) from error


def _open_session(path: Path) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "An exported checkpoint runs on onnxruntime, which is not installed. "
            "Run: pip install 'fer-hf[onnx]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    options.log_severity_level = 3  # errors: its warnings are of no use to users
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # Its errors share no other base class.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise OSError(
            f"The network {str(path)!r} is damaged, or made for a newer onnxruntime than "
            f"{onnxruntime.__version__} ({reason}). Export it again."
        ) from error
