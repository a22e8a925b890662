"""A metric that somebody adds, for the tests that it shows wherever the others do."""

import sys

import pytest

from fer_hf.evaluation.metrics.evaluation import METRICS
from fer_hf.evaluation.metrics.metric import Metric


def is_among_top_two(predictions):
    return (predictions.scores > predictions.true_scores[:, None]).sum(axis=1) < 2


@pytest.fixture
def top2(monkeypatch):
    """Top-2 accuracy as CONTRIBUTING.md adds it, put into `METRICS` wherever it was imported."""
    metric = Metric("top2_accuracy", "top-2 accuracy", "top 2", is_among_top_two)
    known = METRICS
    for module in [m for m in sys.modules.values() if vars(m).get("METRICS") is known]:
        monkeypatch.setattr(module, "METRICS", (*known, metric))
    return metric
