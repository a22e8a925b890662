"""The report of a run: what was trained, on what, and how good it is, as one JSON file.

The model card and the comparison read nothing else about a run, so a run is still understood when
its machine, its data and its network are gone.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_hf.evaluation.metrics.evaluation import METRICS, Evaluation
from fer_hf.evaluation.people.human import Yardstick
from fer_hf.evaluation.reports.blocks import (
    Block,
    Picture,
    Shown,
    Table,
    render_figures,
    render_value,
)
from fer_hf.evaluation.reports.report_files import REPORT_NAME, ReportFormat, save_json


@dataclass(frozen=True)
class RunReport(Shown):
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
        first, second = (
            self.evaluations[name].figures[figure].value if name in self.evaluations else None
            for name in (split, other_split)
        )
        return None if first is None or second is None else first - second

    @property
    def gaps(self) -> dict[str, float | None]:
        """The two gaps by the names that `report.json` gives them."""
        return {"accuracy": self.accuracy_gap, "loss": self.loss_gap}

    def to_dict(self) -> dict[str, Any]:
        """Return what `report.json` holds: the fields, `kind`, `format`, and the two `gaps`.

        Raises:
            TypeError: `settings` or `history` hold something JSON cannot, saying where.
        """
        return RUN_FORMAT.to_json(self)

    def list_blocks(self) -> list[Block]:
        """List what is shown: where the model comes from, figures by split, and curves."""
        columns = {
            "figure": [metric.title for metric in METRICS],
            **{
                split: render_figures(found.figures, METRICS)
                for split, found in self.evaluations.items()
            },
            **{
                f"{one.name}, test": [
                    render_value(vars(one).get(metric.name)) for metric in METRICS
                ]
                for one in self.yardsticks
            },
        }
        blocks: list[Block] = [
            f"{self.display_name} on {self.data}: {self.model_name_or_path}, pretrained on "
            f"{self.pretrained_on}, fine-tuned {self.fine_tuned}, "
            f"{self.num_trainable_parameters:,} of {self.num_parameters:,} parameters.",
            Table.from_columns(columns, "Figures of each split with 95 % intervals"),
        ]
        if self.history:
            from fer_hf.evaluation.reports.plot_style import to_png
            from fer_hf.evaluation.reports.run_plots import plot_curves

            plot = to_png(plot_curves(self.history, self.display_name))
            blocks.append(Picture(plot, "Loss and accuracy over the epochs"))
        return blocks


def _upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Rename what format 1 called otherwise."""
    if data["format"] != 1:
        return data
    renamed = dict(data, format=2)
    for old, new in (("backbone_knowledge", "pretrained_on"), ("trained_part", "fine_tuned")):
        if old in renamed:
            value = renamed.pop(old)
            renamed[new] = {"nothing": "none", "everything": "all layers"}.get(value, value)
    return renamed


RUN_FORMAT = ReportFormat(
    RunReport,
    kind="run",
    number=2,
    title="the report of a finished run",
    advice="Give the output folder of a run, or its `report.json`.",
    computed=("gaps",),
    upgrade=_upgrade,
)


def load_report(run_dir_or_json: str | os.PathLike[str]) -> RunReport:
    """Load the report of a run from its folder or from the JSON file itself.

    Raises:
        FileNotFoundError: There is no report.
        ValueError: The file is not a report, of another format, or was changed by hand.

    Example:
        >>> from fer_hf.models import DEFAULT_MODEL
        >>> report = load_report(DEFAULT_MODEL)
        >>> f"{report.evaluations['test'].accuracy.value:.3f}"
        '0.878'
    """
    return RUN_FORMAT.load(run_dir_or_json)


def save_report(report: RunReport, output_dir: str | os.PathLike[str]) -> Path:
    """Write `report.json`, `curves.png` and `confusion_matrix.png` into `output_dir`.

    The matrix is that of the test split, else of validation, else of train. A picture without
    anything to show is not written. `report.json` comes last and in one step, so that a folder with
    a report is a folder with a whole one.

    Returns:
        The path of `report.json`.

    Raises:
        TypeError: `settings` hold something JSON cannot.
    """
    # Whoever only reads a report has no matplotlib, or need not wait for it.
    from fer_hf.evaluation.reports.evaluation_plots import plot_confusion_matrix
    from fer_hf.evaluation.reports.run_plots import plot_curves

    content, folder = report.to_dict(), Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if report.history:
        plot_curves(report.history, report.display_name).savefig(folder / "curves.png")
    split = next((s for s in ("test", "validation", "train") if s in report.evaluations), None)
    if split is not None:
        title = f"{report.display_name}, {split}"
        figure = plot_confusion_matrix(report.evaluations[split], title)
        figure.savefig(folder / "confusion_matrix.png")
    return save_json(content, folder / REPORT_NAME)
