"""A checkpoint as ONNX files, which are kept only if they answer as the checkpoint does.

A room of its own because serving needs none of this: a network is exported once, where torch and
pictures are, and then runs on onnxruntime, in Python or in a browser.
"""

import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from PIL import Image
from transformers import TimmWrapperImageProcessor

from fer_hf.data.labels import map_labels
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import MODEL_FILE, NUM_PARAMETERS_KEY, QUANTIZED_FILE
from fer_hf.inference.preprocessing import CONFIG_FILE, PROCESSOR_FILE, read_preprocessing
from fer_hf.models import LoadedModel, load_checkpoint

try:
    import onnxscript  # noqa: F401  (torch exports with it)
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.registry import QDQRegistry
    from onnxruntime.quantization.shape_inference import quant_pre_process
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"Exporting needs {error.name}, which is not installed. Say: pip install 'fer-hf[export]'"
    ) from error

logger = logging.getLogger(__name__)

MAX_SCORE_DIFFERENCE = 1e-4
"""An exported network whose scores are further from torch's is not kept."""
MAX_LOST_POINTS = 0.5
"""A quantised network that loses more points of validation accuracy is not kept."""
MIN_SPEEDUP = 1.1
"""Nor is one that is not this much faster: a tenth is what a noisy machine cannot fake."""

_NUM_PARITY_PICTURES = 64
_NUM_CALIBRATION_PICTURES = 200
_NUM_TIMED_CALLS = 100
_NUM_WARM_UP_CALLS = 10


