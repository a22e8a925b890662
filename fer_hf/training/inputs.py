"""What a stage learns from: pictures or features of a frozen backbone, and teachers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict
from PIL import Image
from torch import nn
from torch.nn import functional

from fer_hf.models import LoadedModel, load_checkpoint
from fer_hf.models.heads import expand_logits
from fer_hf.training.augmentation import Augmentation
from fer_hf.training.face_dataset import BatchDataset, FaceDataset
from fer_hf.training.frozen.features import load_features
from fer_hf.training.training_arguments import FerTrainingArguments

SAMPLE = "train sample"
"""Name of the pictures of `train` that represent it in evaluations, without augmentation."""

# Enough to tell the gap to validation within a point; all of FER+ would take as long as an epoch.
_SAMPLE_PICTURES = 5000
_SHIFT_PICTURES = 64
# Between a ramp and itself at another size; a crop to 95 % already moves it by 0.05.
_LARGEST_SLIP = 0.03


def build_picture_sets(
    splits: DatasetDict, image_processor: Any, training: FerTrainingArguments
) -> dict[str, FaceDataset]:
    """Return the splits as the network sees them, and `SAMPLE`."""
    train = FaceDataset(
        splits["train"],
        image_processor,
        augmentation=Augmentation() if training.augment else None,
        soft_targets=training.soft_targets,
        seed=training.seed,
    )
    evaluated = {
        SAMPLE: splits["train"].select(_choose_sample(len(train))),
        "validation": splits["validation"],
        "test": splits["test"],
    }
    sets = {name: FaceDataset(split, image_processor) for name, split in evaluated.items()}
    return {"train": train, **sets}


def build_feature_sets(
    loaded: LoadedModel,
    pictures: Mapping[str, FaceDataset],
    training: FerTrainingArguments,
    *,
    bf16: bool,
) -> dict[str, BatchDataset]:
    """Return the features of the splits in place of their pictures."""
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
    # There is nothing left to prepare ahead; passing features between processes would take longer.
    training.dataloader_num_workers = 0
    return {**sets}


def _choose_sample(num_pictures: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(num_pictures)[:_SAMPLE_PICTURES]


@torch.inference_mode()
def compute_score_shift(
    loaded: LoadedModel, head: nn.Module, pictures: BatchDataset, features: BatchDataset
) -> float:
    """Return how far the trained head's scores of features are from those of pictures, at most."""
    rows = range(min(len(pictures), _SHIFT_PICTURES))
    network: Any = loaded.model
    exact, moved = (
        expand_logits(
            model.eval()(
                pixel_values=inputs.__getitems__(rows)["pixel_values"].to(network.device)
            ).logits.float()
        ).softmax(dim=1)
        for model, inputs in ((network, pictures), (head, features))
    )
    return float((exact - moved).abs().max())


def load_teachers(sources: Sequence[str], loaded: LoadedModel) -> list[nn.Module]:
    """Load the teachers of a network, which take its `pixel_values`, at whatever size they want.

    Raises:
        ValueError: One has other labels or another preprocessing.
    """
    # A slope keeps its values at every size, but not if it is cropped or normalised otherwise.
    slope = Image.linear_gradient("L").resize((256, 128))
    ramp = Image.merge("RGB", (slope, slope.rotate(180), slope))

    def prepare(image_processor: Any) -> torch.Tensor:
        return image_processor([ramp], return_tensors="pt")["pixel_values"]

    expected, names = prepare(loaded.image_processor), loaded.model.config.id2label
    teachers: list[nn.Module] = []
    for source in sources:
        teacher = load_checkpoint(source)
        if teacher.model.config.id2label != names:
            raise ValueError(
                f"Teacher {source!r} has the labels {teacher.model.config.id2label}, expected "
                f"{names}. Give teachers that were trained on the same labels."
            )
        found = prepare(teacher.image_processor)
        size = found.shape[-1]
        if not torch.allclose(found, _resize(expected, size), atol=_LARGEST_SLIP):
            raise ValueError(
                f"Teacher {source!r} crops or normalises pictures in another way than this "
                "network, expected the same but for their size. Give teachers of the same kind of "
                "network."
            )
        is_same_size = size == expected.shape[-1]
        teachers.append(teacher.model if is_same_size else _Resized(teacher.model, size))
    return teachers


class _Resized(nn.Module):
    """A network that is shown pictures of another size than its own."""

    def __init__(self, model: nn.Module, size: int) -> None:
        super().__init__()
        self.model, self.size = model, size

    def forward(self, pixel_values: torch.Tensor) -> Any:
        return self.model(pixel_values=_resize(pixel_values, self.size))


def _resize(pixel_values: torch.Tensor, size: int) -> torch.Tensor:
    return functional.interpolate(pixel_values, (size, size), mode="bilinear")
