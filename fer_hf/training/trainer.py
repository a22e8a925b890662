"""The stock Trainer, with what faces need: a backbone that stays frozen, soft targets, EMA."""

import contextlib
import functools
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, ProgressCallback, Trainer, TrainerCallback
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from fer_hf.models import StandaloneHead, find_frozen_modules, get_head_parameters
from fer_hf.models.heads import expand_logits
from fer_hf.training.callbacks import EpochProgress, StopOnSignal, Stopwatch
from fer_hf.training.ema import AveragedWeights
from fer_hf.training.face_dataset import BatchDataset, collate
from fer_hf.training.losses import LOSSES
from fer_hf.training.signals import handling_signals, init_worker
from fer_hf.training.targets import fill_targets, mix_batch, weigh_targets
from fer_hf.training.training_arguments import FerTrainingArguments


class FerTrainer(Trainer):
    """Trainer for face classifiers, on `BatchDataset`s.

    Args:
        args: Loss, mixup, the averaged weights (which are then what is evaluated, chosen and kept)
            and the share of the teachers, beside what every Trainer reads.
        label_weights: One weight per label in the training loss, or None for equal ones.
        backbone_lr_scale: Learning rate of the backbone as a share of the head's.
        teachers: Networks with the same labels that take the same `pixel_values`, whose mean scores
            on the same augmented pictures are learnt beside the labels (Beyer et al. 2022,
            arXiv:2106.05237).
        **kwargs: As for `transformers.Trainer`.
    """

    model: PreTrainedModel | StandaloneHead  # Trainer takes any module
    args: FerTrainingArguments

    def __init__(
        self,
        *,
        args: FerTrainingArguments,
        label_weights: Sequence[float] | None = None,
        backbone_lr_scale: float = 1.0,
        teachers: Sequence[nn.Module] = (),
        **kwargs: Any,
    ) -> None:
        collator: Any = collate  # it gets a whole batch, where Trainer expects a list of items
        super().__init__(args=args, data_collator=collator, **kwargs)
        # Convolutions run up to 1.5 times as fast on it, most of all in bf16 on a CPU.
        network: Any = self.model
        network.to(memory_format=torch.channels_last)
        self.label_weights = None if label_weights is None else torch.tensor(label_weights)
        self.backbone_lr_scale = backbone_lr_scale
        self.teachers: list[Any] = [teacher.eval().requires_grad_(False) for teacher in teachers]
        for teacher in self.teachers:
            teacher.to(args.device, memory_format=torch.channels_last)
        self.frozen_modules = find_frozen_modules(self.model)
        # Its own loss is a mean over the batch; Trainer divides it when it accumulates gradients.
        self.loss_is_scaled_for_ga = False
        self.stop_on_signal = StopOnSignal()
        self.averaged = AveragedWeights(self.model, args.ema_decay) if args.ema_decay else None
        self._hits = torch.zeros(2, device=args.device)
        self.pop_callback(ProgressCallback)
        bars = [] if args.disable_tqdm else [EpochProgress()]
        for callback in (*bars, _TrainerSteps(self), self.stop_on_signal, Stopwatch()):
            self.add_callback(callback)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - as Trainer has it
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Compute the training loss, or in eval mode the plain cross-entropy of the labels."""
        labels = inputs["labels"]
        pixel_values = inputs["pixel_values"].contiguous(memory_format=torch.channels_last)
        if not model.training:
            logits = expand_logits(model(pixel_values=pixel_values).logits.float())
            loss = functional.cross_entropy(logits, labels)
            return (loss, {"logits": logits}) if return_outputs else loss

        for module in self.frozen_modules:
            module.eval()
        targets = fill_targets(inputs.get("targets"), labels, self.num_labels)
        mixes = (self.state.epoch or 0) + 1e-6 < (self.args.mixup_off_epoch or math.inf)
        if self.args.mixup and mixes:
            pixel_values, targets = mix_batch(pixel_values, targets, self.args.mixup)
        if self.teachers:
            scores = self._ask_teachers(pixel_values)
            targets = torch.lerp(targets, scores, self.args.teacher_weight)
        logits = expand_logits(model(pixel_values=pixel_values).logits.float())
        self._hits[0] += (logits.argmax(1) == targets.argmax(1)).sum()
        self._hits[1] += len(labels)
        targets = weigh_targets(targets, self.label_weights, self.args.label_smoothing_factor)
        loss = LOSSES[self.args.loss](logits, targets).mean()
        return (loss, {"logits": logits}) if return_outputs else loss

    @torch.no_grad()
    def _ask_teachers(self, pixel_values: torch.Tensor) -> torch.Tensor:
        # accelerate wraps only the network that learns in the mixed precision asked for.
        with self.accelerator.autocast():
            logits = [teacher(pixel_values=pixel_values).logits for teacher in self.teachers]
        scores = [expand_logits(values.float()).softmax(dim=1) for values in logits]
        return torch.stack(scores).mean(dim=0)

    @property
    def seconds(self) -> float:
        """Wall time of training, over all sessions of a run that was resumed."""
        callbacks = self.callback_handler.callbacks
        return next(callback.seconds for callback in callbacks if isinstance(callback, Stopwatch))

    @property
    def num_labels(self) -> int:
        """Number of labels; a single sigmoid neuron distinguishes two."""
        num_labels: Any = self.model.config.num_labels
        return max(2, num_labels)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Create the optimizer with a smaller learning rate below the head."""
        if self.optimizer is None:
            head = {id(parameter) for parameter in get_head_parameters(self.model)}
            groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
            for parameter in self.model.parameters():
                if parameter.requires_grad:
                    # Vectors are biases and the scales of normalisation: decay only hurts them.
                    key = (id(parameter) in head, parameter.ndim > 1)
                    groups.setdefault(key, []).append(parameter)
            learner: Any = self.model
            optimizer_class, settings = self.get_optimizer_cls_and_kwargs(self.args, learner)
            rate = settings["lr"]
            self.optimizer = optimizer_class(
                [
                    {
                        "params": parameters,
                        "lr": rate if in_head else rate * self.backbone_lr_scale,
                        "weight_decay": self.args.weight_decay if decays else 0.0,
                    }
                    for (in_head, decays), parameters in groups.items()
                ],
                **settings,
            )
        return self.optimizer

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the accuracy of the training batches since the last log."""
        if "loss" in logs:
            hits, pictures = self.accelerator.reduce(self._hits, "sum").tolist()
            if pictures:
                logs["accuracy"] = hits / pictures
            self._hits.zero_()
        super().log(logs, start_time)

    def _get_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        # `dataloader_drop_last` is for training alone: evaluations count every picture.
        asked = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = asked and kwargs.get("is_training", False)
        try:
            loader = super()._get_dataloader(*args, **kwargs)
        finally:
            self.args.dataloader_drop_last = asked
        loader.worker_init_fn = functools.partial(init_worker, loader.worker_init_fn)
        return loader

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate the averaged weights if there are any."""
        averaged = self.averaged
        with averaged.in_place_of(self.model) if averaged else contextlib.nullcontext():
            return super().evaluate(*args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, and leave the weights in the model that were evaluated.

        Raises:
            KeyboardInterrupt: A signal could not wait for the end of the step.
        """
        try:
            with handling_signals(self.stop_on_signal.ask):
                result = super().train(*args, **kwargs)
        except RuntimeError as error:
            # A process that prepares pictures was too young to outlive the signal of its group.
            if self.stop_on_signal.asked:
                raise KeyboardInterrupt from error
            raise
        if self.averaged:
            self.model.load_state_dict(self.averaged.module.state_dict())
            self.averaged = None
        return result

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run = Path(self._get_output_dir(trial))
        folder = run / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            # `trainer_state.json`, written last, marks a checkpoint as complete: one that a killed
            # run left here must not lend its own to the new files.
            if self.args.should_save and folder.is_dir():
                shutil.rmtree(folder)
            self.accelerator.wait_for_everyone()
            if self.averaged and self.args.should_save:
                self.averaged.save(folder)
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch.save raises RuntimeError
            if "DataLoader worker" in str(error):  # that died meanwhile, and has torch raise here
                raise
            raise OSError(
                f"Could not write a checkpoint into {str(self.args.output_dir)!r}: {error}. Make "
                "room there; the last whole checkpoint is kept, go on from it with --resume."
            ) from error

    def _save_rng_state(self, output_dir: str) -> None:
        # Each process writes its own: all of them before the mark of a complete checkpoint.
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        # A pickle that holds the Hub token in clear; nothing of ours reads it.
        (Path(output_dir or str(self.args.output_dir)) / "training_args.bin").unlink(
            missing_ok=True
        )

    def _load_from_checkpoint(self, checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(checkpoint, model)
        if self.averaged:
            self.averaged.load(checkpoint)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self.averaged:
            self.averaged.load(str(self.state.best_model_checkpoint))


class _TrainerSteps(TrainerCallback):
    """What the trainer does at each epoch and step: only callbacks are notified."""

    def __init__(self, trainer: FerTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(self, args: Any, state: TrainerState, *_: Any, **kwargs: Any) -> None:
        # accelerate notifies the dataset only when it runs a single process.
        if isinstance(self.trainer.train_dataset, BatchDataset):
            self.trainer.train_dataset.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(self, *_: Any, **kwargs: Any) -> None:
        if self.trainer.averaged:
            self.trainer.averaged.update_parameters(self.trainer.model)
