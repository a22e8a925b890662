"""A whole run, readable from top to bottom: splits, model, training, figures, checkpoint."""

import logging
import re
import time
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
from torch import nn
from torch.nn import functional
from transformers import EarlyStoppingCallback, PreTrainedModel, TrainingArguments, set_seed
from transformers.trainer_utils import EvalPrediction

from fer_hf.arguments import DataArguments, ModelArguments
from fer_hf.data.parts import SPLITS
from fer_hf.data.pictures import to_rgb
from fer_hf.data.sources import recognise_layout
from fer_hf.data.transforms import Augmentation, FaceDataset
from fer_hf.evaluation.calibration import compute_logit_offsets, fit_temperature
from fer_hf.evaluation.comparison import Comparison, compare_runs
from fer_hf.evaluation.comparison_table import save_comparison
from fer_hf.evaluation.human import Yardstick, compute_constant_answer, compute_tagger
from fer_hf.evaluation.metrics import compute_softmax, evaluate_scores
from fer_hf.evaluation.provenance import collect_versions, name_source
from fer_hf.evaluation.report import REPORT_NAME, RunReport, load_report, save_report
from fer_hf.evaluation.trainer_metrics import compute_trainer_metrics
from fer_hf.features import FeatureDataset, load_features
from fer_hf.losses import compute_label_weights
from fer_hf.model_card import CARD_NAME, render_model_card
from fer_hf.models import (
    DetachedHead,
    LoadedModel,
    calibrate_batchnorm,
    fold_into_head,
    freeze_backbone,
    has_detachable_head,
    load_checkpoint,
    load_model,
    round_weights,
)
from fer_hf.parsing import RunArguments
from fer_hf.run_folder import choose_folder, claim_output_dir, find_last_checkpoint
from fer_hf.trainer import FerTrainer
from fer_hf.training_arguments import FerTrainingArguments

logger = logging.getLogger(__name__)

_CALIBRATION_PICTURES = 256
# Enough to tell the gap to validation within a point; all of FER+ would take as long as an epoch.
_TRAIN_EVALUATION_PICTURES = 5000
_SAMPLE = "train sample"


class InterruptedRunError(Exception):
    """Training was stopped by a signal; what was trained is kept in a checkpoint."""


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
    trained_part = freeze_backbone(loaded.model, model.unfreeze)
    sets = _build_sets(splits, loaded.image_processor, training)
    input_size = sets["validation"][0]["pixel_values"].shape[-1]
    if loaded.backbone_knowledge == "nothing" and trained_part != "everything":
        _calibrate(loaded, sets["train"], training)

    learner: nn.Module = loaded.model
    if _can_cache(loaded, trained_part, training):
        learner, sets = _detach_head(loaded, sets, training)
    trainer = _build_trainer(loaded, learner, splits, sets, model, training)
    seconds = _train(trainer, output_dir, training)
    temperature = _finish_head(trainer, sets, training)
    if training.save_dtype == "float16":
        round_weights(loaded.model, torch.float16)

    evaluations = {
        name: evaluate_scores(compute_softmax(logits), labels, label_names)
        for name, logits, labels in _predict(trainer, sets)
    }
    parameters = list(loaded.model.parameters())
    report = RunReport(
        model_name_or_path=name_source(model.model_name_or_path),
        display_name=output_dir.name,
        backbone_knowledge=loaded.backbone_knowledge,
        trained_part=trained_part,
        num_parameters=sum(p.numel() for p in parameters),
        num_trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        data=name_source(data.data),
        label_names=label_names,
        split_sizes={name: len(split) for name, split in splits.items()},
        input_size=input_size,
        seed=training.seed,
        settings={**_describe_settings(data, model, training), "temperature": temperature},
        versions=collect_versions(),
        train_seconds=seconds,
        evaluations=evaluations,
        history=_build_history(trainer.state.log_history),
        yardsticks=_compute_yardsticks(splits["test"], label_names),
    )
    if trainer.is_world_process_zero():
        _save(loaded, report, output_dir, training.save_dtype)
    trainer.accelerator.wait_for_everyone()
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
        dropout=model.dropout,
        dense_size=model.dense_size,
        sigmoid=model.binary_head == "sigmoid",
        model_args=model.timm_args,
        revision=model.model_revision,
    )


