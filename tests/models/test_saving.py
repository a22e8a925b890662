"""What a loaded model writes as a checkpoint."""

import safetensors.torch
import torch
from transformers import AutoImageProcessor

from fer_hf.models import load_checkpoint, load_model


def test_a_model_is_saved_quietly_with_its_preprocessing_and_opens_in_float32(tmp_path, caplog):
    for name in ("test_resnet", "baseline"):
        loaded = load_model(name, ["calm", "angry"], weights="none", input_size=32)
        with caplog.at_level("WARNING"):
            loaded.save(tmp_path / name, "float16")
        weights = safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        kinds = {values.dtype for values in weights.values() if values.is_floating_point()}
        assert kinds == {torch.float16}
        assert {p.dtype for p in load_checkpoint(str(tmp_path / name)).model.parameters()} == {
            torch.float32
        }
        assert AutoImageProcessor.from_pretrained(tmp_path / name)
    assert caplog.text == ""
