"""A head of a visitor's own, taught with a few pictures of each label.

The pictures and the model live in one `Lesson`: in memory, and in a temporary folder that is
deleted with it.
"""

import io
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fer_hf.demo.batch_reading import PictureFile
from fer_hf.demo.head_teaching import open_backbone, teach_head
from fer_hf.demo.limits import Limits
from fer_hf.evaluation.reports.run_report import RunReport
from fer_hf.faces import FaceDetector, crop_face
from fer_hf.faces.reader import FaceReader
from fer_hf.inference.classifier import ExpressionClassifier

FEWEST_LABELS, MOST_LABELS = 2, 8
FEWEST_PICTURES = 2
"""Of each label: cross-validation learns from one and is tested on the other."""

CHECKPOINT_NAME = "my-expressions"

# Plain words: they become keys of a config, headings of a card and columns of a table.
_LABEL = re.compile(r"\w[\w '-]{0,29}")
# Larger than what the bundled model looks at, small enough for hundreds of them in memory.
_LONGEST_SIDE = 256


@dataclass(frozen=True)
class TaughtModel:
    """The outcome of a lesson.

    Attributes:
        report: Its figures are cross-validated.
        reader: Finds faces and reads them with the new head.
        archive: The checkpoint as a zip.
    """

    report: RunReport
    reader: FaceReader
    archive: Path


