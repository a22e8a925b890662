"""Features of a frozen backbone, computed once and kept on disk.

A frozen backbone gives the same features of a picture in every epoch, so a head is trained on those
of the first. A file is named after all that it depends on: the weights below the head, the
preprocessing, the bytes of every picture, and the augmented views.
"""

import copy
import dataclasses
import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from accelerate import PartialState
from torch.utils import data as torch_data
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from fer_hf.data.stored_pictures import read_encoded
from fer_hf.models import (
    LoadedModel,
    calibrate_batchnorm,
    compute_features,
    freeze_backbone,
    get_head_parameters,
    load_model,
    supports_standalone_head,
)
from fer_hf.training.augmentation import Augmentation
from fer_hf.training.face_dataset import BatchDataset, FaceDataset, collate
from fer_hf.training.frozen.feature_cache import FORMAT_VERSION, get_cache_folder, load_or_compute
from fer_hf.training.signals import init_worker

logger = logging.getLogger(__name__)

_CALIBRATION_PICTURES = 256
_CHUNK_ROWS = 1024
# On a CPU, what a larger batch leaves between two layers no longer fits its cache: measured with a
# ResNetV2-50 at 128 pixels, a picture takes 1.4 times as long in batches of 64.
_MOST_ON_CPU = 16
_MIRRORED = Augmentation(
    **{field.name: float(field.name == "flip") for field in dataclasses.fields(Augmentation)}
)


class FeatureDataset(BatchDataset):
    """The features of a split in place of its pictures; otherwise as `FaceDataset`.

    Args:
        faces: The split; its labels and targets are kept.
        features: Shape (views, N, D, h, w), may be memory-mapped.
        seed: Decides which view of a picture an epoch sees.
    """

    def __init__(self, faces: BatchDataset, features: torch.Tensor, *, seed: int = 0) -> None:
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
        """Return only these rows, without augmented views."""
        chosen = copy.copy(self)
        index = torch.as_tensor(rows)
        chosen.features = self.features[:1, index]
        chosen.labels = self.labels[index]
        chosen.targets = None if self.targets is None else self.targets[index]
        chosen.set_epoch(0)
        return chosen

    def fetch(self, rows: Sequence[int]) -> torch.Tensor:
        """Return features (N, D, h, w) of the views chosen for this epoch."""
        index = torch.as_tensor(rows)
        return self.features[self._views[index], index]


def load_frozen(
    model_name_or_path: str,
    label_names: Sequence[str],
    *,
    pretrained: bool = False,
    **settings: Any,
) -> LoadedModel:
    """Load a network whose backbone stays frozen to compute features; otherwise as `load_model`.

    Raises:
        ValueError: It has no backbone, or none that is pretrained although that is asked for.
    """
    loaded = load_model(model_name_or_path, label_names, **settings)
    is_random = loaded.pretrained_on == "none"
    if not supports_standalone_head(loaded.model) or (pretrained and is_random):
        raise ValueError(
            f"{model_name_or_path!r} has no {'pretrained ' if pretrained else ''}backbone to keep "
            "frozen, expected a network from timm such as 'resnetv2-ferplus'. Name one."
        )
    freeze_backbone(loaded.model)
    loaded.model.eval()
    return loaded


def fit_batchnorm(
    model: PreTrainedModel, faces: BatchDataset, seed: int, batch_size: int = 64
) -> None:
    """Fit the BatchNorm statistics of a random backbone to 256 pictures, before it is frozen."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(faces), generator=generator)[:_CALIBRATION_PICTURES]
    network: Any = model
    network.to(memory_format=torch.channels_last)
    pictures = (faces.fetch(part.tolist()) for part in rows.split(batch_size))
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

    Several processes of one run each compute their share; other runs wait until they have. If the
    cache cannot be written, a warning says so and the features stay in memory.

    Args:
        model: A network with a backbone, in eval mode.
        faces: The split, with the preprocessing of the network; its augmentation is not used.
        num_views: The picture itself, then mirrored, then augmented ones.
        bf16: Compute in bfloat16 if the device has it; features are kept as float32.
        batch_size: Pictures at a time; on a CPU at most 16, which is faster.
        num_workers: Processes that prepare pictures ahead.
        use_cache: Whether features may be read from disk and kept there, not only in memory.

    Returns:
        The features of all views; each epoch sees one view of a picture, chosen at random.

    Raises:
        ValueError: `num_views` is below 1, or features are not finite.
    """
    if num_views < 1:
        raise ValueError(
            f"`feature_views` is {num_views}, expected 1 (the picture itself) or more."
        )
    if bf16 and not _has_bf16(model.device):
        logger.warning("This processor has no bfloat16: features are computed in float32.")
        bf16 = False
    if model.device.type == "cpu":
        batch_size = min(batch_size, _MOST_ON_CPU)
    job = _Job(model, faces, num_views, bf16, batch_size, num_workers)
    features = None
    if use_cache:
        try:
            features = load_or_compute(job.compute_key(), job.num_chunks, job.compute)
        except OSError as error:
            logger.warning(
                "The feature cache in %s cannot be used (%s): features are kept in memory and "
                "computed again next time. Set FER_HF_CACHE to another folder, or make room there.",
                get_cache_folder(),
                error,
            )
    if features is None:
        chunks = [chunk for _, chunk in job.compute(range(job.num_chunks))]
        features = torch.cat(chunks, dim=1)
    if not features.isfinite().all():
        raise ValueError(
            f"The backbone of {model.config.name_or_path!r} gives features that are NaN or "
            "infinite, expected finite numbers. Its weights are broken: give another model."
        )
    return FeatureDataset(faces, features, seed=faces.seed)


