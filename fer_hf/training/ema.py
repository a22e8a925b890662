"""The moving average of the weights, which is evaluated and kept in place of the last ones."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

_FILE = "ema.safetensors"


class AveragedWeights(AveragedModel):
    """Moving average of weights and buffers; the decay grows, so that a short run moves too.

    Args:
        model: The network that is trained.
        decay: Share of the average that a step keeps, after the first steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        def average(
            averaged: Sequence[torch.Tensor],
            current: Sequence[torch.Tensor],
            count: torch.Tensor | int,
        ) -> None:
            n = int(count)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            for target, source in zip(averaged, current, strict=True):
                if target.is_floating_point():
                    target.lerp_(source, weight)
                else:
                    target.copy_(source)

        super().__init__(model, multi_avg_fn=average, use_buffers=True)

    @contextlib.contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Lend the averaged weights to the network for as long as the context lasts."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    @torch.no_grad()
    def _swap(self, model: nn.Module) -> None:
        ours, theirs = self.module.state_dict().values(), model.state_dict().values()
        for a, b in zip(ours, theirs, strict=True):
            kept = a.clone()
            a.copy_(b)
            b.copy_(kept)

    def save(self, checkpoint: Path) -> None:
        """Write the average into the folder of a checkpoint."""
        checkpoint.mkdir(parents=True, exist_ok=True)
        weights = {name: values.contiguous() for name, values in self.state_dict().items()}
        safetensors.torch.save_file(weights, checkpoint / _FILE)

    def load(self, checkpoint: str | Path) -> None:
        """Read the average of a checkpoint."""
        self.load_state_dict(safetensors.torch.load_file(Path(checkpoint) / _FILE))
