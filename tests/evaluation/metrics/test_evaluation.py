"""Figures and intervals, against numbers computed by hand and against scikit-learn."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

import fer_hf
from fer_hf.evaluation.metrics.evaluation import Evaluation, compute_metrics, evaluate_scores
from fer_hf.evaluation.metrics.intervals import (
    UNDEFINED,
    estimate_bootstrap,
    estimate_share,
    resample_counts,
)
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.probabilities import (
    compute_ece,
    compute_reliability,
)
from fer_hf.evaluation.metrics.trainer_metrics import ExpressionMetrics, compute_trainer_metrics
from fer_hf.evaluation.reports.run_report import load_report

NAMES = ["anger", "happy", "sad"]
# Rows are true labels: 11 of 15 pictures are right.
MATRIX = np.array([[4, 1, 0], [2, 2, 1], [0, 0, 5]])


def _make_scores(matrix):
    """Return scores and labels with this confusion matrix; the top score is always 0.8."""
    pairs = [cell for cell in np.ndindex(*matrix.shape) for _ in range(matrix[cell])]
    labels, predicted = np.array(pairs).T
    scores = np.full((len(pairs), len(matrix)), 0.2 / (len(matrix) - 1))
    scores[np.arange(len(pairs)), predicted] = 0.8
    return scores, labels


def _make_random_scores(num_rows=400, num_labels=5):
    rng = np.random.default_rng(7)
    labels = rng.integers(num_labels, size=num_rows)
    logits = rng.normal(size=(num_rows, num_labels))
    logits[np.arange(num_rows), labels] += 1
    return compute_softmax(logits), labels


def _compute_auc(scores, positive):
    wins = scores[positive][:, None] - scores[~positive]
    return (np.sign(wins).mean() + 1) / 2


def test_figures_of_a_small_confusion_matrix_are_those_computed_by_hand():
    evaluation = evaluate_scores(*_make_scores(MATRIX), NAMES)
    assert evaluation.num_pictures == 15
    assert evaluation.confusion_matrix == MATRIX.tolist()
    assert evaluation.support == {"anger": 5, "happy": 5, "sad": 5}
    assert evaluation.accuracy.value == pytest.approx(11 / 15)
    assert evaluation.balanced_accuracy.value == pytest.approx((0.8 + 0.4 + 1) / 3)
    assert evaluation.f1_macro.value == pytest.approx((8 / 11 + 1 / 2 + 10 / 11) / 3)
    assert evaluation.nll.value == pytest.approx(-(11 * math.log(0.8) + 4 * math.log(0.1)) / 15)
    assert evaluation.ece.value == pytest.approx(0.8 - 11 / 15)
    assert evaluation.adaptive_ece.value == pytest.approx(0.8 - 11 / 15)
    right, wrong = 0.2**2 + 2 * 0.1**2, 0.8**2 + 0.9**2 + 0.1**2
    assert evaluation.brier.value == pytest.approx((11 * right + 4 * wrong) / 15)
    recalls = [estimate.value for estimate in evaluation.recall_per_label.values()]
    precisions = [estimate.value for estimate in evaluation.precision_per_label.values()]
    f1s = [estimate.value for estimate in evaluation.f1_per_label.values()]
    assert recalls == pytest.approx([4 / 5, 2 / 5, 1])
    assert precisions == pytest.approx([4 / 6, 2 / 3, 5 / 6])
    assert f1s == pytest.approx([8 / 11, 1 / 2, 10 / 11])


def test_figures_agree_with_scikit_learn():
    scores, labels = _make_random_scores()
    predicted = scores.argmax(axis=1)
    figures = compute_metrics(scores, labels)
    assert figures["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, predicted)
    )
    assert figures["f1_macro"] == pytest.approx(
        sklearn_metrics.f1_score(labels, predicted, average="macro")
    )
    assert figures["nll"] == pytest.approx(sklearn_metrics.log_loss(labels, scores))


def test_a_sure_mistake_costs_what_it_costs_in_scikit_learn():
    scores, labels = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])
    expected = sklearn_metrics.log_loss(labels, scores)
    assert compute_metrics(scores, labels)["nll"] == pytest.approx(expected)
    assert math.isfinite(expected)


def test_ece_averages_the_gap_of_each_bin_by_its_pictures():
    # Two pictures at 0.9, one of them right; one at 0.6 and right.
    scores = [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4]]
    assert compute_ece(scores, [0, 1, 0]) == pytest.approx((abs(1 - 1.8) + abs(1 - 0.6)) / 3)


def test_ece_bins_are_closed_above():
    # 0.6 is the edge 9/15: it shares the bin of 0.55, where errors cancel.
    assert compute_ece([[0.6, 0.4], [0.55, 0.45]], [0, 1]) == pytest.approx((1.15 - 1) / 2)
    assert compute_ece([[0.61, 0.39], [0.55, 0.45]], [0, 1]) == pytest.approx((0.39 + 0.55) / 2)


def test_adaptive_ece_has_bins_of_equally_many_pictures():
    # Two bins: the upper two are right, at 0.8 and 0.9; the lower two wrong, at 0.55 and 0.6.
    scores, labels = [[0.9, 0.1], [0.55, 0.45], [0.8, 0.2], [0.6, 0.4]], [0, 1, 0, 1]
    error = compute_ece(scores, labels, num_bins=2, adaptive=True)
    assert error == pytest.approx((abs(2 - 1.7) + abs(0 - 1.15)) / 4)
    # In bins of equal width all four share one, and their errors partly cancel.
    assert compute_ece(scores, labels, num_bins=2) == pytest.approx(abs(2 - 2.85) / 4)


def test_pictures_with_the_same_top_score_share_an_adaptive_bin():
    scores, labels = [[0.7, 0.3]] * 4, [0, 0, 1, 1]
    assert compute_ece(scores, labels, num_bins=2, adaptive=True) == pytest.approx(0.2)


def test_reliability_has_the_accuracy_of_each_bin():
    scores, labels = [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [1.0, 0.0]], [0, 1, 1, 0]
    reliability = compute_reliability(scores, labels, num_bins=4)
    assert reliability.counts == [0, 0, 1, 3]
    assert reliability.confidences == [None, None, 0.6, pytest.approx(0.9)]
    assert reliability.accuracies[0] == UNDEFINED
    assert reliability.accuracies[2:] == [estimate_share(1, 1), estimate_share(2, 3)]
    assert reliability.ece == pytest.approx(compute_ece(scores, labels, num_bins=4))


def test_auc_agrees_with_scikit_learn_ties_included():
    scores, labels = _make_random_scores()
    scores = np.random.default_rng(0).multinomial(8, scores) / 8
    evaluation = evaluate_scores(scores, labels, list("abcde"))
    for label, estimate in enumerate(evaluation.roc_auc_per_label.values()):
        expected = sklearn_metrics.roc_auc_score(labels == label, scores[:, label])
        assert estimate.value == pytest.approx(expected)
    expected = sklearn_metrics.roc_auc_score(labels, scores, multi_class="ovr")
    assert evaluation.roc_auc_macro.value == pytest.approx(expected)


def test_auc_and_its_interval_by_hand():
    # Of "happy", 0.9 beats both others and 0.4 one of them; each picture's placement is 0.25 off
    # the mean, so that the standard error is √(4 · (0.25 / 2)²) = 0.25.
    scores = [[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]]
    evaluation = evaluate_scores(scores, [0, 0, 1, 1], ["happy", "sad"])
    happy = evaluation.roc_auc_per_label["happy"]
    assert (happy.value, happy.low, happy.high) == pytest.approx((0.75, 0.26, 1.0), abs=1e-4)
    # Two labels are one question asked twice: their mean is known no better than each.
    assert evaluation.roc_auc_macro == happy == evaluation.roc_auc_per_label["sad"]


def test_auc_interval_has_the_width_of_the_bootstrap():
    scores, labels = _make_random_scores()
    rng = np.random.default_rng(0)

    def resample():
        pick = rng.integers(len(labels), size=len(labels))
        return np.mean([_compute_auc(scores[pick, c], labels[pick] == c) for c in range(5)])

    draws = [resample() for _ in range(300)]
    macro = evaluate_scores(scores, labels, list("abcde")).roc_auc_macro
    assert macro.high - macro.low == pytest.approx(2 * 1.96 * np.std(draws), rel=0.15)


def test_softmax_rows_sum_to_one_for_half_precision_and_large_logits():
    scores = compute_softmax(np.array([[1000, 999, 0], [0, 0, 0]], dtype=np.float16))
    assert scores.sum(axis=1) == pytest.approx([1, 1])
    assert scores[0, 0] == pytest.approx(1 / (1 + math.exp(-1)))


def test_wilson_interval_of_eight_in_ten_is_the_published_one():
    estimate = estimate_share(8, 10)
    assert (estimate.low, estimate.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_every_interval_holds_its_value():
    evaluation = evaluate_scores(*_make_random_scores(), list("abcde"))
    estimates = [
        evaluation.accuracy,
        evaluation.balanced_accuracy,
        evaluation.f1_macro,
        evaluation.nll,
        evaluation.ece,
        evaluation.adaptive_ece,
        evaluation.brier,
        evaluation.roc_auc_macro,
        *evaluation.roc_auc_per_label.values(),
        *evaluation.recall_per_label.values(),
        *evaluation.precision_per_label.values(),
        *evaluation.f1_per_label.values(),
    ]
    assert all(estimate.low < estimate.value < estimate.high for estimate in estimates)


def test_bootstrap_intervals_have_the_width_theory_gives():
    # With two labels of 200 pictures each, balanced accuracy is a mean of two shares.
    matrix = np.array([[160, 40], [60, 140]])
    evaluation = evaluate_scores(*_make_scores(matrix), ["happy", "sad"])
    error = math.sqrt(0.8 * 0.2 / 200 + 0.7 * 0.3 / 200) / 2
    balanced = evaluation.balanced_accuracy
    assert balanced.high - balanced.low == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_bootstrap_is_the_same_for_the_same_seed_only():
    scores, labels = _make_random_scores()
    names = list("abcde")
    assert evaluate_scores(scores, labels, names) == evaluate_scores(scores, labels, names)
    other = evaluate_scores(scores, labels, names, seed=1)
    assert other.f1_macro != evaluate_scores(scores, labels, names).f1_macro


def test_resampled_counts_keep_the_number_of_pictures():
    resamples = resample_counts(MATRIX, np.random.default_rng(0))
    assert resamples.shape == (1000, 3, 3)
    assert (resamples.sum(axis=(1, 2)) == 15).all()
    assert resamples.mean(axis=0) == pytest.approx(MATRIX, abs=0.25)


def test_an_interval_never_excludes_a_biased_value():
    estimate = estimate_bootstrap(0.9, np.linspace(0.5, 0.8, 100))
    assert estimate.high == 0.9


@pytest.mark.filterwarnings("error")
def test_a_label_without_pictures_has_no_recall_and_no_part_in_the_averages():
    # "sad" never occurs but is predicted once; "happy" is never predicted.
    scores = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]
    evaluation = evaluate_scores(scores, [0, 0, 1], NAMES)
    assert evaluation.support["sad"] == 0
    assert evaluation.recall_per_label["sad"].value is None
    assert evaluation.f1_per_label["sad"].value is None
    assert evaluation.precision_per_label["sad"].value == 0
    assert evaluation.precision_per_label["happy"].value is None
    assert evaluation.roc_auc_per_label["sad"] == UNDEFINED
    # Of "anger", one picture of two beats the other label's one, and one is level.
    assert evaluation.roc_auc_per_label["anger"].value == pytest.approx((0.5 + 0) / 2)
    assert evaluation.roc_auc_macro.value == pytest.approx((0.25 + 0.5) / 2)
    assert evaluation.balanced_accuracy.value == pytest.approx((1 / 2 + 0) / 2)
    assert evaluation.f1_macro.value == pytest.approx((1 / 2 + 0) / 2)


@pytest.mark.filterwarnings("error")
def test_one_picture_can_be_evaluated():
    evaluation = evaluate_scores([[0.8, 0.1, 0.1]], [0], NAMES)
    assert evaluation.accuracy.value == 1
    assert evaluation.accuracy.low < 0.5
    assert evaluation.roc_auc_macro == UNDEFINED


def test_evaluation_survives_json_and_holds_no_nan():
    evaluation = evaluate_scores([[0.8, 0.1, 0.1]], [0], NAMES)
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    assert Evaluation.from_dict(json.loads(text)) == evaluation


def test_an_evaluation_from_before_a_figure_was_measured_still_loads():
    evaluation = evaluate_scores(*_make_scores(MATRIX), NAMES)
    data = evaluation.to_dict()
    for name in ("adaptive_ece", "brier", "roc_auc_macro", "roc_auc_per_label"):
        del data[name]
    loaded = Evaluation.from_dict(data)
    assert loaded.ece == evaluation.ece
    assert loaded.adaptive_ece == loaded.brier == loaded.roc_auc_macro == UNDEFINED
    assert loaded.roc_auc_per_label == dict.fromkeys(NAMES, UNDEFINED)


def test_the_report_of_the_bundled_model_still_loads():
    path = Path(fer_hf.__file__).parent / "models" / "pretrained" / "resnetv2-ferplus"
    assert load_report(path).evaluations["test"].roc_auc_per_label.keys() >= {"happy", "sad"}


def test_trainer_metrics_are_the_figures_of_the_evaluation():
    scores, labels = _make_random_scores()
    logged = compute_trainer_metrics(scores.astype(np.float32), labels)
    evaluation = evaluate_scores(scores, labels, list("abcde"))
    assert list(logged) == ["accuracy", "balanced_accuracy", "f1_macro", "nll", "ece"]
    for name, value in logged.items():
        assert type(value) is float
        assert value == pytest.approx(getattr(evaluation, name).value, abs=1e-6)


def test_expression_metrics_take_batches_as_every_evaluate_metric_does():
    scores, labels = _make_random_scores()
    metric = ExpressionMetrics(keep_in_memory=True)
    metric.add_batch(predictions=scores[:150], references=labels[:150])
    metric.add_batch(predictions=scores[150:], references=labels[150:])
    assert metric.compute() == pytest.approx(compute_metrics(scores, labels))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.5, 0.5]], [0, 1], r"shape \(1, 2\).*shape \(2,\).*one row of scores for each label"),
        ([0.5, 0.5], [0, 1], r"expected \(N, C\)"),
        ([[1.0]], [0], r"C of 2 or more"),
        (np.empty((0, 3)), np.empty(0, dtype=int), "no rows in `scores`.*has pictures"),
        ([[0.5, 0.5], [math.nan, 1]], [0, 1], "row 1 of `scores`.*diverged"),
        ([[math.inf, 0.0]], [0], "row 0 of `scores`, expected finite"),
        ([[2.0, 1.0]], [0], "sums to 3 .*compute_softmax"),
        ([[1.2, -0.2]], [0], "lowest score of -0.2"),
        ([[0.5, 0.498]], [0], "sums to 0.998"),
        ([[0.5, 0.5]], [0.0], "type float64, expected integers"),
        ([[0.5, 0.5]], [2], "label 2 in `labels`, expected 0 to 1"),
        ([[0.5, 0.5]], [-100], "label -100"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        compute_metrics(scores, labels)
    with pytest.raises(ValueError, match=message):
        compute_ece(scores, labels)


@pytest.mark.parametrize("names", [["happy"], ["happy", "happy"], NAMES])
def test_names_that_do_not_fit_the_columns_are_refused(names):
    with pytest.raises(ValueError, match=r"for 2 columns of scores.*id2label"):
        evaluate_scores([[0.5, 0.5]], [0], names)
