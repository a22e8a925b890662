"""A metric that somebody adds shows everywhere; a definition that lacks something is refused."""

import json

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from fer_hf.evaluation.metrics.evaluation import Evaluation, compute_metrics, evaluate_scores
from fer_hf.evaluation.metrics.intervals import UNDEFINED, estimate_share
from fer_hf.evaluation.metrics.metric import Metric, bootstrap
from fer_hf.evaluation.metrics.paired import ModelScores, compare_scores
from fer_hf.evaluation.metrics.predictions import Predictions

NAMES = ["anger", "happy", "sad"]
SCORES = np.array([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
LABELS = np.array([1, 1, 1, 2])


def test_an_added_metric_has_its_value_and_interval_in_an_evaluation(top2):
    evaluation = evaluate_scores(SCORES, LABELS, NAMES)
    assert evaluation.figures["top2_accuracy"] == estimate_share(3, 4)
    expected = top_k_accuracy_score(LABELS, SCORES, k=2, labels=range(3))
    assert evaluation.figures["top2_accuracy"].value == expected


def test_an_added_metric_is_in_the_json_and_in_what_the_trainer_logs(top2):
    evaluation = evaluate_scores(SCORES, LABELS, NAMES)
    data = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert data["top2_accuracy"]["value"] == 0.75
    assert Evaluation.from_dict(data) == evaluation
    assert compute_metrics(SCORES, LABELS)["top2_accuracy"] == 0.75


def test_models_are_compared_by_an_added_metric(top2):
    models = [
        ModelScores("A", SCORES, LABELS, NAMES),
        ModelScores("B", SCORES[::-1], LABELS, NAMES),
    ]
    _, (difference,) = compare_scores(models)
    # A misses the second row, B the last two.
    assert difference.figures["top2_accuracy"].value == 0.75 - 0.5


def test_a_report_with_a_metric_that_is_not_here_any_more_still_loads():
    evaluation = evaluate_scores(SCORES, LABELS, NAMES)
    data = {**evaluation.to_dict(), "top2_accuracy": {"value": 0.75, "low": 0.3, "high": 0.95}}
    assert Evaluation.from_dict(data).figures["top2_accuracy"].value == 0.75
    assert Evaluation.from_dict(data).accuracy == evaluation.accuracy


def test_a_figure_that_was_not_measured_is_undefined():
    assert Evaluation({}, 0, {}, {}, {}, {}, [], {}, []).brier == UNDEFINED


def test_models_are_resampled_together():
    metric = Metric("accuracy", "accuracy", "acc.", lambda predictions: predictions.is_right)
    right = Predictions.check(SCORES, SCORES.argmax(axis=1))
    wrong = Predictions.check(SCORES, LABELS)
    draws = bootstrap([metric], [wrong, wrong, right], np.random.default_rng(0), 130)
    assert draws.shape == (3, 1, 130)
    assert (draws[0] == draws[1]).all()
    assert (draws[2] == 1).all()
    assert draws[0].mean() == pytest.approx(0.5, abs=0.06)


def test_a_metric_that_cannot_be_resampled_says_so():
    with pytest.raises(TypeError, match="`mood` has neither `each` nor `resampled`"):
        Metric("mood", "mood", "mood").measure(Predictions.check(SCORES, LABELS))
