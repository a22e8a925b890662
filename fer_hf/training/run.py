"""A whole run, readable from top to bottom: splits, model, training, figures, checkpoint."""

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset, DatasetDict
from safetensors import SafetensorError
from transformers import TrainingArguments, set_seed

from fer_hf.data.audit.fingerprints import compute_fingerprints, save_fingerprints
from fer_hf.data.splits import SPLITS
from fer_hf.evaluation.metrics.calibration import compute_logit_offsets, fit_calibration
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.probabilities import compute_reliability
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.people.human import Yardstick, compute_constant_answer, compute_tagger
from fer_hf.evaluation.reports.evaluation_plots import plot_reliability
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.report_files import REPORT_NAME
from fer_hf.evaluation.reports.run_comparison import Comparison, compare_runs, save_comparison
from fer_hf.evaluation.reports.run_report import RunReport, load_report, save_report
from fer_hf.inference.classifier import keep_not_sure
from fer_hf.models import (
    LoadedModel,
    fold_into_head,
    load_model,
    round_weights,
)
from fer_hf.publishing.model_card import CARD_NAME, render_model_card
from fer_hf.training.arguments import DataArguments, ModelArguments
from fer_hf.training.augmentation import FaceDataset
from fer_hf.training.losses import fill_targets
from fer_hf.training.recipes import RunArguments
from fer_hf.training.run_folder import choose_folder, claim_output_dir
from fer_hf.training.stages import SAMPLE, InterruptedRunError, Stage, run_stages
from fer_hf.training.training_arguments import FerTrainingArguments

logger = logging.getLogger(__name__)


def fine_tune(
    data: DataArguments, model: ModelArguments, training: FerTrainingArguments
) -> RunReport:
    """Train one model and leave a checkpoint, a report and plots in its output folder.

    Raises:
        ValueError: A setting, a picture or a label that cannot be.
        FileExistsError: The output folder holds another run.
        InterruptedRunError: A signal stopped training; it can be resumed.
        OSError: Something could not be read, fetched or written.
    """
    output_dir = Path(str(training.output_dir))
    claim_output_dir(output_dir, resume=training.resume, overwrite=training.overwrite_output_dir)
    if training.resume and (output_dir / REPORT_NAME).is_file():
        logger.info("%s is complete already.", output_dir)
        return load_report(output_dir)
    set_seed(training.seed)
    with training.main_process_first(desc="load the splits"):
        splits = data.load()
    label_names = splits["train"].features["label"].names
    loaded = _load_model(model, label_names)
    stage = run_stages(loaded, splits, model, training)
    # Measured in the precision of whoever opens the checkpoint, not in that of training.
    stage.trainer.accelerator.unwrap_model(stage.trainer.model, keep_fp32_wrapper=False)
    calibration, not_sure = _finish_head(stage, splits["validation"], training)
    keep_not_sure(loaded.model.config, not_sure)
    if training.save_dtype == "float16":
        round_weights(loaded.model, torch.float16)

    evaluations = {
        name: evaluate_scores(compute_softmax(logits), labels, label_names)
        for name, logits, labels in _predict(stage)
    }
    parameters = list(loaded.model.parameters())
    report = RunReport(
        model_name_or_path=name_source(model.model_name_or_path),
        display_name=output_dir.name,
        pretrained_on=loaded.pretrained_on,
        fine_tuned=stage.fine_tuned,
        num_parameters=sum(p.numel() for p in parameters),
        num_trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        data=name_source(data.data),
        label_names=label_names,
        split_sizes={name: len(split) for name, split in splits.items()},
        input_size=_read_input_size(loaded, splits),
        seed=training.seed,
        settings={
            **_describe_settings(data, model, training),
            **stage.notes,
            **calibration,
        },
        versions=collect_versions(),
        train_seconds=stage.seconds,
        evaluations=evaluations,
        history=_build_history(stage.trainer.state.log_history),
        yardsticks=_compute_yardsticks(splits["test"], label_names),
    )
    if stage.trainer.is_world_process_zero():
        _save(loaded, report, splits["train"], output_dir, training.save_dtype)
    stage.trainer.accelerator.wait_for_everyone()
    return report


def fine_tune_all(runs: Sequence[RunArguments]) -> tuple[Path, list[RunReport], Comparison | None]:
    """Run one recipe after the other and compare them where there are several.

    Returns:
        The folder with all of it, the reports, and the comparison (None for a single run).
    """
    first = runs[0]
    folder = Path(str(first.training.output_dir))
    if first.training.output_dir_is_free:
        name = re.sub(r"[^\w.-]+", "-", Path(name_source(first.data.data)).stem)
        folder = choose_folder(name if len(runs) > 1 else f"{name}-{first.name}")
    reports = {}
    for run in runs:
        run.training.output_dir = str(folder / run.name if len(runs) > 1 else folder)
        logger.info("Run %s in %s", run.name, run.training.output_dir)
        try:
            reports[run.training.output_dir] = fine_tune(run.data, run.model, run.training)
        except InterruptedRunError as error:
            if len(runs) == 1:
                raise
            raise InterruptedRunError(
                f"{run.name} was stopped; what was trained is in {str(folder)!r}. Go on with the "
                f"same command and --output_dir {folder} --resume"
            ) from error
    if len(runs) == 1:
        return folder, list(reports.values()), None
    comparison = compare_runs(reports)
    if PartialState().is_main_process:
        save_comparison(comparison, folder)
    return folder, list(reports.values()), comparison


