"""One stage of training: what of a network learns, from what, and with which Trainer."""

import copy
import logging
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset, DatasetDict
from torch import nn
from transformers import EarlyStoppingCallback, PreTrainedModel, set_seed
from transformers.trainer_utils import EvalPrediction

from fer_hf.data.pictures import to_rgb
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.trainer_metrics import compute_trainer_metrics
from fer_hf.models import (
    LoadedModel,
    StandaloneHead,
    freeze_backbone,
    get_backbone,
    load_checkpoint,
    round_weights,
    supports_standalone_head,
)
from fer_hf.models.heads import expand_logits
from fer_hf.training.arguments import ModelArguments
from fer_hf.training.augmentation import Augmentation, FaceDataset
from fer_hf.training.frozen.features import FeatureDataset, fit_batchnorm, load_features
from fer_hf.training.losses import compute_label_weights
from fer_hf.training.run_folder import find_last_checkpoint
from fer_hf.training.trainer import FerTrainer
from fer_hf.training.training_arguments import FerTrainingArguments

logger = logging.getLogger(__name__)

Sets = dict[str, FaceDataset | FeatureDataset]

SAMPLE = "train sample"
"""Name of the pictures of `train` that stand for it in evaluations, without augmentation."""

_HEAD_FOLDER = "head-first"
# Enough to tell the gap to validation within a point; all of FER+ would take as long as an epoch.
_TRAIN_EVALUATION_PICTURES = 5000
_LARGEST_SHIFT = 0.01
_SHIFT_PICTURES = 64


class InterruptedRunError(Exception):
    """Training was stopped by a signal; what was trained is kept in a checkpoint."""


@dataclass(frozen=True)
class Stage:
    """A stage of training that has ended.

    Attributes:
        trainer: Holds the network, or its head alone, with what was learnt.
        sets: What it was trained and is evaluated on: `train`, `SAMPLE`, `validation`, `test`.
        fine_tuned: `head`, `head + last stage` or `all layers`.
        seconds: Wall time of training.
        notes: What the report should say of it beside the settings.
    """

    trainer: FerTrainer
    sets: Sets
    fine_tuned: str
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)


def run_stages(
    loaded: LoadedModel,
    splits: DatasetDict,
    model: ModelArguments,
    training: FerTrainingArguments,
) -> Stage:
    """Train a network in one stage, or with `head_epochs` its head first and then the rest gently.

    The second stage goes on from the first with the small learning rate of the backbone. It is kept
    only if validation says that it helped.

    Raises:
        ValueError: A setting that cannot be.
        InterruptedRunError: A signal stopped training; it can be resumed.
    """
    if not training.head_epochs:
        return run_stage(loaded, splits, model, training)
    if get_backbone(loaded.model) is None or model.unfreeze == "none":
        raise ValueError(
            f"`head_epochs` is {training.head_epochs}, but nothing would be trained after the "
            "head. Use --unfreeze last_stage or all, with a network that has a backbone."
        )
    metric = f"eval_{str(training.metric_for_best_model).removeprefix('eval_')}"
    first = _train_head_first(loaded, splits, model, training)
    before = first.trainer.evaluate()[metric]
    weights = {name: values.clone() for name, values in loaded.model.state_dict().items()}

    set_seed(training.seed)
    gently = copy.copy(training)
    gently.learning_rate *= model.backbone_lr_scale
    second = run_stage(loaded, splits, replace(model, backbone_lr_scale=1.0), gently)
    after = second.trainer.evaluate()[metric]
    helped = after > before if training.greater_is_better else after < before
    logger.info(
        "The second stage (%s) took %s on validation from %.4f to %.4f: %s.",
        second.fine_tuned,
        metric.removeprefix("eval_"),
        before,
        after,
        "kept" if helped else "the head alone is kept",
    )
    notes = {"before_second_stage": before, "after_second_stage": after, "kept_second": helped}
    seconds = first.seconds + second.seconds
    if helped:
        return replace(second, seconds=seconds, notes=notes)
    loaded.model.load_state_dict(weights)
    return replace(first, seconds=seconds, notes=notes)


def _train_head_first(
    loaded: LoadedModel,
    splits: DatasetDict,
    model: ModelArguments,
    training: FerTrainingArguments,
) -> Stage:
    """Train the head alone. It is quick, so that a resumed run does it again."""
    state = PartialState()
    folder = Path(str(training.output_dir)) / _HEAD_FOLDER
    if state.is_main_process:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    state.wait_for_everyone()
    alone = copy.copy(training)
    alone.output_dir, alone.resume = str(folder), False
    alone.num_train_epochs = training.head_epochs
    try:
        return run_stage(loaded, splits, replace(model, unfreeze="none"), alone)
    except InterruptedRunError as error:
        raise InterruptedRunError(
            "Stopped while the head was trained; nothing is kept of it. Run the same command with "
            f"--output_dir {training.output_dir} --resume"
        ) from error
    finally:
        state.wait_for_everyone()
        if state.is_main_process:
            shutil.rmtree(folder, ignore_errors=True)


