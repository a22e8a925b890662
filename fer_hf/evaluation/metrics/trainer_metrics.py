"""The metrics as the Trainer logs them at each epoch, as a metric of the `evaluate` package.

A room of its own because importing `evaluate` imports PyTorch and transformers: reading a report or
comparing runs must not wait for them.
"""

import datasets
import evaluate
import numpy.typing as npt

from fer_hf.evaluation.metrics.evaluation import compute_metrics


class ExpressionMetrics(evaluate.Metric):
    """The five figures of a split as an `evaluate` metric that needs no network.

    Make it with `keep_in_memory=True`, else it leaves files in the cache. `predictions` are rows of
    scores (N, C) that sum to 1, `references` are label ids (N,); both may come in batches. The
    result is what `fer_hf.evaluation.metrics.evaluation.compute_metrics` returns.
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy, balanced accuracy, macro F1, NLL and ECE of scores.",
            citation="",
            inputs_description="`predictions`: rows of scores; `references`: label ids.",
            features=datasets.Features(
                predictions=datasets.List(datasets.Value("float64")),
                references=datasets.Value("int64"),
            ),
        )

    def _compute(self, predictions: npt.ArrayLike, references: npt.ArrayLike) -> dict[str, float]:
        return compute_metrics(predictions, references)


def compute_trainer_metrics(scores: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float]:
    """Compute what the Trainer logs: `accuracy, balanced_accuracy, f1_macro, nll, ece`.

    Args:
        scores: (N, C), rows sum to 1; see `fer_hf.evaluation.metrics.evaluation.compute_softmax`.
        labels: (N,) integers in [0, C).

    Raises:
        ValueError: If the arrays do not fit together (see `evaluate_scores`).
    """
    metric = ExpressionMetrics(keep_in_memory=True)
    return metric.compute(predictions=scores, references=labels)
