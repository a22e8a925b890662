"""Every setting of a run, once: its default, its help text, its flag and its key in a recipe.

Only the command line and `training` know these classes; all other rooms take plain values.
"""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from transformers import TrainingArguments

# Metrics of which less is better; Trainer only knows that of names that end in `loss`.
_LESS_IS_BETTER = ("loss", "nll", "ece")


def _field(default: Any, help_text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": help_text, **metadata})


@dataclass
class DataArguments:
    """Which pictures, and how they are split."""

    _argument_group_name: ClassVar[str] = "data"

    data: str = _field(
        "drawn",
        "Where the pictures are: a folder with one folder per label (inside train/, validation/, "
        "test/ or not), an .npz or a folder of .npy, a CSV, TSV or Parquet table, fer2013.csv, "
        "FER+, a Hub dataset id, or 'drawn' for the faces this project draws itself.",
    )
    layout: str | None = _field(None, "Name of the layout, where it is not recognised by itself.")
    image_column: str | None = _field(None, "Column with the picture or its path.")
    label_column: str | None = _field(None, "Column with the label.")
    votes_file: str | None = _field(None, "fer2013new.csv, the FER+ votes for a fer2013.csv.")
    data_revision: str | None = _field(None, "Branch, tag or commit of a Hub dataset.")
    num_drawn: int = _field(1200, "How many faces to draw, with --data drawn.")
    drawn_size: int = _field(128, "Side of a drawn face in pixels.")
    split_seed: int = _field(0, "Seed of the splits that the source lacks.")
    skip_unreadable: bool = _field(False, "Leave unreadable pictures out instead of stopping.")
    max_train_samples: int | None = _field(None, "Train on this many pictures only.")
    max_eval_samples: int | None = _field(None, "Validate and test on this many pictures only.")


@dataclass
class ModelArguments:
    """Which network, what it knows before, and which part of it is trained."""

    _argument_group_name: ClassVar[str] = "model"

    model_name_or_path: str = _field(
        "baseline",
        "'baseline', 'resnetv2', 'inception-resnet', the name of a timm network, a Hub id, or a "
        "checkpoint folder.",
    )
    weights: str = _field(
        "auto",
        "'imagenet', 'none' (random), or a checkpoint of the same architecture. 'auto' takes what "
        "the name stands for where it can be had, and random weights where there is no network.",
    )
    model_revision: str | None = _field(None, "Branch, tag or commit of the model on the Hub.")
    input_size: int = _field(128, "Side of the square input in pixels: 32 or more.")
    pooling: Literal["avg", "max", "avgmax", "flatten"] = _field(
        "avg", "How the feature map becomes a vector; 'flatten' adds a dense layer."
    )
    dense_size: int = _field(256, "Width of the dense layer under --pooling flatten.")
    dropout: float = _field(0.2, "Share of the head's inputs dropped in training.")
    unfreeze: Literal["none", "last_stage", "all"] = _field(
        "none",
        "What of the backbone is trained beside the head: nothing, its last stage, or all of it.",
    )
    backbone_lr_scale: float = _field(
        0.1, "Learning rate of the unfrozen backbone as a share of the head's."
    )
    binary_head: Literal["softmax", "sigmoid"] = _field(
        "softmax", "For two labels: two softmax neurons, or a single sigmoid neuron."
    )
    model_args: str | None = _field(
        None, "Arguments of the timm network as JSON, such as '{\"channels\": [32, 64, 128, 256]}'."
    )

    def __post_init__(self) -> None:
        """Refuse what is not a JSON object.

        Raises:
            ValueError: `model_args` cannot be read.
        """
        try:
            self.timm_args: dict[str, Any] = json.loads(self.model_args or "{}")
        except json.JSONDecodeError as error:
            raise ValueError(f"`model_args` is {self.model_args!r}, no JSON: {error}.") from error
        if not isinstance(self.timm_args, dict):
            raise ValueError(f"`model_args` is {self.model_args!r}, expected a JSON object {{…}}.")


@dataclass
class FerTrainingArguments(TrainingArguments):
    """How the network is trained: transformers' TrainingArguments with settings for faces."""

    _argument_group_name: ClassVar[str] = "training"

    output_dir: str | None = _field(
        None, "Folder for the checkpoint, the report and the plots. Default: the next free in runs/"
    )
    overwrite_output_dir: bool = _field(False, "Delete the run that is in output_dir first.")
    resume: bool = _field(False, "Go on from the last checkpoint in output_dir.")
    augment: bool = _field(
        True, "Face-safe augmentation: flip, small rotation, shift, zoom, light, erasing."
    )
    soft_targets: bool = _field(True, "Train on the votes of several people where there are any.")
    class_weights: Literal["none", "balanced", "effective"] = _field(
        "none", "Weight of rare labels in the loss ('effective': Cui et al. 2019)."
    )
    mixup: float = _field(0.0, "Alpha of mixup's Beta distribution; 0 for none.")
    ema_decay: float = _field(
        0.0,
        "Decay per step of the moving average of the weights that is evaluated and kept; 0: off.",
    )
    early_stopping: int = _field(0, "Stop after so many epochs without a better model; 0: never.")

    # Only defaults below: what Trainer already has, set to what suits a few thousand faces.
    learning_rate: float = _field(1e-3, "Peak learning rate of the head.")
    num_train_epochs: float = _field(15, "Passes over the training pictures.")
    per_device_train_batch_size: int = _field(32, "Pictures per step on each device.")
    per_device_eval_batch_size: int = _field(64, "Pictures per evaluation step on each device.")
    weight_decay: float = _field(1e-4, "Weight decay of AdamW.")
    warmup_steps: float = _field(0.05, "Steps of warm-up, or below 1 their share of all steps.")
    lr_scheduler_type: str = _field("cosine", "Course of the learning rate.")
    eval_strategy: str = _field("epoch", "When to validate.")
    save_strategy: str = _field("epoch", "When to save a checkpoint; 'epoch' resumes exactly.")
    logging_strategy: str = _field("epoch", "When to log.")
    save_total_limit: int | None = _field(2, "Checkpoints kept: the best and the last, or more.")
    restore_callback_states_from_checkpoint: bool = _field(
        True, "Let early stopping go on counting where an interrupted run stood."
    )
    load_best_model_at_end: bool = _field(True, "Keep the best epoch instead of the last.")
    metric_for_best_model: str | None = _field(
        "f1_macro", "What the best epoch is chosen by on validation: f1_macro, nll, accuracy …"
    )
    dataloader_num_workers: int = _field(2, "Processes that prepare pictures ahead of training.")
    remove_unused_columns: bool = _field(False, "Must stay off: pictures are prepared on the fly.")
    dataloader_pin_memory: bool = _field(torch.cuda.is_available(), "Faster copies to a GPU.")

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
        if self.resume and self.output_dir is None:
            raise ValueError("`resume` needs --output_dir, the folder of the run to go on with.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"`ema_decay` is {self.ema_decay}, expected 0 (off) to below 1.")
        for name in ("mixup", "early_stopping"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` is {getattr(self, name)}, expected 0 (off) or more.")
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
        super().__post_init__()
