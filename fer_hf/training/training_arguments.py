"""How a network is trained: transformers' TrainingArguments with defaults for faces."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from transformers import TrainingArguments

from fer_hf.training.arguments import setting

# Metrics of which less is better; Trainer only knows that of names that end in `loss`.
_LESS_IS_BETTER = ("loss", "nll", "ece")


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
        "First train the head alone for so many epochs, then what --unfreeze says with the "
        "backbone's learning rate; kept only if validation says it helped. 0: one stage.",
    )
    feature_cache: bool = setting(
        True, "Let a frozen backbone look at each picture once, and train the head on what it saw."
    )
    feature_views: int = setting(
        1, "Views of each training picture in that cache: itself, mirrored, then augmented ones."
    )
    soft_targets: bool = setting(True, "Train on the votes of several people where there are any.")
    class_weights: Literal["none", "balanced", "effective"] = setting(
        "none", "Weight of rare labels in the loss ('effective': Cui et al. 2019)."
    )
    mixup: float = setting(0.0, "Alpha of mixup's Beta distribution; 0 for none.")
    mixup_off_epoch: int = setting(0, "Turn mixup off after this epoch; 0: never.")
    teachers: list[str] | None = setting(
        None, "Checkpoints whose mean scores are learnt beside the labels (distillation)."
    )
    teacher_weight: float = setting(0.5, "Share of the teachers in what is learnt, 0 to 1.")
    ema_decay: float = setting(
        0.0,
        "Decay per step of the moving average of the weights that is evaluated and kept; 0: off.",
    )
    calibration: Literal["none", "temperature", "vector", "auto"] = setting(
        "none",
        "Calibrate the scores on validation after training, within the head: by one temperature, "
        "by a scale and an offset for each label, or by what cross-validation says is better. Also "
        "notes in the config when the model is not sure.",
    )
    logit_adjustment: float = setting(
        0.0,
        "Raise rare labels by this share of their log frequency, after training: 0 serves "
        "accuracy, 1 the balanced accuracy (Menon et al. 2021).",
    )
    save_dtype: Literal["float32", "float16"] = setting(
        "float32", "Type of the weights on disk; float16 halves the file."
    )
    early_stopping: int = setting(0, "Stop after so many epochs without a better model; 0: never.")
    push_to_hub: bool = setting(
        False, "Publish the finished run as --hub_model_id; of several runs the best."
    )
    data_license: str | None = setting(
        None, "Licence of the pictures, for the card; of your own, the one you choose."
    )

    # Only defaults below: what Trainer already has, set to what suits a few thousand faces.
    learning_rate: float = setting(1e-3, "Peak learning rate of the head.")
    num_train_epochs: float = setting(15, "Passes over the training pictures.")
    per_device_train_batch_size: int = setting(32, "Pictures per step on each device.")
    per_device_eval_batch_size: int = setting(64, "Pictures per evaluation step on each device.")
    weight_decay: float = setting(1e-4, "Weight decay of AdamW.")
    warmup_steps: float = setting(0.05, "Steps of warm-up, or below 1 their share of all steps.")
    lr_scheduler_type: str = setting("cosine", "Course of the learning rate.")
    eval_strategy: str = setting("epoch", "When to validate.")
    save_strategy: str = setting("epoch", "When to save a checkpoint; 'epoch' resumes exactly.")
    logging_strategy: str = setting("epoch", "When to log.")
    save_total_limit: int | None = setting(2, "Checkpoints kept: the best and the last, or more.")
    restore_callback_states_from_checkpoint: bool = setting(
        True, "Let early stopping go on counting where an interrupted run stood."
    )
    load_best_model_at_end: bool = setting(True, "Keep the best epoch instead of the last.")
    metric_for_best_model: str | None = setting(
        "f1_macro", "What the best epoch is chosen by on validation: f1_macro, nll, accuracy …"
    )
    dataloader_num_workers: int = setting(2, "Processes that prepare pictures ahead of training.")
    remove_unused_columns: bool = setting(False, "Must stay off: pictures are prepared on the fly.")
    dataloader_pin_memory: bool = setting(torch.cuda.is_available(), "Faster copies to a GPU.")

    def __post_init__(self) -> None:
        """Refuse what cannot be, and tell Trainer what it does not find out by itself.

        Raises:
            ValueError: A setting out of its range, or two that exclude each other.
        """
        if self.overwrite_output_dir and self.resume:
            raise ValueError(
                "`resume` goes on with the run in `output_dir`, `overwrite_output_dir` deletes it. "
                "Give one of the two."
            )
        if self.push_to_hub and "/" not in (self.hub_model_id or ""):
            raise ValueError(
                f"`push_to_hub` needs a repository, found `hub_model_id` {self.hub_model_id!r}. "
                "Give --hub_model_id you/your-fer."
            )
        if self.hub_token:
            raise ValueError(
                "`hub_token` would be written into every checkpoint. Log in with `hf auth login`, "
                "or set HF_TOKEN."
            )
        if self.resume and self.output_dir is None:
            raise ValueError("`resume` needs --output_dir, the folder of the run to go on with.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"`ema_decay` is {self.ema_decay}, expected 0 (off) to below 1.")
        if not 0 <= self.teacher_weight <= 1:
            raise ValueError(f"`teacher_weight` is {self.teacher_weight}, expected 0 to 1.")
        for name in (
            "mixup",
            "mixup_off_epoch",
            "logit_adjustment",
            "early_stopping",
            "head_epochs",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}, expected 0 (off) or more.")
        if self.calibration in ("vector", "auto") and self.logit_adjustment:
            raise ValueError(
                f"`calibration` is {self.calibration!r}, whose offsets would take back what "
                f"`logit_adjustment` {self.logit_adjustment} gives to rare labels. Use "
                "--calibration temperature, or --logit_adjustment 0."
            )
        if self.save_total_limit is not None and self.save_total_limit < 2:
            raise ValueError(
                f"`save_total_limit` is {self.save_total_limit}, expected 2 or more: with 1, "
                "Trainer deletes the last checkpoint, from which an interrupted run would go on."
            )
        if self.early_stopping and self.eval_strategy != self.save_strategy:
            raise ValueError(
                f"`early_stopping` needs a checkpoint at each validation: `save_strategy` is "
                f"{self.save_strategy!r}, `eval_strategy` {self.eval_strategy!r}. Make them equal."
            )
        if self.greater_is_better is None and self.metric_for_best_model is not None:
            self.greater_is_better = not self.metric_for_best_model.endswith(_LESS_IS_BETTER)
        # Trainer fills in a name of its own; `training` picks the next free folder instead.
        self.output_dir_is_free = self.output_dir is None
        # Without it Trainer would look for a CUDA device under `accelerate launch --multi_gpu`.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        # Trainer would push checkpoints, under a card of its own.
        self.push_when_done, self.push_to_hub = self.push_to_hub, False
        super().__post_init__()
