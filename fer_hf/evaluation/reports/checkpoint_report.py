"""The report of a checkpoint on one data set: how good it is there, beside the people who voted.

A room of its own beside `report`, which tells how a run went: this one needs no run, only scores,
so that it serves any model on any pictures.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share, estimate_shares
from fer_hf.evaluation.metrics.not_sure import NotSure, build_prediction_sets
from fer_hf.evaluation.metrics.predictions import Predictions
from fer_hf.evaluation.metrics.probabilities import Reliability
from fer_hf.evaluation.metrics.slices import Slice
from fer_hf.evaluation.metrics.thresholds import (
    SelectiveAccuracy,
    SetCoverage,
    measure_selective_accuracy,
    measure_set_coverage,
)
from fer_hf.evaluation.people.human import (
    Yardstick,
    compute_tagger,
    compute_tagger_recalls,
    estimate_entropy_correlation,
    estimate_kl_divergence,
    estimate_soft_cross_entropy,
)
from fer_hf.evaluation.people.panels import PanelComparison, compare_with_panels
from fer_hf.evaluation.reports.run_report import REPORT_NAME, write_text_atomically
from fer_hf.evaluation.robustness.measuring import Robustness

KIND = "evaluation"
FORMAT = 4
NUM_MISTAKES = 24


@dataclass(frozen=True)
class VotesFit:
    """How near the votes scores come that were calibrated on votes.

    Attributes:
        soft_cross_entropy: Of these scores against the votes, in nats.
        kl_divergence: The same less the entropy of the votes.
    """

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
        calibrated_on_votes: How near the model's scores for votes are; None if it has none.
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
    calibrated_on_votes: VotesFit | None
    panels: PanelComparison | None


@dataclass(frozen=True)
class NotSureFigures:
    """What a checkpoint's promises of when it is not sure are worth on these pictures.

    Attributes:
        coverage: What was promised: the share of pictures that are answered, and of sets that hold
            the true label.
        answers: What it answers, and how often rightly.
        answered_per_label: Label to the share of its pictures that are answered.
        sets: How often the sets hold the true label, in all and per label.
    """

    coverage: float
    answers: SelectiveAccuracy
    answered_per_label: dict[str, Estimate]
    sets: SetCoverage


@dataclass(frozen=True)
class ConfusedPair:
    """Pictures of one label that got another one.

    Attributes:
        label: The true one.
        answer: The model's.
        count: Number of pictures.
        share: Of the pictures of the label.
    """

    label: str
    answer: str
    count: int
    share: Estimate


@dataclass(frozen=True)
class Mistake:
    """A picture that got a wrong answer.

    Attributes:
        row: Where it is in the split, from 0 on.
        label: The true label.
        answer: The model's.
        score: Of the answer, 0–1.
    """

    row: int
    label: str
    answer: str
    score: float


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
        num_seen: How many of the pictures were in the training data; None where the checkpoint
            does not tell.
        reliability: How often it is right in each bin of its top score.
        not_sure: When it is not sure; None for a checkpoint that does not say.
        slices: Property of a picture to the figures in fifths by it.
        robustness: On corrupted pictures; None where that was not asked.
        mistakes: The surest ones, by falling score.
        command: What was typed, without folders.
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

    def to_dict(self) -> dict[str, Any]:
        """Return what `report.json` holds: plain data, None for what is undefined."""
        return {
            "kind": KIND,
            "format": FORMAT,
            "num_pictures": self.evaluation.num_pictures,
            **asdict(self),
            "evaluation": self.evaluation.to_dict(),
            "with_flip_averaging": self.with_flip_averaging.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CheckpointReport":
        """Rebuild a report from what `to_dict` returned.

        Raises:
            AttributeError: If a figure is no dictionary.
            KeyError: If a field is unknown.
            TypeError: If a field is missing.
        """
        ours = ("kind", "format", "num_pictures")
        return _rebuild(cls, {name: item for name, item in data.items() if name not in ours})


def compare_with_crowd(
    evaluation: Evaluation,
    labels: npt.ArrayLike,
    votes: npt.ArrayLike,
    other_votes: npt.ArrayLike | float,
    all_scores: npt.ArrayLike,
    all_votes: npt.ArrayLike,
    all_other_votes: npt.ArrayLike | float = 0,
    crowd_scores: npt.ArrayLike | None = None,
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
        crowd_scores: Shape (M, num_labels), what `all_scores` say of how votes spread; None if the
            model does not know that.

    Raises:
        ValueError: Shapes that do not fit, votes that are no counts, or one of the N pictures has
            no vote.
    """
    recalls = evaluation.recall_per_label
    tagger_recalls = compute_tagger_recalls(votes, labels, evaluation.label_names, other_votes)
    soft_cross_entropy, num_voted_pictures = estimate_soft_cross_entropy(all_scores, all_votes)
    pearson, spearman = estimate_entropy_correlation(all_scores, all_votes)
    fit = None
    if crowd_scores is not None:
        fit = VotesFit(
            estimate_soft_cross_entropy(crowd_scores, all_votes)[0],
            estimate_kl_divergence(crowd_scores, all_votes),
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
        calibrated_on_votes=fit,
        panels=compare_with_panels(all_scores, all_votes, evaluation.label_names, all_other_votes),
    )


