"""Panels of taggers, counted by hand and one by one."""

from itertools import combinations

import numpy as np
import pytest

from fer_hf.evaluation.people.panels import (
    compare_with_panels,
    compute_panel_agreement,
    compute_worth,
    estimate_panel_soft_cross_entropy,
)


@pytest.mark.parametrize(
    ("size", "judged", "right"),
    [
        # One of the three leaves two against one; the one leaves all three.
        (1, [1, 0], [3 / 4, 0]),
        # Half of the pairs are two of the three and leave a tie; the others are tied themselves.
        (2, [1 / 2, 0], [1 / 4, 0]),
        # A panel of the three is judged, and refuted, by the one.
        (3, [3 / 4, 1 / 4], [3 / 4, 0]),
        (4, [0, 0], [0, 0]),
    ],
)
def test_panels_of_four_taggers_agree_as_counted_by_hand(size, judged, right):
    found = compute_panel_agreement([[3, 1], [1, 3]], size)
    np.testing.assert_allclose(found[:, 0], [judged, right])
    np.testing.assert_allclose(found[:, 1], np.array([judged, right])[:, ::-1])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_panels_agree_as_if_every_one_had_been_drawn(size):
    counts = np.array([[0, 3, 1, 2], [2, 2, 2, 0]])
    expected = np.zeros((2, 2, 4))
    for row, count in enumerate(counts):
        taggers = np.repeat(range(4), count)
        draws = list(combinations(range(len(taggers)), size))
        for draw in draws:
            panel = np.bincount(taggers[list(draw)], minlength=4)
            left = count - panel
            if left.max() <= left.sum() / 2:
                continue
            majority = left.argmax()
            expected[0, row, majority] += 1 / len(draws)
            most = np.flatnonzero(panel == panel.max())
            expected[1, row, majority] += (majority in most) / len(most) / len(draws)
    np.testing.assert_allclose(compute_panel_agreement(counts, size), expected, atol=1e-12)


def test_people_and_the_model_stand_side_by_side():
    # On the second picture nobody says a but the model.
    votes, scores = [[3, 1, 0], [0, 4, 0]], [[0.6, 0.4, 0], [0.5, 0.3, 0.2]]
    comparison = compare_with_panels(scores, votes, ["a", "b", "c"])
    assert [panel.size for panel in comparison.panels] == [1, 2, 3]  # of four none is left for five
    one, two, three = comparison.panels
    assert (one.num_pictures, two.num_pictures, three.num_pictures) == pytest.approx((2, 1.5, 2))
    assert one.people.accuracy.value == pytest.approx((3 / 4 + 1) / 2)
    assert one.model.accuracy.value == pytest.approx(1 / 2)
    assert two.people.accuracy.value == pytest.approx((1 / 4 + 1) / 1.5)
    assert two.model.accuracy.value == pytest.approx((1 / 2) / 1.5)
    # Of three b is the majority on the second picture and on a quarter of the first.
    assert three.people.recall_per_label["a"].value == 1
    assert three.people.recall_per_label["b"].value == pytest.approx(1 / 1.25)
    assert three.people.recall_per_label["c"].value is None
    assert three.people.balanced_accuracy.value == pytest.approx((1 + 1 / 1.25) / 2)
    assert three.model.recall_per_label["b"].value == 0
    assert comparison.worth.accuracy.value == 0  # fewer than one
    # Alone a person misses a in one of four, and a panel of three never does, nor does the model.
    assert comparison.worth.recall_per_label["a"].value == pytest.approx(3)
    assert comparison.worth.recall_per_label["c"].value is None


def test_intervals_are_those_of_the_choice_of_pictures():
    votes, scores = np.tile([[3, 1], [2, 2]], (50, 1)), np.tile([[0.9, 0.1]], (100, 1))
    one = compare_with_panels(scores, votes, ["a", "b"]).panels[0]
    # Of [2, 2] one leaves a majority of two against one: 3/4 is right on half, none on the other.
    assert one.people.accuracy.value == pytest.approx((3 / 4 + 0) / 2)
    # A half of 100 has a standard error of 0.05, and the figure is 3/4 of such a share.
    margin = 1.96 * 0.05 * 3 / 4
    assert one.people.accuracy.low == pytest.approx(3 / 8 - margin, abs=0.015)
    assert one.people.accuracy.high == pytest.approx(3 / 8 + margin, abs=0.015)
    alike = compare_with_panels(scores[::2], votes[::2], ["a", "b"]).panels[0]
    assert alike.people.accuracy.low == pytest.approx(alike.people.accuracy.high)


