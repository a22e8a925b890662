"""A checkpoint on torch, as transformers opens it: from pictures to logits.

A room of its own, the twin of `onnx_network`, so that scoring imports torch only to use it.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from fer_hf.models import load_checkpoint


class TorchNetwork:
    """A checkpoint with its own image processor, ready to score.

    Args:
        model_name_or_path: Checkpoint folder or Hub id.
        revision: Branch, tag or commit on the Hub.

    Attributes:
        model: The network itself, in eval mode.
        config: What its `config.json` holds.
        label_names: Names of the labels in the order of the logits.
        num_parameters: Parameters of the whole network.

    Raises:
        ValueError: It is not an image classifier.
        OSError: It cannot be found, reached or read.
    """

    def __init__(self, model_name_or_path: str, *, revision: str | None = None) -> None:
        loaded = load_checkpoint(model_name_or_path, revision=revision)
        self.model = loaded.model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
        self._image_processor = loaded.image_processor
        self.config = loaded.model.config.to_dict()
        labels = sorted((loaded.model.config.id2label or {}).items())
        self.label_names = [str(name) for _, name in labels]
        self.num_parameters = loaded.model.num_parameters()

    def preprocess(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Turn RGB pictures of any size into `pixel_values` of shape (N, 3, H, W)."""
        return self._image_processor(list(pictures), return_tensors="pt")["pixel_values"].numpy()

    def compute_logits(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn `pixel_values` (N, 3, H, W) into logits (N, number of outputs)."""
        with torch.inference_mode():
            layout = torch.from_numpy(pixel_values).contiguous(memory_format=torch.channels_last)
            return self.model(pixel_values=layout).logits.numpy()
