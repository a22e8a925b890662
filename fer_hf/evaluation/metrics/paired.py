"""Models on the same pictures, compared picture by picture.

Unlike in `reports.run_comparison`, which reads what each run once reported about itself, all models
answer on the same pictures here, so that what is hard about a picture cancels out and a much
smaller difference can be told from chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.evaluation import METRICS, Evaluation, Figures, evaluate_scores
from fer_hf.evaluation.metrics.intervals import estimate_bootstrap
from fer_hf.evaluation.metrics.metric import bootstrap
from fer_hf.evaluation.metrics.predictions import Predictions

NUM_RESAMPLES = 2000
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class ModelScores:
    """The scores of one model for the pictures of a comparison.

    Attributes:
        model: Its name, different for each.
        scores: (N, C), rows sum to 1. C may differ between models.
        labels: (N,) right labels as positions in `label_names`.
        label_names: The C names in the order of the columns.
    """

    model: str
    scores: npt.ArrayLike
    labels: npt.NDArray[np.int64]
    label_names: Sequence[str]


@dataclass(frozen=True)
class Difference(Figures):
    """How two models differ on the same pictures.

    The figures are those of `first` minus those of `second`, each with the interval of the paired
    bootstrap: accuracies and F1 in [-1, 1]; NLL in nats, below 0 where `first` is better.

    Attributes:
        figures: Name of a metric to its difference.
        first: The model with the higher accuracy.
        second: The other one.
        only_first_right: Number of pictures on which only `first` is right.
        only_second_right: Number of pictures on which only `second` is right.
        p_value: McNemar's mid-p of these two counts.
        adjusted_p_value: The same after Holm's correction for the number of pairs.
    """

    first: str
    second: str
    only_first_right: int
    only_second_right: int
    p_value: float
    adjusted_p_value: float

    @property
    def is_real(self) -> bool:
        """Whether chance does not explain the difference of accuracy: adjusted p below 0.05."""
        return self.adjusted_p_value < SIGNIFICANCE


def compare_scores(
    models: Sequence[ModelScores], seed: int = 0
) -> tuple[dict[str, Evaluation], list[Difference]]:
    """Compare two or more models on the same pictures, each with each.

    A difference has the interval of the paired bootstrap: 2,000 times N pictures are drawn with
    replacement, the same ones for all models, and the 2.5 and 97.5 percentiles of the difference
    are taken. McNemar's test, with Holm's correction for all pairs, says whether accuracies differ
    by more than chance. As everywhere, chance is the choice of pictures, not that of the seed.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979;
    for the test and its correction see `compute_mcnemar` and `adjust_p_values`.

    Args:
        models: Two or more, in any order.
        seed: Seeds the bootstrap; the same input gives the same intervals.

    Returns:
        Model to its figures, the most accurate first (between equals the one with the lower NLL);
        and the difference of each pair in that order.

    Raises:
        ValueError: There are fewer than two models or pictures, a name comes twice, the numbers of
            pictures differ, or scores and labels do not fit together (see `evaluate_scores`).
    """
    check_models([model.model for model in models])
    sizes = {model.model: len(model.labels) for model in models}
    if len(set(sizes.values())) > 1 or min(sizes.values()) < 2:
        raise ValueError(
            f"Found pictures {sizes}, expected the same two or more for each model. "
            "Score the same split with all of them."
        )
    evaluations = {model.model: _evaluate(model) for model in models}
    found = {model.model: Predictions.check(model.scores, model.labels) for model in models}
    ranked = sorted(
        found, key=lambda name: (-found[name].is_right.sum(), evaluations[name].nll.value)
    )
    predictions = [found[name] for name in ranked]
    right = [model.is_right for model in predictions]
    metrics = [metric for metric in METRICS if not metric.is_secondary and not metric.is_biased]
    values = np.array([[metric.measure(model) for metric in metrics] for model in predictions])
    draws = bootstrap(metrics, predictions, np.random.default_rng(seed), NUM_RESAMPLES)

    pairs = list(combinations(range(len(ranked)), 2))
    only = [
        (int((right[i] & ~right[j]).sum()), int((right[j] & ~right[i]).sum())) for i, j in pairs
    ]
    p_values = [compute_mcnemar(*counts) for counts in only]
    differences = []
    for (i, j), counts, *p in zip(pairs, only, p_values, adjust_p_values(p_values), strict=True):
        gaps = zip(metrics, values[i] - values[j], draws[i] - draws[j], strict=True)
        figures = {m.name: estimate_bootstrap(float(gap), drawn) for m, gap, drawn in gaps}
        differences.append(Difference(figures, ranked[i], ranked[j], *counts, *p))
    return {name: evaluations[name] for name in ranked}, differences


def compute_mcnemar(only_first_right: int, only_second_right: int) -> float:
    """Compute McNemar's mid-p value, in (0, 1]: how likely counts as unequal are by chance.

    If neither model is better, each of the n pictures on which just one is right is a fair coin.
    With k the smaller count and X ~ B(n, ½), the two-sided value is 2 P(X ≤ k) − P(X = k): what was
    found itself counts half on each side, without which the exact test is too careful.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 1947; mid-p: Fagerland, Lydersen, Laake, "The McNemar test for
    binary matched-pairs data", BMC Medical Research Methodology 2013.
    """
    from scipy.stats import binom  # whoever only reads reports need not have it

    total, fewer = only_first_right + only_second_right, min(only_first_right, only_second_right)
    return float(2 * binom.cdf(fewer, total, 0.5) - binom.pmf(fewer, total, 0.5))


def adjust_p_values(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number m: below 0.05 there is rarely (5 %) even one by chance.

    The k-th smallest is multiplied by m + 1 − k, and is at least as large as the one before.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 1979.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = values.argsort()
    adjusted = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1)
    return adjusted[order.argsort()].tolist()


def check_models(names: Sequence[str]) -> None:
    """Raise a ValueError for fewer than two models, or one that comes twice."""
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if len(names) < 2 or twice:
        found = f"`{twice[0]}` more than once" if twice else f"{len(names)} model"
        raise ValueError(
            f"Found {found}, expected two or more different models to compare. "
            "Give each model once."
        )


def _evaluate(model: ModelScores) -> Evaluation:
    try:
        return evaluate_scores(model.scores, model.labels, model.label_names)
    except ValueError as error:
        raise ValueError(f"Model `{model.model}`: {error}") from error