def run_stage(
    loaded: LoadedModel,
    splits: DatasetDict,
    model: ModelArguments,
    training: FerTrainingArguments,
) -> Stage:
    """Train what `model.unfreeze` says of a network, in place.

    Raises:
        ValueError: A setting that cannot be.
        InterruptedRunError: A signal stopped training; it can be resumed.
    """
    fine_tuned = freeze_backbone(loaded.model, model.unfreeze)
    pictures = _build_sets(splits, loaded.image_processor, training)
    if loaded.pretrained_on == "none" and fine_tuned != "all layers":
        _calibrate(loaded, pictures["train"], training)
    learner: nn.Module = loaded.model
    sets: Sets = {**pictures}
    if _can_cache(loaded, fine_tuned, training):
        learner = _build_standalone_head(loaded, training)
        sets = _compute_features(loaded, pictures, training, bf16=training.bf16)
    trainer = _build_trainer(loaded, learner, splits, sets, model, training)
    _train(trainer, Path(str(training.output_dir)), training)
    if learner is not loaded.model and training.bf16:
        shift = _compute_shift(loaded, learner, pictures["validation"], sets["validation"])
        if shift > _LARGEST_SHIFT:
            logger.warning(
                "bfloat16 moves scores by up to %.3f, more than %.2f: the figures are computed "
                "again from features in float32.",
                *(shift, _LARGEST_SHIFT),
            )
            sets = _compute_features(loaded, pictures, training, bf16=False)
    return Stage(trainer, sets, fine_tuned, trainer.seconds)


def _build_sets(
    splits: DatasetDict, image_processor: Any, training: FerTrainingArguments
) -> dict[str, FaceDataset]:
    """Return the splits as the network sees them, and `SAMPLE`: train without augmentation."""
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
        SAMPLE: FaceDataset(sample, image_processor),
        "validation": FaceDataset(splits["validation"], image_processor),
        "test": FaceDataset(splits["test"], image_processor),
    }


def _choose_sample(num_pictures: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(num_pictures)[:_TRAIN_EVALUATION_PICTURES]


def _can_cache(loaded: LoadedModel, fine_tuned: str, training: FerTrainingArguments) -> bool:
    """Say whether only a head is trained, on what a frozen backbone says once of each picture."""
    changes_pixels = training.mixup or training.teachers
    only_head = fine_tuned == "head" and supports_standalone_head(loaded.model)
    return training.feature_cache and only_head and not changes_pixels


def _build_standalone_head(loaded: LoadedModel, training: FerTrainingArguments) -> StandaloneHead:
    if training.augment and training.feature_views == 1:
        logger.info(
            "The backbone is frozen: it looks at each picture once, without augmentation. "
            "--feature_views 8 adds augmented views, --no_feature_cache trains on the pictures."
        )
    if training.save_dtype == "float16":
        round_weights(loaded.model, torch.float16)  # what will be saved is what computes features
    network: Any = loaded.model
    network.to(training.device, memory_format=torch.channels_last).eval()
    return StandaloneHead(loaded.model)


def _compute_features(
    loaded: LoadedModel,
    pictures: dict[str, FaceDataset],
    training: FerTrainingArguments,
    *,
    bf16: bool,
) -> Sets:
    """Return the features of the splits in the place of their pictures."""
    sets = {
        name: load_features(
            loaded.model,
            faces,
            num_views=training.feature_views if name == "train" else 1,
            bf16=bf16,
            batch_size=training.per_device_eval_batch_size,
            num_workers=training.dataloader_num_workers,
        )
        for name, faces in pictures.items()
        if name != SAMPLE
    }
    sets[SAMPLE] = sets["train"].select(_choose_sample(len(sets["train"])))
    # There is nothing left to prepare ahead; handing features over would take longer.
    training.dataloader_num_workers = 0
    return {**sets}


@torch.inference_mode()
def _compute_shift(
    loaded: LoadedModel,
    head: nn.Module,
    pictures: FaceDataset,
    features: FaceDataset | FeatureDataset,
) -> float:
    """Return how far bfloat16 features move a score of the trained network, at most."""
    rows = range(min(len(pictures), _SHIFT_PICTURES))
    network: Any = loaded.model
    logits = [
        model.eval()(pixel_values=batch["pixel_values"].to(network.device)).logits.float()
        for model, batch in (
            (network, pictures.__getitems__(rows)),
            (head, features.__getitems__(rows)),
        )
    ]
    exact, moved = (expand_logits(values).softmax(dim=1) for values in logits)
    return float((exact - moved).abs().max())


def _calibrate(loaded: LoadedModel, train: FaceDataset, training: FerTrainingArguments) -> None:
    logger.warning(
        "The backbone is random and stays frozen: only its BatchNorm statistics are fitted to the "
        "pictures. Use --unfreeze all to train it, or weights that know faces."
    )
    fit_batchnorm(loaded.model, train, training.seed, training.per_device_eval_batch_size)


def _build_trainer(
    loaded: LoadedModel,
    learner: nn.Module,
    splits: DatasetDict,
    sets: Sets,
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
        mixup_off_epoch=training.mixup_off_epoch,
        ema_decay=training.ema_decay,
        backbone_lr_scale=model.backbone_lr_scale,
        teachers=_load_teachers(loaded, splits["train"], training),
        teacher_weight=training.teacher_weight,
    )


def _load_teachers(
    loaded: LoadedModel, train: Dataset, training: FerTrainingArguments
) -> list[PreTrainedModel]:
    """Load the teachers, and refuse one that would not understand the same `pixel_values`."""
    if not training.teachers:
        return []
    picture = to_rgb(train[0]["image"])

    def prepare(image_processor: Any) -> torch.Tensor:
        return image_processor([picture], return_tensors="pt")["pixel_values"]

    expected, names = prepare(loaded.image_processor), loaded.model.config.id2label
    teachers = []
    for source in training.teachers:
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


def _train(trainer: FerTrainer, output_dir: Path, training: FerTrainingArguments) -> None:
    checkpoint = find_last_checkpoint(output_dir) if training.resume else None
    trainer.train(resume_from_checkpoint=checkpoint)
    if trainer.stop_on_signal.stopped:
        done, planned = trainer.state.global_step, trainer.state.max_steps
        raise InterruptedRunError(
            f"Stopped at step {done} of {planned}; what was trained is in {str(output_dir)!r}. "
            f"Go on with the same command and --output_dir {output_dir} --resume"
        )
