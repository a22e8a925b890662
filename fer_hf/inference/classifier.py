"""From pictures to scores with a trained checkpoint: what serving, the demo and `predict` share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.addresses import fetch, is_address
from fer_hf.data.layouts.folders import list_pictures
from fer_hf.data.pictures import describe_fault, load_picture, to_rgb
from fer_hf.evaluation.metrics.not_sure import (
    CONFIG_KEY,
    NotSure,
    build_prediction_sets,
    soften_scores,
)
from fer_hf.models.bundled import BUNDLED_MODEL, locate_model

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from fer_hf.inference.onnx_network import OnnxNetwork
    from fer_hf.inference.torch_network import TorchNetwork

BACKENDS = ("auto", "torch", "onnx", "onnx-int8")
"""What a checkpoint can be asked to run on; `auto` is torch where it is installed."""


class ExpressionClassifier:
    """A checkpoint that scores faces, with the preprocessing it was trained with.

    Args:
        model_name_or_path: A checkpoint folder or Hub id; by default the model in the box.
        revision: Branch, tag or commit on the Hub.
        backend: `torch`; `onnx` for what `fer-hf export` wrote, which imports no torch, and
            `onnx-int8` for its smaller and faster twin; `auto` is torch, or `onnx` where torch is
            not installed or the folder holds nothing else.

    Attributes:
        model_name_or_path: What it was opened from.
        network: What computes logits: `TorchNetwork` or `OnnxNetwork`.
        label_names: Names of the labels in the order of the scores.
        not_sure: When it is not sure; None for a checkpoint that does not say.

    Raises:
        ValueError: The folder holds no image classifier, what it says of being sure is wrong, or
            there is no such backend.
        OSError: The checkpoint cannot be found, reached or read.
    """

    def __init__(
        self,
        model_name_or_path: str = BUNDLED_MODEL,
        *,
        revision: str | None = None,
        backend: str = "auto",
    ) -> None:
        self.model_name_or_path = model_name_or_path
        self.network = _open_network(model_name_or_path, revision, backend)
        names = self.network.label_names
        self.label_names = names if len(names) > 1 else [f"not {names[0]}", names[0]]
        said = self.network.config.get(CONFIG_KEY)
        self.not_sure = None if said is None else NotSure.from_dict(said, len(self.label_names))

    def __call__(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Score one batch of pictures of any mode and size.

        Returns:
            Scores of shape (N, num_labels) whose rows sum to 1; the same as `pipeline()` gives.
        """
        if not pictures:
            return np.zeros((0, len(self.label_names)), dtype=np.float32)
        return self.score_pixels(self.preprocess(pictures))

    def preprocess(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Turn pictures of any mode and size into `pixel_values` of shape (N, 3, H, W)."""
        return self.network.preprocess([to_rgb(picture) for picture in pictures])

    def score_pixels(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Score what `preprocess` returned, as calling the classifier does."""
        return _compute_scores(self.network.compute_logits(pixel_values))

    def is_sure(self, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Say of scores (N, num_labels) for which pictures, (N,), the top one is high enough.

        Raises:
            ValueError: The checkpoint does not say when it is sure.
        """
        return np.asarray(scores).max(axis=1) >= self._get_not_sure().threshold

    def list_prediction_sets(self, scores: npt.ArrayLike) -> list[list[str]]:
        """List for scores (N, num_labels) the labels that cannot be ruled out, likeliest first.

        The true label is among them for `not_sure.coverage` of pictures like those of validation. A
        list may be empty: the picture is unlike them.

        Raises:
            ValueError: The checkpoint does not say when it is sure.
        """
        rows = np.asarray(scores)
        sets = build_prediction_sets(rows, self._get_not_sure().conformal_threshold)
        return [
            [self.label_names[label] for label in np.argsort(-row, kind="stable") if held[label]]
            for row, held in zip(rows, sets, strict=True)
        ]

    @property
    def knows_crowd(self) -> bool:
        """Whether it was calibrated on votes, and `compute_crowd_scores` works."""
        return self.not_sure is not None and self.not_sure.crowd_temperature is not None

    def compute_crowd_scores(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Turn scores (N, num_labels) into how people's votes would spread over the labels.

        Scores say how likely a label is the crowd's; the votes are less of one mind.

        Raises:
            ValueError: The checkpoint was not calibrated on votes.
        """
        not_sure = self._get_not_sure()
        if not_sure.crowd_temperature is None:
            raise ValueError(
                "The checkpoint lacks `crowd_temperature`, expected one that was calibrated on "
                "pictures with people's votes. Use the model in the box, or train on votes."
            )
        return soften_scores(scores, not_sure.crowd_temperature, not_sure.crowd_offsets or 0.0)

    @property
    def num_parameters(self) -> int:
        """Parameters of the whole network."""
        return self.network.num_parameters

    def find_file(self, name: str) -> Path | None:
        """Find a file beside the weights, in a folder or on the Hub; None where there is none."""
        from transformers.utils import cached_file

        found = cached_file(
            locate_model(self.model_name_or_path),
            name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return Path(found) if found else None

    def _get_not_sure(self) -> NotSure:
        if self.not_sure is None:
            raise ValueError(
                f"The checkpoint's config lacks `{CONFIG_KEY}`, expected it to say when it is not "
                "sure. Train with --calibration temperature, or call "
                "`fer_hf.training.frozen.fitting.add_not_sure`."
            )
        return self.not_sure


def choose_backend(model_name_or_path: str, backend: str) -> str:
    """Return the backend that `auto` stands for with a checkpoint, or else `backend` itself.

    Raises:
        ValueError: There is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"`backend` is {backend!r}, expected one of {BACKENDS}.")
    if backend != "auto":
        return backend
    folder = Path(model_name_or_path)
    is_only_exported = (folder / "onnx").is_dir() and not (folder / "model.safetensors").exists()
    return "onnx" if is_only_exported or find_spec("torch") is None else "torch"


def _open_network(
    model_name_or_path: str, revision: str | None, backend: str
) -> "TorchNetwork | OnnxNetwork":
    # Imported here, because the one that is not used may not be installed.
    if choose_backend(model_name_or_path, backend) == "torch":
        from fer_hf.inference.torch_network import TorchNetwork

        return TorchNetwork(model_name_or_path, revision=revision)
    from fer_hf.inference.onnx_network import MODEL_FILE, QUANTIZED_FILE, OnnxNetwork

    file = QUANTIZED_FILE if backend == "onnx-int8" else MODEL_FILE
    return OnnxNetwork(model_name_or_path, revision=revision, file=file)


def _compute_scores(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the softmax of each row; of one sigmoid logit z, that of (0, z), which is the same."""
    if logits.shape[1] == 1:
        logits = np.pad(logits, ((0, 0), (1, 0)))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def keep_not_sure(config: "PreTrainedConfig", not_sure: NotSure | None) -> None:
    """Put into a model's config when it is not sure; None takes out what another head had said."""
    vars(config).pop(CONFIG_KEY, None)
    if not_sure is not None:
        setattr(config, CONFIG_KEY, not_sure.to_dict())


@dataclass(frozen=True)
class FileScores:
    """What a classifier says about one file.

    Attributes:
        file: Its path or address as it was given.
        scores: Label to score, 0–1, summing to 1; None where the file could not be read.
        error: Why it could not be read.
        sure: Whether the classifier is; None where it does not say.
        prediction_set: The labels it cannot rule out, likeliest first; None as for `sure`.
        crowd_scores: Label to the share of people's votes it would get; None where not known.
        face: Number of the face, from 1 on from the left; None for a whole picture.
        box: Left, top, right and bottom of the face in pixels; None likewise.
    """

    file: str
    scores: dict[str, float] | None
    error: str | None = None
    sure: bool | None = None
    prediction_set: list[str] | None = None
    crowd_scores: dict[str, float] | None = None
    face: int | None = None
    box: tuple[float, float, float, float] | None = None


def score_files(
    classifier: ExpressionClassifier,
    files: Sequence[str],
    *,
    batch_size: int = 32,
    allow_url: bool = False,
) -> Iterator[FileScores]:
    """Score picture files a batch at a time; one that cannot be read does not stop the others.

    Args:
        classifier: What scores them.
        files: Paths, or with `allow_url` also http and https addresses.
        batch_size: How many to score at a time, 1 or more.
        allow_url: Whether addresses are fetched.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}, expected 1 or more.")
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        prepared = [_prepare(classifier, file, allow_url) for file in batch]
        readable = [pixels for pixels in prepared if isinstance(pixels, np.ndarray)]
        rows = iter(classifier.score_pixels(np.concatenate(readable))) if readable else iter(())
        for file, pixels in zip(batch, prepared, strict=True):
            if isinstance(pixels, str):
                yield FileScores(file, None, pixels)
            else:
                yield describe_scores(classifier, file, next(rows))


def describe_scores(
    classifier: ExpressionClassifier,
    file: str,
    scores: npt.NDArray[np.floating],
    *,
    face: int | None = None,
    box: tuple[float, float, float, float] | None = None,
) -> FileScores:
    """Return what the scores (num_labels,) of a file, or of a face in it, mean by their names."""

    def name(values: npt.NDArray) -> dict[str, float]:
        return dict(zip(classifier.label_names, values.tolist(), strict=True))

    if classifier.not_sure is None:
        return FileScores(file, name(scores), face=face, box=box)
    return FileScores(
        file,
        name(scores),
        sure=bool(classifier.is_sure([scores])[0]),
        prediction_set=classifier.list_prediction_sets([scores])[0],
        crowd_scores=(
            name(classifier.compute_crowd_scores(scores)) if classifier.knows_crowd else None
        ),
        face=face,
        box=box,
    )


def _prepare(
    classifier: ExpressionClassifier, file: str, allow_url: bool
) -> npt.NDArray[np.float32] | str:
    """Return the `pixel_values` of one file, or why it cannot be read.

    One at a time, so that of a batch of photographs only one is in memory at its full size.
    """
    picture = open_file(file, allow_url=allow_url)
    return picture if isinstance(picture, str) else classifier.preprocess([picture])


def open_file(file: str, *, allow_url: bool = False) -> Image.Image | str:
    """Return the picture of a file upright and of mode RGB, or why it cannot be read."""
    content: str | bytes = file
    try:
        if allow_url and is_address(file):
            content = fetch(file)
        return to_rgb(load_picture(content))
    # Damaged files make decoders raise whatever goes wrong first.
    except Exception as error:
        return describe_fault(error, content)


def find_pictures(places: Iterable[str], *, allow_url: bool = False) -> list[str]:
    """List the pictures that files, folders and globs stand for; folders with all below them.

    A single file counts whatever its ending, so that a wrong one is named instead of passed over.

    Args:
        places: Files, folders and globs.
        allow_url: Whether http and https addresses are taken, too; they are not fetched here.

    Returns:
        Each picture once. Hidden files count only where they are named themselves.

    Raises:
        ValueError: An address without `allow_url`.
        FileNotFoundError: A place where there is no picture.
    """
    found: list[str] = []
    for place in places:
        if is_address(place):
            if not allow_url:
                raise ValueError(
                    f"{place!r} is an address, expected a file. Download it first, or pass "
                    "--allow_url to have it fetched."
                )
            found.append(place)
            continue
        # Path.glob takes no pattern that begins with a slash.
        matches = [place] if Path(place).exists() else sorted(glob(place, recursive=True))  # noqa: PTH207
        chosen = [file for match in matches for file in _list_files(match)]
        if not chosen:
            raise FileNotFoundError(
                f"There is no picture at {place!r}, expected a file, a folder of pictures or a "
                "glob such as 'faces/*.jpg'. Check the path."
            )
        found += chosen
    return list(dict.fromkeys(found))


def _list_files(place: str) -> list[str]:
    path = Path(place)
    return [str(file) for file in list_pictures(path)] if path.is_dir() else [place]