def _has_bf16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster; a CPU without it would emulate it very slowly.

    The names are those of x86 (`amx_bf16`, `avx512_bf16`) and Arm (`bf16`, `sve_bf16`).
    """
    if device.type == "cpu":
        # An older torch cannot tell, and counts as without.
        found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return any(has for name, has in found.items() if name.endswith("bf16"))
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


@dataclasses.dataclass(frozen=True)
class _Views(torch_data.Dataset):
    """All views of a batch of pictures: themselves, mirrored, then augmented ones."""

    faces: FaceDataset
    num_views: int

    def __getitems__(self, rows: Sequence[int]) -> torch.Tensor:
        """Return pictures of shape (views, n, 3, S, S)."""
        pictures = self.faces.preprocess(rows)
        faces, views = copy.copy(self.faces), []
        for view in range(self.num_views):
            faces.augmentation = [None, _MIRRORED, Augmentation()][min(view, 2)]
            faces.set_epoch(view)
            views.append(faces.augment(pictures, rows))
        return torch.stack(views)


@dataclasses.dataclass(frozen=True)
class _Job:
    """Which features to compute, chunk by chunk."""

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
        """Return 32 hexadecimal digits that name all that the features depend on."""
        views = [self.num_views, self.faces.seed if self.num_views > 2 else 0]
        augmentation = dataclasses.asdict(Augmentation()) if self.num_views > 2 else {}
        processor, config = self.faces.image_processor.to_dict(), self.model.config.to_dict()
        network = {
            key: config.get(key) for key in ("architecture", "model_args", "input_size", "pooling")
        }
        settings = [FORMAT_VERSION, self.bf16, views, augmentation, processor, network]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        digest.update(type(self.model).__name__.encode())
        head = {parameter.data_ptr() for parameter in get_head_parameters(self.model)}
        for name, values in self.model.state_dict().items():
            if values.data_ptr() not in head:
                digest.update(name.encode())
                digest.update(values.cpu().contiguous().flatten().view(torch.uint8).numpy())
        for content in read_encoded(self.faces.split):
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()[:32]

    def compute(self, chunks: Sequence[int]) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the numbers of chunks with their features of shape (views, n, D, h, w)."""
        size = max(1, self.batch_size // self.num_views)
        rows = torch.arange(len(self.faces)).split(_CHUNK_ROWS)
        batches = {n: [part.tolist() for part in rows[n].split(size)] for n in chunks}
        loader = torch_data.DataLoader(
            _Views(self.faces, self.num_views),
            batch_sampler=[batch for parts in batches.values() for batch in parts],
            num_workers=self.num_workers,
            worker_init_fn=functools.partial(init_worker, None),
            collate_fn=cast(Any, collate),
            # Of its own: drawing from the global one would change what is trained afterwards.
            generator=torch.Generator(),
        )
        found = (self._pass(views) for views in loader)
        hidden = None if PartialState().is_main_process else True
        total = sum(len(rows[number]) for number in chunks)
        with tqdm(total=total, desc="Features", unit=" pictures", disable=hidden) as bar:
            for number, parts in batches.items():
                features = []
                for part in parts:
                    features.append(next(found))
                    bar.update(len(part))
                yield number, torch.cat(features, dim=1)

    def _pass(self, views: torch.Tensor) -> torch.Tensor:
        device = self.model.device
        pixel_values = views.flatten(0, 1).to(device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, self.bf16):
            features = compute_features(self.model, pixel_values).float().cpu()
        return features.unflatten(0, views.shape[:2])