@dataclass(frozen=True)
class QuantizedExport:
    """What the int8 network costs and gains against the float32 one.

    Attributes:
        accuracy: Of the float32 network on the validation pictures, 0–1.
        quantized_accuracy: Of the int8 network on the same.
        speedup: Median time of the float32 network over that of the int8 one, a picture at a time.
        num_pictures: Validation pictures.
    """

    accuracy: float
    quantized_accuracy: float
    speedup: float
    num_pictures: int

    def find_fault(self) -> str | None:
        """Say why the int8 network is not worth keeping; None where it is."""
        lost = 100 * (self.accuracy - self.quantized_accuracy)
        if lost > MAX_LOST_POINTS:
            return f"it loses {lost:.2f} points of accuracy, at most {MAX_LOST_POINTS} are allowed"
        if self.speedup < MIN_SPEEDUP:
            return f"it is {self.speedup:.2f} times as fast, expected {MIN_SPEEDUP} or more"
        return None


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        files: The networks that were kept.
        score_difference: Largest difference between scores of torch and onnxruntime.
        num_pictures: On how many pictures.
        quantized: How the int8 network compares, kept or not; None where none was made.
    """

    files: list[Path]
    score_difference: float
    num_pictures: int
    quantized: QuantizedExport | None = None


def export_checkpoint(
    model_name_or_path: str,
    output_dir: str | Path,
    validation: Dataset,
    train: Dataset | None = None,
) -> Export:
    """Write a checkpoint's network as ONNX, float32 and, given training pictures, int8.

    The files are tried as they will be used, in a folder that becomes part of `output_dir` only if
    they pass. Where that is not the checkpoint itself, its settings are put beside them, and the
    folder serves without the checkpoint.

    Args:
        model_name_or_path: A checkpoint folder or Hub id, or the model in the box.
        output_dir: Where `onnx/model.onnx` and `onnx/model_quantized.onnx` go.
        validation: Columns `image` and `label`; the gates are measured on them.
        train: Column `image`; int8 is calibrated on a sample of them. None leaves int8 out.

    Raises:
        FileExistsError: `output_dir` is another checkpoint.
        ValueError: The checkpoint prepares pictures in a way that only torch knows, or the
            validation pictures have labels it lacks.
        RuntimeError: The exported network's scores differ from the checkpoint's.
        OSError: The checkpoint cannot be found, reached or read.
    """
    folder = Path(output_dir)
    is_own = folder.is_dir() and folder.resolve() == Path(model_name_or_path).resolve()
    if not is_own and (folder / "model.safetensors").exists():
        raise FileExistsError(
            f"Folder {str(folder)!r} is a checkpoint of its own, expected a new folder or that of "
            "the exported checkpoint. Give another --output_dir."
        )
    loaded = load_checkpoint(model_name_or_path)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        trial = Path(temporary)
        _save_settings(loaded, trial)
        read_preprocessing(trial)  # refuses what cannot be served
        write_onnx(loaded, trial / MODEL_FILE)
        difference, num_pictures = _check_parity(model_name_or_path, trial, validation)
        quantized = None if train is None else _try_int8(trial, train, validation)
        is_int8_kept = quantized is not None and quantized.find_fault() is None
        kept = {MODEL_FILE, *([QUANTIZED_FILE] if is_int8_kept else [])}
        settings = set() if is_own else {CONFIG_FILE, PROCESSOR_FILE}
        return Export(_keep(trial, folder, kept | settings), difference, num_pictures, quantized)


def write_onnx(loaded: LoadedModel, path: Path) -> None:
    """Write a network as ONNX, float32: `pixel_values` (N, 3, H, W) to `logits`, for any N."""
    # Of two pictures, because a batch of one would be taken for a constant.
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
    # Each node would tell which lines of which files on this computer it comes from.
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


def quantize_onnx(path: Path, quantized_path: Path, pixel_values: Iterator[npt.NDArray]) -> None:
    """Write an int8 copy of an ONNX network, whose ranges are those met on `pixel_values`.

    Static quantisation with a scale for each output channel of the weights; source: Jacob et al.,
    "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
    CVPR 2018, and Krishnamoorthi, arXiv:1806.08342, section 3.

    Args:
        path: The float32 network.
        quantized_path: Where the int8 network goes.
        pixel_values: Arrays of shape (N, 3, H, W), of pictures like those it was trained on.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folded = Path(temporary) / "folded.onnx"
        quant_pre_process(path, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            quantized_path,
            _CalibrationPictures(pixel_values),
            # Those normalisations that no convolution has taken in: quantised, they are no faster.
            op_types_to_quantize=[name for name in QDQRegistry if name != "BatchNormalization"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # processors without VNNI overflow with all eight bits
        )


class _CalibrationPictures(CalibrationDataReader):
    """Pictures one array at a time, as onnxruntime asks for them."""

    def __init__(self, pixel_values: Iterator[npt.NDArray]) -> None:
        self._pixel_values = pixel_values

    def get_next(self) -> dict[str, npt.NDArray] | None:
        found = next(self._pixel_values, None)
        return None if found is None else {"pixel_values": found}


def _save_settings(loaded: LoadedModel, folder: Path) -> None:
    loaded.model.config.save_pretrained(folder)
    # The timm wrapper's are part of its config.
    if not isinstance(loaded.image_processor, TimmWrapperImageProcessor):
        loaded.image_processor.save_pretrained(folder)


def _check_parity(model_name_or_path: str, trial: Path, pictures: Dataset) -> tuple[float, int]:
    """Return the largest difference between scores of torch and onnxruntime, on how many pictures.

    Raises:
        RuntimeError: It is too large.
    """
    sample = _sample(pictures, _NUM_PARITY_PICTURES)["image"]
    expected = ExpressionClassifier(model_name_or_path, backend="torch")
    found = ExpressionClassifier(str(trial), backend="onnx")
    difference = float(np.abs(expected(sample) - found(sample)).max())
    if expected.label_names != found.label_names or not difference <= MAX_SCORE_DIFFERENCE:
        raise RuntimeError(
            f"The exported network's scores differ by up to {difference:.1e} from the checkpoint's "
            f"on {len(sample)} pictures, expected {MAX_SCORE_DIFFERENCE:.0e} or less. Nothing is "
            "kept; use the checkpoint with torch."
        )
    return difference, len(sample)


def _try_int8(trial: Path, train: Dataset, validation: Dataset) -> QuantizedExport:
    """Write the int8 network, and measure it beside the float32 one."""
    exported = ExpressionClassifier(str(trial), backend="onnx")
    # What may be refused comes before minutes of scoring.
    data_names = validation.features["label"].names
    labels = map_labels(validation["label"][:], data_names, exported.label_names)
    sample = _sample(train, _NUM_CALIBRATION_PICTURES)
    pixel_values = (exported.preprocess([picture]) for picture in sample["image"])
    quantize_onnx(trial / MODEL_FILE, trial / QUANTIZED_FILE, pixel_values)
    quantized = ExpressionClassifier(str(trial), backend="onnx-int8")
    measured = QuantizedExport(
        accuracy=_measure_accuracy(exported, validation, labels),
        quantized_accuracy=_measure_accuracy(quantized, validation, labels),
        speedup=_measure_speedup(exported, quantized, validation[0]["image"]),
        num_pictures=len(validation),
    )
    if fault := measured.find_fault():
        logger.warning("The int8 network is not kept: %s.", fault)
    return measured


def _measure_accuracy(
    classifier: ExpressionClassifier, split: Dataset, labels: npt.NDArray[np.int64]
) -> float:
    scores = score_split(classifier, split, with_mirror_images=False)[0]
    return float((scores.argmax(axis=1) == labels).mean())


def _measure_speedup(
    slow: ExpressionClassifier, fast: ExpressionClassifier, picture: Image.Image
) -> float:
    """Return how many times as fast `fast` scores a picture, by medians of calls in turns."""
    pixel_values = slow.preprocess([picture])
    seconds = np.zeros((_NUM_WARM_UP_CALLS + _NUM_TIMED_CALLS, 2))
    for turn in range(len(seconds)):
        for column, classifier in enumerate((slow, fast)):
            start = time.perf_counter()
            classifier.score_pixels(pixel_values)
            seconds[turn, column] = time.perf_counter() - start
    middle = np.median(seconds[_NUM_WARM_UP_CALLS:], axis=0)
    return float(middle[0] / middle[1])


def _sample(split: Dataset, num_pictures: int) -> Dataset:
    return split.shuffle(seed=0).select(range(min(num_pictures, len(split))))


def _keep(trial: Path, folder: Path, names: set[str]) -> list[Path]:
    """Move what passed to where it belongs; networks of an earlier export go."""
    for name in (MODEL_FILE, QUANTIZED_FILE):
        (folder / name).unlink(missing_ok=True)
    (folder / MODEL_FILE).parent.mkdir(exist_ok=True)
    found = sorted(name for name in names if (trial / name).exists())
    return [(trial / name).replace(folder / name) for name in found]
