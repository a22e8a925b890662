"""Features of a frozen backbone, computed once and kept on disk.

A frozen backbone says the same about a picture in every epoch, so a head is trained on what it said
the first time. An entry is named after all its content depends on: the weights below the head, the
preprocessing, the bytes of every picture, and the augmented views.
"""

import copy
import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from accelerate import PartialState
from torch.utils import data as torch_data
from tqdm import tqdm
from transformers import PreTrainedModel

from fer_hf.data.stored_pictures import read_encoded
from fer_hf.models import calibrate_batchnorm, compute_features, get_head_parameters
from fer_hf.training.augmentation import Augmentation, FaceDataset, collate
from fer_hf.training.frozen.feature_cache import FORMAT_VERSION, get_cache_folder, load_or_compute

logger = logging.getLogger(__name__)

_CALIBRATION_PICTURES = 256
_CHUNK_ROWS = 1024
# On a CPU, what a larger batch leaves between two layers no longer fits its cache: measured with a
# ResNetV2-50 at 128 pixels, a picture takes 1.4 times as long in batches of 64.
_MOST_ON_CPU = 16
_MIRRORED = Augmentation(
    **{field.name: float(field.name == "flip") for field in dataclasses.fields(Augmentation)}
)


class FeatureDataset(torch_data.Dataset):
    """The features of a split in place of its pictures; otherwise as `FaceDataset`.

    Args:
        faces: The split; its labels and targets are kept.
        features: Shape (views, N, D, h, w), may be memory-mapped.
        seed: Decides which view of a picture an epoch sees.
    """

    def __init__(self, faces: FaceDataset, features: torch.Tensor, *, seed: int = 0) -> None:
        self.features = features
        self.labels = faces.labels
        self.targets = faces.targets
        self.seed = seed
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Choose a view of each picture for the next pass."""
        num_views, num_rows = self.features.shape[:2]
        rng = np.random.default_rng((self.seed, epoch))
        self._views = torch.from_numpy(rng.integers(num_views, size=num_rows))

    def select(self, rows: Sequence[int] | np.ndarray) -> "FeatureDataset":
        """Return these rows as they are, without augmented views."""
        chosen = copy.copy(self)
        index = torch.as_tensor(rows)
        chosen.features = self.features[:1, index]
        chosen.labels = self.labels[index]
        chosen.targets = None if self.targets is None else self.targets[index]
        chosen.set_epoch(0)
        return chosen

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        rows = torch.as_tensor(indices)
        batch = {
            "pixel_values": self.features[self._views[rows], rows],
            "labels": self.labels[rows],
        }
        if self.targets is not None:
            batch["targets"] = self.targets[rows]
        return batch

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[0] for name, values in self.__getitems__([index]).items()}


def fit_batchnorm(
    model: PreTrainedModel, faces: FaceDataset | FeatureDataset, seed: int, batch_size: int = 64
) -> None:
    """Fit the BatchNorm statistics of a random backbone to 256 pictures, before it is frozen."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(faces), generator=generator)[:_CALIBRATION_PICTURES].tolist()
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    network: Any = model
    network.to(memory_format=torch.channels_last)
    pictures = (faces.__getitems__(part)["pixel_values"] for part in parts)
    layout = torch.channels_last
    calibrate_batchnorm(model, (batch.contiguous(memory_format=layout) for batch in pictures))


def load_features(
    model: PreTrainedModel,
    faces: FaceDataset,
    *,
    num_views: int = 1,
    bf16: bool = False,
    batch_size: int = 64,
    num_workers: int = 0,
    use_cache: bool = True,
) -> FeatureDataset:
    """Compute the features of a split, or take them from the cache.

    Several processes of one run each compute their share; other runs wait until they have. Where
    the cache cannot be written, a warning says so and the features stay in memory.

    Args:
        model: A network with a backbone, in eval mode.
        faces: The split, with the preprocessing of the network; its augmentation is not used.
        num_views: The picture itself, then mirrored, then augmented ones.
        bf16: Compute in bfloat16 where the device has it; they are kept as float32.
        batch_size: Pictures at a time; on a CPU at most 16, which is faster.
        num_workers: Processes that prepare pictures ahead.
        use_cache: Whether features may be read from disk and kept there; else memory has them.

    Returns:
        The features of all views; those of an epoch are drawn among the views.

    Raises:
        ValueError: `num_views` is below 1.
    """
    if num_views < 1:
        raise ValueError(
            f"`feature_views` is {num_views}, expected 1 (the picture itself) or more."
        )
    if bf16 and not _has_bf16(model.device):
        logger.warning("This processor has no bfloat16: features are computed in float32.")
        bf16 = False
    job = _Job(model, faces, num_views, bf16, batch_size, num_workers)
    if not use_cache:
        return FeatureDataset(faces, job.compute_all(), seed=faces.seed)
    try:
        features = load_or_compute(job.compute_key(), job.num_chunks, job.compute)
    except OSError as error:
        logger.warning(
            "The feature cache in %s cannot be used (%s): features are kept in memory and computed "
            "again next time. Set FER_HF_CACHE to another folder, or make room there.",
            get_cache_folder(),
            error,
        )
        features = job.compute_all()
    return FeatureDataset(faces, features, seed=faces.seed)


