"""From pictures to scores with a trained checkpoint: what serving, the demo and `predict` share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from fer_hf.data.pictures import PICTURE_ENDINGS, load_picture, to_rgb
from fer_hf.losses import expand_logits
from fer_hf.models import load_checkpoint


class ExpressionClassifier:
    """A checkpoint that scores faces, with the preprocessing it was trained with.

    Args:
        model_name_or_path: A checkpoint folder or Hub id.
        revision: Branch, tag or commit on the Hub.

    Attributes:
        label_names: Names of the labels in the order of the scores.

    Raises:
        ValueError: The folder holds no image classifier.
        OSError: The checkpoint cannot be found or reached.
    """

    def __init__(self, model_name_or_path: str, *, revision: str | None = None) -> None:
        loaded = load_checkpoint(model_name_or_path, revision=revision)
        self._model = loaded.model.to(memory_format=torch.channels_last)  # type: ignore[call-arg]
        self._image_processor = loaded.image_processor
        names = [str(name) for name in (loaded.model.config.id2label or {}).values()]
        self.label_names = names if len(names) > 1 else [f"not {names[0]}", names[0]]

    def __call__(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Score one batch of pictures of any mode and size.

        Returns:
            Scores of shape (N, num_labels) whose rows sum to 1; the same as `pipeline()` gives.
        """
        if not pictures:
            return np.zeros((0, len(self.label_names)), dtype=np.float32)
        upright = [to_rgb(picture) for picture in pictures]
        pixel_values = self._image_processor(upright, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            layout = pixel_values.contiguous(memory_format=torch.channels_last)
            logits = expand_logits(self._model(pixel_values=layout).logits)
        return logits.softmax(dim=1).numpy()


@dataclass(frozen=True)
class FileScores:
    """What a classifier says about one file.

    Attributes:
        file: Its path as it was given.
        scores: Label to score, 0–1, summing to 1; None where the file could not be read.
        error: Why it could not be read.
    """

    file: str
    scores: dict[str, float] | None
    error: str | None = None


def score_files(
    classifier: ExpressionClassifier, files: Sequence[str], *, batch_size: int = 32
) -> Iterator[FileScores]:
    """Score picture files a batch at a time; one that cannot be read does not stop the others.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}, expected 1 or more.")
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        opened = [_open(file) for file in batch]
        readable = [picture for picture in opened if isinstance(picture, Image.Image)]
        scores = iter(classifier(readable))
        for file, picture in zip(batch, opened, strict=True):
            if isinstance(picture, str):
                yield FileScores(file, None, picture)
            else:
                row = next(scores).tolist()
                yield FileScores(file, dict(zip(classifier.label_names, row, strict=True)))


def _open(file: str) -> Image.Image | str:
    """Return the picture, or why it cannot be read."""
    try:
        return to_rgb(load_picture(file))
    # Damaged files make decoders raise whatever goes wrong first.
    except Exception as error:
        return str(error) or type(error).__name__


def find_pictures(places: Iterable[str]) -> list[str]:
    """List the pictures that files, folders and globs stand for; folders with all below them.

    A single file counts whatever its ending, so that a wrong one is named instead of passed over.

    Raises:
        ValueError: An address instead of a file: nothing is fetched.
        FileNotFoundError: A place where there is no picture.
    """
    found: list[str] = []
    for place in places:
        if place.startswith(("http://", "https://")):
            raise ValueError(f"{place!r} is an address, expected a file. Download it first.")
        path = Path(place)
        if path.is_dir():
            below = path.rglob("*")
            chosen = sorted(str(p) for p in below if p.suffix.lower() in PICTURE_ENDINGS)
        else:
            # Path.glob takes no pattern that begins with a slash.
            matches = sorted(glob(place, recursive=True))  # noqa: PTH207
            chosen = [place] if path.exists() else matches
        if not chosen:
            raise FileNotFoundError(
                f"There is no picture at {place!r}, expected a file, a folder of pictures or a "
                "glob such as 'faces/*.jpg'. Check the path."
            )
        found += chosen
    return found
