"""The report of a checkpoint on one data set: how good it is there, beside the people who voted.

Unlike the report of a run it needs no training, only scores, so that it serves any model on any
pictures. Terminal, page and notebook show the same list of sections.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.probabilities import Reliability
from fer_hf.evaluation.metrics.slices import Slice
from fer_hf.evaluation.reports.blocks import (
    Block,
    Picture,
    Section,
    Shown,
    Table,
    list_main_metrics,
    render,
    render_figures,
)
from fer_hf.evaluation.reports.checkpoint_figures import CrowdComparison, Mistake, NotSureFigures
from fer_hf.evaluation.reports.checkpoint_sections import (
    FLIP_NOTE,
    build_confusions,
    build_figures,
    build_label_figures,
    build_people,
    build_recalls,
    build_robustness,
    build_slices,
    describe_not_sure,
    show_mistake,
)
from fer_hf.evaluation.reports.report_files import REPORT_NAME, ReportFormat, save_json
from fer_hf.evaluation.robustness.measuring import Robustness


@dataclass(frozen=True)
class CheckpointReport(Shown):
    """How good a checkpoint is on one split of one data set.

    Attributes:
        model: Name of the checkpoint.
        data: Name of the data set.
        split: `train`, `validation`, `test`, or `all` of them.
        label_match: Data label to model label.
        evaluation: The figures, over the labels of the model in the order of its scores.
        with_flip_averaging: The same for the mean score of each picture and its mirror image.
        crowd: The comparison with people; None where there are no votes.
        versions: Package to its version.
        num_seen: How many of the pictures were in the training data; None where the checkpoint
            does not say.
        reliability: How often it is right in each bin of its top score.
        not_sure: When it is not sure; None for a checkpoint that does not say.
        slices: Property of a picture to the figures in fifths by it.
        robustness: On corrupted pictures; None where that was not asked.
        mistakes: The surest ones, by falling score.
        command: What was typed, without folders.
        understood: How the source of the pictures was understood, in a line.
        backend: What the checkpoint ran on: `torch`, `onnx` or `onnx-int8`.
    """

    model: str
    data: str
    split: str
    label_match: dict[str, str]
    evaluation: Evaluation
    with_flip_averaging: Evaluation
    crowd: CrowdComparison | None
    versions: dict[str, str]
    num_seen: int | None = None
    reliability: Reliability | None = None
    not_sure: NotSureFigures | None = None
    slices: dict[str, list[Slice]] = field(default_factory=dict)
    robustness: Robustness | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    command: str = ""
    understood: str = ""
    backend: str = "torch"

    @property
    def num_pictures(self) -> int:
        """How many pictures it was measured on."""
        return self.evaluation.num_pictures

    @property
    def title(self) -> str:
        """Which checkpoint, as what if its scores are others then, on which pictures."""
        model = f"{self.model} as {self.backend}" if self.backend == "onnx-int8" else self.model
        return f"{model} on {self.data}, {self.split}"

    def to_dict(self) -> dict[str, Any]:
        """Return what `report.json` holds: plain data, None for what is undefined."""
        return CHECKPOINT_FORMAT.to_json(self)

    def list_blocks(self) -> list[Block]:
        """List what is shown; the tables about people are there if the data has votes."""
        return [
            f"{self.title}: {self.num_pictures:,} pictures",
            *([f"Understood as {self.understood}."] if self.understood else []),
            *describe_labels(self),
            describe_seen(self),
            *build_sections(self),
        ]


def _upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Add what format 4 lacks: it was of torch alone."""
    return {**data, "format": 5, "backend": "torch"} if data["format"] == 4 else data


CHECKPOINT_FORMAT = ReportFormat(
    CheckpointReport,
    kind="evaluation",
    number=5,
    title="the report of an evaluation",
    advice="Run `fer-hf evaluate MODEL --data SOURCE --output_dir FOLDER`, and give that folder.",
    computed=("num_pictures",),
    upgrade=_upgrade,
)


