"""A whole run, readable from top to bottom: splits, model, training, figures, checkpoint."""

import logging
import math
import platform
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import DatasetDict
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalPrediction

from fer_hf.arguments import DataArguments, FerTrainingArguments, ModelArguments, RunArguments
from fer_hf.data import load_splits
from fer_hf.data.transforms import Augmentation, FaceDataset
from fer_hf.evaluation.comparison import Comparison, compare_runs, save_comparison
from fer_hf.evaluation.metrics import compute_softmax, evaluate_scores
from fer_hf.evaluation.report import REPORT_NAME, RunReport, load_report, save_report
from fer_hf.evaluation.trainer_metrics import compute_trainer_metrics
from fer_hf.models import LoadedModel, calibrate_batchnorm, freeze_backbone, load_model
from fer_hf.trainer import FerTrainer, compute_label_weights

logger = logging.getLogger(__name__)

# What a run writes into its folder: these may be deleted when the user asks to overwrite it.
_RUN_FILES = (
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "baseline.py",
    "flatten_head.py",
    REPORT_NAME,
    "curves.png",
    "confusion_matrix.png",
    "comparison.json",
    "comparison.md",
    "comparison.png",
)
_CALIBRATION_PICTURES = 256


class Interrupted(Exception):
    """Training was stopped by a signal; what was trained is kept in a checkpoint."""


def fine_tune(
    data: DataArguments, model: ModelArguments, training: FerTrainingArguments
) -> RunReport:
    """Train one model and leave a checkpoint, a report and plots in its output folder.

    Raises:
        ValueError: A setting, a picture or a label that cannot be.
        FileExistsError: The output folder holds another run.
        Interrupted: A signal stopped training; it can be resumed.
        OSError: Something could not be read, fetched or written.
    """
    output_dir = claim_output_dir(training)
    if training.resume and (output_dir / REPORT_NAME).is_file():
        logger.info("%s is complete already.", output_dir)
        return load_report(output_dir)
    set_seed(training.seed)
    with training.main_process_first(desc="load the splits"):
        splits = _load_splits(data)
    label_names = splits["train"].features["label"].names
    loaded = _load_model(model, label_names)
    trained_part = freeze_backbone(loaded.model, model.unfreeze)
    sets = _build_sets(splits, loaded.image_processor, training)
    if loaded.backbone_knowledge == "nothing" and trained_part != "everything":
        _calibrate(loaded, sets["train"], training)

    trainer = _build_trainer(loaded, splits, sets, model, training)
    seconds = _train(trainer, output_dir, training)

    evaluations = {
        name: evaluate_scores(compute_softmax(logits), labels, label_names)
        for name, logits, labels in _predict(trainer, splits, loaded.image_processor)
    }
    parameters = list(trainer.model.parameters())
    report = RunReport(
        model_name_or_path=model.model_name_or_path,
        display_name=output_dir.name,
        backbone_knowledge=loaded.backbone_knowledge,
        trained_part=trained_part,
        num_parameters=sum(p.numel() for p in parameters),
        num_trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        data=_name_data(data.data),
        label_names=label_names,
        split_sizes={name: len(split) for name, split in splits.items()},
        input_size=model.input_size,
        seed=training.seed,
        settings=_describe_settings(data, model, training),
        versions=_collect_versions(),
        train_seconds=seconds,
        evaluations=evaluations,
        history=_build_history(trainer.state.log_history),
    )
    if trainer.is_world_process_zero():
        _save(trainer, loaded, report, output_dir)
    trainer.accelerator.wait_for_everyone()
    return report


