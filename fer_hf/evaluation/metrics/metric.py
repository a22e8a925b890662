"""What a metric is: one definition gives its value, its interval and its paired differences.

A metric is computed for many resamples at once: where a picture was drawn twice it counts twice,
as with scikit-learn's `sample_weight`. So the same lines serve a split and its bootstrap.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from fer_hf.evaluation.metrics.intervals import (
    NUM_RESAMPLES,
    Estimate,
    estimate_mean,
    estimate_share,
)
from fer_hf.evaluation.metrics.predictions import Floats, Ints, Predictions

# At 28,000 pictures this many resamples take 22 MB, however many there are in all.
_RESAMPLES_AT_A_TIME = 100


@dataclass(frozen=True)
class Metric:
    """A figure of a split; to see one everywhere, add it to `evaluation.METRICS`.

    Attributes:
        name: Its key in `Evaluation.figures`, in reports, and in the training log.
        title: What tables call it.
        compute: Takes predictions of N pictures and weights (R, N), the number of times that each
            resample holds each picture; returns (R,) values, NaN where undefined.
        estimate: Its value with an interval known from theory; None takes the bootstrap.
        short_title: What tables with narrow columns call it; None takes the title.
        highest: The end of its range, which starts at 0. Up to 1, it is shown in per cent.
        higher_is_better: False for errors and losses.
        is_secondary: Shown in the report of a checkpoint only. A metric that a split with a label
            missing leaves undefined must be.
        is_biased: Resampling itself raises it, so that its interval is its value ± 1.96 standard
            errors of the bootstrap, not percentiles, and models are not compared by it in pairs.
    """

    name: str
    title: str
    compute: Callable[[Predictions, Floats], Floats]
    estimate: Callable[[Predictions], Estimate] | None = None
    short_title: str | None = None
    highest: float = 1.0
    higher_is_better: bool = True
    is_secondary: bool = False
    is_biased: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is in [0, 1], and shown in per cent."""
        return self.highest == 1

    def measure(self, predictions: Predictions) -> float:
        """Return the value without an interval."""
        return float(self.compute(predictions, np.ones((1, len(predictions))))[0])


def build_mean_metric(
    name: str,
    title: str,
    compute_each: Callable[[Predictions], npt.NDArray],
    *,
    short_title: str | None = None,
    highest: float = 1.0,
    higher_is_better: bool = True,
    is_secondary: bool = False,
) -> Metric:
    """Build a metric that is the mean of one value for each picture.

    Its interval is Wilson's where the values are True and False, else the normal one.

    Args:
        name: As for `Metric`, as are all others.
        title: What tables call it.
        compute_each: Takes predictions, returns (N,) values in [0, highest].
        short_title: What narrow columns call it.
        highest: The end of its range.
        higher_is_better: False for errors and losses.
        is_secondary: Whether only the report of a checkpoint shows it.
    """

    def compute(predictions: Predictions, weights: Floats) -> Floats:
        return weights @ compute_each(predictions) / weights.sum(axis=1)

    def estimate(predictions: Predictions) -> Estimate:
        values = compute_each(predictions)
        if values.dtype == bool:
            return estimate_share(int(values.sum()), len(values))
        return estimate_mean(values, highest)

    return Metric(
        name, title, compute, estimate, short_title, highest, higher_is_better, is_secondary
    )


def bootstrap(
    metrics: Sequence[Metric],
    models: Sequence[Predictions],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Floats:
    """Compute metrics of models in resamples of their common N pictures, the same for all models.

    Returns:
        (models, metrics, resamples).
    """
    size = len(models[0])
    parts = []
    for start in range(0, num_resamples, _RESAMPLES_AT_A_TIME):
        weights = np.empty((min(_RESAMPLES_AT_A_TIME, num_resamples - start), size))
        for row in weights:
            row[:] = np.bincount(rng.integers(size, size=size), minlength=size)
        parts.append([[metric.compute(model, weights) for metric in metrics] for model in models])
    return np.concatenate(parts, axis=-1)


def sum_groups(
    weights: Floats, groups: Ints, num_groups: int, values: npt.ArrayLike = 1.0
) -> Floats:
    """Sum weights times values within groups: a weighted `bincount` for each row of weights.

    Args:
        weights: (R, N).
        groups: (N,) integers in [0, num_groups).
        num_groups: How many there are.
        values: One for all pictures, or (N,).

    Returns:
        (R, num_groups).
    """
    each = np.broadcast_to(np.asarray(values, dtype=np.float64), groups.shape)
    rows = np.arange(len(groups))
    return weights @ csr_array((each, (rows, groups)), shape=(len(groups), num_groups))
