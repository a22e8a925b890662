"""How much of a classifier's accuracy is left when its pictures get worse.

The classifier and what corrupts a picture are plain functions here, so that anything that turns
pictures into scores can be measured.

The protocol is that of Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", ICLR 2019 (arXiv:1903.12261). Their mean corruption error is
relative to AlexNet's on ImageNet; this is the accuracy itself, averaged in the same way.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.evaluation.metrics.intervals import (
    UNDEFINED,
    Estimate,
    estimate_bootstrap,
    resample_counts,
)
from fer_hf.evaluation.metrics.predictions import Predictions

Scores = npt.NDArray[np.floating[Any]]
Classify = Callable[[Sequence[Image.Image]], Scores]
Corrupt = Callable[[Image.Image, str, int], Image.Image]


@dataclass(frozen=True)
class CorruptedAccuracy:
    """How good a classifier is under one corruption; all figures are in [0, 1].

    Attributes:
        accuracy: At each strength.
        balanced_accuracy: At each strength.
        mean_accuracy: Mean over the strengths.
        mean_balanced_accuracy: Mean over the strengths.
    """

    accuracy: list[float]
    balanced_accuracy: list[float]
    mean_accuracy: Estimate
    mean_balanced_accuracy: Estimate


@dataclass(frozen=True)
class Robustness:
    """How good a classifier is on the same pictures as they are and corrupted.

    Intervals are over the choice of pictures, not over that of corruptions: a bootstrap that draws
    a picture together with all its corrupted versions.

    Attributes:
        num_pictures: Number of pictures.
        strengths: The strengths, in rising order.
        clean_accuracy: On the pictures as they are.
        clean_balanced_accuracy: On the pictures as they are.
        mean_corrupted_accuracy: Mean over corruptions of the mean over strengths; undefined if no
            corruption changes a picture.
        mean_corrupted_balanced_accuracy: The same of the balanced accuracy.
        per_corruption: Corruption to its figures.
        unchanged: Corruptions that change none of these pictures, such as grey ones made grey; they
            would only pull the means towards the clean figures, and count nowhere.
    """

    num_pictures: int
    strengths: list[int]
    clean_accuracy: Estimate
    clean_balanced_accuracy: Estimate
    mean_corrupted_accuracy: Estimate
    mean_corrupted_balanced_accuracy: Estimate
    per_corruption: dict[str, CorruptedAccuracy]
    unchanged: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write; None for what is undefined."""
        return asdict(self)

    def sort_corruptions(self) -> dict[str, CorruptedAccuracy]:
        """Return corruption to its figures, the one that costs most accuracy first."""
        return dict(sorted(self.per_corruption.items(), key=lambda item: sum(item[1].accuracy)))

    def compute_shades(self, accuracies: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return how deep a heat map shades accuracies: 1 if clean, 0 for 50 points less."""
        clean = self.clean_accuracy.value or 0.0
        return np.clip(1 - 2 * (clean - np.asarray(accuracies)), 0, 1)


def sample_rows(labels: npt.ArrayLike, num_pictures: int, seed: int = 0) -> list[int]:
    """Choose pictures at random, of each label in proportion.

    Args:
        labels: (N,) label ids.
        num_pictures: How many, at least 1; N or more means all.
        seed: Chooses which.

    Returns:
        Ascending row numbers. Of a rare label there may be none among them.

    Raises:
        ValueError: `num_pictures` is below 1.
    """
    if num_pictures < 1:
        raise ValueError(f"Found num_pictures={num_pictures}, expected 1 or more. Ask for more.")
    rows = np.arange(np.size(labels))
    if num_pictures < len(rows):
        from sklearn.utils import resample  # whoever only reads reports need not have it

        rows = resample(
            rows, replace=False, n_samples=num_pictures, stratify=labels, random_state=seed
        )
    return sorted(rows.tolist())


def measure_robustness(
    classify: Classify,
    corrupt: Corrupt,
    pictures: Sequence[Image.Image],
    labels: npt.ArrayLike,
    *,
    corruptions: Sequence[str],
    strengths: Sequence[int],
    batch_size: int = 32,
    on_progress: Callable[[int], object] | None = None,
) -> Robustness:
    """Score pictures as they are and under each corruption at each strength.

    Args:
        classify: From a batch of pictures to scores (batch, C) whose rows sum to 1, such as an
            `ExpressionClassifier`.
        corrupt: From a picture, a corruption and a strength to a picture, such as
            `fer_hf.evaluation.robustness.corruptions.corrupt`.
        pictures: N pictures; a split's column `image` is decoded a batch at a time.
        labels: (N,) label ids in [0, C).
        corruptions: Their names, in the order of the result.
        strengths: In rising order.
        batch_size: Pictures at a time, at least 1.
        on_progress: Called with a number of pictures each time that many more are scored; in all
            they are N × (1 + corruptions × strengths).

    Raises:
        ValueError: No pictures, not one label for each, no corruption or strength, `batch_size`
            below 1, or scores that do not fit (see `evaluate_scores`).
    """
    if len(pictures) == 0 or np.shape(labels) != (len(pictures),):
        raise ValueError(
            f"Found {len(pictures)} pictures and `labels` of shape {np.shape(labels)}, expected "
            "one or more pictures with a label each. Take both from the same rows."
        )
    if not corruptions or not strengths or batch_size < 1:
        raise ValueError(
            f"Found {len(corruptions)} corruptions, {len(strengths)} strengths and batches of "
            f"{batch_size}, expected 1 or more of each. Name what to measure."
        )
    label_ids = np.asarray(labels)
    # Whether each answer is right; the first row is that of the pictures as they are.
    right = np.empty((1 + len(corruptions) * len(strengths), len(label_ids)))
    changing: set[str] = set()
    report = on_progress or (lambda num_scored: None)
    for start in range(0, len(label_ids), batch_size):
        rows = slice(start, start + batch_size)
        batch = list(pictures[rows])
        originals = list(map(_identify, batch))
        right[0, rows] = Predictions.check(classify(batch), label_ids[rows]).is_right
        report(len(batch))
        for condition, (name, strength) in enumerate(product(corruptions, strengths), start=1):
            worse = [corrupt(picture, name, strength) for picture in batch]
            right[condition, rows] = right[0, rows]
            if list(map(_identify, worse)) != originals:
                changing.add(name)
                found = Predictions.check(classify(worse), label_ids[rows])
                right[condition, rows] = found.is_right
            report(len(batch))
    return _summarise(right, label_ids, corruptions, strengths, changing)


def _identify(picture: Image.Image) -> tuple[str, tuple[int, int], bytes]:
    # Pillow holds a picture from a file to differ from the same one in memory.
    return picture.mode, picture.size, picture.tobytes()


def _summarise(
    right: npt.NDArray[np.float64],
    label_ids: npt.NDArray[np.int64],
    corruptions: Sequence[str],
    strengths: Sequence[int],
    changing: Collection[str],
) -> Robustness:
    per_corruption = right[1:].reshape(len(corruptions), len(strengths), -1)
    answers = zip(corruptions, per_corruption, strict=True)
    corrupted = {name: found for name, found in answers if name in changing}
    is_label = label_ids[:, None] == np.unique(label_ids)
    draws = resample_counts(np.ones(len(is_label), dtype=np.int64), np.random.default_rng(0))
    as_they_are = _measure(right[:1], is_label, draws)
    mean = UNDEFINED, UNDEFINED
    if corrupted:
        # All corruptions have equally many strengths, so this is the mean of their means.
        overall = _measure(np.concatenate(list(corrupted.values())), is_label, draws)
        mean = overall.mean_accuracy, overall.mean_balanced_accuracy
    return Robustness(
        num_pictures=len(is_label),
        strengths=list(strengths),
        clean_accuracy=as_they_are.mean_accuracy,
        clean_balanced_accuracy=as_they_are.mean_balanced_accuracy,
        mean_corrupted_accuracy=mean[0],
        mean_corrupted_balanced_accuracy=mean[1],
        per_corruption={
            name: _measure(found, is_label, draws) for name, found in corrupted.items()
        },
        unchanged=[name for name in corruptions if name not in corrupted],
    )


def _measure(
    right: npt.NDArray[np.float64], is_label: npt.NDArray[np.bool_], draws: npt.NDArray[np.int64]
) -> CorruptedAccuracy:
    """Measure answers (S, N) to N pictures, whose labels are one-hot rows (N, L).

    `draws` (R, N) says how often each picture is in each resample.
    """
    accuracy = right.mean(axis=1)
    balanced_accuracy = (right @ is_label / is_label.sum(axis=0)).mean(axis=1)
    # How often each picture is right says all that its resampling needs.
    mean_right = right.mean(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a resample may lack a label
        recalls = draws @ (is_label * mean_right[:, None]) / (draws @ is_label)
    return CorruptedAccuracy(
        accuracy.tolist(),
        balanced_accuracy.tolist(),
        estimate_bootstrap(float(accuracy.mean()), draws @ mean_right / len(mean_right)),
        estimate_bootstrap(float(balanced_accuracy.mean()), np.nanmean(recalls, axis=1)),
    )
