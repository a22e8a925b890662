"""Calibration: temperatures that were planted are found, and offsets are as by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from fer_hf.evaluation.calibration import compute_logit_offsets, fit_temperature
from fer_hf.evaluation.metrics import compute_ece


def draw(temperature, count=20_000):
    """Logits that are `temperature` times too large for the labels drawn from them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=1.5, size=(count, 4))
    scores = softmax(logits, axis=1)
    labels = (scores.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_planted_is_found_and_calibrates(temperature):
    logits, labels = draw(temperature)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    after = compute_ece(softmax(logits / found, axis=1), labels)
    assert after < 0.012
    if temperature != 1:
        assert compute_ece(softmax(logits, axis=1), labels) > 5 * after


def test_a_perfect_classifier_gets_the_lowest_temperature_allowed():
    assert fit_temperature([[1.0, 0.0], [0.0, 1.0]], [0, 1]) == pytest.approx(0.05, rel=0.01)


def test_offsets_by_hand():
    # −ln of 0.5, 0.25, 0.25 is 0.693, 1.386, 1.386, minus their mean 1.155.
    offsets = compute_logit_offsets([0.5, 0.25, 0.25], 1.0)
    np.testing.assert_allclose(offsets, [-0.4621, 0.2310, 0.2310], atol=1e-4)
    np.testing.assert_allclose(compute_logit_offsets([0.5, 0.25, 0.25], 0.5), offsets / 2)
    assert (compute_logit_offsets([0.9, 0.1], 0.0) == 0).all()


def test_a_label_without_pictures_cannot_be_raised():
    with pytest.raises(ValueError, match=r"no training picture.*--logit_adjustment 0"):
        compute_logit_offsets([0.5, 0.5, 0.0], 0.3)
