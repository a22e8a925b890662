"""How a network is trained: transformers' TrainingArguments with defaults for faces."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from transformers import TrainingArguments

from fer_hf.evaluation.metrics.evaluation import METRICS
from fer_hf.training.arguments import setting
from fer_hf.training.losses import LOSSES

# Trainer assumes only of names that end in `loss` that less is better.
_LESS_IS_BETTER = ("loss", *(metric.name for metric in METRICS if not metric.higher_is_better))
_NOT_NEGATIVE = ("mixup", "mixup_off_epoch", "logit_adjustment", "early_stopping", "head_epochs")
# Which values a setting may have, as a test and in words.
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_NOT_NEGATIVE, (lambda value: value >= 0, "0 (off) or more")),
    "ema_decay": (lambda value: 0 <= value < 1, "0 (off) to below 1"),
    "teacher_weight": (lambda value: 0 <= value <= 1, "0 to 1"),
    "loss": (lambda value: value in LOSSES, "a name in `fer_hf.training.losses.LOSSES`"),
    "save_total_limit": (
        lambda value: value is None or value >= 2,
        "2 or more: with 1, Trainer deletes the last checkpoint, from which an interrupted run "
        "would go on",
    ),
}


@dataclass
class FerTrainingArguments(TrainingArguments):
    """How the network is trained: transformers' TrainingArguments with settings for faces."""

    _argument_group_name: ClassVar[str] = "training"

    output_dir: str | None = setting(
        None, "Folder for the checkpoint, the report and the plots. Default: the next free in runs/"
    )
    overwrite_output_dir: bool = setting(False, "Delete the run that is in output_dir first.")
    resume: bool = setting(False, "Go on from the last checkpoint in output_dir.")
    augment: bool = setting(
        True, "Face-safe augmentation: flip, small rotation, shift, zoom, light, erasing."
    )
    head_epochs: float = setting(
        0,
        "First train the head alone for this many epochs, then the part named by --unfreeze with "
        "the backbone's learning rate, kept only if it helps on validation. 0: one stage.",
    )
    feature_cache: bool = setting(
        True, "Compute the features of a frozen backbone once, and train the head on them."
    )
    feature_views: int = setting(
        1, "Views of each training picture in that cache: itself, mirrored, then augmented ones."
    )
    loss: str = setting("cross_entropy", "What training minimises.", choices=LOSSES)
    soft_targets: bool = setting(True, "Train on the votes of several people if there are any.")
    class_weights: Literal["none", "balanced", "effective"] = setting(
        "none", "Weight of rare labels in the loss ('effective': Cui et al. 2019)."
    )
    mixup: float = setting(0.0, "Alpha of mixup's Beta distribution; 0 for none.")
    mixup_off_epoch: int = setting(0, "Turn mixup off after this epoch; 0: never.")
    teachers: list[str] | None = setting(
        None, "Checkpoints whose mean scores are learnt beside the labels (distillation)."
    )
    teacher_weight: float = setting(0.5, "Share of the teachers in the targets, 0 to 1.")
    ema_decay: float = setting(
        0.0,
        "Decay per step of the moving average of the weights that is evaluated and kept; 0: off.",
    )
    calibration: Literal["none", "temperature", "vector", "auto"] = setting(
        "none",
        "Calibrate the scores on validation after training, within the head: by one temperature, "
        "by a scale and an offset for each label, or by whichever cross-validation prefers. The "
        "config then also says when the model is not sure.",
    )
    logit_adjustment: float = setting(
        0.0,
        "Raise rare labels by this share of their log frequency after training: 0 favours "
        "accuracy, 1 balanced accuracy (Menon et al. 2021).",
    )
    save_dtype: Literal["float32", "float16"] = setting(
        "float32", "Type of the weights on disk; float16 halves the file."
    )
    early_stopping: int = setting(0, "Stop after this many epochs without a better one; 0: never.")
    push_to_hub: bool = setting(
        False, "Publish the finished run as --hub_model_id; of several runs, the best."
    )
    data_license: str | None = setting(
        None, "Licence of the pictures, for the card; for your own pictures, the one you choose."
    )

    # Only defaults below: what Trainer already has, set to what suits a few thousand faces.
    learning_rate: float = setting(1e-3, "Peak learning rate of the head.")
    num_train_epochs: float = setting(15, "Passes over the training pictures.")
    per_device_train_batch_size: int = setting(32, "Pictures per step on each device.")
    per_device_eval_batch_size: int = setting(64, "Pictures per evaluation step on each device.")
    weight_decay: float = setting(1e-4, "Weight decay of AdamW.")
    warmup_steps: float = setting(0.05, "Steps of warm-up, or below 1 their share of all steps.")
    lr_scheduler_type: str = setting("cosine", "Schedule of the learning rate.")
    eval_strategy: str = setting("epoch", "When to validate.")
    save_strategy: str = setting("epoch", "When to save a checkpoint; 'epoch' resumes exactly.")
    logging_strategy: str = setting("epoch", "When to log.")
    save_total_limit: int | None = setting(2, "Checkpoints to keep: best and last, or more.")
    restore_callback_states_from_checkpoint: bool = setting(
        True, "Let early stopping of a resumed run go on counting where it was interrupted."
    )
    load_best_model_at_end: bool = setting(True, "Keep the best epoch instead of the last.")
    metric_for_best_model: str | None = setting(
        "f1_macro", "Which figure on validation chooses the best epoch: f1_macro, nll, accuracy …"
    )
    disable_tqdm: bool | None = setting(False, "Print figures in place of the progress bar.")
    dataloader_num_workers: int = setting(2, "Processes that prepare pictures ahead of training.")
    remove_unused_columns: bool = setting(False, "Must stay off: pictures are prepared on the fly.")
    dataloader_pin_memory: bool = setting(torch.cuda.is_available(), "Faster copies to a GPU.")

    def __post_init__(self) -> None:
        """Refuse impossible settings, and set what Trainer does not find out by itself.

        Raises:
            ValueError: A setting out of its range, or two that exclude each other.
        """
        for name, (is_valid, expected) in _RANGES.items():
            if not is_valid(getattr(self, name)):
                raise ValueError(f"`{name}` is {getattr(self, name)!r}, expected {expected}.")
        for is_wrong, message in (
            (
                self.overwrite_output_dir and self.resume,
                "`resume` goes on with the run in `output_dir`, `overwrite_output_dir` deletes it. "
                "Give one of the two.",
            ),
            (
                self.resume and self.output_dir is None,
                "`resume` needs --output_dir, the folder of the run to go on with.",
            ),
            (
                self.push_to_hub and "/" not in (self.hub_model_id or ""),
                "`push_to_hub` needs a repository, found `hub_model_id` "
                f"{self.hub_model_id!r}. Give --hub_model_id you/your-fer.",
            ),
            (
                self.hub_token,
                "`hub_token` would be written into every checkpoint. Log in with `hf auth login`, "
                "or set HF_TOKEN.",
            ),
            (
                self.calibration in ("vector", "auto") and self.logit_adjustment,
                f"`calibration` is {self.calibration!r}, whose offsets would take back what "
                f"`logit_adjustment` {self.logit_adjustment} gives to rare labels. Use "
                "--calibration temperature, or --logit_adjustment 0.",
            ),
            (
                self.early_stopping and self.eval_strategy != self.save_strategy,
                "`early_stopping` needs a checkpoint at each validation: `save_strategy` is "
                f"{self.save_strategy!r}, `eval_strategy` {self.eval_strategy!r}. Make them equal.",
            ),
        ):
            if is_wrong:
                raise ValueError(message)
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = not self.metric_for_best_model.endswith(_LESS_IS_BETTER)
        # Trainer fills in a name of its own; `fine_tune_all` picks the next free folder instead.
        self.output_dir_is_free = self.output_dir is None
        # Without it Trainer would look for a CUDA device under `accelerate launch --multi_gpu`.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        # Trainer would push checkpoints, under a card of its own.
        self.push_when_done, self.push_to_hub = self.push_to_hub, False
        super().__post_init__()
