"""Estimates: a figure with its 95 % interval, and the ways this project computes one.

Every interval in a report means the same: how the figure would move had other pictures of the same
kind been drawn. None of them covers another seed or another dataset.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NUM_RESAMPLES = 1000
# The two-sided 95 % point of the normal distribution.
Z_95 = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; all three are None where the figure is undefined."""

    value: float | None
    low: float | None
    high: float | None


UNDEFINED = Estimate(None, None, None)


def estimate_share(hits: int, total: int) -> Estimate:
    """Estimate `hits / total` with Wilson's score interval, undefined for a total of 0.

    It stays honest for few pictures and for shares of 0 and 1, where the normal interval and the
    bootstrap collapse to a point.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA
    1927.
    """
    if total == 0:
        return UNDEFINED
    share, doubt = hits / total, Z_95**2 / total
    middle = (share + doubt / 2) / (1 + doubt)
    margin = math.sqrt(doubt * (share * (1 - share) + doubt / 4)) / (1 + doubt)
    # At the ends of the range the interval ends there, too, whatever rounding says.
    low, high = (middle - margin) * (hits > 0), middle + margin if hits < total else 1.0
    return Estimate(share, low, high)


def estimate_shares(
    hits: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], label_names: Sequence[str]
) -> dict[str, Estimate]:
    """Estimate for each label the share of its pictures that are hits; undefined without any."""
    return {
        name: estimate_share(int(hits[labels == label].sum()), int((labels == label).sum()))
        for label, name in enumerate(label_names)
    }


def estimate_bootstrap(value: float, resampled: npt.NDArray[np.float64]) -> Estimate:
    """Estimate a figure from its values in resamples: the 2.5 and 97.5 percentiles.

    Source: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979.

    Args:
        value: The figure on the pictures themselves; NaN where it is undefined.
        resampled: (R,) the figure in each resample; NaN where a resample leaves it undefined.
    """
    if np.isnan(value):
        return UNDEFINED
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    # A biased figure can fall outside its own percentiles, which nobody could read.
    return Estimate(value, min(float(low), value), max(float(high), value))


def estimate_normal(value: float, standard_error: float, highest: float = np.inf) -> Estimate:
    """Estimate value ± 1.96 standard errors, cut to [0, `highest`]; a NaN is undefined."""
    if np.isnan(value):
        return UNDEFINED
    margin = Z_95 * standard_error
    return Estimate(value, max(0.0, value - margin), min(highest, value + margin))


def estimate_mean(values: npt.NDArray[np.float64], highest: float = np.inf) -> Estimate:
    """Estimate the mean of values (N,) in [0, `highest`] with the normal interval.

    It is undefined for an N of 0.
    """
    if len(values) == 0:
        return UNDEFINED
    error = float(values.std() / np.sqrt(len(values)))
    return estimate_normal(float(values.mean()), error, highest)


def resample_counts(counts: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray:
    """Resample a table of counts with replacement, as if its pictures had been resampled.

    A picture matters to a confusion matrix only through its cell, so one multinomial draw over the
    cells is a bootstrap over pictures, at a cost that does not grow with their number.

    Args:
        counts: Any shape, at least one picture in all.
        rng: Where the draws come from.

    Returns:
        (1000, *counts.shape) counts, each with the same total.
    """
    total = int(counts.sum())
    draws = rng.multinomial(total, counts.ravel() / total, size=NUM_RESAMPLES)
    return draws.reshape(NUM_RESAMPLES, *counts.shape)
