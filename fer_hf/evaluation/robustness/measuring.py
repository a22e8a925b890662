"""How much of a classifier's accuracy is left when its pictures get worse.

A room of its own because it scores pictures many times over. The classifier and what corrupts a
picture come as plain functions, so that it knows neither networks nor the room of pictures.

The protocol is that of Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", ICLR 2019 (arXiv:1903.12261). Their mean corruption error is
relative to AlexNet's on ImageNet; here stands the accuracy itself, averaged in the same way.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.utils import resample
from tabulate import tabulate

from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.evaluation.metrics.intervals import (
    UNDEFINED,
    Estimate,
    estimate_bootstrap,
    resample_counts,
)

Scores = npt.NDArray[np.floating[Any]]
Classify = Callable[[Sequence[Image.Image]], Scores]
Corrupt = Callable[[Image.Image, str, int], Image.Image]

WIDTH = 90


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

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Robustness":
        """Rebuild what `to_dict` returned.

        Raises:
            KeyError: If a figure is missing.
            TypeError: If a field is missing or unknown.
        """
        per_corruption = {
            name: CorruptedAccuracy(**_rebuild_estimates(figures))
            for name, figures in data["per_corruption"].items()
        }
        return cls(**{**_rebuild_estimates(data), "per_corruption": per_corruption})


def sample_rows(labels: npt.ArrayLike, num_pictures: int, seed: int = 0) -> list[int]:
    """Choose pictures by lot, of each label in proportion.

    Args:
        labels: (N,) label ids.
        num_pictures: How many, at least 1; N or more means all.
        seed: Which.

    Returns:
        Ascending row numbers. Of a rare label there may be none among them.

    Raises:
        ValueError: `num_pictures` is below 1.
    """
    if num_pictures < 1:
        raise ValueError(f"Found num_pictures={num_pictures}, expected 1 or more. Ask for more.")
    rows = np.arange(np.size(labels))
    if num_pictures < len(rows):
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
    conditions = [(name, strength) for name in corruptions for strength in strengths]
    clean: list[Scores] = []
    corrupted: dict[tuple[str, int], list[Scores]] = {condition: [] for condition in conditions}
    changing = set()
    report = on_progress or (lambda num_scored: None)
    for start in range(0, len(pictures), batch_size):
        batch = list(pictures[start : start + batch_size])
        originals = list(map(_identify, batch))
        clean.append(classify(batch))
        report(len(batch))
        for name, strength in conditions:
            worse = [corrupt(picture, name, strength) for picture in batch]
            if list(map(_identify, worse)) == originals:
                corrupted[name, strength].append(clean[-1])
            else:
                corrupted[name, strength].append(classify(worse))
                changing.add(name)
            report(len(batch))
    scores = {
        name: [np.concatenate(corrupted[name, strength]) for strength in strengths]
        for name in corruptions
        if name in changing
    }
    return _summarise(np.concatenate(clean), scores, np.asarray(labels), corruptions, strengths)


def render_robustness(robustness: Robustness) -> str:
    """Render the accuracies, the corruption that costs most first, in at most 90 columns."""
    lowest_first = sorted(
        robustness.per_corruption.items(), key=lambda item: np.mean(item[1].accuracy)
    )
    blank = [""] * len(robustness.strengths)
    means = robustness.mean_corrupted_accuracy, robustness.mean_corrupted_balanced_accuracy
    clean = robustness.clean_accuracy, robustness.clean_balanced_accuracy
    rows = [
        [
            name,
            *(f"{accuracy:.3f}" for accuracy in figures.accuracy),
            *_render_means(figures.mean_accuracy, figures.mean_balanced_accuracy),
        ]
        for name, figures in lowest_first
    ]
    strengths = map(str, robustness.strengths)
    table = tabulate(
        [
            *rows,
            ["mean", *blank, *_render_means(*means)],
            ["clean", *blank, *_render_means(*clean)],
        ],
        headers=["corruption", *strengths, "mean", "95 % interval", "balanced"],
        tablefmt="simple",
        colalign=["left", *("right" for _ in blank), "right", "right", "right"],
        disable_numparse=True,
    )
    notes = (
        f"Accuracy at each strength on the same {robustness.num_pictures:,} pictures, and the mean "
        "of the balanced accuracy."
    )
    if robustness.unchanged:
        names = ", ".join(robustness.unchanged)
        notes += f" Left out, since it changes none of these pictures: {names}."
    return f"{table}\n\n{textwrap.fill(notes, WIDTH, break_on_hyphens=False)}\n"


def _identify(picture: Image.Image) -> tuple[str, tuple[int, int], bytes]:
    # Pillow holds a picture from a file to differ from the same one in memory.
    return picture.mode, picture.size, picture.tobytes()


def _summarise(
    clean: Scores,
    corrupted: Mapping[str, Sequence[Scores]],
    labels: npt.NDArray[Any],
    corruptions: Sequence[str],
    strengths: Sequence[int],
) -> Robustness:
    draws = resample_counts(np.ones(len(labels), dtype=np.int64), np.random.default_rng(0))
    unspoilt = _measure([clean], labels, draws)
    # All corruptions have equally many strengths, so this is the mean of their means.
    conditions = [scores for per_strength in corrupted.values() for scores in per_strength]
    overall = _measure(conditions, labels, draws) if conditions else None
    return Robustness(
        num_pictures=len(labels),
        strengths=list(strengths),
        clean_accuracy=unspoilt.mean_accuracy,
        clean_balanced_accuracy=unspoilt.mean_balanced_accuracy,
        mean_corrupted_accuracy=overall.mean_accuracy if overall else UNDEFINED,
        mean_corrupted_balanced_accuracy=overall.mean_balanced_accuracy if overall else UNDEFINED,
        per_corruption={
            name: _measure(scores, labels, draws) for name, scores in corrupted.items()
        },
        unchanged=[name for name in corruptions if name not in corrupted],
    )


def _measure(
    scores: Sequence[Scores], labels: npt.NDArray[Any], draws: npt.NDArray[Any]
) -> CorruptedAccuracy:
    """Measure scores (N, C) of the same pictures; `draws` (R, N) count them in each resample."""
    figures = [compute_metrics(one, labels) for one in scores]
    accuracy = [figure["accuracy"] for figure in figures]
    balanced_accuracy = [figure["balanced_accuracy"] for figure in figures]
    # How often each picture is right says all that its resampling needs.
    right = np.mean([one.argmax(axis=1) == labels for one in scores], axis=0)
    of_label = labels[:, None] == np.unique(labels)
    support = draws @ of_label
    recalls = np.full(support.shape, np.nan)
    np.divide(draws @ (of_label * right[:, None]), support, out=recalls, where=support > 0)
    return CorruptedAccuracy(
        accuracy,
        balanced_accuracy,
        estimate_bootstrap(float(np.mean(accuracy)), draws @ right / len(labels)),
        estimate_bootstrap(float(np.mean(balanced_accuracy)), np.nanmean(recalls, axis=1)),
    )


def _rebuild_estimates(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: Estimate(**value) if name.startswith(("clean_", "mean_")) else value
        for name, value in data.items()
    }


def _render_means(accuracy: Estimate, balanced_accuracy: Estimate) -> list[str]:
    if accuracy.value is None:
        return ["–", "–", "–"]
    interval = f"{accuracy.low:.3f} – {accuracy.high:.3f}"
    return [f"{accuracy.value:.3f}", interval, f"{balanced_accuracy.value:.3f}"]
