"""Confident learning: the rows, by hand."""

import numpy as np
import pytest

from fer_hf.evaluation.metrics.label_issues import find_label_issues


def test_what_reaches_the_threshold_of_another_label_is_suspicious_and_the_surest_comes_first():
    # Thresholds: (0.9 + 0.9 + 0.3 + 0.1) / 4 = 0.55 and (0.9 + 0.8 + 0.1) / 3 = 0.6.
    scores = np.array([0.9, 0.9, 0.3, 0.1, 0.1, 0.2, 0.9])
    issues = find_label_issues(np.stack([scores, 1 - scores], axis=1), [0, 0, 0, 0, 1, 1, 1])
    # Margins: row 2 0.7 − 0.3, row 3 0.9 − 0.1, row 6 0.9 − 0.1; of equals the first comes first.
    assert issues.rows.tolist() == [3, 6, 2]
    assert issues.suggested.tolist() == [1, 0, 1]


def test_a_label_is_not_suspicious_for_a_score_that_is_low_for_the_other_label():
    # The model prefers label 0 for row 2, but by far not as it does for pictures labelled so.
    scores = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]
    assert find_label_issues(scores, [0, 0, 1, 1]).rows.size == 0


def test_a_label_is_not_suspicious_for_another_one_that_scores_lower():
    # Row 2 reaches the threshold of label 1, 0.3, and not its own, 0.8; yet 0.55 is over 0.45.
    scores = [[0.95, 0.05], [0.9, 0.1], [0.55, 0.45], [0.7, 0.3], [0.7, 0.3]]
    assert find_label_issues(scores, [0, 0, 0, 1, 1]).rows.size == 0


def test_of_several_labels_that_reach_their_thresholds_the_highest_is_suggested():
    scores = [[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.2, 0.3, 0.5], [0.1, 0.4, 0.5]]
    # Thresholds 0.3, 0.5, 0.5: the last row, labelled 0, reaches only that of label 2.
    issues = find_label_issues(scores, [0, 1, 2, 0])
    assert issues.rows.tolist() == [3]
    assert issues.suggested.tolist() == [2]


def test_a_label_that_no_picture_bears_is_never_suggested():
    assert find_label_issues([[0.6, 0.0, 0.4], [0.1, 0.0, 0.9]], [0, 0]).rows.size == 0


def test_planted_errors_are_found_and_few_others():
    rng = np.random.default_rng(0)
    true = rng.integers(4, size=2000)
    logits = 6 * np.eye(4)[true] + rng.normal(size=(2000, 4))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = rng.permutation(2000)[:100]
    given = true.copy()
    given[wrong] = (given[wrong] + rng.integers(1, 4, 100)) % 4
    issues = find_label_issues(scores, given)
    hits = np.isin(issues.rows, wrong)
    assert hits.sum() >= 85
    assert hits[:80].all()
    assert (~hits).sum() <= 20
    assert (issues.suggested[hits] == true[issues.rows[hits]]).mean() > 0.95


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [([[0.5, 0.5]], [0, 1], "shape"), ([[2.0, 3.0]], [0], "sums to 5")],
)
def test_arrays_that_do_not_fit_are_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        find_label_issues(scores, labels)
