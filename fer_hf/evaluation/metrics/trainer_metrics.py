"""The main metrics as the Trainer logs them at each epoch, as a metric of the `evaluate` package.

In a module of its own, since importing `evaluate` imports PyTorch and transformers, for which
nobody who reads a report should wait.
"""

import datasets
import evaluate
import numpy.typing as npt

from fer_hf.evaluation.metrics.evaluation import compute_metrics


class ExpressionMetrics(evaluate.Metric):
    """The main figures of a split, as `compute_metrics` returns them; it needs no network.

    Make it with `keep_in_memory=True`, else it leaves files in the cache. `predictions` are rows of
    scores (N, C) that sum to 1, `references` are label ids (N,); both may come in batches.
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
    """Compute what the Trainer logs, as `compute_metrics` does."""
    return ExpressionMetrics(keep_in_memory=True).compute(predictions=scores, references=labels)
