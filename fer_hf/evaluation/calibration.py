"""Scores that mean what they say: a temperature, and an adjustment for how rare a label is.

Both are linear in the logits, so that they fold into the head's last layer and every later user of
the checkpoint, `pipeline()` too, gets calibrated scores without knowing.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Floats = npt.NDArray[np.float64]


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Find the temperature T > 0 at which softmax(logits / T) has the least NLL.

    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        logits: (N, C), N ≥ 1.
        labels: (N,) integers in [0, C).

    Returns:
        The temperature, between 0.05 and 20; above 1 the scores were too sure.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    rows = np.arange(len(labels))

    def compute_nll(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    bounds = (np.log(0.05), np.log(20))
    return float(np.exp(minimize_scalar(compute_nll, bounds=bounds, method="bounded").x))


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
            f"A label has no training picture, and with it no logit adjustment: {shares.tolist()}. "
            "Add pictures, or use --logit_adjustment 0."
        )
    offsets = -strength * np.log(shares)
    return offsets - offsets.mean()
