"""What a loaded model writes as a checkpoint, and how that opens."""

import safetensors.torch
import torch

from fer_hf.models import load_checkpoint, load_model


def test_a_model_is_saved_and_opened_without_a_warning_and_is_float32_again(tmp_path, caplog):
    for name in ("test_resnet", "baseline"):
        loaded = load_model(name, ["calm", "angry"], weights="none", input_size=32)
        with caplog.at_level("WARNING"):
            loaded.save(tmp_path / name, "float16")
            opened = load_checkpoint(str(tmp_path / name))
        weights = safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        kinds = {values.dtype for values in weights.values() if values.is_floating_point()}
        assert kinds == {torch.float16}
        assert {parameter.dtype for parameter in opened.model.parameters()} == {torch.float32}
        assert type(opened.image_processor) is type(loaded.image_processor)
    assert caplog.text == ""