def fine_tune_all(runs: Sequence[RunArguments]) -> tuple[Path, list[RunReport], Comparison | None]:
    """Run one recipe after the other and compare them where there are several.

    Returns:
        The folder with all of it, the reports, and the comparison (None for a single run).
    """
    folder = _choose_folder(runs)
    reports = {}
    for run in runs:
        run.training.output_dir = str(folder / run.name if len(runs) > 1 else folder)
        logger.info("Run %s in %s", run.name, run.training.output_dir)
        reports[run.training.output_dir] = fine_tune(run.data, run.model, run.training)
    if len(runs) == 1:
        return folder, list(reports.values()), None
    comparison = compare_runs(reports)
    if PartialState().is_main_process:
        save_comparison(comparison, folder)
    return folder, list(reports.values()), comparison


def claim_output_dir(training: FerTrainingArguments) -> Path:
    """Make the output folder, and refuse one that holds another run.

    Raises:
        FileExistsError: The folder is not empty, and neither resuming nor overwriting was asked.
    """
    folder = Path(training.output_dir)
    state = PartialState()
    taken = [None]
    if state.is_main_process:
        if training.overwrite_output_dir:
            _delete_run(folder)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not training.resume):
            taken = [str(folder)]
        else:
            folder.mkdir(parents=True, exist_ok=True)
    if broadcast_object_list(taken)[0] is not None:
        raise FileExistsError(
            f"Output folder {str(folder)!r} holds something already, expected a new or empty one. "
            "Give another --output_dir, --resume to go on with that run, or "
            "--overwrite_output_dir to delete it."
        )
    return folder


def find_last_checkpoint(output_dir: Path) -> str | None:
    """Find the newest checkpoint that was written to its end, or None.

    A kill or a full disk can leave half a checkpoint; its `trainer_state.json` comes last.
    """
    pattern = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")
    steps = {
        int(match[1]): folder
        for folder in output_dir.iterdir()
        if (match := pattern.fullmatch(folder.name)) and (folder / "trainer_state.json").is_file()
    }
    return str(steps[max(steps)]) if steps else None


def _load_splits(data: DataArguments) -> DatasetDict:
    splits = load_splits(
        data.data,
        layout=data.layout,
        image_column=data.image_column,
        label_column=data.label_column,
        votes_file=data.votes_file,
        num_drawn=data.num_drawn,
        drawn_size=data.drawn_size,
        revision=data.data_revision,
        skip_unreadable=data.skip_unreadable,
        seed=data.split_seed,
    )
    limits = {
        "train": data.max_train_samples,
        "validation": data.max_eval_samples,
        "test": data.max_eval_samples,
    }
    for name, limit in limits.items():
        if limit is not None and limit < len(splits[name]):
            shuffled = splits[name].shuffle(seed=data.split_seed)
            splits[name] = shuffled.select(range(limit))
    return splits


def _load_model(model: ModelArguments, label_names: Sequence[str]) -> LoadedModel:
    return load_model(
        model.model_name_or_path,
        label_names,
        weights=model.weights,
        input_size=model.input_size,
        pooling=model.pooling,
        dropout=model.dropout,
        dense_size=model.dense_size,
        sigmoid=model.binary_head == "sigmoid",
        model_args=model.timm_args,
        revision=model.model_revision,
    )


def _build_sets(
    splits: DatasetDict, image_processor: Any, training: FerTrainingArguments
) -> dict[str, FaceDataset]:
    train = FaceDataset(
        splits["train"],
        image_processor,
        augmentation=Augmentation() if training.augment else None,
        soft_targets=training.soft_targets,
        seed=training.seed,
    )
    return {"train": train, "validation": FaceDataset(splits["validation"], image_processor)}


def _calibrate(loaded: LoadedModel, train: FaceDataset, training: FerTrainingArguments) -> None:
    logger.warning(
        "The backbone is random and stays frozen: only its BatchNorm statistics are fitted to the "
        "pictures. Use --unfreeze all to train it, or weights that know faces."
    )
    generator = torch.Generator().manual_seed(training.seed)
    rows = torch.randperm(len(train), generator=generator)[:_CALIBRATION_PICTURES].tolist()
    size = training.per_device_eval_batch_size
    batches = (
        train.__getitems__(rows[start : start + size])["pixel_values"]
        for start in range(0, len(rows), size)
    )
    calibrate_batchnorm(loaded.model, batches)


