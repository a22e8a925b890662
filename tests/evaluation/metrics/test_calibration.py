"""Calibration: what was planted is found, folds into a head, and has to earn its place."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from fer_hf.evaluation.metrics.calibration import (
    compute_logit_offsets,
    fit_calibration,
    fit_crowd,
    fit_temperature,
    fit_vector_scaling,
)
from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.evaluation.metrics.not_sure import soften_scores
from fer_hf.evaluation.metrics.probabilities import compute_ece, compute_reliability
from fer_hf.evaluation.people.human import estimate_soft_cross_entropy
from fer_hf.evaluation.reports.evaluation_plots import plot_reliability
from fer_hf.models import fold_into_head, load_model


def draw(temperature, count=20_000, offsets=0.0):
    """Logits whose (logits + offsets) / temperature are calibrated for labels drawn from them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=1.5, size=(count, 4))
    scores = softmax(logits, axis=1)
    labels = (scores.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return logits * temperature - offsets, labels


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


# A temperature and an offset for each label


def test_the_vector_that_was_planted_is_found():
    temperatures, offsets = np.array([0.5, 1.0, 2.0, 3.0]), np.array([0.5, -1.0, 0.0, 1.5])
    logits, labels = draw(temperatures, offsets=offsets)
    found, shifts = fit_vector_scaling(logits, labels)
    assert found == pytest.approx(temperatures, rel=0.05)
    # What is added to all labels alike changes no score.
    difference = (shifts / found) - (offsets / temperatures)
    assert difference - difference.mean() == pytest.approx(np.zeros(4), abs=0.1)
    scores = softmax((logits + shifts) / found, axis=1)
    plain = softmax(logits / fit_temperature(logits, labels), axis=1)
    assert compute_metrics(scores, labels)["nll"] < compute_metrics(plain, labels)["nll"] - 0.05


def test_a_label_without_pictures_is_not_ruled_out_for_ever():
    logits, labels = draw(1.0, count=500)
    temperatures, offsets = fit_vector_scaling(logits, np.minimum(labels, 2))
    assert (temperatures >= 1 / 20.001).all()
    assert (temperatures <= 20.001).all()
    assert abs(offsets / temperatures).max() == pytest.approx(np.log(20))


def test_auto_takes_the_vector_only_where_it_earns_its_place():
    logits, labels = draw(2.0, count=600)
    assert fit_calibration(logits, labels, "auto") == fit_calibration(logits, labels, "temperature")
    logits, labels = draw(2.0, count=600, offsets=np.array([1.0, -1.0, 0.5, 0.0]))
    assert fit_calibration(logits, labels, "auto") == fit_calibration(logits, labels, "vector")
    # Too few pictures to compare anything.
    assert fit_calibration(logits[:4], labels[:4], "auto").method == "temperature"


def test_auto_says_what_it_took_and_why(caplog):
    caplog.set_level("INFO", "fer_hf")
    fit_calibration(*draw(2.0, count=200), "auto")
    assert "Calibration by temperature: on held-out folds of validation" in caplog.text


def test_a_calibration_gives_the_logits_it_promises():
    logits, labels = draw(2.0, count=50)
    calibration = fit_calibration(logits, labels, "temperature")
    temperature = fit_temperature(logits, labels)
    np.testing.assert_allclose(calibration.apply(logits), logits / temperature)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"`method` is 'matrix', expected one of .*'vector'"):
        fit_calibration([[1.0, 0.0]], [0], "matrix")


@pytest.mark.parametrize("name", ["baseline", "resnetv2_18", "sigmoid"])
def test_a_vector_folds_into_every_head(name):
    # The head of a ResNetV2 is a convolution of one pixel, that of a baseline a dense layer.
    settings = {"resnetv2_18": {"model_args": {"channels": [8, 8, 8, 8], "stem_chs": 8}}}
    labels = ["no", "yes"] if name == "sigmoid" else ["happy", "sad", "calm"]
    network = "baseline" if name == "sigmoid" else name
    model = load_model(
        network, labels, input_size=32, sigmoid=name == "sigmoid", **settings.get(name, {})
    ).model.eval()
    pixel_values = torch.rand(2, 3, 32, 32)
    temperatures, offsets = [0.5, 2.0, 4.0][: len(labels)], [0.5, -1.0, 2.0][: len(labels)]
    with torch.no_grad():
        before = model(pixel_values=pixel_values).logits
        fold_into_head(model, temperatures, offsets)
        after = model(pixel_values=pixel_values).logits
    if name == "sigmoid":  # the logit of "yes" over that of "no", which is 0 before
        expected = (before - 1.0) / 2.0 - (0 + 0.5) / 0.5
    else:
        expected = (before + torch.tensor(offsets)) / torch.tensor(temperatures)
    torch.testing.assert_close(after, expected)


