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
    estimate_entropy_correlation,
    estimate_kl_divergence,
    estimate_soft_cross_entropy,
    temper_scores,
)
from fer_hf.evaluation.intervals import Estimate
from fer_hf.evaluation.metrics import Evaluation
from fer_hf.evaluation.panels import PanelComparison, compare_with_panels
from fer_hf.evaluation.plots import plot_confusion_matrix
from fer_hf.evaluation.report import write_text_atomically

EVALUATION_NAME = "evaluation.json"
FORMAT = 2


@dataclass(frozen=True)
class TemperedFit:
    """How near the votes scores come at a temperature of their own for this.

    Attributes:
        temperature: What the scores were tempered with, above 0.
        soft_cross_entropy: Of the tempered scores against the votes, in nats.
        kl_divergence: The same less the entropy of the votes.
    """

    temperature: float
    soft_cross_entropy: Estimate
    kl_divergence: Estimate


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
            one of the labels, also those without a majority. So are the following.
        kl_divergence: Soft cross-entropy less the entropy of the votes, in nats.
        entropy_pearson: Correlation of the scores' entropy with that of the votes, in [-1, 1].
        entropy_spearman: The same of the ranks.
        at_crowd_temperature: How near the scores are at the model's temperature for votes; None if
            it has none.
        panels: The model beside panels of taggers; None where no tagger is left to judge them.
    """

    tagger: Yardstick
    tagger_recall_per_label: dict[str, float | None]
    labels_above_tagger: list[str]
    labels_clearly_above_tagger: list[str]
    soft_cross_entropy: Estimate
    num_voted_pictures: int
    kl_divergence: Estimate
    entropy_pearson: Estimate
    entropy_spearman: Estimate
    at_crowd_temperature: TemperedFit | None
    panels: PanelComparison | None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CrowdComparison":
        """Rebuild a comparison from what `dataclasses.asdict` returned.

        Raises:
            KeyError: If a figure is missing.
            TypeError: If another field is missing, or one is unknown.
        """
        values = {**data, "tagger": Yardstick(**data["tagger"])}
        for name in ("soft_cross_entropy", "kl_divergence", "entropy_pearson", "entropy_spearman"):
            values[name] = Estimate(**data[name])
        if fit := data["at_crowd_temperature"]:
            values["at_crowd_temperature"] = TemperedFit(
                fit["temperature"],
                Estimate(**fit["soft_cross_entropy"]),
                Estimate(**fit["kl_divergence"]),
            )
        if panels := data["panels"]:
            values["panels"] = PanelComparison.from_dict(panels)
        return cls(**values)


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
            values["crowd"] = CrowdComparison.from_dict(crowd)
        return cls(**values)


def compare_with_crowd(
    evaluation: Evaluation,
    labels: npt.ArrayLike,
    votes: npt.ArrayLike,
    other_votes: npt.ArrayLike | float,
    all_scores: npt.ArrayLike,
    all_votes: npt.ArrayLike,
    all_other_votes: npt.ArrayLike | float = 0,
    crowd_temperature: float | None = None,
) -> CrowdComparison:
    """Compare a model with the people who voted.

    The N pictures of the evaluation have a label that most people agree on, and one tagger is
    scored on them; the M pictures of the soft cross-entropy and the panels need not.

    Args:
        evaluation: The model's figures on the N pictures.
        labels: Shape (N,), the crowd's label ids.
        votes: Shape (N, num_labels), counts in the order of `evaluation.label_names`.
        other_votes: Shape (N,), counts of votes for none of the labels.
        all_scores: Shape (M, num_labels), rows sum to 1.
        all_votes: Shape (M, num_labels), counts in the same order.
        all_other_votes: Shape (M,), counts of votes for none of the labels; without them panels
            are drawn from those who chose a label.
        crowd_temperature: The model's temperature for votes, above 0; None if it has none.

    Raises:
        ValueError: Shapes that do not fit, votes that are no counts, a temperature not above 0, or
            one of the N pictures has no vote.
    """
    recalls = evaluation.recall_per_label
    tagger_recalls = compute_tagger_recalls(votes, labels, evaluation.label_names, other_votes)
    soft_cross_entropy, num_voted_pictures = estimate_soft_cross_entropy(all_scores, all_votes)
    pearson, spearman = estimate_entropy_correlation(all_scores, all_votes)
    fit = None
    if crowd_temperature is not None:
        tempered = temper_scores(all_scores, crowd_temperature)
        fit = TemperedFit(
            crowd_temperature,
            estimate_soft_cross_entropy(tempered, all_votes)[0],
            estimate_kl_divergence(tempered, all_votes),
        )
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
        kl_divergence=estimate_kl_divergence(all_scores, all_votes),
        entropy_pearson=pearson,
        entropy_spearman=spearman,
        at_crowd_temperature=fit,
        panels=compare_with_panels(all_scores, all_votes, evaluation.label_names, all_other_votes),
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