def load_checkpoint_report(path: str | os.PathLike[str]) -> CheckpointReport:
    """Load what `save_checkpoint_report` wrote, from its file or its folder.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is something else, of another format, or was changed by hand.
    """
    return CHECKPOINT_FORMAT.load(path)


def save_checkpoint_report(report: CheckpointReport, output_dir: str | os.PathLike[str]) -> Path:
    """Write `report.json` into `output_dir` in one step, and return its path."""
    return save_json(report.to_dict(), Path(output_dir) / REPORT_NAME)


def render_side_by_side(reports: Sequence[CheckpointReport]) -> str:
    """Render a row for each report of one checkpoint: elsewhere beside where it was trained."""
    rows = [
        [
            f"{report.data}, {report.split}",
            f"{report.num_pictures:,}",
            "?" if report.num_seen is None else f"{report.num_seen:,}",
            *render_figures(report.evaluation.figures, list_main_metrics()),
        ]
        for report in reports
    ]
    headers = ["data", "pictures", "seen", *(one.short_title for one in list_main_metrics())]
    return render([Table(headers, rows)])


def build_sections(
    report: CheckpointReport,
    plots: Mapping[str, bytes] | None = None,
    mistakes: Sequence[bytes] = (),
) -> list[Section]:
    """Build the sections of a report; what was not measured has none.

    Args:
        report: What was measured.
        plots: PNG files: `reliability`, and `curves` if the checkpoint has a history of training.
        mistakes: The pictures of `report.mistakes` as PNG files, in the same order; or none.
    """
    plots = plots or {}
    crowd, not_sure = report.crowd, report.not_sure
    sections: dict[str, list[Block]] = {
        "Figures": [build_figures(report.evaluation, report.with_flip_averaging, crowd), FLIP_NOTE],
        "People": build_people(crowd) if crowd else [],
        "Labels": [
            build_label_figures(report.evaluation),
            *([build_recalls(report.evaluation, crowd, not_sure)] if crowd or not_sure else []),
        ],
        "Confusions": build_confusions(report.evaluation),
        "Calibration": [
            Picture(
                png,
                "Reliability diagram: share of right answers over the top score.",
                "On the dashed line, scores mean what they say. Bars count the pictures of each "
                "bin.",
            )
            for name, png in plots.items()
            if name == "reliability"
        ],
        "Not sure": [describe_not_sure(not_sure)] if not_sure else [],
        "Slices": build_slices(report.slices) if any(report.slices.values()) else [],
        "Corruptions": build_robustness(report.robustness) if report.robustness else [],
        "Mistakes": [tuple(map(show_mistake, mistakes, report.mistakes))] if mistakes else [],
        "Training": [
            Picture(png, "Loss and accuracy of training and validation over the epochs.")
            for name, png in plots.items()
            if name == "curves"
        ],
    }
    return [Section(title, blocks) for title, blocks in sections.items() if blocks]


def describe_labels(report: CheckpointReport) -> list[str]:
    """Describe how labels of the data were matched, and name labels without pictures."""
    names, support = report.evaluation.label_names, report.evaluation.support
    sentences = []
    if set(report.label_match) != set(names):
        pairs = [
            data if data == model else f"{data} → {model}"
            for data, model in report.label_match.items()
        ]
        sentences.append(f"Labels, data → model: {', '.join(pairs)}.")
    if lacking := [name for name in names if not support[name]]:
        sentences.append(f"Without pictures, so left out of averages: {', '.join(lacking)}.")
    return sentences


def describe_seen(report: CheckpointReport) -> str:
    """Describe how many of the pictures the model was trained on."""
    total = report.evaluation.num_pictures
    if report.num_seen is None:
        return (
            "Whether the model was trained on these pictures is not known: its checkpoint has no "
            "`seen.safetensors`."
        )
    if report.num_seen == 0:
        return f"Seen in training: none of these {total:,} pictures."
    return (
        f"Seen in training: {report.num_seen:,} of these {total:,} pictures, to the pixel. They "
        "flatter the figures."
    )
