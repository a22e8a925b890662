"""A split as the network sees it: preprocessed, augmented, a batch at a time.

Preprocessing is the checkpoint's own image processor, in training as in evaluation, so that
`pipeline()` gives the same scores later; augmentation comes after it and only in training.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils import data as torch_data

from fer_hf.data.pictures import to_rgb
from fer_hf.training.augmentation import Augmentation, augment
from fer_hf.training.targets import compute_vote_shares


class BatchDataset(torch_data.Dataset):
    """Labels, and what a network takes for them, fetched a batch at a time.

    Batches are dicts with `pixel_values`, `labels` (N,) int64 and, if there are soft targets,
    `targets` (N, num_labels) float32 rows that sum to 1.
    """

    labels: torch.Tensor
    targets: torch.Tensor | None = None
    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass differ from the last one."""
        self.epoch = epoch

    def fetch(self, rows: Sequence[int]) -> torch.Tensor:
        """Return what the network takes for these rows."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = list(indices)
        batch = {"pixel_values": self.fetch(rows), "labels": self.labels[rows]}
        if self.targets is not None:
            batch["targets"] = self.targets[rows]
        return batch


class FaceDataset(BatchDataset):
    """A split whose `pixel_values` are pictures (N, 3, S, S) float32.

    Random numbers depend on (seed, epoch, row) alone: a resumed run, another batch size or several
    processes see the same pictures.
    """

    def __init__(
        self,
        split: Dataset,
        image_processor: Any,
        *,
        augmentation: Augmentation | None = None,
        soft_targets: bool = False,
        seed: int = 0,
    ) -> None:
        self.split = split
        self.image_processor = image_processor
        self.augmentation = augmentation
        self.seed = seed
        self.labels = torch.tensor(split["label"][:], dtype=torch.long)
        if soft_targets and "votes" in split.column_names:
            votes = np.asarray(split["votes"][:], dtype=np.float32)
            self.targets = torch.from_numpy(compute_vote_shares(votes))

    def fetch(self, rows: Sequence[int]) -> torch.Tensor:
        """Return preprocessed pictures, augmented for the present epoch."""
        return self.augment(self.preprocess(rows), rows)

    def preprocess(self, rows: Sequence[int]) -> torch.Tensor:
        """Return these pictures without augmentation."""
        pictures = [to_rgb(picture) for picture in self.split[list(rows)]["image"]]
        return self.image_processor(pictures, return_tensors="pt")["pixel_values"]

    def augment(self, pixel_values: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Augment preprocessed pictures of these rows for the present epoch."""
        if self.augmentation is None:
            return pixel_values
        return augment(
            pixel_values, self.augmentation, [(self.seed, self.epoch, row) for row in rows]
        )


def collate(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what a dataset has already put into one batch."""
    return batch