def _load_model(model: ModelArguments, label_names: Sequence[str]) -> LoadedModel:
    return load_model(
        model.model_name_or_path,
        label_names,
        weights=model.weights,
        input_size=model.input_size,
        pooling=model.pooling,
        head=model.head,
        dropout=model.dropout,
        dense_size=model.dense_size,
        sigmoid=model.binary_head == "sigmoid",
        model_args=model.timm_args,
        revision=model.model_revision,
    )


def _finish_head(
    stage: Stage, validation: Dataset, training: FerTrainingArguments
) -> tuple[dict[str, Any], NotSure | None]:
    """Fold the logit adjustment and the calibration into the head.

    Returns:
        What the report should say of it; and if calibrated, when the model is not sure.
    """
    uncalibrated = {"temperature": 1.0}
    if training.calibration == "none" and not training.logit_adjustment:
        return uncalibrated, None
    trainer, train = stage.trainer, stage.sets["train"]
    targets = fill_targets(train.targets, train.labels, trainer.num_labels)
    adjustment = compute_logit_offsets(targets.mean(dim=0).numpy(), training.logit_adjustment)
    if training.calibration == "none":
        fold_into_head(trainer.model, 1.0, adjustment.tolist())
        return uncalibrated, None
    prediction = trainer.predict(stage.sets["validation"])
    labels = np.asarray(prediction.label_ids)
    logits = np.asarray(prediction.predictions) + adjustment
    calibration = fit_calibration(logits, labels, training.calibration)
    temperatures, offsets = calibration.temperatures, calibration.offsets
    fold_into_head(trainer.model, temperatures, (adjustment + offsets).tolist())
    scores = compute_softmax(calibration.apply(logits))
    if trainer.is_world_process_zero():
        folder = Path(str(training.output_dir))
        panels = {
            "before calibration": compute_reliability(compute_softmax(logits), labels),
            "after calibration": compute_reliability(scores, labels),
        }
        plot_reliability(panels, f"{folder.name}, validation").savefig(folder / "reliability.png")
    votes = validation["votes"][:] if "votes" in validation.column_names else None
    not_sure = fit_not_sure(scores, labels, votes)
    if calibration.method == "temperature":
        return {"temperature": temperatures[0]}, not_sure
    return {"temperatures": temperatures, "offsets": offsets}, not_sure


def _predict(stage: Stage) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Predict every split in eval mode, without augmentation; of a large `train` a sample."""
    for name in SPLITS:
        prediction = stage.trainer.predict(stage.sets[SAMPLE if name == "train" else name])
        yield name, np.asarray(prediction.predictions), np.asarray(prediction.label_ids)


def _read_input_size(loaded: LoadedModel, splits: DatasetDict) -> int:
    picture = FaceDataset(splits["validation"].select([0]), loaded.image_processor)[0]
    return picture["pixel_values"].shape[-1]


def _compute_yardsticks(test: Dataset, label_names: Sequence[str]) -> list[Yardstick]:
    labels = test["label"][:]
    yardsticks = [compute_constant_answer(labels, label_names)]
    if "votes" in test.column_names:
        votes = np.asarray(test["votes"][:])
        others = np.asarray(test["other_votes"][:]) if "other_votes" in test.column_names else 0
        yardsticks.append(compute_tagger(votes, labels, others))
    return yardsticks


def _save(
    loaded: LoadedModel, report: RunReport, train: Dataset, output_dir: Path, dtype: str
) -> None:
    """Write the checkpoint and its card, and the report last: it says that the run is complete."""
    try:
        weights = {
            name: values.to(getattr(torch, dtype)) if values.is_floating_point() else values
            for name, values in loaded.model.state_dict().items()
        }
        # The config goes on saying float32, so that they are float32 again once loaded.
        loaded.model.save_pretrained(output_dir, state_dict=weights)
        loaded.image_processor.save_pretrained(output_dir)
        save_fingerprints(compute_fingerprints(train), output_dir)
        card = render_model_card(report)
        (output_dir / CARD_NAME).write_text(card, encoding="utf-8")
        save_report(report, output_dir)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"Could not write the run into {str(output_dir)!r}: {error}. Make room there, and run "
            "the same command with --resume: training is not repeated."
        ) from error


def _build_history(log_history: Sequence[dict[str, float]]) -> list[dict[str, float | None]]:
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


def _describe_settings(
    data: DataArguments, model: ModelArguments, training: FerTrainingArguments
) -> dict[str, Any]:
    """Return the settings that a reader needs to run it again: no path, no token, no default."""
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
