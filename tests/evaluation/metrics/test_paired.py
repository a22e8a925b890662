"""Models on the same pictures: the tests by hand, what pairing gains, and how it is shown."""

import json
import warnings
from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from scipy.stats import binom, binomtest

from fer_hf.evaluation.metrics.paired import (
    ModelScores,
    adjust_p_values,
    compare_scores,
    compute_mcnemar,
)
from fer_hf.evaluation.reports.evaluation_plots import plot_differences
from fer_hf.evaluation.reports.paired_comparison import (
    ModelCost,
    PairedComparison,
    render_conclusion,
    save_paired_comparison,
)

NAMES = ["happy", "sad", "fear"]
LABELS = np.arange(600) % 3
COST = ModelCost(2_800_040, 5.618, 10.24, 0.031, 0.12)


def score(model, wrong, top=0.8, labels=LABELS):
    """Scores of a model that is wrong on these rows, where it gives the next label."""
    answers = labels.copy()
    answers[wrong] = (answers[wrong] + 1) % 3
    scores = np.full((len(labels), 3), (1 - top) / 2)
    scores[np.arange(len(labels)), answers] = top
    return ModelScores(model, scores, labels, NAMES)


def make_comparison(*models):
    evaluations, differences = compare_scores(models)
    costs = dict.fromkeys(evaluations, COST)
    return PairedComparison("faces", "test", evaluations, differences, costs, {"torch": "2"})


@pytest.fixture(scope="module")
def three():
    # B is wrong on 60 pictures that A gets right, C on two more than A.
    return [score("B", range(90)), score("A", range(30)), score("C", range(32), top=0.6)]


@pytest.fixture(scope="module")
def comparison(three):
    return make_comparison(*three)


# The tests


def test_mcnemar_is_the_mid_p_of_a_fair_coin():
    # 12 coins, 2 or fewer heads: 1 + 12 + 66 of 4,096 ways, of which 66 count half; two sides.
    assert compute_mcnemar(10, 2) == pytest.approx((1 + 12 + 66 / 2) * 2 / 4096)
    assert compute_mcnemar(2, 10) == compute_mcnemar(10, 2)
    assert compute_mcnemar(0, 5) == pytest.approx(1 / 32)


def test_mcnemar_is_below_the_exact_value_by_the_weight_of_what_was_found():
    exact = binomtest(130, 300).pvalue
    assert compute_mcnemar(130, 170) == pytest.approx(exact - binom.pmf(130, 300, 0.5))


@pytest.mark.parametrize("count", [0, 1, 40])
def test_equal_counts_are_no_evidence(count):
    assert compute_mcnemar(count, count) == pytest.approx(1)


