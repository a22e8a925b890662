"""An exported checkpoint on onnxruntime: from pictures to logits without torch.

A room of its own, the twin of `torch_network`, because a machine that only serves needs no more
than numpy, Pillow and onnxruntime.
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fer_hf.inference.preprocessing import (
    CONFIG_FILE,
    PROCESSOR_FILE,
    read_json,
    read_label_names,
    read_preprocessing,
)
from fer_hf.models.bundled import locate_model

try:
    import onnxruntime
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "An exported checkpoint runs on onnxruntime, which is not installed. "
        "Say: pip install 'fer-hf[onnx]'"
    ) from error

MODEL_FILE = "onnx/model.onnx"
QUANTIZED_FILE = "onnx/model_quantized.onnx"
NUM_PARAMETERS_KEY = "num_parameters"
"""Where an exported file's metadata keeps the number of the network's parameters."""


class OnnxNetwork:
    """A checkpoint folder with an exported network, ready to score.

    Each core takes part, or as many as the environment's OMP_NUM_THREADS says, as for torch.

    Args:
        model_name_or_path: Checkpoint folder or Hub id.
        revision: Branch, tag or commit on the Hub.
        file: Which of the exported networks, `MODEL_FILE` or `QUANTIZED_FILE`.

    Attributes:
        config: What its `config.json` holds.
        label_names: Names of the labels in the order of the logits.
        preprocess: Turns RGB pictures into `pixel_values`.
        num_parameters: Parameters of the whole network.

    Raises:
        FileNotFoundError: The folder lacks the exported network.
        ValueError: The checkpoint names no labels, prepares its pictures in another way, or was
            not exported by `fer_hf.publishing.onnx_export`.
        OSError: It cannot be reached, or is damaged.
    """

    def __init__(
        self, model_name_or_path: str, *, revision: str | None = None, file: str = MODEL_FILE
    ) -> None:
        folder = _locate(model_name_or_path, revision, file)
        self.config = read_json(folder / CONFIG_FILE)
        self.label_names = read_label_names(self.config)
        self.preprocess = read_preprocessing(folder)
        self._session = _open_session(folder / file)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if NUM_PARAMETERS_KEY not in metadata:
            raise ValueError(
                f"The network {file!r} of {model_name_or_path!r} is by another exporter, expected "
                f"one that fer_hf has checked. Say: fer-hf export {model_name_or_path}"
            )
        self.num_parameters = int(metadata[NUM_PARAMETERS_KEY])

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn `pixel_values` (N, 3, H, W) into logits (N, number of outputs)."""
        return self._session.run(["logits"], {"pixel_values": pixel_values})[0]


def _locate(model_name_or_path: str, revision: str | None, file: str) -> Path:
    """Return the folder of a checkpoint that holds the exported network."""
    folder = Path(locate_model(model_name_or_path))
    if not folder.is_dir():
        folder = _fetch(model_name_or_path, revision, file)
    if not (folder / file).is_file():
        raise FileNotFoundError(
            f"Checkpoint {model_name_or_path!r} holds no `{file}`, expected one that was exported. "
            f"Where torch is, say: fer-hf export {model_name_or_path}"
        )
    return folder


def _fetch(repo_id: str, revision: str | None, file: str) -> Path:
    # Needed for the Hub only, and half a second to import.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        wanted = [CONFIG_FILE, PROCESSOR_FILE, file]
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=wanted))
    except HFValidationError:
        raise FileNotFoundError(
            f"There is no folder {repo_id!r}, and it is no Hub id. Expected a checkpoint folder or "
            "a Hub id like 'you/your-fer'. Check the path."
        ) from None
    except OSError as error:
        raise OSError(
            f"Could not load model {repo_id!r}: it is no folder here, and neither in the cache nor "
            "on a Hub that answers. Check the name and the network."
        ) from error


def _open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    options.log_severity_level = 3  # errors: what it thinks of a network is no user's business
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # Its errors share no class but this one.
    except Exception as error:
        raise OSError(
            f"The network {str(path)!r} is damaged, or made for a newer onnxruntime than "
            f"{onnxruntime.__version__} ({error}). Export it again."
        ) from error
