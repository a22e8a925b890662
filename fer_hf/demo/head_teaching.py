"""A new head on the graph of a model, left as a checkpoint: `fer-hf fit` without torch."""

import atexit
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors.numpy import load_file, save_file

from fer_hf.data.audit.fingerprints import SEEN_NAME, compute_fingerprint, save_fingerprints
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.not_sure import CONFIG_KEY
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.people.human import compute_constant_answer
from fer_hf.evaluation.reports.provenance import name_source
from fer_hf.evaluation.reports.report_files import REPORT_NAME, save_json
from fer_hf.evaluation.reports.run_report import RunReport
from fer_hf.inference.graph_network import GRAPH_FILE, WEIGHTS_FILE, GraphNetwork
from fer_hf.inference.linear_head import FittedHead, fit_head
from fer_hf.models.bundled import DEFAULT_MODEL, locate_model
from fer_hf.models.checkpoint_files import CONFIG_FILE, PROCESSOR_FILE
from fer_hf.publishing.model_card import CARD_NAME, leave_out_missing, render_model_card

DATA = "pictures given in the demo"

_BATCH_SIZE = 16


@dataclass(frozen=True)
class Backbone:
    """A network that stays as it is below its head.

    Attributes:
        name: What it is called where everybody may read it.
        pretrained_on: As a `RunReport` has it.
        network: The open graph.
    """

    name: str
    pretrained_on: str
    network: GraphNetwork


@lru_cache(maxsize=4)
def open_backbone(model_name_or_path: str) -> Backbone:
    """Open a model on its graph, which torch writes where there is none that can be used.

    Raises:
        ValueError: There is neither a graph nor torch, or none can be written for this network.
        OSError: The checkpoint cannot be found, reached or read.
    """
    try:
        network = GraphNetwork(model_name_or_path)
    except (ImportError, OSError, ValueError) as error:
        if find_spec("torch") is None:
            raise ValueError(
                f"{error} To teach a model without a graph, run: pip install 'fer-hf[train]'"
            ) from error
        network = GraphNetwork(str(_write_graph(model_name_or_path)))
    name = name_source(model_name_or_path)
    is_bundled = locate_model(model_name_or_path) == DEFAULT_MODEL
    return Backbone(name, "FER+" if is_bundled else name, network)


def _write_graph(model_name_or_path: str) -> Path:
    """Copy a checkpoint into a folder that is deleted with the process, and add its graph."""
    from fer_hf.models import load_checkpoint
    from fer_hf.publishing.graph_export import write_graph

    folder = Path(tempfile.mkdtemp(prefix="fer_hf_graph_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    loaded = load_checkpoint(model_name_or_path)
    loaded.save(folder)
    try:
        write_graph(loaded, folder)
    # An exporter fails in whatever way a network leads it to.
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"Model {model_name_or_path!r} has no graph, and none can be written ({reason}). "
            "Teach a timm network or the baseline CNN."
        ) from error
    return folder


def teach_head(
    backbone: Backbone, pictures: Mapping[str, Sequence[Image.Image]], folder: Path
) -> RunReport:
    """Fit a head to pictures, and leave a checkpoint, its fingerprints, its card and its report.

    Args:
        backbone: Whose features it learns from: of each picture and its mirror image.
        pictures: Label to RGB pictures, two or more.
        folder: A new one, after which the report is named.

    Raises:
        ValueError: Too few labels or pictures, or features that are not finite.
        OSError: The folder cannot be written.
    """
    start = time.perf_counter()
    names, network = list(pictures), backbone.network
    everything = [picture for each in pictures.values() for picture in each]
    labels = np.repeat(np.arange(len(names)), [len(each) for each in pictures.values()])
    views, input_size = _compute_views(network, everything)
    head = fit_head(views, labels)
    folder.mkdir()
    _write_network(backbone, head, _describe_labels(network.config, names, head, labels), folder)
    seconds = time.perf_counter() - start
    size, old_size = (weight.size + len(weight) for weight in (head.weight, network.head_weight))
    report = RunReport(
        model_name_or_path=backbone.name,
        display_name=folder.name,
        pretrained_on=backbone.pretrained_on,
        fine_tuned="head",
        num_parameters=network.num_parameters - old_size + size,
        num_trainable_parameters=size,
        data=DATA,
        label_names=names,
        split_sizes={"train": len(labels)},
        input_size=input_size,
        seed=0,
        settings={
            "method": "logistic regression on frozen features",
            "strength": head.strength,
            "temperature": head.temperature,
            "num_folds": head.num_folds,
            "feature_views": len(views),
        },
        versions={name: version(name) for name in ("fer-hf", "numpy", "onnxruntime")},
        train_seconds=seconds,
        evaluations={"validation": evaluate_scores(head.held_out_scores, labels, names)},
        history=[],
        yardsticks=[compute_constant_answer(labels, names)],
    )
    fingerprints = [compute_fingerprint(picture) for picture in everything]
    save_fingerprints(np.array(fingerprints, np.uint64), folder)
    card = leave_out_missing(render_model_card(report), [SEEN_NAME])
    (folder / CARD_NAME).write_text(card, encoding="utf-8")
    save_json(report.to_dict(), folder / REPORT_NAME)
    return report


def _compute_views(
    network: GraphNetwork, pictures: Sequence[Image.Image]
) -> tuple[npt.NDArray[np.float32], int]:
    """Return the features (2, N, C) of pictures and their mirror images, and the input's side."""
    views = []
    for start in range(0, len(pictures), _BATCH_SIZE):
        plain = network.preprocess(pictures[start : start + _BATCH_SIZE])
        mirrored = np.ascontiguousarray(plain[..., ::-1])
        views.append([network.compute_features(one) for one in (plain, mirrored)])
    return np.concatenate(views, axis=1), plain.shape[-1]


def _describe_labels(
    config: Mapping[str, Any], names: Sequence[str], head: FittedHead, labels: npt.NDArray
) -> dict[str, Any]:
    """Return a checkpoint's config with other labels, and with when their head is not sure."""
    ids = {name: number for number, name in enumerate(names)}
    spelled = {"id2label": {str(ids[name]): name for name in names}, "label2id": ids}
    # The timm wrapper uses timm's names.
    if "label_names" in config:
        spelled = {"label_names": names, "num_classes": len(names)}
    not_sure = fit_not_sure(head.held_out_scores, labels).to_dict()
    problem = {"problem_type": "single_label_classification"}
    return {**config, **spelled, **problem, CONFIG_KEY: not_sure}


def _write_network(
    backbone: Backbone, head: FittedHead, config: Mapping[str, Any], folder: Path
) -> None:
    """Write what transformers and the graph open: the source's files with the new head."""
    network = backbone.network
    tensors = load_file(network.folder / WEIGHTS_FILE)
    for name, values in zip(network.head_names, (head.weight, head.bias), strict=True):
        old = tensors[name]
        # In the order of rows: the file's writer takes an array's memory as it lies.
        tensors[name] = values.reshape(len(values), *old.shape[1:]).astype(old.dtype, order="C")
    save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in (GRAPH_FILE, PROCESSOR_FILE):
        if (network.folder / name).is_file():
            shutil.copy(network.folder / name, folder)
