"""A linear head: it is the optimum, its figures are of unseen pictures, its scores honest."""

import numpy as np
import pytest

from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.inference import linear_head
from fer_hf.inference.linear_head import compute_held_out_logits, fit_head, list_folds


def draw_features(num_labels=3, per_label=12, apart=3.0, views=1):
    """Clouds of points, `apart` standard deviations from the origin in a direction each."""
    rng = np.random.default_rng(0)
    labels = np.arange(num_labels * per_label) % num_labels
    centres = np.eye(8)[:num_labels] * apart
    return centres[labels] + rng.normal(size=(views, len(labels), 8)), labels


def centre(logits):
    """Without what a softmax does not see."""
    return logits - logits.mean(axis=1, keepdims=True)


@pytest.mark.train
@pytest.mark.parametrize("strength", [0.001, 0.3])
def test_a_head_is_the_optimum_that_scikit_learn_finds(strength):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    features, labels = draw_features(views=2, apart=1.0)
    train, test = np.arange(30), np.arange(30, 36)
    features[:, :, 7] = 0.1  # never changes
    found = compute_held_out_logits(features, labels, [(train, test)], strength)[test]
    scaler, rows = StandardScaler(), features[:, train].reshape(-1, 8)
    regression = LogisticRegression(C=strength, tol=1e-9, max_iter=1000)
    regression.fit(scaler.fit_transform(rows), np.tile(labels[train], 2))
    expected = regression.decision_function(scaler.transform(features[0, test]))
    np.testing.assert_allclose(centre(found), centre(expected), atol=1e-4)


def test_every_picture_is_held_out_once_and_a_label_is_spread_over_the_folds():
    labels = np.repeat([0, 1, 2], [2, 7, 11])
    folds = list_folds(labels)
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(20))
    for learnt, held_out in folds:
        assert sorted([*learnt, *held_out]) == list(range(20))
        assert set(labels[learnt]) == {0, 1, 2}
        counts = np.bincount(labels[held_out], minlength=3)
        assert (abs(counts - np.array([2, 7, 11]) / 5) < 1).all()
    assert [list(held_out) for _, held_out in list_folds(labels, seed=1)] != [
        list(held_out) for _, held_out in folds
    ]


@pytest.mark.parametrize("num_labels", [2, 3])
def test_a_head_tells_clouds_apart_as_it_told_those_it_had_not_seen(num_labels):
    features, labels = draw_features(num_labels, per_label=200)
    head = fit_head(features, labels)
    fresh, fresh_labels = draw_features(num_labels, per_label=300)
    scores = compute_softmax(fresh[0] @ head.weight.T + head.bias)
    held_out = (head.held_out_scores.argmax(1) == labels).mean()
    assert (scores.argmax(1) == fresh_labels).mean() == pytest.approx(held_out, abs=0.04)
    assert held_out > 0.9
    assert head.num_folds == 5


def test_labels_that_mean_nothing_are_not_found_in_what_was_held_out():
    features, labels = draw_features(apart=0.0, per_label=60)
    head = fit_head(features, labels)
    assert (head.held_out_scores.argmax(1) == labels).mean() < 0.45
    # Calibrated: a head that has learnt nothing is not sure of anything.
    assert head.held_out_scores.max(axis=1).mean() < 0.45


def test_folds_are_five_or_fewer_and_one_picture_of_a_label_is_too_few():
    features, labels = draw_features()
    few = np.concatenate([np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)[:2]])
    head = fit_head(features[:, few], labels[few])
    assert head.num_folds == 5
    assert (head.held_out_scores.max(axis=1) > 0).all()
    tiny = np.concatenate([np.flatnonzero(labels == label)[:3] for label in range(3)])
    assert fit_head(features[:, tiny], labels[tiny]).num_folds == 3
    one = np.concatenate([np.flatnonzero(labels > 0), np.flatnonzero(labels == 0)[:1]])
    with pytest.raises(ValueError, match=r"\[1, 12, 12\] pictures, expected .* two pictures"):
        fit_head(features[:, one], labels[one])


def test_views_of_a_picture_are_learnt_together():
    features, labels = draw_features(views=3)
    head = fit_head(features, labels)
    assert head.held_out_scores.shape == (36, 3)
    assert (head.held_out_scores.argmax(1) == labels).mean() > 0.7


def test_features_without_an_optimum_are_refused(monkeypatch):
    features, labels = draw_features()
    broken = features.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="in 100 steps, expected features that are finite"):
        fit_head(broken, labels)
    monkeypatch.setattr(linear_head, "_MOST_STEPS", 1)
    with pytest.raises(ValueError, match="in 1 steps"):
        fit_head(features, labels)
