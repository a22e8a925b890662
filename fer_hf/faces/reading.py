"""Faces and what their expression looks like: finding, cropping and scoring in one call.

What the demo, a video and a webcam share, whichever detector and classifier they use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.pictures import to_rgb
from fer_hf.faces import Face, FaceDetector, crop_face
from fer_hf.inference.classifier import ExpressionClassifier, FileScores, describe_scores, open_file

NO_FACE = "no face was found"


@dataclass(frozen=True)
class FaceReading:
    """What a classifier says about one face.

    Attributes:
        face: Where it is.
        scores: Shape (num_labels,), how likely each label is, summing to 1.
        crowd_scores: Shape (num_labels,), how people's votes would spread; `scores` again where the
            checkpoint was not calibrated on votes.
        sure: Whether the top score reaches the measured threshold; None where there is none.
        prediction_set: Labels that cannot be ruled out, likeliest first; None as for `sure`.
    """

    face: Face
    scores: npt.NDArray[np.floating]
    crowd_scores: npt.NDArray[np.floating]
    sure: bool | None
    prediction_set: list[str] | None


class FaceReader:
    """Finds the faces of pictures and scores the expression of each.

    Args:
        classifier: What scores the crops.
        detector: What finds the faces.
    """

    def __init__(self, classifier: ExpressionClassifier, detector: FaceDetector) -> None:
        self.classifier = classifier
        self.detector = detector

    @property
    def label_names(self) -> list[str]:
        """Names of the labels in the order of the scores."""
        return self.classifier.label_names

    def __call__(
        self, pictures: Sequence[Image.Image], *, whole_picture: bool = False
    ) -> list[list[FaceReading]]:
        """Read the faces of pictures of any mode and size.

        Args:
            pictures: Turned upright by their EXIF here; boxes are those of the upright picture.
            whole_picture: Take each picture as one face, without looking for any.

        Returns:
            For each picture its faces from left to right; an empty list where none was found.
        """
        upright = [to_rgb(picture) for picture in pictures]
        if whole_picture:
            found = [[Face((0, 0, *picture.size), 1.0)] for picture in upright]
            crops = upright
        else:
            found = self.detector(upright)
            crops = [
                crop_face(picture, face)
                for picture, faces in zip(upright, found, strict=True)
                for face in faces
            ]
        readings = iter(self._read(crops))
        return [[FaceReading(face, *next(readings)) for face in faces] for faces in found]

    def _read(
        self, crops: Sequence[Image.Image]
    ) -> list[tuple[npt.NDArray, npt.NDArray, bool | None, list[str] | None]]:
        scores = self.classifier(crops)
        if not len(scores) or self.classifier.not_sure is None:
            return [(row, row, None, None) for row in scores]
        knows_crowd = self.classifier.knows_crowd
        crowd = self.classifier.compute_crowd_scores(scores) if knows_crowd else scores
        sure = self.classifier.is_sure(scores).tolist()
        return list(
            zip(scores, crowd, sure, self.classifier.list_prediction_sets(scores), strict=True)
        )


def score_faces(
    reader: FaceReader, files: Sequence[str], *, allow_url: bool = False
) -> Iterator[FileScores]:
    """Score every face of picture files, from left to right.

    Args:
        reader: What finds and scores them.
        files: Paths, or with `allow_url` also http and https addresses.
        allow_url: Whether addresses are fetched.

    Yields:
        One result for each face; for a file that cannot be read, or without a face, one that says
        so.
    """
    for file in files:
        picture = open_file(file, allow_url=allow_url)
        if isinstance(picture, str):
            yield FileScores(file, None, picture)
            continue
        [readings] = reader([picture])
        if not readings:
            yield FileScores(file, None, NO_FACE)
        for number, reading in enumerate(readings, 1):
            yield describe_scores(
                reader.classifier, file, reading.scores, face=number, box=reading.face.box
            )
