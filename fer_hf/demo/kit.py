"""The models and the face detector of one running demo, opened once and shared by all visitors."""

import threading
from collections.abc import Sequence
from functools import cached_property

from fer_hf.box import BOX_NAME
from fer_hf.demo.limits import Limits
from fer_hf.face_reading import FaceReader
from fer_hf.faces import FaceDetector, load_detector


class DemoKit:
    """What the tabs work with; nothing in it changes after it is opened.

    Args:
        models: Checkpoint folders or Hub ids; the first is the one that every tab uses.
        detector: Name of a face detector, or a path, as `load_detector` takes it.
        limits: What one request may ask for.
    """

    def __init__(
        self,
        models: Sequence[str] = (BOX_NAME,),
        *,
        detector: str = "auto",
        limits: Limits | None = None,
    ) -> None:
        self.models = list(models)
        self.limits = limits or Limits()
        self._detector_name = detector
        self._readers: dict[str, FaceReader] = {}
        self._lock = threading.Lock()

    @cached_property
    def detector(self) -> FaceDetector:
        """The face detector."""
        return load_detector(self._detector_name)

    @property
    def reader(self) -> FaceReader:
        """The first model's reader; the first call opens it, which takes seconds."""
        return self.open_reader(self.models[0])

    def open_reader(self, model: str) -> FaceReader:
        """Return the reader of one of `models`, opened at most once."""
        # Torch takes seconds to import; the page is there before.
        from fer_hf.inference import ExpressionClassifier

        with self._lock:
            if model not in self._readers:
                self._readers[model] = FaceReader(ExpressionClassifier(model), self.detector)
            return self._readers[model]
