"""What a format of `fer-hf export` works on."""

from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from fer_hf.models import LoadedModel


@dataclass(frozen=True)
class ExportJob:
    """A checkpoint to write in another format, and pictures to try the result on.

    Attributes:
        model_name_or_path: The checkpoint's folder or Hub id.
        loaded: The checkpoint, opened.
        folder: Where a format writes. The checkpoint's `config.json` and the settings of its
            preprocessing are there, and so is what the formats before it wrote; all of it is moved
            to the output folder if no format fails.
        validation: Columns `image` and `label`, to try the result on.
        train: Column `image`, where a format needs training pictures; None where there are none.
        page: The folder of a page for browsers; None where none is wanted.
        runtime: The unpacked npm package onnxruntime-web; None has npm fetch it.
    """

    model_name_or_path: str
    loaded: LoadedModel
    folder: Path
    validation: Dataset
    train: Dataset | None = None
    page: Path | None = None
    runtime: Path | None = None


def sample_pictures(split: Dataset, num_pictures: int) -> Dataset:
    """Return so many rows of a split, or all it has, always the same."""
    return split.shuffle(seed=0).select(range(min(num_pictures, len(split))))
