"""A linear head on features that do not change: cross-validated logistic regression, in numpy.

A few dozen pictures need no small steps: Newton's find the optimum at once, and cross-validation
says how good it is without holding pictures back.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fer_hf.evaluation.metrics.calibration import fit_temperature
from fer_hf.evaluation.metrics.predictions import (
    Floats,
    Ints,
    compute_log_softmax,
    compute_softmax,
)

Folds = list[tuple[Ints, Ints]]

MOST_FOLDS = 5
# Inverse strengths of the L2 penalty, as scikit-learn counts them.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

_MOST_STEPS = 100
# Of the gradient's norm for each row: then the logits are settled to about four digits.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class FittedHead:
    """A linear head, and how it did in cross-validation.

    Attributes:
        weight: Shape (num_labels, D).
        bias: Shape (num_labels,).
        held_out_scores: Shape (N, num_labels), of each picture by a head that had not seen it.
        strength: Inverse strength of the penalty, chosen by the NLL of those scores.
        temperature: Divisor of the logits that calibrates them; the weights include it.
        num_folds: Of the cross-validation.
    """

    weight: Floats
    bias: Floats
    held_out_scores: Floats
    strength: float
    temperature: float
    num_folds: int


def fit_head(features: npt.ArrayLike, labels: npt.ArrayLike, *, seed: int = 0) -> FittedHead:
    """Fit a linear head by cross-validated logistic regression, and calibrate it.

    Folds are stratified: five, or as many as the commonest label has pictures. All views of a
    picture are in the same fold.

    Args:
        features: Shape (views, N, D); all views are learnt, the first one is scored.
        labels: (N,) integers from 0 on, each at least twice.
        seed: Decides the folds.

    Raises:
        ValueError: A label with fewer than two pictures, or features that are not finite.
    """
    views, label_ids = np.asarray(features, dtype=np.float64), np.asarray(labels)
    counts = np.bincount(label_ids)
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError(
            f"Labels have {counts.tolist()} pictures, expected two labels or more with two "
            "pictures or more each. Add pictures, or remove the label."
        )
    folds = list_folds(label_ids, seed)
    held_out = {
        strength: compute_held_out_logits(views, label_ids, folds, strength)
        for strength in STRENGTHS
    }
    rows = np.arange(len(label_ids))
    strength = max(
        STRENGTHS, key=lambda c: compute_log_softmax(held_out[c])[rows, label_ids].mean()
    )
    temperature = fit_temperature(held_out[strength], label_ids)
    weight, bias = _fit(views, label_ids, strength)
    return FittedHead(
        weight=weight / temperature,
        bias=bias / temperature,
        held_out_scores=compute_softmax(held_out[strength] / temperature),
        strength=strength,
        temperature=temperature,
        num_folds=len(folds),
    )


def compute_held_out_logits(views: Floats, labels: Ints, folds: Folds, strength: float) -> Floats:
    """Return logits (N, num_labels) of first views, each by a head that had not seen the picture.

    Features, labels and folds are those of `fit_head`; 1 / `strength` is the L2 penalty.
    """
    logits = np.zeros((len(labels), labels.max() + 1))
    for train, test in folds:
        weight, bias = _fit(views[:, train], labels[train], strength)
        logits[test] = views[0, test] @ weight.T + bias
    return logits


def list_folds(labels: Ints, seed: int = 0) -> Folds:
    """Return the rows to learn from and the rows held out, for each fold of `fit_head`.

    Each label with two pictures or more is among the rows to learn from in every fold.
    """
    num_folds = int(min(MOST_FOLDS, np.bincount(labels).max()))
    order = np.random.default_rng(seed).permutation(len(labels))
    # Dealt out label by label like cards, so that folds differ by one picture of a label at most.
    dealt = order[np.argsort(labels[order], kind="stable")]
    held_out = [np.sort(dealt[fold::num_folds]) for fold in range(num_folds)]
    return [(np.setdiff1d(order, rows), rows) for rows in held_out]


def _fit(views: Floats, labels: Ints, strength: float) -> tuple[Floats, Floats]:
    """Return weight (num_labels, D) and bias (num_labels,) for features that are not scaled."""
    rows = views.reshape(-1, views.shape[-1])
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[np.ptp(rows, axis=0) == 0] = 1  # a feature that never changes says nothing
    points = np.column_stack([(rows - mean) / scale, np.ones(len(rows))])
    penalties = np.append(np.full(len(mean), 1 / strength), 0)[:, None]  # the bias has none
    weights = _minimise(points, np.eye(labels.max() + 1)[np.tile(labels, len(views))], penalties)
    weight = weights[:-1].T / scale
    return weight, weights[-1] - weight @ mean


def _minimise(points: Floats, truth: Floats, penalties: Floats) -> Floats:
    """Find the weights (D, C) of a multinomial logistic regression by Newton's method.

    They minimise Σ −truth · log_softmax(points @ weights) + Σ penalties · weights² / 2. Each step
    is found by conjugate gradients, which need no Hessian, and halved until it lowers that enough.

    Source: Nocedal, Wright, "Numerical Optimization", 2006, algorithm 7.1.

    Args:
        points: (N, D).
        truth: (N, C), rows sum to 1.
        penalties: (D, 1), 0 or more.
    """

    def compute_loss(weights: Floats) -> tuple[float, Floats]:
        log_scores = compute_log_softmax(points @ weights)
        return -(truth * log_scores).sum() + (penalties * weights**2).sum() / 2, log_scores

    weights = np.zeros((points.shape[1], truth.shape[1]))
    loss, log_scores = compute_loss(weights)
    for _ in range(_MOST_STEPS):
        scores = np.exp(log_scores)
        gradient = points.T @ (scores - truth) + penalties * weights
        if np.linalg.norm(gradient) <= _TOLERANCE * len(points):
            return weights
        step = _find_step(points, scores, penalties, gradient)
        promised = (gradient * step).sum()
        share = 1.0
        before = loss
        while (found := compute_loss(weights - share * step))[0] > before - share * promised / 1e4:
            share /= 2
        weights, (loss, log_scores) = weights - share * step, found
    raise ValueError(
        f"No head was found for these features in {_MOST_STEPS} steps, expected features that are "
        "finite and of a similar size. Teach another model."
    )


def _find_step(points: Floats, scores: Floats, penalties: Floats, gradient: Floats) -> Floats:
    """Solve Hessian · step = gradient by conjugate gradients, roughly while far from the goal."""
    step, rest = np.zeros_like(gradient), gradient
    direction, size = rest, (rest**2).sum()
    enough = size * min(0.25, np.sqrt(size) / len(points))
    while size > enough:
        logits = points @ direction
        errors = scores * (logits - (scores * logits).sum(axis=1, keepdims=True))
        curved = points.T @ errors + penalties * direction
        length = size / (direction * curved).sum()
        step = step + length * direction
        rest = rest - length * curved
        previous, size = size, (rest**2).sum()
        direction = rest + size / previous * direction
    return step
