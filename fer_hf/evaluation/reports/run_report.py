"""The report of a run: what was trained, on what, and how good it is, as one JSON file.

The report is the only thing that the model card and the comparison read about a run, so a run is
still understood when its machine, its data and its network are gone.
"""

import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.people.human import Yardstick
from fer_hf.evaluation.reports.plots import plot_confusion_matrix, plot_curves

REPORT_NAME = "report.json"
FORMAT = 2
# What format 1 called its fields and values.
_RENAMED_FIELDS = {"backbone_knowledge": "pretrained_on", "trained_part": "fine_tuned"}
_RENAMED_VALUES = {"nothing": "none", "everything": "all layers"}


@dataclass(frozen=True)
class RunReport:
    """What a run trained, on what, and how good it is.

    Attributes:
        model_name_or_path: The checkpoint the run started from.
        display_name: What to call the model in tables.
        pretrained_on: What the backbone was pretrained on: "ImageNet", "FER+", "none".
        fine_tuned: "head", "head + last stage" or "all layers".
        num_parameters: Parameters of the whole model.
        num_trainable_parameters: Those that training could change.
        data: The data's name or folder.
        label_names: Names in the order of the scores.
        split_sizes: Split to its number of pictures.
        input_size: Height and width of the pictures the model sees, in pixels.
        seed: Seed of the run.
        settings: Training settings; numbers, strings, lists and dictionaries of them.
        versions: Package to its version.
        train_seconds: Wall time of training in seconds.
        evaluations: `train`, `validation` and `test` to their figures; any may be missing.
        history: One dictionary per epoch: `epoch` and any of `train_loss`, `train_accuracy`,
            `validation_loss`, `validation_accuracy`. None stands for a value that was not finite.
        yardsticks: What others score on the test split: the constant answer, and one person where
            the data has votes.
    """

    model_name_or_path: str
    display_name: str
    pretrained_on: str
    fine_tuned: str
    num_parameters: int
    num_trainable_parameters: int
    data: str
    label_names: list[str]
    split_sizes: dict[str, int]
    input_size: int
    seed: int
    settings: dict[str, Any]
    versions: dict[str, str]
    train_seconds: float
    evaluations: dict[str, Evaluation]
    history: list[dict[str, float | None]]
    yardsticks: list[Yardstick] = field(default_factory=list)

    @property
    def accuracy_gap(self) -> float | None:
        """Train minus validation accuracy, in [-1, 1]; None if either was not evaluated."""
        return self._subtract("train", "validation", "accuracy")

    @property
    def loss_gap(self) -> float | None:
        """Validation minus train NLL, in nats; None if either was not evaluated."""
        return self._subtract("validation", "train", "nll")

    def _subtract(self, split: str, other_split: str, figure: str) -> float | None:
        if split not in self.evaluations or other_split not in self.evaluations:
            return None
        first = getattr(self.evaluations[split], figure).value
        return first - getattr(self.evaluations[other_split], figure).value

    def to_dict(self) -> dict[str, Any]:
        """Return what `report.json` holds: the fields, `format`, and the two `gaps`.

        Raises:
            TypeError: If `settings` or `history` hold something JSON cannot, saying where.
        """
        gaps = {"accuracy": self.accuracy_gap, "loss": self.loss_gap}
        evaluations = {split: found.to_dict() for split, found in self.evaluations.items()}
        fields = {**asdict(self), "evaluations": evaluations}
        return _to_json({"format": FORMAT, **fields, "gaps": gaps}, "report")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RunReport":
        """Rebuild a report from what `to_dict` returned; the gaps are computed, never read.

        Raises:
            ValueError: If it is not a report, of another format, or lacks a field.
        """
        return _parse_report(data, "The dictionary")


def save_report(report: RunReport, output_dir: str | os.PathLike[str]) -> Path:
    """Write `report.json`, `curves.png` and `confusion_matrix.png` into `output_dir`.

    The matrix is that of the test split, else of validation, else of train. A picture without
    anything to show is not written. `report.json` comes last and in one step, so that a folder with
    a report is a folder with a whole one.

    Returns:
        The path of `report.json`.

    Raises:
        TypeError: If `settings` hold something JSON cannot.
    """
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if report.history:
        plot_curves(report.history, report.display_name).savefig(folder / "curves.png")
    split = next((s for s in ("test", "validation", "train") if s in report.evaluations), None)
    if split is not None:
        title = f"{report.display_name}, {split}"
        figure = plot_confusion_matrix(report.evaluations[split], title)
        figure.savefig(folder / "confusion_matrix.png")
    return write_text_atomically(folder / REPORT_NAME, text)


def load_report(run_dir_or_json: str | os.PathLike[str]) -> RunReport:
    """Load the report of a run from its folder or from the JSON file itself.

    Raises:
        FileNotFoundError: If there is no report.
        ValueError: If the file is not a report, of another format, or lacks a field.
    """
    path = Path(run_dir_or_json)
    if path.is_dir():
        path = path / REPORT_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"Found no `{path}`, expected the report of a finished run. "
            "Give the output folder of a run, or its `report.json`."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"`{path}` is not JSON ({error}), expected the report of a run. "
            "Give the output folder of a run, or its `report.json`."
        ) from error
    return _parse_report(data, f"`{path}`")


def write_text_atomically(path: Path, text: str) -> Path:
    """Write `text` so that `path` holds either the old content or all of the new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # A temporary file is private; what it becomes should be as readable as its neighbours.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _parse_report(data: Any, source: str) -> RunReport:
    """Build a report from parsed JSON, naming `source` in every refusal."""
    if isinstance(data, dict) and "kind" in data:
        raise ValueError(
            f"{source} is a report of the kind {data['kind']!r}, expected that of a run. "
            "Give the output folder of a run, or its `report.json`."
        )
    if not isinstance(data, dict) or "format" not in data or "evaluations" not in data:
        raise ValueError(
            f"{source} is not a fer_hf report: it lacks `format` and `evaluations`. "
            "Give the output folder of a run, or its `report.json`."
        )
    if data["format"] == 1:
        renamed = {new: data[old] for old, new in _RENAMED_FIELDS.items() if old in data}
        values = {name: _RENAMED_VALUES.get(value, value) for name, value in renamed.items()}
        data = {**data, **values, "format": FORMAT}
    if data["format"] != FORMAT:
        raise ValueError(
            f"{source} has report format {data['format']!r}, expected {FORMAT}. "
            "Read it with the version of fer_hf that wrote it, or run the training again."
        )
    names = [item.name for item in fields(RunReport)]
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(
            f"{source} lacks {missing}, expected every field of a report. "
            "The file was changed by hand: run the training again."
        )
    values = {name: data[name] for name in names}
    try:
        values["yardsticks"] = [Yardstick(**figures) for figures in data["yardsticks"]]
        values["evaluations"] = {
            split: Evaluation.from_dict(figures) for split, figures in data["evaluations"].items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{source} has `evaluations` or `yardsticks` that cannot be read ({error!r}), expected "
            "what fer_hf wrote. The file was changed by hand: run the training again."
        ) from error
    return RunReport(**values)


def _to_json(value: Any, where: str) -> Any:
    """Return `value` as JSON can hold it: NaN and infinities become None, odd types are refused."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_to_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {str(key): _to_json(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(
        f"Found {value!r} at `{where}`, expected a number, a string, None, or lists and "
        "dictionaries of them. Turn it into one of these, for example with `str`."
    )
