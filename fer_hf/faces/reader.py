"""Faces and what their expression looks like: finding, cropping and scoring in one call.

What `predict`, the demo, a video and a webcam share, whichever detector and classifier they use.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.faces.detectors import load_detector
from fer_hf.faces.face import Face, FaceDetector, crop_face
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.files import (
    PictureSource,
    StoredPicture,
    name_picture,
    open_file,
    open_picture,
)
from fer_hf.inference.reading import Reading, render_bars
from fer_hf.models.bundled import BUNDLED_MODEL

NO_FACE = "no face was found"

_Prepared = tuple[list[Face], list[npt.NDArray[np.float32]]]


@dataclass(frozen=True, kw_only=True)
class FaceReading(Reading):
    """What a classifier says about one face; of a face that is followed, smoothed over time.

    Attributes:
        face: Where it is.
        number: From 1 on from the left; of a followed face the same as long as it is followed.
    """

    face: Face
    number: int = 1

    @property
    def caption(self) -> str:
        """Number and label, such as "1 happy" or "2 not sure"."""
        return f"{self.number} {self.name}"

    def _repr_html_(self) -> str:
        return render_bars(f"Face {self.caption}", self.crowd_scores or self.scores)


class FaceReadings(list[FaceReading]):
    """The faces of one picture from left to right; a notebook shows a table for each."""

    def _repr_html_(self) -> str:
        return "".join(reading._repr_html_() for reading in self) or f"<p>{NO_FACE}</p>"


@dataclass(frozen=True)
class FileReadings:
    """The faces of one file, given as a path, an address or a name; or why there are none."""

    file: str
    readings: Sequence[FaceReading]
    error: str | None = None


class FaceReader:
    """Finds the faces of pictures and scores the expression of each.

    Args:
        classifier: Scores the crops; or its checkpoint folder or Hub id.
        detector: Finds the faces; or its name, as `load_detector` takes it. None takes each picture
            as one face, without looking for any.

    Example:
        >>> reader = FaceReader()
        >>> [face.top_label for face in reader.read("party.jpg")]
        ['happy', 'happy']
    """

    def __init__(
        self,
        classifier: ExpressionClassifier | str = BUNDLED_MODEL,
        detector: FaceDetector | str | None = "auto",
    ) -> None:
        if isinstance(classifier, str):
            classifier = ExpressionClassifier(classifier)
        self.classifier: ExpressionClassifier = classifier
        self.detector = load_detector(detector) if isinstance(detector, str) else detector

    @property
    def label_names(self) -> list[str]:
        """Names of the labels in the order of the scores."""
        return self.classifier.label_names

    def read(self, picture: PictureSource) -> FaceReadings:
        """Read the faces of one picture: a path, a PIL picture or an array.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file cannot be read as a picture.
        """
        return self([open_picture(picture)])[0]

    def __call__(
        self, pictures: Sequence[Image.Image], *, whole_picture: bool = False
    ) -> list[FaceReadings]:
        """Read the faces of pictures of any mode and size.

        Args:
            pictures: Turned upright by their EXIF here; boxes are those of the upright picture.
            whole_picture: Take each picture as one face, as without a detector.

        Returns:
            For each picture its faces from left to right; an empty list where none was found.
        """
        detector = None if whole_picture else self.detector
        return self._score(self._prepare([open_picture(one) for one in pictures], detector))

    def score_files(
        self,
        files: Iterable[str | StoredPicture],
        *,
        batch_size: int = 32,
        allow_url: bool = False,
    ) -> Iterator[FileReadings]:
        """Read the faces of picture files; one that cannot be read does not stop the others.

        Args:
            files: Paths, pictures in memory, or with `allow_url` also http and https addresses.
            batch_size: How many to score at a time, 1 or more.
            allow_url: Whether addresses are fetched.

        Raises:
            ValueError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"`batch_size` is {batch_size}, expected 1 or more.")
        remaining = iter(files)
        while batch := list(itertools.islice(remaining, batch_size)):
            prepared: list[_Prepared] = []
            errors: list[str | None] = []
            # One at a time, so that only one photograph is in memory at its full size.
            for file in batch:
                picture = open_file(file, allow_url=allow_url)
                if isinstance(picture, str):
                    prepared.append(([], []))
                    errors.append(picture)
                else:
                    prepared += self._prepare([picture], self.detector)
                    errors.append(None if prepared[-1][0] else NO_FACE)
            names = map(name_picture, batch)
            yield from map(FileReadings, names, self._score(prepared), errors)

    def _prepare(
        self, pictures: Sequence[Image.Image], detector: FaceDetector | None
    ) -> list[_Prepared]:
        """Return the faces of each picture, and the `pixel_values` of their crops."""
        if detector is None:
            found = [[Face((0, 0, *picture.size), 1.0)] for picture in pictures]
        else:
            found = detector(pictures)
        prepared: list[_Prepared] = []
        for picture, faces in zip(pictures, found, strict=True):
            crops = [crop_face(picture, face) if detector else picture for face in faces]
            prepared.append((faces, list(self.classifier.preprocess(crops)) if crops else []))
        return prepared

    def _score(self, prepared: Sequence[_Prepared]) -> list[FaceReadings]:
        pixel_values = [pixels for _, crops in prepared for pixels in crops]
        if not pixel_values:
            return [FaceReadings() for _ in prepared]
        scores = self.classifier.score_pixels(np.stack(pixel_values))
        readings = iter(self.classifier.describe(scores))
        return [
            FaceReadings(
                FaceReading(**vars(next(readings)), face=face, number=number)
                for number, face in enumerate(faces, 1)
            )
            for faces, _ in prepared
        ]
