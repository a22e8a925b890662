"""The scores of a split, by one process or by all of a launch.

The classifier comes as a plain object, so that nothing here depends on a network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from fer_hf.data.pictures import to_rgb
from fer_hf.evaluation.metrics.not_sure import NotSure

Scores = npt.NDArray[np.float32]


class Classifier(Protocol):
    """What is evaluated: an `ExpressionClassifier`, or anything else that scores pictures.

    Attributes:
        model_name_or_path: What it was loaded from, for reports.
        label_names: Names of the labels in the order of the scores.
        backend: What it runs on: `torch`, `onnx` or `onnx-int8`.
        not_sure: When it is not sure; None where the checkpoint does not say.
    """

    model_name_or_path: str
    label_names: list[str]
    backend: str
    not_sure: NotSure | None

    @property
    def knows_crowd(self) -> bool:
        """Whether it was calibrated on votes, so that `compute_crowd_scores` works."""
        ...

    def __call__(self, pictures: Sequence[Image.Image]) -> Scores:
        """Score pictures: (N, num_labels), rows sum to 1."""
        ...

    def compute_crowd_scores(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Turn scores (N, num_labels) into the expected shares of people's votes."""
        ...

    def find_file(self, name: str) -> Path | None:
        """Find a file beside the weights; None where there is none."""
        ...


def score_split(
    classifier: Classifier,
    split: Dataset,
    *,
    batch_size: int = 32,
    with_mirror_images: bool = True,
) -> Scores:
    """Score the pictures of a split, with a progress bar.

    Args:
        classifier: What scores.
        split: A column `image` with pictures of any mode and size.
        batch_size: Pictures at a time.
        with_mirror_images: Also score their mirror images, which takes twice as long.

    Returns:
        Scores (2, N, num_labels) of the pictures and of their mirror images, or (1, N, num_labels)
        without these. The mean over the first axis is flip averaging.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}, expected 1 or more.")
    num_views = 2 if with_mirror_images else 1
    scores = np.zeros((num_views, len(split), len(classifier.label_names)), dtype=np.float32)
    with tqdm(total=len(split), desc="Scoring", unit=" pictures", disable=None) as bar:
        for number, batch in enumerate(split.select_columns("image").iter(batch_size)):
            pictures = [to_rgb(picture) for picture in batch["image"]]
            rows = slice(number * batch_size, number * batch_size + len(pictures))
            scores[0, rows] = classifier(pictures)
            if with_mirror_images:
                scores[1, rows] = classifier([ImageOps.mirror(picture) for picture in pictures])
            bar.update(len(pictures))
    return scores


def join_processes() -> PartialState:
    """Join the other processes of this launch, if there are any; scoring runs on the CPU.

    Without a GPU accelerate would otherwise leave each process of `--multi_gpu` by itself.
    """
    return PartialState(cpu=True)


def score_share(classifier: Classifier, split: Dataset, batch_size: int) -> Scores:
    """Score the rows of this process, and return the scores of all processes."""
    rows = split_rows(len(split))
    scores = score_split(classifier, split.select(rows), batch_size=batch_size)
    return np.concatenate(gather_object([scores]), axis=1)


def split_rows(num_rows: int) -> npt.NDArray[np.int64]:
    """Return the rows of this process: consecutive, so that those of all in turn are in order."""
    state = join_processes()
    return np.array_split(np.arange(num_rows), state.num_processes)[state.process_index]
