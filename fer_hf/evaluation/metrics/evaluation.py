"""The figures of one split: scores and labels in, an `Evaluation` with 95 % intervals out.

Everything else reads these figures instead of computing its own, so that the training log, the
report, the model card and the comparison can never disagree about what a word means.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.accuracy import (
    ACCURACY,
    BALANCED_ACCURACY,
    F1_MACRO,
    compute_f1,
    count_confusions,
)
from fer_hf.evaluation.metrics.intervals import (
    UNDEFINED,
    Estimate,
    estimate_bootstrap,
    estimate_share,
    resample_counts,
)
from fer_hf.evaluation.metrics.metric import Metric, estimate_metrics
from fer_hf.evaluation.metrics.predictions import Predictions
from fer_hf.evaluation.metrics.probabilities import ADAPTIVE_ECE, BRIER, ECE, NLL
from fer_hf.evaluation.metrics.roc_auc import ROC_AUC_MACRO, estimate_aucs

METRICS: tuple[Metric, ...] = (
    ACCURACY,
    BALANCED_ACCURACY,
    F1_MACRO,
    ROC_AUC_MACRO,
    NLL,
    BRIER,
    ECE,
    ADAPTIVE_ECE,
)
"""What is measured, in the order of every table; another metric is one more line here."""


class _Figure:
    """Reads `evaluation.accuracy` as `evaluation.figures["accuracy"]`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Estimate:
        return instance.figures.get(self.name, UNDEFINED)


@dataclass(frozen=True)
class Figures:
    """Figures by the names of `METRICS`, also as attributes; undefined where not measured."""

    figures: dict[str, Estimate]

    accuracy = _Figure()
    balanced_accuracy = _Figure()
    f1_macro = _Figure()
    roc_auc_macro = _Figure()
    nll = _Figure()
    brier = _Figure()
    ece = _Figure()
    adaptive_ece = _Figure()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write: numbers, names, None; never NaN."""
        data = asdict(self)
        return {**data.pop("figures"), **data}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from what `to_dict` returned.

        Raises:
            KeyError: A field is missing.
            TypeError: A figure is not an estimate, or a field is unknown.
        """
        values = {field.name: data[field.name] for field in fields(cls)[1:]}
        figures = {name: Estimate(**data[name]) for name in data if name not in values}
        return cls(figures, **values)


@dataclass(frozen=True)
class Evaluation(Figures):
    """How good a classifier is on one split.

    Accuracies, precisions, recalls, F1, calibration errors and AUCs are in [0, 1]; `nll` is in nats
    per picture, at least 0; `brier` is in [0, 2]. A label without pictures in the split has recall,
    F1 and AUC None; a label that was never predicted has precision None.

    Attributes:
        figures: Name of a metric to its value over all labels.
        num_pictures: Number of pictures in the split.
        recall_per_label: Label name to recall.
        precision_per_label: Label name to precision.
        f1_per_label: Label name to F1.
        roc_auc_per_label: Label name to the area under its ROC curve against the other labels.
        confusion_matrix: Counts; a row is a true label, a column a predicted one.
        support: Label name to its number of pictures.
        label_names: Names in the order of rows and columns.
    """

    num_pictures: int
    recall_per_label: dict[str, Estimate]
    precision_per_label: dict[str, Estimate]
    f1_per_label: dict[str, Estimate]
    roc_auc_per_label: dict[str, Estimate]
    confusion_matrix: list[list[int]]
    support: dict[str, int]
    label_names: list[str]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild from what `to_dict` returned; a figure that an old report lacks is undefined."""
        undefined = asdict(UNDEFINED)
        values: dict[str, Any] = {metric.name: undefined for metric in METRICS}
        values["roc_auc_per_label"] = dict.fromkeys(data["label_names"], undefined)
        values |= data
        for name in (name for name in values if name.endswith("_per_label")):
            values[name] = {label: Estimate(**value) for label, value in values[name].items()}
        return super().from_dict(values)


def compute_metrics(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """Compute the main figures of a split without intervals, fast enough for every epoch.

    They are `accuracy`, `balanced_accuracy`, `f1_macro`, `nll`, `ece`, and whatever else `METRICS`
    holds that is not secondary. Arguments, ranges and errors are those of `evaluate_scores`.
    """
    predictions = Predictions.check(scores, labels)
    return {m.name: m.measure(predictions) for m in METRICS if not m.is_secondary}


def evaluate_scores(
    scores: npt.ArrayLike, labels: npt.ArrayLike, label_names: Sequence[str], seed: int = 0
) -> Evaluation:
    """Measure scores against labels, every figure with a 95 % interval over the choice of pictures.

    Shares of counts (accuracy, recall, precision) take Wilson's interval, means (NLL, Brier score)
    the normal one, AUCs DeLong's; balanced accuracy and F1 the percentiles of 1,000 bootstrap
    resamples of the pictures, calibration errors their value ± 1.96 bootstrap standard errors:
    resampling itself adds calibration error. Averages run over the labels that occur in `labels`.

    Args:
        scores: (N, C), rows sum to 1 within 0.001.
        labels: (N,) integers in [0, C).
        label_names: The C names, in the order of the columns.
        seed: Seeds the bootstrap; the same input gives the same intervals.

    Raises:
        ValueError: There are no rows, shapes do not fit, a score is not finite or negative, a row
            does not sum to 1, a label is out of range, or names do not match the columns.

    Example:
        >>> scores = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]
        >>> evaluation = evaluate_scores(scores, [0, 1, 1, 1], ["neutral", "happy"])
        >>> evaluation.accuracy.value
        0.75
        >>> round(evaluation.accuracy.low, 2), round(evaluation.accuracy.high, 2)
        (0.3, 0.95)
    """
    predictions = Predictions.check(scores, labels)
    names = _check_label_names(label_names, predictions.num_labels)
    rng = np.random.default_rng(seed)
    matrix = count_confusions(predictions, np.ones((1, len(predictions))))[0].astype(np.int64)
    hits, support, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    f1_draws = compute_f1(resample_counts(matrix, rng))

    def by_label(estimates: Iterable[Estimate]) -> dict[str, Estimate]:
        return dict(zip(names, estimates, strict=True))

    return Evaluation(
        figures=estimate_metrics(METRICS, predictions, rng),
        num_pictures=len(predictions),
        recall_per_label=by_label(map(estimate_share, hits.tolist(), support.tolist())),
        precision_per_label=by_label(map(estimate_share, hits.tolist(), predicted.tolist())),
        f1_per_label=by_label(map(estimate_bootstrap, compute_f1(matrix).tolist(), f1_draws.T)),
        roc_auc_per_label=by_label(estimate_aucs(predictions)),
        confusion_matrix=matrix.tolist(),
        support=dict(zip(names, support.tolist(), strict=True)),
        label_names=names,
    )


def _check_label_names(label_names: Sequence[str], num_labels: int) -> list[str]:
    names = list(label_names)
    if len(names) != num_labels or len(set(names)) != num_labels:
        raise ValueError(
            f"Found label names {names!r} for {num_labels} columns of scores, expected one "
            "distinct name for each column. Pass the names in the order of the model's `id2label`."
        )
    return names
