"""The stock Trainer, with what faces need: a frozen backbone that stays frozen, soft targets, EMA.

It takes plain values beside `TrainingArguments`, so that it can be used without `fine_tune`.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, ProgressCallback, Trainer, TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.training_args import TrainingArguments

from fer_hf.models import StandaloneHead, find_frozen_modules, get_head_parameters
from fer_hf.models.heads import expand_logits
from fer_hf.training.augmentation import FaceDataset, collate
from fer_hf.training.callbacks import EpochProgress, StopOnSignal, Stopwatch
from fer_hf.training.frozen.features import FeatureDataset
from fer_hf.training.losses import compute_soft_loss, fill_targets, mix_batch

_AVERAGE_FILE = "ema.safetensors"


class FerTrainer(Trainer):
    """Trainer for face classifiers.

    Args:
        label_weights: One weight per label in the training loss, or None for equal ones.
        mixup: Alpha of the Beta distribution that mixes pairs of pictures; 0 for none.
        mixup_off_epoch: Number of epochs with mixup, before those without; 0 for all.
        ema_decay: Decay per step of the averaged weights, which are then what is evaluated, chosen
            and kept; 0 for none.
        backbone_lr_scale: Learning rate of the backbone as a share of the head's.
        teachers: Networks with the same labels and preprocessing, whose mean scores on the same
            augmented pictures are learnt beside the labels (Beyer et al. 2022, arXiv:2106.05237).
        teacher_weight: Share of the teachers in the targets, 0–1.
        **kwargs: As for `transformers.Trainer`. Datasets are `FaceDataset`s.
    """

    model: PreTrainedModel | StandaloneHead  # Trainer takes any module

    def __init__(
        self,
        *,
        label_weights: Sequence[float] | None = None,
        mixup: float = 0.0,
        mixup_off_epoch: int = 0,
        ema_decay: float = 0.0,
        backbone_lr_scale: float = 1.0,
        teachers: Sequence[PreTrainedModel] = (),
        teacher_weight: float = 0.5,
        **kwargs: Any,
    ) -> None:
        collator: Any = collate  # it gets a whole batch, where Trainer expects a list of items
        super().__init__(data_collator=collator, **kwargs)
        # Convolutions run up to 1.5 times as fast on it, most of all in bf16 on a CPU.
        network: Any = self.model
        network.to(memory_format=torch.channels_last)
        self.label_weights = None if label_weights is None else torch.tensor(label_weights)
        self.mixup = mixup
        self.mixup_off_epoch = mixup_off_epoch
        self.backbone_lr_scale = backbone_lr_scale
        self.teachers: list[Any] = [teacher.eval().requires_grad_(False) for teacher in teachers]
        for teacher in self.teachers:
            teacher.to(self.args.device, memory_format=torch.channels_last)
        self.teacher_weight = teacher_weight
        self.frozen_modules = find_frozen_modules(self.model)
        # Its own loss is a mean over the batch; Trainer divides it when it accumulates gradients.
        self.loss_is_scaled_for_ga = False
        self.stop_on_signal = StopOnSignal()
        self.averaged = _build_average(self.model, ema_decay) if ema_decay else None
        self._hits = torch.zeros(2, device=self.args.device)
        self.pop_callback(ProgressCallback)
        if not self.args.disable_tqdm:
            self.add_callback(EpochProgress())
        self.add_callback(_EveryStep(self))
        self.add_callback(self.stop_on_signal)
        self.add_callback(Stopwatch())

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
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
        if self.mixup and (self.state.epoch or 0) + 1e-6 < (self.mixup_off_epoch or math.inf):
            pixel_values, targets = mix_batch(pixel_values, targets, self.mixup)
        if self.teachers:
            targets = torch.lerp(targets, self._ask_teachers(pixel_values), self.teacher_weight)
        logits = expand_logits(model(pixel_values=pixel_values).logits.float())
        self._hits[0] += (logits.argmax(1) == targets.argmax(1)).sum()
        self._hits[1] += len(labels)
        loss = compute_soft_loss(
            logits, targets, self.label_weights, self.args.label_smoothing_factor
        )
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
        """Number of labels; a single sigmoid neuron tells two."""
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

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Keep every picture: `dataloader_drop_last` is for training alone."""
        with self._keep_last_batch():
            return super().get_eval_dataloader(*args, **kwargs)

    def get_test_dataloader(self, *args: Any, **kwargs: Any) -> DataLoader:
        """Keep every picture, as in `get_eval_dataloader`."""
        with self._keep_last_batch():
            return super().get_test_dataloader(*args, **kwargs)

    @contextlib.contextmanager
    def _keep_last_batch(self) -> Iterator[None]:
        asked = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = False
        try:
            yield
        finally:
            self.args.dataloader_drop_last = asked

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate the averaged weights where there are any."""
        with self._averaged_weights():
            return super().evaluate(*args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, and leave the weights in the model that were evaluated."""
        result = super().train(*args, **kwargs)
        if self.averaged is not None:
            self.model.load_state_dict(self.averaged.module.state_dict())
            self.averaged = None
        return result

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        if self.averaged is None:
            yield
            return
        _swap(self.model, self.averaged.module)
        try:
            yield
        finally:
            _swap(self.model, self.averaged.module)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # Before the rest: `trainer_state.json`, written last, says that a checkpoint is complete.
        try:
            if self.averaged is not None and self.args.should_save:
                step = self.state.global_step
                folder = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"
                folder.mkdir(parents=True, exist_ok=True)
                weights = {k: v.contiguous() for k, v in self.averaged.state_dict().items()}
                safetensors.torch.save_file(weights, folder / _AVERAGE_FILE)
            super()._save_checkpoint(model, trial)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch.save raises RuntimeError
            raise OSError(
                f"Could not write a checkpoint into {str(self.args.output_dir)!r}: {error}. Make "
                "room there; the last whole checkpoint is kept, go on from it with --resume."
            ) from error

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)
        # A pickle that holds the Hub token in clear; nothing of ours reads it.
        (Path(output_dir or str(self.args.output_dir)) / "training_args.bin").unlink(
            missing_ok=True
        )

    def _load_from_checkpoint(self, checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(checkpoint, model)
        if self.averaged is not None:
            self.averaged.load_state_dict(
                safetensors.torch.load_file(Path(checkpoint) / _AVERAGE_FILE)
            )

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self.averaged is not None:
            best = Path(str(self.state.best_model_checkpoint)) / _AVERAGE_FILE
            self.averaged.load_state_dict(safetensors.torch.load_file(best))


class _EveryStep(TrainerCallback):
    """What belongs to the trainer, but only a callback is told of."""

    def __init__(self, trainer: FerTrainer) -> None:
        self.trainer = trainer

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # accelerate tells the dataset only when it runs a single process.
        if isinstance(self.trainer.train_dataset, FaceDataset | FeatureDataset):
            self.trainer.train_dataset.set_epoch(int((state.epoch or 0) + 1e-6))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.trainer.averaged is not None:
            self.trainer.averaged.update_parameters(self.trainer.model)


def _build_average(model: nn.Module, decay: float) -> AveragedModel:
    """Average weights and buffers; the decay is smaller at first, so that a short run moves too."""

    def average(
        averaged: Sequence[torch.Tensor], current: Sequence[torch.Tensor], count: torch.Tensor | int
    ) -> None:
        n = int(count)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        for target, source in zip(averaged, current, strict=True):
            if target.is_floating_point():
                target.lerp_(source, weight)
            else:
                target.copy_(source)

    return AveragedModel(model, multi_avg_fn=average, use_buffers=True)


@torch.no_grad()
def _swap(first: nn.Module, second: nn.Module) -> None:
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)
