"""An int8 copy of an exported network, which is kept only if it is as good and faster."""

import logging
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from datasets import Dataset
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.registry import QDQRegistry
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from fer_hf.data.labels import map_labels
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import MODEL_FILE, QUANTIZED_FILE
from fer_hf.publishing.export_job import ExportJob, sample_pictures

logger = logging.getLogger(__name__)

MAX_LOST_POINTS = 0.5
"""A quantised network that loses more points of validation accuracy is not kept."""
MIN_SPEEDUP = 1.1
"""Nor is one that is not this much faster: a tenth is what a noisy machine cannot fake."""

_NUM_CALIBRATION_PICTURES = 200
_LONG_SUM = 512
"""From so many products on, AMX outweighs what it takes to lay out its operands."""
_NUM_TIMED_CALLS = 100
_NUM_WARM_UP_CALLS = 10


@dataclass(frozen=True)
class QuantizedExport:
    """What the int8 network costs and gains against the float32 one.

    Attributes:
        accuracy: Of the float32 network on the validation pictures, 0–1.
        quantized_accuracy: Of the int8 network on the same.
        speedup: Median time of the float32 network over that of the int8 one, one picture each.
        num_pictures: Validation pictures.
    """

    accuracy: float
    quantized_accuracy: float
    speedup: float
    num_pictures: int

    def find_fault(self) -> str | None:
        """Return why the int8 network is not worth keeping; None where it is."""
        lost = 100 * (self.accuracy - self.quantized_accuracy)
        if lost > MAX_LOST_POINTS:
            return f"it loses {lost:.2f} points of accuracy, at most {MAX_LOST_POINTS} are allowed"
        if self.speedup < MIN_SPEEDUP:
            return f"it is {self.speedup:.2f} times as fast, expected {MIN_SPEEDUP} or more"
        return None

    def __str__(self) -> str:
        return (
            f"int8: accuracy {100 * self.quantized_accuracy:.1f} % (float32 "
            f"{100 * self.accuracy:.1f} %) on {self.num_pictures:,} validation pictures, "
            f"{self.speedup:.1f} times as fast{'; not kept' if self.find_fault() else ''}"
        )


def export_int8(job: ExportJob) -> QuantizedExport | None:
    """Quantise the exported network on training pictures, and measure it beside the float32 one.

    Raises:
        ValueError: The validation pictures have labels the model lacks.
    """
    if job.train is None:
        return None
    exported = ExpressionClassifier(str(job.folder), backend="onnx")
    # What may be refused comes before minutes of scoring.
    data_names = job.validation.features["label"].names
    labels = map_labels(job.validation["label"][:], data_names, exported.label_names)
    sample = sample_pictures(job.train, _NUM_CALIBRATION_PICTURES)
    pixel_values = (exported.preprocess([picture]) for picture in sample["image"])
    quantize_onnx(job.folder / MODEL_FILE, job.folder / QUANTIZED_FILE, pixel_values)
    quantized = ExpressionClassifier(str(job.folder), backend="onnx-int8")
    measured = QuantizedExport(
        accuracy=_measure_accuracy(exported, job.validation, labels),
        quantized_accuracy=_measure_accuracy(quantized, job.validation, labels),
        speedup=_measure_speedup(exported, quantized, job.validation[0]["image"]),
        num_pictures=len(job.validation),
    )
    if fault := measured.find_fault():
        logger.warning("The int8 network is not kept: %s.", fault)
        (job.folder / QUANTIZED_FILE).unlink()
    return measured


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
        model = onnx.load(folded)
        _turn_normalizations_into_convolutions(model.graph)
        onnx.save(model, folded)
        quantize_static(
            folded,
            quantized_path,
            _CalibrationPictures(pixel_values),
            # Not the normalisations that are left: quantised, they are no faster.
            op_types_to_quantize=[name for name in QDQRegistry if name != "BatchNormalization"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # processors without VNNI overflow with all eight bits
        )
    model = onnx.load(quantized_path)
    _shift_large_weights(model.graph)
    onnx.save(model, quantized_path)


def _turn_normalizations_into_convolutions(graph: onnx.GraphProto) -> None:
    """Make a convolution of single channels of each normalisation that none absorbed.

    As such it is quantised with its neighbours, which then pass bytes on instead of floats.
    """
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.value_info}
    for node in graph.node:
        if node.op_type != "BatchNormalization" or ranks.get(node.input[0]) != 4:
            continue
        scale, bias, mean, variance = (tensors[name] for name in node.input[1:])
        epsilon = next((said.f for said in node.attribute if said.name == "epsilon"), 1e-5)
        factors = scale / np.sqrt(variance + np.float32(epsilon))
        names = [f"{node.output[0]}_weight", f"{node.output[0]}_bias"]
        values = factors.reshape(-1, 1, 1, 1), bias - mean * factors
        graph.initializer.extend(map(numpy_helper.from_array, values, names))
        convolution = helper.make_node(
            "Conv",
            [node.input[0], *names],
            list(node.output),
            name=node.name,
            group=len(factors),
            kernel_shape=[1, 1],
        )
        node.CopyFrom(convolution)
    # onnxruntime would warn of each that is left over.
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _shift_large_weights(graph: onnx.GraphProto) -> None:
    """Let the weights of large convolutions stand around 1, which changes nothing but the speed.

    onnxruntime multiplies weights around 0 by its kernels for VNNI, others by those for AMX, which
    on a processor that has both are faster where sums are long.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in tensors:
            continue
        weights, zero_points = (tensors[node.input[place]] for place in (0, 2))
        values = numpy_helper.to_array(weights)
        # `reduce_range` leaves room above.
        if values.ndim == 4 and values[0].size >= _LONG_SUM:
            for tensor in (weights, zero_points):
                shifted = numpy_helper.to_array(tensor) + np.int8(1)
                tensor.CopyFrom(numpy_helper.from_array(shifted, tensor.name))


class _CalibrationPictures(CalibrationDataReader):
    """Pictures one array at a time, as onnxruntime asks for them."""

    def __init__(self, pixel_values: Iterator[npt.NDArray]) -> None:
        self._pixel_values = pixel_values

    def get_next(self) -> dict[str, npt.NDArray] | None:
        found = next(self._pixel_values, None)
        return None if found is None else {"pixel_values": found}


def _measure_accuracy(
    classifier: ExpressionClassifier, split: Dataset, labels: npt.NDArray[np.int64]
) -> float:
    scores = score_split(classifier, split, with_mirror_images=False)[0]
    return float((scores.argmax(axis=1) == labels).mean())


def _measure_speedup(
    slow: ExpressionClassifier, fast: ExpressionClassifier, picture: Image.Image
) -> float:
    """Return how many times as fast `fast` scores a picture, by medians of alternating calls."""
    pixel_values = slow.preprocess([picture])
    seconds = np.zeros((_NUM_WARM_UP_CALLS + _NUM_TIMED_CALLS, 2))
    for turn in range(len(seconds)):
        for column, classifier in enumerate((slow, fast)):
            start = time.perf_counter()
            classifier.score_pixels(pixel_values)
            seconds[turn, column] = time.perf_counter() - start
    middle = np.median(seconds[_NUM_WARM_UP_CALLS:], axis=0)
    return float(middle[0] / middle[1])
