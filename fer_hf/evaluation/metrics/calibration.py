"""Scores that mean what they say: temperatures, offsets, and an adjustment for rare labels.

All are linear in the logits, so that they fold into the head's last layer and every later user of
the checkpoint, `pipeline()` too, gets calibrated scores without further ado. They are fitted on
logits (N, C) and labels (N,), integers in [0, C), of N ≥ 1 pictures that training has not seen.

Source of temperature and vector scaling: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern
Neural Networks", ICML 2017, section 4.2.
"""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.intervals import Z_95
from fer_hf.evaluation.metrics.predictions import (
    Floats,
    Ints,
    compute_log_softmax,
    compute_softmax,
    match_votes,
)

logger = logging.getLogger(__name__)

METHODS = ("temperature", "vector")
# How far temperatures, and the factors by which offsets change odds, may be from 1 either way: a
# label without pictures, or labels without a mistake between them, would drive them to infinity.
_FURTHEST = np.log(20)
_NUM_FOLDS = 5


@dataclass(frozen=True)
class Calibration:
    """Calibrated scores are softmax((logits + offsets) / temperatures).

    Attributes:
        method: `temperature`, the same for all labels and no offsets, or `vector`.
        temperatures: One for each label, 0.05–20; above 1 the scores were too sure.
        offsets: One for each label.
    """

    method: str
    temperatures: list[float]
    offsets: list[float]

    def apply(self, logits: npt.ArrayLike) -> Floats:
        """Return the calibrated logits of logits (..., C)."""
        return (np.asarray(logits, dtype=np.float64) + self.offsets) / self.temperatures


def fit_calibration(logits: npt.ArrayLike, labels: npt.ArrayLike, method: str) -> Calibration:
    """Fit a calibration by `temperature`, `vector` or `auto`.

    `auto` takes vector scaling if its NLL in five-fold cross-validation is lower by more than
    chance (its gain's 95 % interval is above 0), else a temperature.

    Raises:
        ValueError: `method` is none of these.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if method == "auto":
        method = _choose_method(logits, labels)
    num_labels = logits.shape[1]
    if method == "temperature":
        temperature = fit_temperature(logits, labels)
        return Calibration(method, [temperature] * num_labels, [0.0] * num_labels)
    if method == "vector":
        temperatures, offsets = fit_vector_scaling(logits, labels)
        return Calibration(method, temperatures.tolist(), offsets.tolist())
    raise ValueError(f"`method` is {method!r}, expected one of {(*METHODS, 'auto')}.")


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Find the temperature T, 0.05–20, at which softmax(logits / T) has the lowest NLL."""
    logits, rows = np.asarray(logits, dtype=np.float64), np.arange(len(logits))
    true_logits = logits[rows, np.asarray(labels)]
    low, high = -_FURTHEST, _FURTHEST
    for _ in range(40):
        middle = (low + high) / 2
        scores = compute_softmax(logits / np.exp(middle))
        # The NLL is convex in 1/T, with this slope, but for a factor.
        is_too_sure = (scores * logits).sum() > true_logits.sum()
        low, high = (middle, high) if is_too_sure else (low, middle)
    return float(np.exp((low + high) / 2))


