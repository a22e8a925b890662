"""Not sure: thresholds by hand, sets that keep their promise, and what a config may say."""

import numpy as np
import pytest
from scipy.special import softmax

from fer_hf.evaluation.metrics.intervals import UNDEFINED, estimate_share
from fer_hf.evaluation.metrics.not_sure import NotSure, build_prediction_sets
from fer_hf.evaluation.metrics.thresholds import (
    count_needed,
    fit_confidence_threshold,
    fit_conformal_threshold,
    fit_conformal_thresholds,
    fit_not_sure,
    measure_selective_accuracy,
    measure_set_coverage,
)

NAMES = ["happy", "sad"]


def make_scores(true_scores, labels):
    """Rows of two scores of which that of the label is given."""
    true_scores = np.array(true_scores)
    first = np.where(np.array(labels) == 0, true_scores, 1 - true_scores)
    return np.stack([first, 1 - first], axis=1)


def draw(count, seed, shares=(0.6, 0.3, 0.1)):
    """Scores of a network that is far too sure, and labels of which one is rare."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=count, p=shares)
    logits = rng.normal(size=(count, 3)) + 1.5 * np.eye(3)[labels] + np.log(shares)
    return softmax(3 * logits, axis=1), labels


# Answering only what is sure


def fit_and_measure(scores, labels, coverage):
    threshold = fit_confidence_threshold(scores, labels, coverage)
    return measure_selective_accuracy(scores, labels, threshold)


def test_the_threshold_answers_the_surest_share_and_counts_what_is_right_of_it():
    scores = make_scores([0.95, 0.9, 0.2, 0.7, 0.6], [0, 1, 0, 1, 0])
    most, few = (fit_and_measure(scores, [0, 1, 0, 1, 0], share) for share in (0.8, 0.4))
    # 0.2 for the truth is 0.8 for a mistake: the third surest.
    assert most.threshold == pytest.approx(0.7)
    assert (most.coverage, most.accuracy) == (estimate_share(4, 5), estimate_share(3, 4))
    assert few.threshold == pytest.approx(0.9)
    assert (few.coverage, few.accuracy) == (estimate_share(2, 5), estimate_share(2, 2))


def test_at_least_one_picture_is_answered_and_equals_are_answered_together():
    scores = make_scores([0.9, 0.8, 0.8, 0.8], [0, 0, 0, 0])
    one = fit_and_measure(scores, [0] * 4, 0.01)
    assert one.coverage == estimate_share(1, 4)
    equals = fit_and_measure(scores, [0] * 4, 0.5)
    assert equals.coverage == estimate_share(4, 4)


def test_a_threshold_that_nothing_reaches_has_no_accuracy():
    answers = measure_selective_accuracy([[0.6, 0.4]], [0], 0.7)
    assert answers.coverage == estimate_share(0, 1)
    assert answers.accuracy == UNDEFINED


def test_the_share_that_is_answered_holds_for_other_pictures():
    fitted = fit_confidence_threshold(*draw(4000, 0), 0.9)
    measured = measure_selective_accuracy(*draw(4000, 1), fitted)
    assert measured.coverage.value == pytest.approx(0.9, abs=0.02)
    everything = measure_selective_accuracy(*draw(4000, 1), 0.0)
    assert measured.accuracy.low > everything.accuracy.value


# Conformal sets


def test_the_conformal_threshold_by_hand():
    # Nine pictures: of 10 · 0.8 = 8 the 8th smallest 1 − score, so the second lowest score.
    true_scores = [0.9, 0.1, 0.8, 0.3, 0.7, 0.6, 0.95, 0.4, 0.5]
    scores = make_scores(true_scores, [0] * 9)
    assert fit_conformal_threshold(scores, [0] * 9, 0.8) == pytest.approx(0.3)
    # Of 10 · 0.75 = 7.5 the 8th, too: promises are rounded up.
    assert fit_conformal_threshold(scores, [0] * 9, 0.75) == pytest.approx(0.3)
    assert fit_conformal_threshold(scores, [0] * 9, 0.9) == pytest.approx(0.1)
    # Nine pictures cannot promise more.
    assert fit_conformal_threshold(scores, [0] * 9, 0.91) == 0


def test_thresholds_per_label_are_those_of_its_pictures():
    labels = [0] * 19 + [1] * 9
    scores = make_scores([0.9, 0.2, 0.3, *[0.5] * 16, 0.1, *[0.6] * 8], labels)
    # Of 19 one may be outside at 90 %, of 9 one at 80 %.
    assert fit_conformal_thresholds(scores, labels, 0.9) == [pytest.approx(0.3), None]
    assert fit_conformal_thresholds(scores, labels, 0.8) == pytest.approx([0.5, 0.6])


@pytest.mark.parametrize(
    # (1 + coverage) / (1 − coverage) pictures, of which one may be outside.
    ("coverage", "number"),
    [(0.5, 3), (0.8, 9), (0.9, 19), (0.95, 39), (0.99, 199)],
)
def test_a_label_needs_as_many_pictures_as_its_promise_is_high(coverage, number):
    assert count_needed(coverage) == number
    enough, too_few = (np.full((n, 2), 0.5) for n in (number, number - 1))
    assert fit_conformal_thresholds(enough, [0] * number, coverage) == [0.5, None]
    if number > 1:
        assert fit_conformal_thresholds(too_few, [0] * (number - 1), coverage) == [None, None]


def test_a_label_without_a_threshold_of_its_own_has_the_one_of_all():
    not_sure = NotSure(0.9, 0.5, 0.3, conformal_thresholds=[0.5, None, 0.0])
    sets = not_sure.build_prediction_sets([[0.6, 0.3, 0.1], [0.49, 0.29, 0.22]])
    assert sets.tolist() == [[True, True, True], [False, False, True]]
    assert NotSure(0.9, 0.5, 0.3).build_prediction_sets([0.6, 0.3, 0.1]).tolist() == [
        *(True, True, False)
    ]


def test_sets_hold_what_reaches_the_threshold_and_may_be_empty():
    scores = [[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]]
    sets = build_prediction_sets(scores, 0.3)
    assert sets.tolist() == [[True, True, False], [True, True, False]]
    sets = build_prediction_sets(scores, [0.5, 0.4, 0.2])
    assert sets.tolist() == [[True, False, False], [False, False, True]]
    assert not build_prediction_sets(scores, 0.7).any()


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_cover_other_pictures_as_promised_and_per_label_only_where_asked(coverage):
    calibration, (scores, labels) = draw(4000, 0), draw(4000, 1)
    names = ["often", "less", "rare"]

    def measure(threshold):
        return measure_set_coverage(build_prediction_sets(scores, threshold), labels, names)

    overall = measure(fit_conformal_threshold(*calibration, coverage))
    assert overall.overall.value == pytest.approx(coverage, abs=0.02)
    assert overall.per_label["rare"].high < coverage
    fitted = fit_not_sure(*calibration, coverage=coverage)
    each = measure(fitted.conformal_thresholds)
    for share in each.per_label.values():
        assert coverage - 0.06 < share.value < coverage + 0.09
    # It costs larger sets.
    assert each.mean_size > overall.mean_size


def test_coverage_by_hand():
    sets = [[True, True], [True, False], [False, False], [False, True]]
    coverage = measure_set_coverage(sets, [0, 1, 0, 1], [*NAMES])
    assert coverage.overall == estimate_share(2, 4)
    assert coverage.per_label == {"happy": estimate_share(1, 2), "sad": estimate_share(1, 2)}
    assert (coverage.mean_size, coverage.num_empty) == (1.0, 1)
    assert measure_set_coverage(sets, [0] * 4, NAMES).per_label["sad"] == UNDEFINED


# What a checkpoint keeps


def test_what_is_fitted_is_what_each_part_fits_and_survives_as_plain_data():
    scores, labels = draw(500, 0)
    fitted = fit_not_sure(scores, labels)
    threshold = fit_confidence_threshold(scores, labels, 0.9)
    each = np.minimum(fit_conformal_thresholds(scores, labels), threshold).tolist()
    pooled = fit_conformal_threshold(scores, labels)
    assert fitted == NotSure(0.9, threshold, pooled, conformal_thresholds=each)
    kept = {"coverage", "threshold", "conformal_threshold", "conformal_thresholds"}
    assert set(fitted.to_dict()) == kept
    assert NotSure.from_dict(fitted.to_dict(), num_labels=3) == fitted

    votes = np.random.default_rng(0).multinomial(10, softmax(np.log(scores) / 2, axis=1))
    voted = fit_not_sure(scores, labels, votes, coverage=0.8)
    assert voted.coverage == 0.8
    assert voted.crowd_temperature == pytest.approx(2, rel=0.1)
    assert len(voted.crowd_offsets) == 3
    assert NotSure.from_dict(voted.to_dict(), num_labels=3) == voted


def test_an_answer_that_the_model_is_sure_of_is_in_its_set():
    # Happy would need 0.9 to be in a set (the 9th smallest 1 − score of ten), but is answered from
    # 0.7 on: the 18th highest top score of twenty. Of sad there are too few.
    labels = [0] * 10 + [1] * 3
    scores = make_scores([*[0.9] * 9, 0.2, 0.7, 0.7, 0.7], labels)
    assert fit_conformal_thresholds(scores, labels, 0.8) == [pytest.approx(0.9), None]
    fitted = fit_not_sure(scores, labels, coverage=0.8)
    assert fitted.threshold == pytest.approx(0.8)
    assert fitted.conformal_thresholds == [fitted.threshold, None]


def test_pictures_too_few_for_any_label_leave_one_threshold_for_all():
    fitted = fit_not_sure(make_scores([0.9, 0.8] * 4, [0, 1] * 4), [0, 1] * 4, coverage=0.85)
    assert fitted == NotSure(0.85, pytest.approx(0.8), pytest.approx(0.8))
    assert set(fitted.to_dict()) == {"coverage", "threshold", "conformal_threshold"}


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 90, float("nan")])
def test_shares_out_of_range_are_refused(coverage):
    message = "`coverage` is .*expected a share above 0 and below 1"
    with pytest.raises(ValueError, match=message):
        fit_confidence_threshold([[0.6, 0.4]], [0], coverage)
    with pytest.raises(ValueError, match=message):
        fit_conformal_threshold([[0.6, 0.4]], [0], coverage)
    with pytest.raises(ValueError, match=message):
        fit_conformal_thresholds([[0.6, 0.4]], [0], coverage)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one row of scores for each label"):
        fit_not_sure([[0.6, 0.4]], [0, 1])
    with pytest.raises(ValueError, match="expected finite numbers"):
        fit_not_sure([[np.nan, 0.4]], [0])
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(2, 2\)"):
        measure_set_coverage([[True, False]], [0, 1], NAMES)
    with pytest.raises(ValueError, match="at least one row"):
        measure_set_coverage(np.zeros((0, 2)), [], NAMES)


@pytest.mark.parametrize(
    "data",
    [
        "often",
        [0.9, 0.5, 0.1],
        {"coverage": 0.9, "threshold": 0.5},
        {"coverage": 0.9, "threshold": "0.5", "conformal_threshold": 0.1},
        {"coverage": 0.9, "threshold": 1.5, "conformal_threshold": 0.1},
        {"coverage": 0.9, "threshold": float("nan"), "conformal_threshold": 0.1},
        {"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.1, "crowd_temperature": 0},
        {"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.1, "crowd_offsets": [1.0]},
        {"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.1, "crowd_offsets": 1.0},
        {"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.1, "crowd_offsets": [1, "2"]},
        {"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.1, "mood": 0.2},
        *(
            {
                **{"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.1},
                "conformal_thresholds": each,
            }
            for each in ([0.1], [0.1, 1.5], [0.1, "2"], [0.1, float("nan")], 0.1)
        ),
    ],
)
def test_a_config_that_says_something_else_is_refused(data):
    with pytest.raises(
        ValueError, match=r"`not_sure` in the checkpoint's config is .*add_not_sure"
    ):
        NotSure.from_dict(data, num_labels=2)