def test_holm_multiplies_the_smallest_by_all_and_never_changes_the_order():
    assert adjust_p_values([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert adjust_p_values([0.7, 0.6]) == [1, 1]
    assert adjust_p_values([0.03]) == [0.03]


# The comparison


def test_models_come_by_accuracy_and_every_pair_once(three):
    evaluations, differences = compare_scores(three)
    assert list(evaluations) == ["A", "C", "B"]
    assert [(d.first, d.second) for d in differences] == [("A", "C"), ("A", "B"), ("C", "B")]
    assert [(d.only_first_right, d.only_second_right) for d in differences] == [
        (2, 0),
        (60, 0),
        (58, 0),
    ]
    assert [d.is_real for d in differences] == [False, True, True]
    assert differences[0].p_value == pytest.approx(0.25)
    assert differences[1].adjusted_p_value == pytest.approx(3 * differences[1].p_value)


def test_between_equal_accuracies_the_lower_nll_comes_first():
    evaluations, (difference,) = compare_scores([score("dull", [0], 0.5), score("sharp", [1])])
    assert list(evaluations) == ["sharp", "dull"]
    assert difference.accuracy.value == 0
    assert difference.nll.high < 0


def test_differences_are_those_of_the_figures_of_each_model(three):
    evaluations, differences = compare_scores(three)
    for difference in differences:
        assert set(difference.figures) == {"accuracy", "balanced_accuracy", "f1_macro", "nll"}
        for name, found in difference.figures.items():
            first, second = (
                evaluations[model].figures[name].value
                for model in (difference.first, difference.second)
            )
            assert found.value == pytest.approx(first - second, abs=1e-12)
            assert found.low <= found.value <= found.high


def test_the_interval_is_that_of_paired_proportions():
    # Right alone: 40 and 20 of 600. The error of the difference is √(b + c − (b − c)² / n) / n.
    _, (difference,) = compare_scores([score("A", range(20)), score("B", range(20, 60))])
    error = sqrt(60 - 20**2 / 600) / 600
    assert difference.accuracy.value == pytest.approx(20 / 600)
    assert difference.accuracy.low == pytest.approx(20 / 600 - 1.96 * error, abs=0.002)
    assert difference.accuracy.high == pytest.approx(20 / 600 + 1.96 * error, abs=0.002)


def test_pairing_tells_apart_what_two_intervals_cannot():
    shared = range(300)
    evaluations, (difference,) = compare_scores([score("A", shared), score("B", range(315))])
    assert evaluations["A"].accuracy.low < evaluations["B"].accuracy.high
    assert difference.accuracy.low > 0
    assert difference.is_real


def test_a_model_beside_its_copy_cannot_be_told_apart(three):
    _, (difference,) = compare_scores([three[0], replace(three[0], model="copy")])
    for found in difference.figures.values():
        assert (found.value, found.low, found.high) == (0, 0, 0)
    assert difference.adjusted_p_value == 1


def test_the_same_input_gives_the_same_intervals(three):
    assert compare_scores(three) == compare_scores(three)
    assert compare_scores(three, seed=1)[1] != compare_scores(three)[1]


def test_each_model_has_labels_of_its_own_in_its_own_order(three):
    # Beside another order there is a fourth label that no picture has.
    b, a, _ = three
    spread = np.zeros((600, 4))
    spread[:, [2, 0, 3]] = a.scores
    other = ModelScores("A", spread, np.array([2, 0, 3])[LABELS], ["sad", "anger", "happy", "fear"])
    assert compare_scores([b, other])[1] == compare_scores([b, a])[1]


def test_a_label_of_a_single_picture_is_left_out_of_resamples_without_it():
    labels = np.array([2] + [0, 1] * 20)
    models = [score(name, [wrong], labels=labels) for name, wrong in (("A", 5), ("B", 0))]
    with warnings.catch_warnings(action="error"):
        _, (difference,) = compare_scores(models)
    # B misses the single one of `fear`, A one of 20 of `happy` or `sad`.
    assert difference.balanced_accuracy.value == pytest.approx((1 - 1 / 20) / 3)
    assert np.isfinite([difference.f1_macro.low, difference.f1_macro.high]).all()


def test_fewer_than_two_models_or_one_twice_are_refused(three):
    with pytest.raises(ValueError, match="Found 1 model, expected two or more different models"):
        compare_scores(three[:1])
    with pytest.raises(ValueError, match="Found `B` more than once"):
        compare_scores([*three, three[0]])


def test_other_pictures_or_a_single_one_are_refused(three):
    fewer = score("D", [0], labels=LABELS[:599])
    with pytest.raises(ValueError, match=r"Found pictures \{'B': 600, 'D': 599\}, expected the"):
        compare_scores([three[0], fewer])
    with pytest.raises(ValueError, match=r"Found pictures \{'A': 1, 'B': 1\}, expected the same"):
        compare_scores([score(name, [], labels=LABELS[:1]) for name in "AB"])


def test_scores_that_are_no_numbers_are_refused_with_the_name_of_the_model(three):
    scores = np.array(three[1].scores)
    scores[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"Model `A`: Found \[nan, .* in row 3 of `scores`"):
        compare_scores([three[0], replace(three[1], scores=scores)])


# How it looks


def test_the_conclusion_says_what_is_real_and_what_is_not(comparison):
    difference = comparison.differences[1].accuracy
    text = render_conclusion(comparison)
    assert text.startswith("On these 600 pictures A is better than B by 10.0 points of accuracy (")
    assert f"({100 * difference.low:.1f} to {100 * difference.high:.1f}), p < 0.001; C is" in text
    assert text.endswith(", p < 0.001; A and C cannot be told apart.")


def test_the_table_has_each_model_and_its_difference_to_the_first(comparison):
    lines = comparison.render().splitlines()
    assert lines[0] == "faces, test: 600 pictures"
    assert max(map(len, lines)) <= 125
    starts = [line.split()[:2] for line in lines]
    order = [["A", "95.0"], ["C", "94.7"], ["difference", "+0.3"], ["p", "="], ["B", "85.0"]]
    rows = [start for start in starts if start in order]
    assert rows == order
    (model,) = [line for line in lines if line.startswith("A ")]
    assert model.split()[-4:] == ["+3.1", "2,800,040", "10.2", "ms"]
    assert "Holm's correction for 3 pairs" in " ".join(lines)


def test_what_is_not_known_of_a_model_is_a_dash(comparison):
    costs = {**comparison.costs, "A": ModelCost(1, None, 1.0, None, None)}
    text = replace(comparison, costs=costs).render("markdown")
    (row,) = [line for line in text.splitlines() if line.startswith("| A")]
    assert [cell.strip() for cell in row.split("|")[6:9]] == ["–", "1 (–)", "1.0 ms"]


def test_the_markdown_table_has_one_line_for_a_row(comparison):
    text = comparison.render("markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5
    assert len({row.count("|") for row in rows}) == 1
    assert rows[6].startswith("| difference (p < 0.001)")
    assert text.endswith(f"\n\n{render_conclusion(comparison)}\n")


def test_the_forest_plot_marks_what_is_real_by_more_than_colour(comparison):
    (axes,) = plot_differences(comparison.differences, comparison.title).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [to_hex(dot.get_markerfacecolor()) != "#ffffff" for dot in dots] == [False, True, True]
    assert dots[1].get_xdata()[0] == pytest.approx(10)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["A\nminus C", "A\nminus B", "C\nminus B"]


def test_a_saved_comparison_is_json_markdown_and_a_picture(comparison, tmp_path):
    path = save_paired_comparison(comparison, tmp_path / "all")
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data.pop("conclusion") == render_conclusion(comparison)
    assert data == json.loads(json.dumps(comparison.to_dict()))
    assert data["num_pictures"] == 600
    assert data["differences"][1]["only_first_right"] == 60
    assert (tmp_path / "all" / "compare.md").read_text(encoding="utf-8").startswith("faces, test")
    with Image.open(tmp_path / "all" / "compare.png") as picture:
        picture.load()
        assert picture.width == 1200
