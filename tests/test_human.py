"""One person is scored as FER+'s protocol has it."""

import numpy as np
import pytest

from fer_hf.evaluation.human import compute_constant_answer, compute_tagger


def test_a_tagger_is_right_as_often_as_the_crowd_agrees():
    # Three of four, then one of two (one more vote for no label), then all of three.
    votes = [[3, 1], [0, 1], [3, 0]]
    tagger = compute_tagger(votes, [0, 1, 0], other_votes=[0, 1, 0])
    assert tagger.accuracy == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert tagger.balanced_accuracy == pytest.approx(((3 / 4 + 1) / 2 + 1 / 2) / 2)


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


@pytest.mark.realdata
def test_one_tagger_scores_on_ferplus_what_its_readme_says(ferplus_dir):
    from fer_hf.data import load_splits

    test = load_splits(ferplus_dir)["test"]
    tagger = compute_tagger(
        np.array(test["votes"][:]), test["label"][:], np.array(test["other_votes"][:])
    )
    assert tagger.accuracy == pytest.approx(0.785, abs=5e-4)
    assert tagger.balanced_accuracy == pytest.approx(0.700, abs=5e-4)
    constant = compute_constant_answer(test["label"][:], test.features["label"].names)
    assert constant.name == "always neutral"
    assert constant.accuracy == pytest.approx(0.346, abs=5e-4)
