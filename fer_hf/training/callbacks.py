"""What happens beside training: a line an epoch, the time it takes, a stop that loses nothing."""

import os
import time
from typing import Any

import torch
from tqdm.auto import tqdm
from transformers import ProgressCallback, TrainerCallback
from transformers.trainer_callback import ExportableState, TrainerControl, TrainerState


class EpochProgress(ProgressCallback):
    """Trainer's progress bar, one at a time, with one readable line for each evaluation."""

    prediction_bar: Any

    def on_prediction_step(self, args: Any, state: TrainerState, *_: Any, **kwargs: Any) -> None:
        """Show evaluations after training, not those of each epoch: the bar of training stays."""
        loader = kwargs["eval_dataloader"]
        if self.training_bar is None and state.is_world_process_zero:
            if self.prediction_bar is None:
                self.prediction_bar = tqdm(
                    total=len(loader), desc="Evaluate", leave=False, disable=None
                )
            self.prediction_bar.update(1)

    def on_log(
        self,
        args: Any,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the figures that people follow; `log_history` keeps the rest."""
        if not state.is_world_process_zero or self.training_bar is None or logs is None:
            return
        split, prefix = ("validation", "eval_") if "eval_loss" in logs else ("train", "")
        if f"{prefix}loss" in logs:
            names = {"loss": "loss", "accuracy": "accuracy", "f1_macro": "macro-F1"}
            figures = [
                f"{title} {logs[prefix + name]:.3f}"
                for name, title in names.items()
                if prefix + name in logs
            ]
            line = f"epoch {state.epoch or 0:5.1f}  {split:<10}  {'  '.join(figures)}"
            self.training_bar.write(line)


class Stopwatch(TrainerCallback, ExportableState):
    """Wall time of training in seconds, over all sessions of a run that was resumed.

    Trainer keeps `state()` in its checkpoints, and makes a new one from it when it resumes.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._before = seconds
        self._start: float | None = None

    @property
    def seconds(self) -> float:
        """Time spent in training until now."""
        return self._before + (0.0 if self._start is None else time.perf_counter() - self._start)

    def on_train_begin(self, *_: Any, **kwargs: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_end(self, *_: Any, **kwargs: Any) -> None:
        """Stop."""
        self._before, self._start = self.seconds, None

    def state(self) -> dict[str, Any]:
        """Return what a `Stopwatch` is made from again."""
        return {"args": {"seconds": self.seconds}, "attributes": {}}


class StopOnSignal(TrainerCallback):
    """Once asked, finish the step, save a checkpoint and stop; asked again, stop at once."""

    def __init__(self) -> None:
        self.stopped = False
        self.asked = False
        self._launcher = os.getppid()

    def ask(self) -> None:
        """Ask for the stop.

        Raises:
            KeyboardInterrupt: It was asked for before.
        """
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop at the end of a step, all processes at the same one."""
        if self._is_asked(args) and state.global_step < state.max_steps:
            self.stopped = True
            # The end of an epoch is left to `on_epoch_end`, or its validation would be lost.
            if (state.epoch or 0) % 1:
                control.should_save = True
                control.should_training_stop = True

    def on_epoch_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Skip the validation of a half epoch: a resumed run must choose among the same models."""
        if self.stopped and (state.epoch or 0) % 1:
            control.should_evaluate = control.should_save = control.should_log = False
        elif self.stopped:
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, args: Any, *_: Any, **kwargs: Any) -> None:
        """Leave what follows training for another time, if the last checkpoint can serve it."""
        self.stopped = self.stopped or (self._is_asked(args) and args.save_strategy != "no")

    def _is_asked(self, args: Any) -> bool:
        if args.world_size == 1:
            return self.asked
        # `torchrun` starts its processes in sessions of their own: what kills it leaves them alone.
        is_orphan = torch.distributed.is_torchelastic_launched() and os.getppid() != self._launcher
        flag = torch.tensor(int(self.asked or is_orphan), device=args.device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return bool(flag)