def test_a_vote_for_no_label_is_a_wrong_answer_and_no_majority():
    votes, scores = [[3, 0], [1, 0]], [[0.9, 0.1], [0.9, 0.1]]
    # The second picture has a majority for no label, whoever is on the panel.
    comparison = compare_with_panels(scores, votes, ["a", "b"], [1, 3], sizes=[1])
    assert comparison.panels[0].num_pictures == pytest.approx(1)
    assert comparison.panels[0].people.accuracy.value == pytest.approx(3 / 4)
    assert comparison.panels[0].model.accuracy.value == 1


def test_where_nobody_is_left_to_judge_there_is_no_comparison():
    assert compare_with_panels([[0.9, 0.1]], [[1, 0]], ["a", "b"]) is None
    assert compare_with_panels([[0.9, 0.1]], [[0, 0]], ["a", "b"], [5]) is None


def test_worth_is_the_size_at_which_the_gap_closes():
    sizes, model = (1, 3, 9), np.full((3, 1), 0.7)

    def find(*people):
        return compute_worth(np.array(people)[:, None], model, sizes)[0]

    assert find(0.6, 0.8, 0.9) == pytest.approx(2)
    assert find(0.5, 0.6, 0.8) == pytest.approx(6)
    assert find(0.6, 0.9, 0.5) == pytest.approx(1 + 2 / 3)  # the smallest such panel
    assert find(0.7, 0.7, 0.7) == 1
    assert find(0.5, 0.6, 0.7) == 9
    assert find(0.8, 0.6, 0.9) == 0  # fewer than one
    assert find(0.5, 0.6, 0.65) == 10  # more than nine
    assert np.isnan(find(0.5, np.nan, 0.9))
    both = compute_worth([[0.6, 0.5], [0.8, 0.6], [0.9, 0.8]], [[0.7, 0.7]] * 3, sizes)
    assert both == pytest.approx([2, 6])


def test_soft_cross_entropy_of_a_panel_is_that_of_a_vote_held_out():
    # Base rates are 1/2 and 1/2. With one vote's weight of them: of [2, 1] a is held out two times
    # in three, and then the one other is for a in half of the draws; b is held out otherwise.
    a = -(np.log(1.5 / 2) + np.log(0.5 / 2)) / 2
    b = -np.log(0.5 / 2)
    first = 2 / 3 * a + 1 / 3 * b
    last = -np.log(0.5)  # of [0, 1] nobody is left, and the base rates answer
    figure = estimate_panel_soft_cross_entropy([[2, 1], [0, 0], [0, 1]], 1, prior_votes=1)
    assert figure.value == pytest.approx((first + last) / 2)
    # Of two values the standard deviation is half their difference.
    margin = 1.959964 * (first - last) / 2 / np.sqrt(2)
    assert figure.high - figure.value == pytest.approx(margin)


def test_a_panel_asks_all_others_where_there_are_fewer_than_its_size():
    votes = [[2, 1, 0], [3, 0, 0]]
    two, nine = (estimate_panel_soft_cross_entropy(votes, size, 1).value for size in (2, 9))
    assert two == pytest.approx(nine)
    # Base rates are 5/6 and 1/6; of [2, 1] one a is left for a, and none for b.
    first = -(2 / 3 * np.log((1 + 5 / 6) / 3) + 1 / 3 * np.log((1 / 6) / 3))
    assert nine == pytest.approx((first - np.log((2 + 5 / 6) / 3)) / 2)


def test_votes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 2\) and votes \(1, 3\) for 2 labels, expected a"):
        compare_with_panels([[0.5, 0.5]], [[1, 0, 0]], ["a", "b"])
    with pytest.raises(ValueError, match="for 3 labels, expected a column for each label"):
        compare_with_panels([[0.5, 0.5]], [[1, 0]], ["a", "b", "c"])
    for votes in ([[0.5, 1]], [[-1, 2]], [[np.nan, 2]]):
        with pytest.raises(ValueError, match=r"expected whole numbers of people\. Give counts"):
            compare_with_panels([[0.5, 0.5]], votes, ["a", "b"])
    with pytest.raises(ValueError, match=r"Found 0\.5 votes"):
        compare_with_panels([[0.5, 0.5]], [[1, 0]], ["a", "b"], 0.5)


@pytest.mark.realdata
def test_panels_lose_on_ferplus_what_its_readme_says(ferplus_dir):
    import pyarrow.parquet as pq

    from fer_hf.data.layouts.ferplus import VOTE_COLUMNS

    table = pq.read_table(ferplus_dir / "test.parquet", columns=list(VOTE_COLUMNS[:8]))
    votes = np.column_stack([column.to_numpy() for column in table.columns])
    known = {1: 1.241, 2: 1.074, 3: 0.994, 4: 0.947, 5: 0.911, 7: 0.869, 9: 0.851}
    found = {size: estimate_panel_soft_cross_entropy(votes, size).value for size in known}
    assert found == pytest.approx(known, abs=0.004)
    assert found[9] == pytest.approx(0.851, abs=0.001)