def _has_bf16(device: torch.device) -> bool:
    """Say whether bfloat16 is faster; a CPU without it would emulate it at a fraction of the speed.

    The names are those of x86 (`amx_bf16`, `avx512_bf16`) and Arm (`bf16`, `sve_bf16`).
    """
    if device.type == "cpu":
        found = torch.cpu.get_capabilities().items()
        return any(has for name, has in found if name.endswith("bf16"))
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


@dataclasses.dataclass(frozen=True)
class _Job:
    """What features to compute, chunk by chunk."""

    model: PreTrainedModel
    faces: FaceDataset
    num_views: int
    bf16: bool
    batch_size: int
    num_workers: int

    @property
    def num_chunks(self) -> int:
        return -(-len(self.faces) // _CHUNK_ROWS)

    def compute_key(self) -> str:
        """Return 32 hexadecimal digits that name all the features depend on."""
        views = [self.num_views, self.faces.seed if self.num_views > 2 else 0]
        augmentation = dataclasses.asdict(Augmentation()) if self.num_views > 2 else {}
        processor = self.faces.image_processor.to_dict()
        settings = [FORMAT_VERSION, self.bf16, views, augmentation, processor]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        digest.update(type(self.model).__name__.encode())
        digest.update(json.dumps(_describe_network(self.model), sort_keys=True).encode())
        head = {parameter.data_ptr() for parameter in get_head_parameters(self.model)}
        for name, values in self.model.state_dict().items():
            if values.data_ptr() not in head:
                digest.update(name.encode())
                digest.update(
                    values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
                )
        for content in read_encoded(self.faces.split):
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()[:32]

    def compute_all(self) -> torch.Tensor:
        """Return all features, shape (views, N, D, h, w), in memory."""
        return torch.cat([chunk for _, chunk in self.compute(range(self.num_chunks))], dim=1)

    def compute(self, chunks: Sequence[int]) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the numbers of chunks with their features of shape (views, n, D, h, w)."""
        starts = [number * _CHUNK_ROWS for number in chunks]
        ranges = [range(at, min(at + _CHUNK_ROWS, len(self.faces))) for at in starts]
        total = self.num_views * sum(map(len, ranges))
        shown = PartialState().is_main_process
        with tqdm(
            total=total, desc="Features", unit=" pictures", disable=None if shown else True
        ) as bar:
            for number, rows in zip(chunks, ranges, strict=True):
                views = [self._compute_view(view, rows, bar) for view in range(self.num_views)]
                yield number, torch.stack(views)

    def _compute_view(self, view: int, rows: range, bar: tqdm) -> torch.Tensor:
        augmentation = [None, _MIRRORED][view] if view < 2 else Augmentation()
        faces = FaceDataset(
            self.faces.split,
            self.faces.image_processor,
            augmentation=augmentation,
            seed=self.faces.seed,
        )
        faces.set_epoch(view)
        device = self.model.device
        on_cpu = device.type == "cpu"
        loader = torch_data.DataLoader(
            torch_data.Subset(faces, rows),
            batch_size=min(self.batch_size, _MOST_ON_CPU) if on_cpu else self.batch_size,
            num_workers=self.num_workers,
            collate_fn=cast(Any, collate),
            # Of its own: drawing from the global one would change what is trained afterwards.
            generator=torch.Generator(),
        )
        batches = []
        for batch in loader:
            pixel_values = batch["pixel_values"].to(device, memory_format=torch.channels_last)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, self.bf16):
                batches.append(compute_features(self.model, pixel_values).float().cpu())
            bar.update(len(pixel_values))
        return torch.cat(batches).contiguous()


def _describe_network(model: PreTrainedModel) -> dict[str, Any]:
    config = model.config.to_dict()
    return {key: config.get(key) for key in ("architecture", "model_args", "input_size", "pooling")}