def measure_not_sure(
    scores: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str], not_sure: NotSure
) -> NotSureFigures:
    """Measure what a checkpoint's thresholds do on other pictures than they were fitted on.

    Args:
        scores: Shape (N, num_labels), rows sum to 1.
        labels: Shape (N,), label ids.
        label_names: In the order of the columns.
        not_sure: The checkpoint's thresholds.

    Raises:
        ValueError: Arrays that do not fit together.
    """
    predictions = Predictions.check(scores, labels)
    answered = predictions.top_scores >= not_sure.threshold
    sets = build_prediction_sets(predictions.scores, not_sure.conformal_threshold)
    return NotSureFigures(
        coverage=not_sure.coverage,
        answers=measure_selective_accuracy(scores, labels, not_sure.threshold),
        answered_per_label=estimate_shares(answered, predictions.labels, label_names),
        sets=measure_set_coverage(sets, labels, label_names),
    )


def list_confused_pairs(evaluation: Evaluation, most: int = 5) -> list[ConfusedPair]:
    """List which label got which wrong answer, the commonest mistake first."""
    names = evaluation.label_names
    pairs = [
        ConfusedPair(label, answer, count, estimate_share(count, evaluation.support[label]))
        for label, row in zip(names, evaluation.confusion_matrix, strict=True)
        for answer, count in zip(names, row, strict=True)
        if count and label != answer
    ]
    return sorted(pairs, key=lambda pair: -pair.count)[:most]


def list_surest_mistakes(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    label_names: Sequence[str],
    most: int = NUM_MISTAKES,
) -> list[Mistake]:
    """List the wrong answers with the highest scores, the surest first.

    Args:
        scores: Shape (N, num_labels), rows sum to 1.
        labels: Shape (N,), label ids.
        label_names: In the order of the columns.
        most: How many at most.

    Raises:
        ValueError: Arrays that do not fit together.
    """
    found = Predictions.check(scores, labels)
    surest_first = np.argsort(-found.top_scores, kind="stable")
    return [
        Mistake(
            int(row),
            label_names[found.labels[row]],
            label_names[found.answers[row]],
            float(found.top_scores[row]),
        )
        for row in surest_first[~found.is_right[surest_first]][:most]
    ]


def save_checkpoint_report(report: CheckpointReport, output_dir: str | os.PathLike[str]) -> Path:
    """Write `report.json` into `output_dir` in one step, and return its path."""
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text_atomically(folder / REPORT_NAME, text + "\n")


def load_checkpoint_report(path: str | os.PathLike[str]) -> CheckpointReport:
    """Load what `save_checkpoint_report` wrote, from its file or its folder.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, or of another format.
    """
    file = Path(path) / REPORT_NAME if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"There is no evaluation at {str(path)!r}, expected what `fer-hf evaluate MODEL --data "
            "SOURCE --output_dir FOLDER` writes. Give that folder."
        )
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if "evaluations" in data:
            raise ValueError("it is the report of a run")
        if data["kind"] != KIND or data["format"] != FORMAT:
            raise ValueError(f"kind {data['kind']!r}, format {data['format']!r}")
        return CheckpointReport.from_dict(data)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(file)!r} is no evaluation of format {FORMAT} ({error}). Run `fer-hf evaluate "
            "MODEL --data SOURCE --output_dir FOLDER`, and give that folder."
        ) from error


def _rebuild(kind: Any, value: Any) -> Any:
    """Rebuild a value of type `kind` from what `dataclasses.asdict` made of it."""
    arguments: tuple[Any, ...] = get_args(kind)
    if get_origin(kind) is UnionType:  # X | None
        return None if value is None else _rebuild(arguments[0], value)
    if get_origin(kind) is list:
        return [_rebuild(arguments[0], item) for item in value]
    if get_origin(kind) is dict:
        return {key: _rebuild(arguments[1], item) for key, item in value.items()}
    if kind is Evaluation:
        return Evaluation.from_dict(value)
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        fields = {name: _rebuild(kinds[name], item) for name, item in value.items()}
        return kind(**fields)  # type: ignore[operator]
    return value


def _is_above(figure: float | None, other: float | None) -> bool:
    return figure is not None and other is not None and figure > other
