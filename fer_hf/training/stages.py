"""Training in one stage or two: what of a network learns, from what, and with which Trainer."""

import contextlib
import copy
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import DatasetDict
from torch import nn
from transformers import EarlyStoppingCallback, set_seed
from transformers.trainer_utils import EvalPrediction

from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.trainer_metrics import compute_trainer_metrics
from fer_hf.models import (
    LoadedModel,
    StandaloneHead,
    freeze_backbone,
    get_backbone,
    round_weights,
    supports_standalone_head,
)
from fer_hf.training.arguments import ModelArguments
from fer_hf.training.face_dataset import BatchDataset
from fer_hf.training.frozen.features import fit_batchnorm
from fer_hf.training.inputs import (
    build_feature_sets,
    build_picture_sets,
    compute_score_shift,
    load_teachers,
)
from fer_hf.training.run_folder import claim_output_dir, find_last_checkpoint
from fer_hf.training.signals import interrupted_by_signals
from fer_hf.training.targets import compute_label_weights
from fer_hf.training.trainer import FerTrainer
from fer_hf.training.training_arguments import FerTrainingArguments

logger = logging.getLogger(__name__)

_HEAD_FOLDER = "head-first"
_LARGEST_SHIFT = 0.01


class InterruptedRunError(Exception):
    """Training was stopped by a signal; what was trained is kept in a checkpoint."""


@contextlib.contextmanager
def explaining_interruptions(folder: Path) -> Iterator[None]:
    """Say how to go on with what is in the folder, wherever a run was interrupted.

    Raises:
        InterruptedRunError: In place of the KeyboardInterrupt.
    """
    try:
        with interrupted_by_signals():
            yield
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"Stopped; what was finished is in {str(folder)!r}. Go on with the same command and "
            f"--output_dir {folder} --resume"
        ) from error


@dataclass(frozen=True)
class Stage:
    """A stage of training that has ended.

    Attributes:
        trainer: Holds the network, or its head alone, with what was learnt.
        sets: What it was trained and is evaluated on: `train`, `SAMPLE`, `validation`, `test`.
        fine_tuned: `head`, `head + last stage` or `all layers`.
        seconds: Wall time of training.
        notes: What the report should say beside the settings.
    """

    trainer: FerTrainer
    sets: Mapping[str, BatchDataset]
    fine_tuned: str
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)


def run_stages(
    loaded: LoadedModel, splits: DatasetDict, model: ModelArguments, training: FerTrainingArguments
) -> Stage:
    """Train a network in one stage, or with `head_epochs` first its head and then the rest.

    The second stage goes on from the first with the small learning rate of the backbone. It is kept
    only if validation says that it helped.

    Raises:
        ValueError: A setting that is not possible.
        InterruptedRunError: A signal stopped training; it can be resumed.
    """
    if not training.head_epochs:
        return _run_stage(loaded, splits, model, training)
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
    second = _run_stage(loaded, splits, replace(model, backbone_lr_scale=1.0), gently)
    after = second.trainer.evaluate()[metric]
    helped = after > before if training.greater_is_better else after < before
    logger.info(
        "The second stage (%s) changed %s on validation from %.4f to %.4f: %s.",
        second.fine_tuned,
        metric.removeprefix("eval_"),
        before,
        after,
        "kept" if helped else "discarded, the trained head alone is kept",
    )
    if not helped:
        loaded.model.load_state_dict(weights)
    notes = {"before_second_stage": before, "after_second_stage": after, "kept_second": helped}
    seconds = first.seconds + second.seconds
    return replace(second if helped else first, seconds=seconds, notes=notes)