def _build_trainer(
    loaded: LoadedModel,
    splits: DatasetDict,
    sets: dict[str, FaceDataset],
    model: ModelArguments,
    training: FerTrainingArguments,
) -> FerTrainer:
    counts = np.bincount(splits["train"]["label"][:], minlength=len(splits["train"].features["label"].names))
    patience = training.early_stopping
    return FerTrainer(
        model=loaded.model,
        args=training,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
        compute_metrics=_compute_metrics,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=patience)] if patience else [],
        label_weights=compute_label_weights(counts.tolist(), training.class_weights),
        mixup=training.mixup,
        ema_decay=training.ema_decay,
        backbone_lr_scale=model.backbone_lr_scale,
    )


def _compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    return compute_trainer_metrics(compute_softmax(prediction.predictions), prediction.label_ids)


def _train(trainer: FerTrainer, output_dir: Path, training: FerTrainingArguments) -> float:
    checkpoint = find_last_checkpoint(output_dir) if training.resume else None
    start = time.perf_counter()
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"Could not write a checkpoint into {str(output_dir)!r}: {error}. Make room there; the "
            "last whole checkpoint is kept, go on from it with --resume."
        ) from error
    if trainer.stop_on_signal.stopped:
        raise Interrupted(
            f"Stopped at step {trainer.state.global_step} of {trainer.state.max_steps}; what was "
            f"trained is in {str(output_dir)!r}. Go on with the same command and "
            f"--output_dir {output_dir} --resume"
        )
    return time.perf_counter() - start


def _predict(
    trainer: FerTrainer, splits: DatasetDict, image_processor: Any
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Predict every split in eval mode and without augmentation, the training split too."""
    for name, split in splits.items():
        prediction = trainer.predict(FaceDataset(split, image_processor))
        yield name, prediction.predictions, prediction.label_ids


def _save(
    trainer: FerTrainer, loaded: LoadedModel, report: RunReport, output_dir: Path
) -> None:
    """Write the plain checkpoint, and the report last: it says that the run is complete."""
    try:
        trainer.model.save_pretrained(output_dir)
        loaded.image_processor.save_pretrained(output_dir)
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
    ours["data"] = _name_data(data.data)
    stock = {item.name: item.default for item in fields(TrainingArguments)}
    hidden = {"output_dir", "logging_dir", "hub_token", "hub_model_id", "run_name", "resume"}
    for item in fields(training):
        value = getattr(training, item.name)
        is_plain = value is None or isinstance(value, bool | int | float | str)
        if item.name in hidden or not is_plain or (item.name in stock and stock[item.name] == value):
            continue
        ours[item.name] = str(value) if isinstance(value, str) else value
    ours["world_size"] = training.world_size
    return {name: value for name, value in ours.items() if value is not None}


def _collect_versions() -> dict[str, str]:
    packages = ("fer-hf", "torch", "transformers", "timm", "datasets", "accelerate")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _name_data(source: str) -> str:
    """Name the data without saying where on this machine it lies."""
    path = Path(source)
    return path.resolve().name if path.exists() else source


def _choose_folder(runs: Sequence[RunArguments]) -> Path:
    """Return the folder asked for, or the next free one in `runs/`, the same in all processes."""
    first = runs[0]
    if not first.training.output_dir_is_free:
        return Path(first.training.output_dir)
    name = re.sub(r"[^\w.-]+", "-", Path(_name_data(first.data.data)).stem)
    if len(runs) == 1:
        name = f"{name}-{Path(first.name).name}"
    chosen = [None]
    if PartialState().is_main_process:
        numbers = range(1, 10**6)
        candidates = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in numbers)
        chosen = [str(next(path for path in candidates if not path.exists()))]
    return Path(broadcast_object_list(chosen)[0])


def _delete_run(folder: Path) -> None:
    """Delete what a run writes, and nothing that somebody else put there."""
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    for checkpoint in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(checkpoint)
