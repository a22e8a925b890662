"""Files of a checkpoint for onnxruntime: fetched, and opened with what is wrong in one line."""

import os
from pathlib import Path
from typing import Any

from fer_hf.models.bundled import locate_model
from fer_hf.models.checkpoint_files import CONFIG_FILE, PROCESSOR_FILE


def fetch_files(model_name_or_path: str, revision: str | None, *files: str) -> Path:
    """Return the folder of a checkpoint; of one on the Hub, its settings and `files` are fetched.

    Raises:
        FileNotFoundError: It is neither a folder nor a Hub id.
        OSError: It cannot be reached.
    """
    folder = Path(locate_model(model_name_or_path))
    if folder.is_dir():
        return folder
    # Needed for the Hub only, and half a second to import.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    wanted = [CONFIG_FILE, PROCESSOR_FILE, *files]
    try:
        return Path(snapshot_download(str(folder), revision=revision, allow_patterns=wanted))
    except HFValidationError:
        raise FileNotFoundError(
            f"There is no folder {model_name_or_path!r}, and it is not a Hub id. Expected a "
            "checkpoint folder or a Hub id like 'you/your-fer'. Check the path."
        ) from None
    except OSError as error:
        raise OSError(
            f"Could not load model {model_name_or_path!r}: it is not a folder here, nor in the "
            "cache, nor on a Hub that answers. Check the name and the network."
        ) from error


def open_session(path: Path, weights: dict[str, Any] | None = None) -> Any:
    """Open an ONNX file on every core, or as many as OMP_NUM_THREADS says, as torch does.

    Args:
        path: Of the file.
        weights: Arrays for the tensors that the file only names.

    Raises:
        ModuleNotFoundError: onnxruntime is not installed.
        OSError: The file is damaged, too new for onnxruntime, or does not fit the weights.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Without torch a checkpoint runs on onnxruntime, which is not installed. "
            "Run: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    options.log_severity_level = 3  # errors: its warnings are of no use to users
    if weights:
        values = map(onnxruntime.OrtValue.ortvalue_from_numpy, weights.values())
        options.add_external_initializers(list(weights), list(values))
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # Its errors share no other base class.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise OSError(
            f"The network {str(path)!r} is damaged, or made for a newer onnxruntime than "
            f"{onnxruntime.__version__} ({reason}). Export it again."
        ) from error
