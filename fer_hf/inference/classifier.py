"""A trained checkpoint that scores faces: what serving, the demo and `predict` share."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.pictures import to_rgb
from fer_hf.evaluation.metrics.not_sure import (
    CONFIG_KEY,
    NotSure,
    soften_scores,
)
from fer_hf.inference.networks import open_network
from fer_hf.inference.preprocessing import CONFIG_FILE, PROCESSOR_FILE, read_label_names
from fer_hf.inference.reading import Reading
from fer_hf.models.bundled import BUNDLED_MODEL, locate_model


class ExpressionClassifier:
    """A checkpoint that scores faces, with the preprocessing it was trained with.

    Args:
        model_name_or_path: A checkpoint folder or Hub id; by default the bundled model.
        revision: Branch, tag or commit on the Hub.
        backend: `torch`; `onnx` for the graph beside the weights or for what `fer-hf export` wrote,
            neither of which imports torch; `onnx-int8` for the export's smaller and faster twin;
            `auto` is `onnx` with a graph, else torch, or `onnx` where torch is not installed or
            the folder holds nothing but an export.

    Attributes:
        model_name_or_path: As it was given.
        backend: What it runs on: `torch`, `onnx` or `onnx-int8`.
        network: The `Network` that computes the logits.
        label_names: Names of the labels in the order of the scores.
        not_sure: When it is not sure; None for a checkpoint that does not say.

    Raises:
        ValueError: The folder does not hold an image classifier, its settings of when it is not
            sure are invalid, or there is no such backend.
        OSError: The checkpoint cannot be found, reached or read.

    Example:
        >>> from PIL import Image
        >>> classifier = ExpressionClassifier()
        >>> [reading] = classifier.read([Image.open("face.jpg")])
        >>> reading.top_label
        'happy'
        >>> round(sum(reading.scores.values()), 3)
        1.0
    """

    def __init__(
        self,
        model_name_or_path: str = BUNDLED_MODEL,
        *,
        revision: str | None = None,
        backend: str = "auto",
    ) -> None:
        self.model_name_or_path = model_name_or_path
        self.network = open_network(model_name_or_path, revision, backend)
        self.backend = self.network.backend
        names = read_label_names(self.network.config, model_name_or_path)
        self.label_names = names if len(names) > 1 else [f"not {names[0]}", names[0]]
        settings = self.network.config.get(CONFIG_KEY)
        self.not_sure = (
            None if settings is None else NotSure.from_dict(settings, len(self.label_names))
        )
        self._revision = revision

    def __call__(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Score one batch of pictures of any mode and size.

        Returns:
            Scores of shape (N, num_labels) whose rows sum to 1; the same as `pipeline()` gives.
        """
        if not pictures:
            return np.zeros((0, len(self.label_names)), dtype=np.float32)
        return self.score_pixels(self.preprocess(pictures))

    def read(self, pictures: Sequence[Image.Image]) -> list[Reading]:
        """Score one batch of pictures, each as a whole, and say what the scores mean."""
        return self.describe(self(pictures))

    def preprocess(self, pictures: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        """Turn pictures of any mode and size into `pixel_values` of shape (N, 3, H, W)."""
        return self.network.preprocess([to_rgb(picture) for picture in pictures])

    def score_pixels(self, pixel_values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Score what `preprocess` returned, as calling the classifier does."""
        logits = self.network.compute_logits(pixel_values)
        if not np.isfinite(logits).all():
            raise ValueError(
                f"Model {self.model_name_or_path!r} answers NaN or infinity, expected finite "
                "logits: its weights are broken. Copy or export it again, or train it again with "
                "a lower learning rate."
            )
        if logits.shape[1] == 1:  # the sigmoid of one logit z is the softmax of (0, z)
            logits = np.pad(logits, ((0, 0), (1, 0)))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def describe(self, scores: npt.ArrayLike) -> list[Reading]:
        """Say what scores (N, num_labels) mean: by label, how people would vote, how sure it is.

        A label is shown where the top score reaches `not_sure.threshold`. The true label is in the
        prediction set of the share `not_sure.coverage` of pictures like those of validation, of
        each label by itself where it had enough of them.
        """
        rows = np.asarray(scores).reshape(-1, len(self.label_names))
        crowd_rows = self.compute_crowd_scores(rows) if self.knows_crowd else [None] * len(rows)
        return [self._describe(*pair) for pair in zip(rows, crowd_rows, strict=True)]

    def _describe(self, row: npt.NDArray, crowd_row: npt.NDArray | None) -> Reading:
        def name(values: npt.NDArray) -> dict[str, float]:
            return dict(zip(self.label_names, values.tolist(), strict=True))

        ranked = np.argsort(-row, kind="stable")
        top = self.label_names[ranked[0]]
        if self.not_sure is None:
            return Reading(name(row), top)
        held = self.not_sure.build_prediction_sets(row)
        return Reading(
            name(row),
            top if row[ranked[0]] >= self.not_sure.threshold else None,
            None if crowd_row is None else name(crowd_row),
            [self.label_names[label] for label in ranked if held[label]],
        )

    @property
    def knows_crowd(self) -> bool:
        """Whether it was calibrated on votes, and `compute_crowd_scores` works."""
        return self.not_sure is not None and self.not_sure.crowd_temperature is not None

    def compute_crowd_scores(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Turn scores (N, num_labels) into how people's votes would spread over the labels.

        Scores say how likely a label is the crowd's choice; the votes spread more.

        Raises:
            ValueError: The checkpoint was not calibrated on votes.
        """
        if self.not_sure is None or self.not_sure.crowd_temperature is None:
            lacking = CONFIG_KEY if self.not_sure is None else "crowd_temperature"
            raise ValueError(
                f"The checkpoint's config lacks `{lacking}`, expected a checkpoint that was "
                "calibrated on pictures with people's votes. Use the bundled model, or train with "
                "--calibration temperature on votes."
            )
        return soften_scores(
            scores, self.not_sure.crowd_temperature, self.not_sure.crowd_offsets or 0.0
        )

    @property
    def num_parameters(self) -> int:
        """Parameters of the whole network."""
        return self.network.num_parameters

    def compute_fingerprint(self) -> str:
        """Return 16 characters that differ where scores do: weights, settings or backend."""
        digest = hashlib.sha256(self.backend.encode())
        for name in (CONFIG_FILE, PROCESSOR_FILE, *self.network.files):
            if file := self.find_file(name):
                digest.update(file.read_bytes())
        return digest.hexdigest()[:16]

    def find_file(self, name: str) -> Path | None:
        """Find a file beside the weights, in a folder or on the Hub; None where there is none."""
        folder = Path(locate_model(self.model_name_or_path))
        if folder.is_dir():
            return folder / name if (folder / name).is_file() else None
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self.model_name_or_path, name, revision=self._revision))
        except (OSError, ValueError):  # no such file, no such repository, no network
            return None