def fit_vector_scaling(logits: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Find the temperatures (C,) and offsets (C,) with the lowest NLL.

    They are the diagonal W and the b of the source, with W above 0, so that a higher logit never
    makes its label less likely. Each label's temperature and odds stay within 1/20 and 20.
    """
    logits = np.asarray(logits, dtype=np.float64)
    truth = np.eye(logits.shape[1])[np.asarray(labels)]
    return _minimise_cross_entropy(logits, truth, num_temperatures=logits.shape[1])


def fit_crowd(scores: npt.ArrayLike, votes: npt.ArrayLike) -> tuple[float, Floats] | None:
    """Find the temperature and the offsets that bring scores nearest to the spread of the votes.

    Calibrated scores say how likely a label is the crowd's, which is right more often than one
    voter agrees with it, and a logit adjustment has raised rare labels: nothing serves both. These
    have the lowest soft cross-entropy against the votes (`human.estimate_soft_cross_entropy`).

    Args:
        scores: (N, C), rows sum to 1.
        votes: (N, C) counts in the same order; rows without a vote are left out.

    Returns:
        Temperature, 0.05–20, and offsets (C,) for `not_sure.soften_scores`; None if nobody voted.

    Raises:
        ValueError: The shapes differ.
    """
    clipped, shares = match_votes(scores, votes)
    if not len(shares):
        return None
    temperatures, offsets = _minimise_cross_entropy(np.log(clipped), shares, num_temperatures=1)
    return float(temperatures[0]), offsets


def compute_logit_offsets(label_shares: npt.ArrayLike, strength: float) -> Floats:
    """Compute what to add to logits so that rare labels are found as often as frequent ones.

    Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 9: −τ·ln π.

    Args:
        label_shares: (C,) share of each label in training, π; each above 0.
        strength: τ ≥ 0. 0 serves accuracy, 1 the balanced accuracy.

    Returns:
        (C,) offsets with a mean of 0.

    Raises:
        ValueError: A label has no share.
    """
    shares = np.asarray(label_shares, dtype=np.float64)
    if (shares <= 0).any():
        raise ValueError(
            f"A label has no training picture, so its logit cannot be raised: {shares.tolist()}. "
            "Add pictures, or use --logit_adjustment 0."
        )
    offsets = -strength * np.log(shares)
    return offsets - offsets.mean()


def _minimise_cross_entropy(
    logits: Floats, targets: Floats, num_temperatures: int
) -> tuple[Floats, Floats]:
    """Find temperatures, one or C, and offsets (C,) for targets (N, C) whose rows sum to 1."""
    from scipy.optimize import minimize  # a temperature alone can do without it

    num_labels = logits.shape[1]

    def compute_loss(parameters: Floats) -> tuple[float, Floats]:
        log_scales, biases = np.split(parameters, [num_temperatures])
        scaled = logits * np.exp(log_scales)
        log_scores = compute_log_softmax(scaled + biases)
        errors = (np.exp(log_scores) - targets) / len(targets)
        of_scales = (errors * scaled).sum(axis=0).reshape(num_temperatures, -1).sum(axis=1)
        gradient = np.concatenate([of_scales, errors.sum(axis=0)])
        return -(targets * log_scores).sum() / len(targets), gradient

    start = np.zeros(num_temperatures + num_labels)
    bounds = [(-_FURTHEST, _FURTHEST)] * len(start)
    found = minimize(compute_loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    log_scales, biases = np.split(found, [num_temperatures])
    temperatures = np.exp(-log_scales)
    return temperatures, biases * temperatures


def _choose_method(logits: Floats, labels: Ints) -> str:
    """Return `vector` if its NLL on held-out folds is clearly the lower one, else `temperature`."""
    if len(labels) < _NUM_FOLDS:
        return "temperature"
    rows = np.arange(len(labels))
    losses = {method: np.zeros(len(labels)) for method in METHODS}
    for held_out in np.array_split(np.random.default_rng(0).permutation(rows), _NUM_FOLDS):
        others = np.setdiff1d(rows, held_out)
        for method in METHODS:
            fitted = fit_calibration(logits[others], labels[others], method)
            log_scores = compute_log_softmax(fitted.apply(logits))
            losses[method][held_out] = -log_scores[rows, labels][held_out]
    gains = losses["temperature"] - losses["vector"]
    gain, error = gains.mean(), gains.std() / np.sqrt(len(gains))
    chosen = "vector" if gain > Z_95 * error else "temperature"
    logger.info(
        "Calibration by %s: on held-out folds of validation, vector scaling lowers the NLL of "
        "%.4f by %.4f ± %.4f.",
        chosen,
        losses["temperature"].mean(),
        gain,
        Z_95 * error,
    )
    return chosen
