"""The report of a checkpoint on one data set: how good it is there, beside the people who voted.

A room of its own beside `report`, which tells how a run went: this one needs no run, only scores,
so that it serves any model on any pictures.
"""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fer_hf.evaluation.human import (
    Yardstick,
    compute_tagger,
    compute_tagger_recalls,
    estimate_soft_cross_entropy,
)
from fer_hf.evaluation.intervals import Estimate
from fer_hf.evaluation.metrics import Evaluation
from fer_hf.evaluation.plots import plot_confusion_matrix
from fer_hf.evaluation.report import write_text_atomically

EVALUATION_NAME = "evaluation.json"
FORMAT = 1


@dataclass(frozen=True)
class CrowdComparison:
    """A model beside the people who voted on the same pictures.

    Attributes:
        tagger: One person, drawn at random from those who voted on each picture.
        tagger_recall_per_label: That person's recalls, 0–1; None for a label without pictures.
        labels_above_tagger: Labels on which the model's recall is above the person's.
        labels_clearly_above_tagger: Those on which its whole 95 % interval is.
        soft_cross_entropy: Of the scores against the votes, in nats.
        num_voted_pictures: How many pictures that figure is a mean over: all that have a vote for
            one of the labels, also those without a majority.
    """

    tagger: Yardstick
    tagger_recall_per_label: dict[str, float | None]
    labels_above_tagger: list[str]
    labels_clearly_above_tagger: list[str]
    soft_cross_entropy: Estimate
    num_voted_pictures: int


@dataclass(frozen=True)
class CheckpointReport:
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
    """

    model: str
    data: str
    split: str
    label_match: dict[str, str]
    evaluation: Evaluation
    with_flip_averaging: Evaluation
    crowd: CrowdComparison | None
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return what `evaluation.json` holds: plain data, None for what is undefined."""
        return {"format": FORMAT, "num_pictures": self.evaluation.num_pictures, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CheckpointReport":
        """Rebuild a report from what `to_dict` returned.

        Raises:
            KeyError: If a field is missing.
            TypeError: If a figure has other fields.
        """
        values = {item.name: data[item.name] for item in fields(cls)}
        for name in ("evaluation", "with_flip_averaging"):
            values[name] = Evaluation.from_dict(data[name])
        if crowd := data["crowd"]:
            tagger, entropy = Yardstick(**crowd["tagger"]), Estimate(**crowd["soft_cross_entropy"])
            values["crowd"] = CrowdComparison(
                **{**crowd, "tagger": tagger, "soft_cross_entropy": entropy}
            )
        return cls(**values)


def compare_with_crowd(
    evaluation: Evaluation,
    labels: npt.ArrayLike,
    votes: npt.ArrayLike,
    other_votes: npt.ArrayLike | float,
    all_scores: npt.ArrayLike,
    all_votes: npt.ArrayLike,
) -> CrowdComparison:
    """Compare a model with the people who voted.

    The N pictures of the evaluation have a label that most people agree on; the M pictures of the
    soft cross-entropy need not.

    Args:
        evaluation: The model's figures on the N pictures.
        labels: Shape (N,), the crowd's label ids.
        votes: Shape (N, num_labels), counts in the order of `evaluation.label_names`.
        other_votes: Shape (N,), counts of votes for none of the labels.
        all_scores: Shape (M, num_labels), rows sum to 1.
        all_votes: Shape (M, num_labels), counts in the same order.

    Raises:
        ValueError: Shapes that do not fit, or one of the N pictures has no vote.
    """
    recalls = evaluation.recall_per_label
    tagger_recalls = compute_tagger_recalls(votes, labels, evaluation.label_names, other_votes)
    soft_cross_entropy, num_voted_pictures = estimate_soft_cross_entropy(all_scores, all_votes)
    return CrowdComparison(
        tagger=compute_tagger(votes, labels, other_votes),
        tagger_recall_per_label=tagger_recalls,
        labels_above_tagger=[
            name for name in recalls if _is_above(recalls[name].value, tagger_recalls[name])
        ],
        labels_clearly_above_tagger=[
            name for name in recalls if _is_above(recalls[name].low, tagger_recalls[name])
        ],
        soft_cross_entropy=soft_cross_entropy,
        num_voted_pictures=num_voted_pictures,
    )


def save_checkpoint_report(report: CheckpointReport, output_dir: str | os.PathLike[str]) -> Path:
    """Write `evaluation.json` and `confusion_matrix.png` into `output_dir`.

    Returns:
        The path of `evaluation.json`, which is written last.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{report.model} on {report.data}, {report.split}"
    figure = plot_confusion_matrix(report.evaluation, title)
    figure.savefig(folder / "confusion_matrix.png")
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text_atomically(folder / EVALUATION_NAME, text + "\n")


def load_checkpoint_report(path: str | os.PathLike[str]) -> CheckpointReport:
    """Load what `save_checkpoint_report` wrote, from its file or its folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, or of another format.
    """
    file = Path(path) / EVALUATION_NAME if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no evaluation at {str(path)!r}, expected what `fer-hf evaluate MODEL --data "
            "SOURCE --output_dir FOLDER` writes. Give that folder."
        )
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']!r}")
        return CheckpointReport.from_dict(data)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(file)!r} is no evaluation of format {FORMAT} ({error!r}). Run `fer-hf evaluate` "
            "again."
        ) from error


def _is_above(figure: float | None, other: float | None) -> bool:
    return figure is not None and other is not None and figure > other