def _build_sets(
    splits: DatasetDict, image_processor: Any, training: FerTrainingArguments
) -> dict[str, FaceDataset | FeatureDataset]:
    """Return the splits as the network sees them, and `_SAMPLE`: train without augmentation."""
    train = FaceDataset(
        splits["train"],
        image_processor,
        augmentation=Augmentation() if training.augment else None,
        soft_targets=training.soft_targets,
        seed=training.seed,
    )
    sample = splits["train"].select(_choose_sample(len(train)))
    return {
        "train": train,
        _SAMPLE: FaceDataset(sample, image_processor),
        "validation": FaceDataset(splits["validation"], image_processor),
        "test": FaceDataset(splits["test"], image_processor),
    }


def _choose_sample(num_pictures: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(num_pictures)[:_TRAIN_EVALUATION_PICTURES]


def _can_cache(loaded: LoadedModel, trained_part: str, training: FerTrainingArguments) -> bool:
    """Say whether only a head is trained, on what a frozen backbone says once of each picture."""
    changes_pixels = training.mixup or training.teachers
    only_head = trained_part == "head" and has_detachable_head(loaded.model)
    return training.feature_cache and only_head and not changes_pixels


def _detach_head(
    loaded: LoadedModel,
    sets: dict[str, FaceDataset | FeatureDataset],
    training: FerTrainingArguments,
) -> tuple[nn.Module, dict[str, FaceDataset | FeatureDataset]]:
    """Return the head by itself, and the features of the splits for it."""
    if training.augment and training.feature_views == 1:
        logger.info(
            "The backbone is frozen: it looks at each picture once, without augmentation. "
            "--feature_views 8 adds augmented views, --no_feature_cache trains on the pictures."
        )
    if training.save_dtype == "float16":
        round_weights(loaded.model, torch.float16)  # what will be saved is what computes features
    network: Any = loaded.model
    network.to(training.device, memory_format=torch.channels_last).eval()
    cached = {
        name: load_features(
            loaded.model,
            faces,
            num_views=training.feature_views if name == "train" else 1,
            bf16=training.bf16,
            batch_size=training.per_device_eval_batch_size,
            num_workers=training.dataloader_num_workers,
        )
        for name, faces in sets.items()
        if name != _SAMPLE and isinstance(faces, FaceDataset)
    }
    cached[_SAMPLE] = cached["train"].select(_choose_sample(len(cached["train"])))
    # There is nothing left to prepare ahead; handing features over would take longer.
    training.dataloader_num_workers = 0
    return DetachedHead(loaded.model), {**cached}


def _calibrate(
    loaded: LoadedModel, train: FaceDataset | FeatureDataset, training: FerTrainingArguments
) -> None:
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
    learner: nn.Module,
    splits: DatasetDict,
    sets: dict[str, FaceDataset | FeatureDataset],
    model: ModelArguments,
    training: FerTrainingArguments,
) -> FerTrainer:
    counts = np.bincount(
        splits["train"]["label"][:], minlength=len(splits["train"].features["label"].names)
    )
    patience = training.early_stopping
    return FerTrainer(
        model=learner,
        args=training,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
        compute_metrics=_compute_metrics,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=patience)] if patience else [],
        label_weights=compute_label_weights(counts.tolist(), training.class_weights),
        mixup=training.mixup,
        ema_decay=training.ema_decay,
        backbone_lr_scale=model.backbone_lr_scale,
        teachers=_load_teachers(loaded, splits["train"], training),
        teacher_weight=training.teacher_weight,
    )


