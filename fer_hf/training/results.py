"""What every way of training leaves behind: a checkpoint, fingerprints, a card and a report."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accelerate import PartialState
from datasets import Dataset
from safetensors import SafetensorError
from transformers import TrainingArguments

from fer_hf.data.audit.fingerprints import compute_fingerprints, save_fingerprints
from fer_hf.evaluation.metrics.not_sure import keep_not_sure
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.people.human import Yardstick, compute_constant_answer, compute_tagger
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.run_report import RunReport, save_report
from fer_hf.models import LoadedModel
from fer_hf.models.bundled import locate_model
from fer_hf.publishing.model_card import CARD_NAME, render_model_card
from fer_hf.training.arguments import DataArguments, ModelArguments
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.training_arguments import FerTrainingArguments

logger = logging.getLogger(__name__)


def fit_when_not_sure(loaded: LoadedModel, scores: npt.ArrayLike, pictures: Dataset) -> None:
    """Fit when the network is not sure, and store it in its config, which is saved with it.

    Args:
        loaded: The network.
        scores: Its scores (N, num_labels) of pictures that it has not learnt from.
        pictures: Columns `label` and possibly `votes` of these.
    """
    votes = pictures["votes"][:] if "votes" in pictures.column_names else None
    keep_not_sure(loaded.model.config, fit_not_sure(scores, pictures["label"][:], votes))


def save_run(
    loaded: LoadedModel,
    splits: Mapping[str, Dataset],
    output_dir: Path,
    *,
    model_name_or_path: str,
    data: str,
    settings: Mapping[str, Any],
    dtype: str = "float32",
    **facts: Any,
) -> RunReport:
    """Report on a run, and write the checkpoint, its fingerprints, its card and the report.

    All processes of a launch must call it together; the main one writes. Yardsticks are measured on
    test, or on all there is.

    Args:
        loaded: The network with what it learnt; parameters that need gradients were trained.
        splits: The pictures by split, `train` at least.
        output_dir: The run's folder; the report is named after it.
        model_name_or_path: What the network was loaded from.
        data: Where the pictures come from.
        settings: What a reader needs to repeat it; how the source was understood is added.
        dtype: Of the weights on disk.
        **facts: Everything else of a `RunReport` that cannot be read from these.

    Raises:
        OSError: Something could not be written.
    """
    report = _build_report(
        loaded,
        splits,
        model_name_or_path=name_source(model_name_or_path),
        display_name=output_dir.name,
        data=name_source(data),
        settings={**settings, **_describe_source(splits["train"])},
        **facts,
    )
    state = PartialState()
    if state.is_main_process:
        _write(loaded, report, splits["train"], output_dir, dtype, model_name_or_path)
    state.wait_for_everyone()
    return report


def _describe_source(split: Dataset) -> dict[str, str]:
    return {"understood": split.info.description} if split.info.description else {}


def _build_report(loaded: LoadedModel, splits: Mapping[str, Dataset], **facts: Any) -> RunReport:
    train = splits["train"]
    label_names = train.features["label"].names
    first = FaceDataset(train.select([0]), loaded.image_processor)[0]
    parameters = list(loaded.model.parameters())
    return RunReport(
        pretrained_on=loaded.pretrained_on,
        num_parameters=sum(p.numel() for p in parameters),
        num_trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        label_names=label_names,
        split_sizes={split: len(pictures) for split, pictures in splits.items()},
        input_size=first["pixel_values"].shape[-1],
        versions=collect_versions(),
        yardsticks=_compute_yardsticks(splits.get("test", train), label_names),
        **facts,
    )


def _write(
    loaded: LoadedModel,
    report: RunReport,
    train: Dataset,
    output_dir: Path,
    dtype: str,
    model_name_or_path: str,
) -> None:
    """Write all of a run, and the report last: it marks the run as complete."""
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        loaded.save(output_dir, dtype)
        _add_graph(loaded, output_dir, model_name_or_path)
        save_fingerprints(compute_fingerprints(train), output_dir)
        (output_dir / CARD_NAME).write_text(render_model_card(report), encoding="utf-8")
        save_report(report, output_dir)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"Could not write the run into {str(output_dir)!r}: {error}. Make room there, and run "
            "the same command again: with --resume, training is not repeated."
        ) from error


def _add_graph(loaded: LoadedModel, output_dir: Path, model_name_or_path: str) -> None:
    """Write the graph that answers without torch; a run is whole without one."""
    if not (find_spec("onnxscript") and find_spec("onnxruntime")):
        return
    # Two seconds, which only the end of a run has to wait for.
    from fer_hf.publishing.graph_export import write_graph

    try:
        write_graph(loaded, output_dir, like=Path(locate_model(model_name_or_path)))
    # An exporter fails in whatever way a network leads it to.
    except Exception as error:
        logger.warning(
            "%s has no `model.onnx` and is served by torch: %s",
            output_dir,
            str(error).partition("\n")[0],
        )


def _compute_yardsticks(pictures: Dataset, label_names: Sequence[str]) -> list[Yardstick]:
    labels = pictures["label"][:]
    yardsticks = [compute_constant_answer(labels, label_names)]
    if "votes" in pictures.column_names:
        votes = np.asarray(pictures["votes"][:])
        has_others = "other_votes" in pictures.column_names
        others = np.asarray(pictures["other_votes"][:]) if has_others else 0
        yardsticks.append(compute_tagger(votes, labels, others))
    return yardsticks


def build_history(log_history: Sequence[dict[str, float]]) -> list[dict[str, float | None]]:
    """Gather what Trainer logged about each epoch into one row."""
    names = {
        "loss": "train_loss",
        "accuracy": "train_accuracy",
        "eval_loss": "validation_loss",
        "eval_accuracy": "validation_accuracy",
        "eval_f1_macro": "validation_f1_macro",
    }
    rows: dict[float, dict[str, float | None]] = {}
    for entry in log_history:
        figures = {ours: entry[theirs] for theirs, ours in names.items() if theirs in entry}
        if figures:
            rows.setdefault(entry["epoch"], {"epoch": entry["epoch"]}).update(figures)
    return list(rows.values())


def describe_settings(
    data: DataArguments, model: ModelArguments, training: FerTrainingArguments
) -> dict[str, Any]:
    """Return the settings that a reader needs to repeat a run: no path, no token, no default."""
    ours = {**asdict(model), **asdict(data)}
    stock = {item.name: item.default for item in fields(TrainingArguments)}
    hidden = {"output_dir", "hub_token", "hub_model_id", "run_name", "resume"}
    for item in fields(training):
        value = getattr(training, item.name)
        value = value.value if isinstance(value, Enum) else value
        is_plain = isinstance(value, bool | int | float | str)
        is_default = item.name in stock and stock[item.name] == value
        if is_plain and not is_default and item.name not in hidden:
            ours[item.name] = value
    ours["layout"] = data.find_layout()
    if training.teachers:
        ours["teachers"] = [name_source(teacher) for teacher in training.teachers]
    ours["world_size"] = training.world_size
    return {
        name: name_source(value) if isinstance(value, str) else value
        for name, value in ours.items()
        if value is not None
    }
