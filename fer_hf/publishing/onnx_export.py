"""A checkpoint as an ONNX file, which is kept only if it answers as the checkpoint does.

Serving needs none of this: a network is exported once, where torch and pictures are, and then runs
on onnxruntime, in Python or in a browser.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fer_hf.data.extras import naming_missing_extra
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import MODEL_FILE, NUM_PARAMETERS_KEY
from fer_hf.models import LoadedModel
from fer_hf.publishing.export_job import ExportJob, sample_pictures

with naming_missing_extra():
    import onnxscript  # noqa: F401  (torch exports with it)

MAX_SCORE_DIFFERENCE = 1e-4
"""An exported network whose scores are further from torch's is not kept."""

_NUM_PARITY_PICTURES = 64


@dataclass(frozen=True)
class OnnxExport:
    """How close an exported network is to its checkpoint.

    Attributes:
        score_difference: Largest difference between scores of torch and onnxruntime.
        num_pictures: On how many pictures.
    """

    score_difference: float
    num_pictures: int

    def __str__(self) -> str:
        return (
            f"float32: scores within {self.score_difference:.0e} of torch's, "
            f"on {self.num_pictures} pictures"
        )


def export_onnx(job: ExportJob) -> OnnxExport:
    """Write the network, and compare its scores with the checkpoint's.

    Raises:
        RuntimeError: They differ.
    """
    write_onnx(job.loaded, job.folder / MODEL_FILE)
    sample = sample_pictures(job.validation, _NUM_PARITY_PICTURES)["image"]
    expected = ExpressionClassifier(job.model_name_or_path, backend="torch")
    found = ExpressionClassifier(str(job.folder), backend="onnx")
    difference = float(np.abs(expected(sample) - found(sample)).max())
    if expected.label_names != found.label_names or not difference <= MAX_SCORE_DIFFERENCE:
        raise RuntimeError(
            f"The exported network's scores differ by up to {difference:.1e} from the checkpoint's "
            f"on {len(sample)} pictures, expected {MAX_SCORE_DIFFERENCE:.0e} or less. Nothing is "
            "kept; use the checkpoint with torch."
        )
    return OnnxExport(difference, len(sample))


def write_onnx(loaded: LoadedModel, path: Path) -> None:
    """Write a network as ONNX, float32: `pixel_values` (N, 3, H, W) to `logits`, for any N."""
    # Two pictures, because a batch of one would be taken for a constant.
    blank = [Image.new("RGB", (64, 64))] * 2
    pixel_values = loaded.image_processor(blank, return_tensors="pt")["pixel_values"]
    program: Any = torch.onnx.export(
        _Logits(loaded.model.float()).eval(),
        (pixel_values,),
        dynamo=True,
        verbose=False,
        input_names=["pixel_values"],
        output_names=["logits"],
        dynamic_shapes={"pixel_values": {0: torch.export.Dim("batch")}},
    )
    # Each node would give away which files on this computer it comes from.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.model.metadata_props[NUM_PARAMETERS_KEY] = str(loaded.model.num_parameters())
    path.parent.mkdir(parents=True, exist_ok=True)
    program.save(path, external_data=False)


class _Logits(torch.nn.Module):
    """A network that takes and gives one tensor each, as exporting wants it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixel_values).logits