class Lesson:
    """The pictures of one visitor by label, and the model they made.

    Args:
        model_name_or_path: Whose backbone is kept.
        detector: What finds the face in each picture.
        limits: How many pictures there may be.
    """

    def __init__(self, model_name_or_path: str, detector: FaceDetector, limits: Limits) -> None:
        self.taught: TaughtModel | None = None
        self._model = model_name_or_path
        self._detector = detector
        self._limits = limits
        self._pictures: dict[str, list[bytes]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        # A visitor may leave while being served: what is deleted must not be written again.
        self._lock = threading.Lock()

    @property
    def counts(self) -> dict[str, int]:
        """How many pictures each label has."""
        return {label: len(pictures) for label, pictures in self._pictures.items()}

    def add(self, label: str, files: Sequence[PictureFile]) -> list[str]:
        """Add the face of each picture as an example of a label.

        Returns:
            A line for each picture that was left out or has not exactly one face.

        Raises:
            ValueError: No fit name for a label, one label too many, or too many pictures.
        """
        with self._lock:
            return self._add(self._check_label(label), files)

    def _add(self, label: str, files: Sequence[PictureFile]) -> list[str]:
        room = self._limits.taught_pictures - sum(self.counts.values())
        if len(files) > room:
            raise ValueError(
                f"{len(files)} pictures more, expected at most {room} "
                f"({self._limits.taught_pictures} for all labels together). Choose fewer."
            )
        notes = []
        for file in files:
            try:
                picture = file.load(self._limits)
            except ValueError as error:
                notes.append(f"{file.name}: left out: {error}")
                continue
            face, note = cut_face(picture, self._detector)
            content = _encode(face)
            owner = next((name for name, kept in self._pictures.items() if content in kept), None)
            if owner is not None:
                # Learnt in one fold and tested in another, it would inflate the figures.
                note = f"left out: it is among the pictures of {owner!r}"
            else:
                self._pictures.setdefault(label, []).append(content)
            if note:
                notes.append(f"{file.name}: {note}")
        return notes

    def teach(self, parent_dir: str | Path) -> TaughtModel:
        """Fit a head to all pictures on the frozen backbone; what was taught before is deleted.

        Args:
            parent_dir: Where the lesson's temporary folder goes, under a name nobody can guess.

        Raises:
            ValueError: Too few labels or pictures, or a model that cannot be taught.
        """
        with self._lock:
            self._check_counts()
            self._delete_model()
            Path(parent_dir).mkdir(parents=True, exist_ok=True)
            self._folder = tempfile.TemporaryDirectory(prefix=secrets.token_hex(16), dir=parent_dir)
            checkpoint = Path(self._folder.name) / CHECKPOINT_NAME
            pictures = {
                label: [Image.open(io.BytesIO(content)) for content in contents]
                for label, contents in self._pictures.items()
            }
            report = teach_head(open_backbone(self._model), pictures, checkpoint)
            reader = FaceReader(ExpressionClassifier(str(checkpoint)), self._detector)
            archive = shutil.make_archive(
                str(checkpoint), "zip", root_dir=self._folder.name, base_dir=CHECKPOINT_NAME
            )
            shutil.rmtree(checkpoint)
            self.taught = TaughtModel(report, reader, Path(archive))
            return self.taught

    def forget(self) -> None:
        """Delete all pictures and the model."""
        with self._lock:
            self._pictures.clear()
            self._delete_model()

    def _delete_model(self) -> None:
        self.taught = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _check_label(self, label: str) -> str:
        """Return the label as it is spelled already, whatever the case of its letters."""
        label = label.strip()
        if not _LABEL.fullmatch(label):
            raise ValueError(
                f"The label is {label[:40]!r}, expected 1–30 letters, digits, spaces, - and ', "
                "beginning with a letter or digit. Choose another name."
            )
        known = {name.casefold(): name for name in self._pictures}
        if label.casefold() not in known and len(known) >= MOST_LABELS:
            raise ValueError(
                f"{label!r} would be label {MOST_LABELS + 1}, expected at most {MOST_LABELS}. "
                "Add to one of those there are, or start over."
            )
        return known.get(label.casefold(), label)

    def _check_counts(self) -> None:
        few = [label for label, count in self.counts.items() if count < FEWEST_PICTURES]
        if len(self.counts) < FEWEST_LABELS:
            raise ValueError(
                f"The number of labels is {len(self.counts)}, expected {FEWEST_LABELS} to "
                f"{MOST_LABELS}. Add pictures of another label."
            )
        if few:
            raise ValueError(
                f"Label {few[0]!r} has one picture, expected {FEWEST_PICTURES} or more. Add some."
            )


def cut_face(picture: Image.Image, detector: FaceDetector) -> tuple[Image.Image, str]:
    """Return the largest face of a picture of mode RGB, or all of it, with a note.

    Returns:
        The crop, and a note that is empty where there was exactly one face.
    """
    (faces,) = detector([picture])
    if not faces:
        return picture, "no face found, so the whole picture is learnt"

    def area(face_box: tuple[float, float, float, float]) -> float:
        left, top, right, bottom = face_box
        return (right - left) * (bottom - top)

    largest = max(faces, key=lambda face: area(face.box))
    note = f"{len(faces)} faces, of which the largest is learnt" if len(faces) > 1 else ""
    return crop_face(picture, largest), note


def _encode(face: Image.Image) -> bytes:
    small = face.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    content = io.BytesIO()
    small.save(content, "png")
    return content.getvalue()


def describe_figures(report: RunReport) -> str:
    """Describe in Markdown how good the head is on unseen pictures, and against a guess."""
    measured, guess = report.evaluations["validation"], report.yardsticks[0]
    accuracy = measured.accuracy
    if accuracy.value is None or accuracy.low is None or accuracy.high is None:
        raise ValueError("The report has no accuracy, expected one of a cross-validation.")
    value, low, high = (f"{100 * x:.0f} %" for x in (accuracy.value, accuracy.low, accuracy.high))
    lines = [
        f"**Right on {value} of {measured.num_pictures} pictures**, each asked of a head that had "
        f"not seen it (95 % interval {low} to {high}, {report.settings['num_folds']} folds). "
        f"“{guess.name}” would be right on {100 * guess.accuracy:.0f} %.\n",
        *(
            f"- {label}: {100 * recall.value:.0f} % of {measured.support[label]} found"
            for label, recall in measured.recall_per_label.items()
            if recall.value is not None
        ),
    ]
    if accuracy.low <= guess.accuracy:
        lines.append("\nThat is **not clearly better than guessing**: give it more pictures.")
    lines.append(
        "\nPictures of the same moment or person make these figures look better than new ones will."
    )
    return "\n".join(lines)