# The spread of votes


def draw_votes(logits, voters=10):
    rng = np.random.default_rng(1)
    return rng.multinomial(voters, softmax(logits, axis=1))


def test_the_temperature_of_the_crowd_is_found_from_votes():
    logits, _ = draw(1.0, count=2000)
    votes, scores = draw_votes(logits), softmax(2.5 * logits, axis=1)
    raised = [0.4, 0, 0, 0, -0.4, 0, 0, 0][: logits.shape[1]]
    scores = softmax(2.5 * logits + raised, axis=1)
    temperature, offsets = fit_crowd(scores, votes)
    assert temperature == pytest.approx(2.5, rel=0.05)
    assert offsets - offsets.mean() == pytest.approx(np.mean(raised) - raised, abs=0.1)

    def measure(temperature, offsets):
        softened = soften_scores(scores, temperature, offsets)
        return estimate_soft_cross_entropy(softened, votes)[0].value

    best = measure(temperature, offsets)
    assert best < min(measure(1.0, offsets), measure(0.95 * temperature, offsets))
    assert best < min(measure(3.0, offsets), measure(temperature, 0.0))


def test_rows_without_a_vote_do_not_count_and_without_any_there_is_no_temperature():
    logits, _ = draw(1.0, count=100)
    scores, votes = softmax(2 * logits, axis=1), draw_votes(logits)
    more = np.concatenate([scores, scores[::-1]]), np.concatenate([votes, 0 * votes])
    for found, expected in zip(fit_crowd(*more), fit_crowd(scores, votes), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert fit_crowd(scores, 0 * votes) is None


def test_scores_are_softened_as_their_logits_would_be():
    # √0.64 : √0.36 = 8 : 6.
    np.testing.assert_allclose(soften_scores([[0.64, 0.36]], 2.0), [[8 / 14, 6 / 14]])
    np.testing.assert_allclose(soften_scores([1.0, 0.0], 1.0), [1.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(soften_scores([0.5, 0.5], 2.0, np.log([9, 4])), [0.6, 0.4])


# Offsets and the diagram


def test_offsets_by_hand():
    # −ln of 0.5, 0.25, 0.25 is 0.693, 1.386, 1.386, minus their mean 1.155.
    offsets = compute_logit_offsets([0.5, 0.25, 0.25], 1.0)
    np.testing.assert_allclose(offsets, [-0.4621, 0.2310, 0.2310], atol=1e-4)
    np.testing.assert_allclose(compute_logit_offsets([0.5, 0.25, 0.25], 0.5), offsets / 2)
    assert (compute_logit_offsets([0.9, 0.1], 0.0) == 0).all()


def test_a_label_without_pictures_cannot_be_raised():
    with pytest.raises(ValueError, match=r"no training picture.*--logit_adjustment 0"):
        compute_logit_offsets([0.5, 0.5, 0.0], 0.3)


def test_the_diagram_shows_both_sides_with_their_counts():
    logits, labels = draw(3.0, count=400)
    before = compute_reliability(softmax(logits, axis=1), labels)
    after = compute_reliability(softmax(logits / 3, axis=1), labels)
    panels = {"before calibration": before, "after calibration": after}
    figure = plot_reliability(panels, "A model")
    left, right, left_counts, right_counts = figure.axes
    for name, axes, below, expected in (
        ("before", left, left_counts, before),
        ("after", right, right_counts, after),
    ):
        shown = f"{name} calibration, ECE {100 * expected.ece:.1f} %"
        assert axes.get_title(loc="left") == shown
        (points,) = [container.lines[0] for container in axes.containers]
        assert list(points.get_xdata()) == [c for c in expected.confidences if c is not None]
        assert [bar.get_height() for bar in below.patches] == expected.counts
    assert before.ece > after.ece
