"""Faces and what their expression looks like: finding, cropping and scoring in one call.

What the demo, a video and a webcam share, whichever detector and classifier they use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from fer_hf.faces.detectors import load_detector
from fer_hf.faces.face import Face, FaceDetector, crop_face
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.files import FileReadings, PictureSource, open_file, open_picture
from fer_hf.inference.reading import Reading, render_bars
from fer_hf.models.bundled import BUNDLED_MODEL

NO_FACE = "no face was found"


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


class FaceReader:
    """Finds the faces of pictures and scores the expression of each.

    Args:
        classifier: Scores the crops; or its checkpoint folder or Hub id.
        detector: Finds the faces; or its name, as `load_detector` takes it.
    """

    def __init__(
        self,
        classifier: ExpressionClassifier | str = BUNDLED_MODEL,
        detector: FaceDetector | str = "auto",
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
            whole_picture: Take each picture as one face, without looking for any.

        Returns:
            For each picture its faces from left to right; an empty list where none was found.
        """
        upright = [open_picture(picture) for picture in pictures]
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
        readings = iter(self.classifier.read(crops))
        return [
            FaceReadings(
                FaceReading(**vars(next(readings)), face=face, number=number)
                for number, face in enumerate(faces, 1)
            )
            for faces in found
        ]


def score_faces(
    reader: FaceReader, files: Sequence[str], *, allow_url: bool = False
) -> Iterator[FileReadings]:
    """Score every face of picture files; one that cannot be read does not stop the others.

    Args:
        reader: Finds and scores them.
        files: Paths, or with `allow_url` also http and https addresses.
        allow_url: Whether addresses are fetched.
    """
    for file in files:
        picture = open_file(file, allow_url=allow_url)
        if isinstance(picture, str):
            yield FileReadings(file, [], picture)
            continue
        [readings] = reader([picture])
        yield FileReadings(file, readings, None if readings else NO_FACE)
