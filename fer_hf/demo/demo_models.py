"""The models and the face detector of a running demo, opened once and shared by all visitors."""

import threading
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from PIL import Image

from fer_hf.demo.limits import Limits
from fer_hf.faces.detectors import load_detector
from fer_hf.faces.face import FaceDetector
from fer_hf.faces.reader import FaceReader
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models.bundled import BUNDLED_MODEL, DEFAULT_MODEL, TINY_MODEL, locate_model

LIVE_FACE = 48.0
"""Height in pixels of the smallest face that a webcam is searched for."""


class DemoModels:
    """What the tabs work with; nothing in it changes once it is open.

    Args:
        sources: Checkpoint folders or Hub ids; the first is the model that every tab uses.
        detector: Name of a face detector, or a path, as for `load_detector`.
        limits: What one request may ask for.

    Raises:
        ValueError: No model, or the same one twice.
    """

    def __init__(
        self,
        sources: Sequence[str] = (BUNDLED_MODEL,),
        *,
        detector: str = "auto",
        limits: Limits | None = None,
    ) -> None:
        if not sources or len(set(sources)) < len(sources):
            raise ValueError(
                f"The models are {list(sources)}, expected one or more, each once. Name others."
            )
        self.sources = list(sources)
        self.limits = limits or Limits()
        self._detector_name = detector
        self._readers: dict[str, FaceReader] = {}
        self._lock = threading.Lock()

    @cached_property
    def names(self) -> list[str]:
        """What visitors see: of a folder its name, numbered where several share it."""
        shown = [Path(source).name if Path(source).is_dir() else source for source in self.sources]
        count = Counter(shown)
        return [
            f"{name} ({number})" if count[name] > 1 else name
            for number, name in enumerate(shown, 1)
        ]

    @cached_property
    def detector(self) -> FaceDetector:
        """The face detector."""
        return load_detector(self._detector_name)

    @cached_property
    def live_detector(self) -> FaceDetector:
        """The same for a webcam, whose visitors are near: it searches smaller frames."""
        return load_detector(self._detector_name, min_face=LIVE_FACE)

    @property
    def reader(self) -> FaceReader:
        """The first model's reader; opening it, on the first call, takes seconds."""
        return self.open_reader(self.sources[0])

    @property
    def live_source(self) -> str:
        """The model for a webcam: the tiny one in place of the bundled one, else the first."""
        is_bundled = locate_model(self.sources[0]) == DEFAULT_MODEL
        return TINY_MODEL if is_bundled else self.sources[0]

    @property
    def live_reader(self) -> FaceReader:
        """The reader of `live_source`, with `live_detector`."""
        return FaceReader(self._open(self.live_source).classifier, self.live_detector)

    def open_reader(self, source: str) -> FaceReader:
        """Return the reader of one of `sources`, opened at most once.

        Raises:
            ValueError: Another model, or the folder holds no image classifier.
            OSError: The checkpoint cannot be found, reached or read.
        """
        if source not in self.sources:
            raise ValueError(f"The model is {source!r}, expected one that the demo started with.")
        return self._open(source)

    def _open(self, source: str) -> FaceReader:
        with self._lock:
            if source not in self._readers:
                self._readers[source] = FaceReader(ExpressionClassifier(source), self.detector)
            return self._readers[source]

    def open_all(self) -> None:
        """Open every model and have it read once, so that the first visitor need not wait."""
        for source in self.sources:
            self.open_reader(source)([Image.new("RGB", (64, 64))], whole_picture=True)
        self._open(self.live_source)