def _load_teachers(
    loaded: LoadedModel, train: Dataset, training: FerTrainingArguments
) -> list[PreTrainedModel]:
    """Load the teachers, and refuse one that would not understand the same `pixel_values`."""
    picture = to_rgb(train[0]["image"])

    def prepare(image_processor: Any) -> torch.Tensor:
        return image_processor([picture], return_tensors="pt")["pixel_values"]

    expected, names = prepare(loaded.image_processor), loaded.model.config.id2label
    teachers = []
    for source in training.teachers or []:
        teacher = load_checkpoint(source)
        if teacher.model.config.id2label != names:
            raise ValueError(
                f"Teacher {source!r} has the labels {teacher.model.config.id2label}, expected "
                f"{names}. Give teachers that were trained on the same labels."
            )
        found = prepare(teacher.image_processor)
        if found.shape != expected.shape or not torch.allclose(found, expected):
            raise ValueError(
                f"Teacher {source!r} prepares pictures in another way than this network (size "
                f"{found.shape[-1]}, here {expected.shape[-1]}). Give --input_size as that of the "
                "teachers, or teachers of the same kind of network."
            )
        teachers.append(teacher.model)
    return teachers


def _compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
    return compute_trainer_metrics(compute_softmax(prediction.predictions), prediction.label_ids)


def _train(trainer: FerTrainer, output_dir: Path, training: FerTrainingArguments) -> float:
    checkpoint = find_last_checkpoint(output_dir) if training.resume else None
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.stop_on_signal.stopped:
        done, planned = trainer.state.global_step, trainer.state.max_steps
        raise InterruptedRunError(
            f"Stopped at step {done} of {planned}; what was trained is in {str(output_dir)!r}. "
            f"Go on with the same command and --output_dir {output_dir} --resume"
        )
    return time.perf_counter() - start


def _finish_head(
    trainer: FerTrainer,
    sets: dict[str, FaceDataset | FeatureDataset],
    training: FerTrainingArguments,
) -> float:
    """Fold the logit adjustment and the temperature into the head; return the temperature."""
    if training.calibration == "none" and not training.logit_adjustment:
        return 1.0
    train = sets["train"]
    targets = train.targets
    if targets is None:
        targets = functional.one_hot(train.labels, trainer.num_labels).float()
    offsets = compute_logit_offsets(targets.mean(dim=0).numpy(), training.logit_adjustment)
    temperature = 1.0
    if training.calibration == "temperature":
        prediction = trainer.predict(sets["validation"])
        logits = np.asarray(prediction.predictions) + offsets
        temperature = fit_temperature(logits, np.asarray(prediction.label_ids))
    fold_into_head(trainer.model, temperature, offsets.tolist())
    return temperature


def _predict(
    trainer: FerTrainer, sets: dict[str, FaceDataset | FeatureDataset]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Predict every split in eval mode, without augmentation; of a large `train` a sample."""
    for name in SPLITS:
        prediction = trainer.predict(sets[_SAMPLE if name == "train" else name])
        yield name, np.asarray(prediction.predictions), np.asarray(prediction.label_ids)


def _compute_yardsticks(test: Dataset, label_names: Sequence[str]) -> list[Yardstick]:
    labels = test["label"][:]
    yardsticks = [compute_constant_answer(labels, label_names)]
    if "votes" in test.column_names:
        votes = np.asarray(test["votes"][:])
        others = np.asarray(test["other_votes"][:]) if "other_votes" in test.column_names else 0
        yardsticks.append(compute_tagger(votes, labels, others))
    return yardsticks


def _save(loaded: LoadedModel, report: RunReport, output_dir: Path, dtype: str) -> None:
    """Write the checkpoint and its card, and the report last: it says that the run is complete."""
    try:
        weights = {
            name: values.to(getattr(torch, dtype)) if values.is_floating_point() else values
            for name, values in loaded.model.state_dict().items()
        }
        # The config goes on saying float32, so that they are float32 again once loaded.
        loaded.model.save_pretrained(output_dir, state_dict=weights)
        loaded.image_processor.save_pretrained(output_dir)
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
    ours["layout"] = data.layout or recognise_layout(data.data, data.votes_file)
    if training.teachers:
        ours["teachers"] = [name_source(teacher) for teacher in training.teachers]
    ours["world_size"] = training.world_size
    return {
        name: name_source(value) if isinstance(value, str) else value
        for name, value in ours.items()
        if value is not None
    }
