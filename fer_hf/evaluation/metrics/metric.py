"""What a metric is: one definition gives its value, its interval and its paired differences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.intervals import (
    NUM_RESAMPLES,
    Estimate,
    estimate_bootstrap,
    estimate_mean,
    estimate_normal,
    estimate_share,
)
from fer_hf.evaluation.metrics.predictions import Floats, Ints, Predictions

# At 28,000 pictures this many resamples take 22 MB, however many there are in all.
_RESAMPLES_AT_A_TIME = 100


@dataclass(frozen=True)
class Metric:
    """A figure of a split, defined in one of three ways; `evaluation.METRICS` lists all.

    Attributes:
        name: Its key in `Evaluation.figures`, in reports, and in the training log.
        title: What tables call it.
        short_title: What tables with narrow columns call it.
        each: Returns a value (N,) for each picture, of which the metric is the mean. Its interval
            is Wilson's where they are True or False, else the normal one.
        resampled: Returns (R,) values for weights (R, N), the number of times that each of R
            resamples holds each picture (as scikit-learn's `sample_weight`). Its interval is that
            of the bootstrap over pictures.
        known: Returns the value with an interval known from theory.
        highest: The end of its range, which starts at 0.
        higher_is_better: False for errors and losses.
        is_secondary: Whether only the report of a checkpoint shows it. A metric that a missing
            label leaves undefined must be.
        is_biased: Whether resampling itself raises it, so that its interval is its value ± 1.96
            standard errors of the bootstrap, and models are not compared by it in pairs.
    """

    name: str
    title: str
    short_title: str
    each: Callable[[Predictions], npt.NDArray] | None = None
    resampled: Callable[[Predictions, Floats], Floats] | None = None
    known: Callable[[Predictions], Estimate] | None = None
    highest: float = 1.0
    higher_is_better: bool = True
    is_secondary: bool = False
    is_biased: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is in [0, 1]."""
        return self.highest == 1

    def measure(self, predictions: Predictions) -> float:
        """Return the value without an interval, NaN where it is undefined."""
        if self.known is None:
            return float(self.resample(predictions, np.ones((1, len(predictions))))[0])
        value = self.known(predictions).value
        return np.nan if value is None else value

    def resample(self, predictions: Predictions, weights: Floats) -> Floats:
        """Return the values (R,) in resamples with these weights (R, N)."""
        if self.resampled is not None:
            return self.resampled(predictions, weights)
        if self.each is not None:
            return weights @ self.each(predictions) / weights.sum(axis=1)
        raise TypeError(f"Metric `{self.name}` has neither `each` nor `resampled`. Define one.")

    def estimate(self, predictions: Predictions, draws: Floats | None = None) -> Estimate:
        """Return the value with its 95 % interval; a `resampled` one needs its bootstrap draws."""
        if self.known is not None:
            return self.known(predictions)
        if self.each is not None:
            values = self.each(predictions)
            if values.dtype == bool:
                return estimate_share(int(values.sum()), len(values))
            return estimate_mean(values, self.highest)
        value, drawn = self.measure(predictions), np.asarray(draws)
        if self.is_biased:
            return estimate_normal(value, float(np.nanstd(drawn)), self.highest)
        return estimate_bootstrap(value, drawn)


def estimate_metrics(
    metrics: Sequence[Metric], predictions: Predictions, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Return the name of each metric and its value with its 95 % interval."""
    resampled = [metric for metric in metrics if metric.resampled]
    drawn = bootstrap(resampled, [predictions], rng)[0]
    draws = {metric.name: values for metric, values in zip(resampled, drawn, strict=True)}
    return {m.name: m.estimate(predictions, draws.get(m.name)) for m in metrics}


def bootstrap(
    metrics: Sequence[Metric],
    models: Sequence[Predictions],
    rng: np.random.Generator,
    num_resamples: int = NUM_RESAMPLES,
) -> Floats:
    """Compute metrics in resamples of the models' N pictures: (models, metrics, resamples)."""
    size = len(models[0])
    parts = []
    for start in range(0, num_resamples, _RESAMPLES_AT_A_TIME):
        weights = np.empty((min(_RESAMPLES_AT_A_TIME, num_resamples - start), size))
        for row in weights:
            row[:] = np.bincount(rng.integers(size, size=size), minlength=size)
        parts.append([[metric.resample(model, weights) for metric in metrics] for model in models])
    return np.concatenate(parts, axis=-1)


def sum_groups(
    weights: Floats, groups: Ints, num_groups: int, values: npt.ArrayLike = 1.0
) -> Floats:
    """Sum weights (R, N) times values, one or (N,), within groups 0, 1, … (N,): (R, num_groups)."""
    return np.array([np.bincount(groups, row * values, num_groups) for row in weights])