def _train_head_first(
    loaded: LoadedModel, splits: DatasetDict, model: ModelArguments, training: FerTrainingArguments
) -> Stage:
    """Train the head alone. It is quick, so that a resumed run does it again."""
    folder = Path(str(training.output_dir)) / _HEAD_FOLDER
    claim_output_dir(folder, resume=False, overwrite=True)
    alone = copy.copy(training)
    alone.output_dir, alone.resume = str(folder), False
    alone.num_train_epochs = training.head_epochs
    try:
        return _run_stage(loaded, splits, replace(model, unfreeze="none"), alone)
    except InterruptedRunError as error:
        raise InterruptedRunError(
            "Stopped while the head was trained; nothing of it is kept. Run the same command with "
            f"--output_dir {training.output_dir} --resume"
        ) from error
    finally:
        PartialState().wait_for_everyone()
        shutil.rmtree(folder, ignore_errors=True)


def _run_stage(
    loaded: LoadedModel, splits: DatasetDict, model: ModelArguments, training: FerTrainingArguments
) -> Stage:
    """Train, in place, the part of a network that `model.unfreeze` names."""
    fine_tuned = freeze_backbone(loaded.model, model.unfreeze)
    pictures = build_picture_sets(splits, loaded.image_processor, training)
    if loaded.pretrained_on == "none" and fine_tuned != "all layers":
        logger.warning(
            "The backbone is random and stays frozen: only its BatchNorm statistics are fitted to "
            "the pictures. Use --unfreeze all to train it, or weights pretrained on faces."
        )
        batch_size = training.per_device_eval_batch_size
        fit_batchnorm(loaded.model, pictures["train"], training.seed, batch_size)
    learner: nn.Module = loaded.model
    sets: Mapping[str, BatchDataset] = pictures
    # What changes the pixels of each step needs the pictures.
    changes_pixels = training.mixup or training.teachers
    only_head = fine_tuned == "head" and supports_standalone_head(loaded.model)
    if training.feature_cache and only_head and not changes_pixels:
        learner = _build_standalone_head(loaded, training)
        sets = build_feature_sets(loaded, pictures, training, bf16=training.bf16)
    trainer = _build_trainer(loaded, learner, splits, sets, model, training)
    _train(trainer, Path(str(training.output_dir)), training)
    if learner is not loaded.model and training.bf16:
        shift = compute_score_shift(loaded, learner, pictures["validation"], sets["validation"])
        if shift > _LARGEST_SHIFT:
            logger.warning(
                "bfloat16 moves scores by up to %.3f, more than %.2f: the figures are computed "
                "again from features in float32.",
                *(shift, _LARGEST_SHIFT),
            )
            sets = build_feature_sets(loaded, pictures, training, bf16=False)
    return Stage(trainer, sets, fine_tuned, trainer.seconds)


def _build_standalone_head(loaded: LoadedModel, training: FerTrainingArguments) -> StandaloneHead:
    if training.augment and training.feature_views == 1:
        logger.info(
            "The backbone is frozen: it sees each picture once, without augmentation. "
            "--feature_views 8 adds augmented views, --no_feature_cache trains on the pictures."
        )
    if training.save_dtype == "float16":
        round_weights(loaded.model, torch.float16)  # what will be saved is what computes features
    network: Any = loaded.model
    network.to(training.device, memory_format=torch.channels_last).eval()
    return StandaloneHead(loaded.model)


def _build_trainer(
    loaded: LoadedModel,
    learner: nn.Module,
    splits: DatasetDict,
    sets: Mapping[str, BatchDataset],
    model: ModelArguments,
    training: FerTrainingArguments,
) -> FerTrainer:
    num_labels = len(splits["train"].features["label"].names)
    counts = sets["train"].labels.bincount(minlength=num_labels).tolist()
    patience = training.early_stopping
    return FerTrainer(
        model=learner,
        args=training,
        train_dataset=sets["train"],
        eval_dataset=sets["validation"],
        compute_metrics=_compute_metrics,
        callbacks=[EarlyStoppingCallback(early_stopping_patience=patience)] if patience else [],
        label_weights=compute_label_weights(counts, training.class_weights),
        backbone_lr_scale=model.backbone_lr_scale,
        teachers=load_teachers(training.teachers or [], loaded),
    )


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
