"""One person is scored as FER+'s protocol has it."""

import numpy as np
import pytest

from fer_hf.evaluation.people.human import (
    compute_constant_answer,
    compute_tagger,
    compute_tagger_recalls,
    estimate_entropy_correlation,
    estimate_kl_divergence,
    estimate_soft_cross_entropy,
)


def test_a_tagger_is_right_as_often_as_the_crowd_agrees():
    # Three of four, then one of two (one more vote for no label), then all of three.
    votes = [[3, 1], [0, 1], [3, 0]]
    tagger = compute_tagger(votes, [0, 1, 0], other_votes=[0, 1, 0])
    assert tagger.accuracy == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert tagger.balanced_accuracy == pytest.approx(((3 / 4 + 1) / 2 + 1 / 2) / 2)


def test_a_tagger_has_a_recall_for_each_label_that_occurs():
    votes = [[3, 1, 0], [0, 1, 0], [3, 0, 0]]
    recalls = compute_tagger_recalls(votes, [0, 1, 0], ["a", "b", "c"], other_votes=[0, 1, 0])
    assert recalls == {"a": pytest.approx((3 / 4 + 1) / 2), "b": pytest.approx(1 / 2), "c": None}


def test_the_constant_answer_is_the_most_frequent_label():
    constant = compute_constant_answer([0, 1, 1, 3], ["a", "b", "c", "d"])
    assert constant.name == "always b"
    assert constant.accuracy == 0.5
    assert constant.balanced_accuracy == pytest.approx(1 / 3)  # c does not occur


def test_votes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected a row of votes for each label"):
        compute_tagger([[1, 0]], [0, 1])
    with pytest.raises(ValueError, match="Row 1 has no vote"):
        compute_tagger([[1, 0], [0, 0]], [0, 1])
    with pytest.raises(ValueError, match=r"\(1, 2\) and votes \(1, 3\), expected a vote count for"):
        estimate_soft_cross_entropy([[0.5, 0.5]], [[1, 0, 0]])


def test_soft_cross_entropy_is_the_mean_over_the_rows_with_votes():
    scores = [[0.5, 0.25, 0.25], [0.8, 0.1, 0.1], [0.2, 0.4, 0.4]]
    # The first row is torn between two labels, the second has no vote, the third a single one.
    figure, num_rows = estimate_soft_cross_entropy(scores, [[2, 2, 0], [0, 0, 0], [1, 0, 0]])
    first, third = -(0.5 * np.log(0.5) + 0.5 * np.log(0.25)), -np.log(0.2)
    assert num_rows == 2
    assert figure.value == pytest.approx((first + third) / 2)
    # Of two values the standard deviation is half their difference.
    margin = 1.959964 * (third - first) / 2 / np.sqrt(2)
    assert figure.high - figure.value == pytest.approx(margin)
    assert figure.value - figure.low == pytest.approx(margin)


def test_soft_cross_entropy_is_lowest_for_the_shares_of_the_votes_themselves():
    votes = np.array([[6, 3, 1], [1, 1, 8]])
    shares = votes / 10
    entropy = -(shares * np.log(shares)).sum(axis=1).mean()
    assert estimate_soft_cross_entropy(shares, votes)[0].value == pytest.approx(entropy)
    others = shares[:, ::-1]
    assert estimate_soft_cross_entropy(others, votes)[0].value > entropy


def test_soft_cross_entropy_stays_finite_and_is_undefined_without_votes():
    figure, _ = estimate_soft_cross_entropy([[1.0, 0.0]], [[0, 1]])
    assert figure.value == pytest.approx(36.04, abs=0.01)
    figure, num_rows = estimate_soft_cross_entropy([[1.0, 0.0]], [[0, 0]])
    assert (figure.value, figure.low, figure.high, num_rows) == (None, None, None, 0)


def test_kl_divergence_is_the_soft_cross_entropy_less_the_entropy_of_the_votes():
    scores = [[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]]
    votes = [[2, 2], [0, 0], [3, 0]]
    torn = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    figure = estimate_kl_divergence(scores, votes)
    assert figure.value == pytest.approx((torn - np.log(0.9)) / 2)
    entropy = np.log(2) / 2  # of a torn row and a unanimous one
    soft_cross_entropy, _ = estimate_soft_cross_entropy(scores, votes)
    assert figure.value == pytest.approx(soft_cross_entropy.value - entropy)
    assert estimate_kl_divergence([[0.5, 0.5]], [[3, 3]]).value == pytest.approx(0)
    assert estimate_kl_divergence([[0.5, 0.5]], [[0, 0]]).value is None
    with pytest.raises(ValueError, match="expected a vote count for each score"):
        estimate_kl_divergence([[0.5, 0.5]], [1, 0])


def test_entropies_of_scores_and_votes_are_correlated():
    sure, torn, lost = [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.25, 0.25, 0.25]
    # Entropies in units of ln 2: 0, 1, 2, 2 of the votes and 0, 1, 1, 2 of the scores. Their
    # deviations from the means are (-5, -1, 3, 3) / 4 and (-1, 0, 0, 1).
    votes = 4 * np.array([sure, torn, lost, lost])
    pearson, spearman = estimate_entropy_correlation([sure, torn, torn, lost], votes)
    assert pearson.value == pytest.approx((5 + 3) / np.sqrt((25 + 1 + 9 + 9) * 2))
    # Of the ranks, 1, 2, 3.5, 3.5 and 1, 2.5, 2.5, 4, they are (-3, -1, 2, 2) / 2 and (-3, 0, 0, 3)
    # / 2. Which label it is does not matter.
    assert spearman.value == pytest.approx((9 + 6) / np.sqrt((9 + 1 + 4 + 4) * (9 + 9)))
    assert pearson.low < pearson.value <= pearson.high == pytest.approx(1)
    mirrored = estimate_entropy_correlation(np.array([sure, torn[::-1], torn, lost]), votes)
    assert mirrored == (pearson, spearman)
    # A row without a vote has no part in it.
    more = estimate_entropy_correlation([sure, torn, torn, lost, sure], [*votes, [0] * 4])
    assert more == (pearson, spearman)


def test_entropies_that_never_change_have_no_correlation():
    for votes in ([[1, 0], [0, 1]], [[0, 0], [0, 0]]):
        figures = estimate_entropy_correlation([[0.9, 0.1], [0.6, 0.4]], votes)
        assert [figure.value for figure in figures] == [None, None]


@pytest.mark.realdata
def test_one_tagger_scores_on_ferplus_what_its_readme_says(ferplus_dir):
    from fer_hf.data import load_splits

    test = load_splits(ferplus_dir)["test"]
    names = test.features["label"].names
    votes, others = np.array(test["votes"][:]), np.array(test["other_votes"][:])
    tagger = compute_tagger(votes, test["label"][:], others)
    assert tagger.accuracy == pytest.approx(0.785, abs=5e-4)
    assert tagger.balanced_accuracy == pytest.approx(0.700, abs=5e-4)
    recalls = compute_tagger_recalls(votes, test["label"][:], names, others)
    assert recalls == pytest.approx(
        {
            "anger": 0.699,
            "contempt": 0.587,
            "disgust": 0.550,
            "fear": 0.625,
            "happy": 0.918,
            "neutral": 0.755,
            "sad": 0.700,
            "surprise": 0.765,
        },
        abs=6e-4,  # the file has three digits
    )
    constant = compute_constant_answer(test["label"][:], names)
    assert constant.name == "always neutral"
    assert constant.accuracy == pytest.approx(0.346, abs=5e-4)
