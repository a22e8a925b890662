"""The models and the face detector of one running demo, opened once and shared by all visitors."""

import threading
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from PIL import Image

from fer_hf.demo.limits import Limits
from fer_hf.faces import FaceDetector, load_detector
from fer_hf.faces.reading import FaceReader
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models.bundled import BUNDLED_MODEL


class DemoKit:
    """What the tabs work with; nothing in it changes after it is opened.

    Args:
        models: Checkpoint folders or Hub ids; the first is the one that every tab uses.
        detector: Name of a face detector, or a path, as `load_detector` takes it.
        limits: What one request may ask for.

    Raises:
        ValueError: No model, or one of them twice.
    """

    def __init__(
        self,
        models: Sequence[str] = (BUNDLED_MODEL,),
        *,
        detector: str = "auto",
        limits: Limits | None = None,
    ) -> None:
        if not models or len(set(models)) < len(models):
            raise ValueError(
                f"The models are {list(models)}, expected one or more, each once. Name others."
            )
        self.models = list(models)
        self.limits = limits or Limits()
        self._detector_name = detector
        self._readers: dict[str, FaceReader] = {}
        self._lock = threading.Lock()

    @cached_property
    def model_names(self) -> list[str]:
        """What visitors read of `models`: of a folder its name, numbered if several share it."""
        shown = [Path(model).name if Path(model).is_dir() else model for model in self.models]
        count = Counter(shown)
        return [
            f"{name} ({number})" if count[name] > 1 else name
            for number, name in enumerate(shown, 1)
        ]

    @cached_property
    def detector(self) -> FaceDetector:
        """The face detector."""
        return load_detector(self._detector_name)

    @property
    def reader(self) -> FaceReader:
        """The first model's reader; the first call opens it, which takes seconds."""
        return self.open_reader(self.models[0])

    @property
    def quick_reader(self) -> FaceReader:
        """The same with `quick_detector`."""
        return FaceReader(self.reader.classifier, self.quick_detector)

    @cached_property
    def quick_detector(self) -> FaceDetector:
        """The same detector for frames that follow each other: it looks once, not twice."""
        return load_detector(self._detector_name, thorough=False)

    def open_reader(self, model: str) -> FaceReader:
        """Return the reader of one of `models`, opened at most once.

        Raises:
            ValueError: Another model, or the folder holds no image classifier.
            OSError: The checkpoint cannot be found, reached or read.
        """
        if model not in self.models:
            raise ValueError(f"The model is {model!r}, expected one that the demo started with.")
        with self._lock:
            if model not in self._readers:
                self._readers[model] = FaceReader(ExpressionClassifier(model), self.detector)
            return self._readers[model]

    def open_all(self) -> None:
        """Open every model and let it read once, so that the first visitor need not wait for it."""
        for model in self.models:
            self.open_reader(model)([Image.new("RGB", (64, 64))], whole_picture=True)
