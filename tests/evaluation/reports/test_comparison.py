"""The comparison of runs: who is chosen and why, what is refused, and what is written."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.reports.run_comparison import (
    compare_runs,
    save_comparison,
)
from fer_hf.evaluation.reports.run_plots import plot_comparison
from fer_hf.evaluation.reports.run_report import RunReport

NAMES = ["happy", "sad"]


def _evaluate(hits, total=200, top=0.8):
    labels = np.arange(total) % 2
    predicted = np.where(np.arange(total) < hits, labels, 1 - labels)
    scores = np.full((total, 2), 1 - top)
    scores[np.arange(total), predicted] = top
    return evaluate_scores(scores, labels, NAMES)


def _make_report(name, train, validation, test=150, **changes):
    """A report with this many of 200 pictures right in each split."""
    report = RunReport(
        model_name_or_path="timm/test_resnet.r160_in1k",
        display_name=name,
        pretrained_on="ImageNet",
        fine_tuned="head",
        num_parameters=23_500_000,
        num_trainable_parameters=16_392,
        data="drawn",
        label_names=NAMES,
        split_sizes={"train": 200, "validation": 200, "test": 200},
        input_size=128,
        seed=42,
        settings={},
        versions={},
        train_seconds=61.0,
        evaluations={
            "train": _evaluate(train),
            "validation": _evaluate(validation),
            "test": _evaluate(test),
        },
        history=[],
    )
    return replace(report, **changes)


@pytest.fixture
def reports():
    # One standard error of 160 in 200 is about 3 points: `frozen` is within it, `baseline` not.
    return {
        "runs/baseline": _make_report("baseline CNN", 140, 138, num_parameters=600_000),
        "runs/unfrozen": _make_report("ResNet50V2, all", 198, 160, test=170),
        "runs/frozen": _make_report("ResNet50V2, head", 164, 156, test=140),
    }


def test_the_highest_validation_accuracy_loses_to_an_equal_model_with_a_smaller_gap(reports):
    comparison = compare_runs(reports)
    assert comparison.best_by_validation_accuracy == "runs/unfrozen"
    assert comparison.best == "runs/frozen"
    assert comparison.candidates == ["runs/frozen", "runs/unfrozen"]
    assert comparison.reason == (
        "ResNet50V2, head reaches 78.0 % validation accuracy, within one standard error (3.1 "
        "points) of the highest (ResNet50V2, all, 80.0 %), and has the smallest gap of the 2 such "
        "runs: accuracy gap +4.0 points, loss gap +0.06."
    )


def test_the_smallest_gap_alone_does_not_win(reports):
    comparison = compare_runs(reports)
    assert comparison.best_by_accuracy_gap == "runs/baseline"
    assert comparison.best_by_loss_gap == "runs/baseline"
    assert [row.run for row in comparison.rows] == [
        "runs/frozen",
        "runs/unfrozen",
        "runs/baseline",
    ]


def test_a_clear_lead_in_validation_accuracy_wins_whatever_the_gap(reports):
    clear = {**reports, "runs/unfrozen": _make_report("ResNet50V2, all", 200, 180)}
    comparison = compare_runs(clear)
    assert comparison.best == "runs/unfrozen"
    assert comparison.reason.startswith("ResNet50V2, all has the highest validation accuracy, 90.0")
    assert "no other run" in comparison.reason


def test_a_leader_with_the_smallest_gap_is_told_as_such():
    runs = {"a": _make_report("A", 160, 160), "b": _make_report("B", 180, 158)}
    reason = compare_runs(runs).reason
    assert reason.startswith("A has the highest validation accuracy, 80.0 %, and the smallest gap")


def test_test_figures_never_enter_the_choice(reports):
    bad_test = {
        run: replace(report, evaluations={**report.evaluations, "test": _evaluate(hits)})
        for (run, report), hits in zip(reports.items(), (200, 200, 0), strict=True)
    }
    assert compare_runs(bad_test).best == compare_runs(reports).best


def test_equal_accuracy_gaps_are_decided_by_loss_gap_then_by_parameters():
    report = _make_report("A", 160, 156)
    # The same hits with surer scores on validation: mistakes cost more, accuracy stays.
    surer = {**report.evaluations, "validation": _evaluate(156, top=0.95)}
    runs = {"surer": replace(report, evaluations=surer), "calm": report}
    assert compare_runs(runs).best == "calm"
    runs = {"large": report, "small": replace(report, num_parameters=1_000)}
    assert compare_runs(runs).best == "small"


def test_a_gap_below_zero_is_no_merit():
    # Both fit without a gap; the one whose validation split is luckier must not win by that.
    runs = {
        "lucky": _make_report("lucky", 140, 160, num_parameters=2),
        "even": _make_report("even", 160, 160, num_parameters=1),
    }
    assert compare_runs(runs).best == "even"


def test_a_perfect_leader_still_has_a_standard_error():
    # One mistake in 200 is no evidence against a model; five are.
    runs = {"a": _make_report("A", 200, 200), "b": _make_report("B", 199, 199)}
    assert set(compare_runs(runs).candidates) == {"a", "b"}
    runs["c"] = _make_report("C", 195, 195)
    assert set(compare_runs(runs).candidates) == {"a", "b"}


def test_one_run_can_be_compared():
    comparison = compare_runs({"only": _make_report("A", 160, 156)})
    assert comparison.best == "only"
    assert comparison.rows[0].accuracy_gap == pytest.approx(0.02)


def test_a_run_without_test_figures_shows_a_dash():
    report = _make_report("A", 160, 156)
    evaluations = {split: report.evaluations[split] for split in ("train", "validation")}
    comparison = compare_runs({"only": replace(report, evaluations=evaluations)})
    assert comparison.rows[0].test_accuracy is None
    assert " – " in comparison.render()


def test_no_runs_are_refused():
    with pytest.raises(ValueError, match="Found no runs"):
        compare_runs({})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_names": ["sad", "happy"]}, r"Run `b` has label names \['sad', 'happy'\]"),
        ({"data": "photos"}, "Run `b` has data 'photos', expected 'drawn' as in `a`"),
        ({"split_sizes": {"train": 9}}, r"Run `b` has split sizes \{'train': 9\}"),
    ],
)
def test_runs_on_other_data_are_refused(change, message):
    report = _make_report("A", 160, 156)
    with pytest.raises(ValueError, match=message):
        compare_runs({"a": report, "b": replace(report, **change)})


def test_runs_on_other_validation_pictures_are_refused():
    report = _make_report("A", 160, 156)
    other = {**report.evaluations, "validation": _evaluate(156, total=201)}
    with pytest.raises(ValueError, match="Run `b` has validation pictures per label"):
        compare_runs({"a": report, "b": replace(report, evaluations=other)})


def test_runs_without_train_figures_are_refused():
    report = _make_report("A", 160, 156)
    other = replace(report, evaluations={"validation": report.evaluations["validation"]})
    with pytest.raises(ValueError, match=r"Run `b` has no figures for \['train'\]"):
        compare_runs({"a": report, "b": other})


def test_terminal_table_marks_the_chosen_and_fits_a_terminal(reports):
    text = compare_runs(reports).render()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 125
    assert [line for line in lines if line.startswith("* ResNet50V2, head")]
    assert text.count("\n* ") == 1
    assert "\n\nChosen (*): ResNet50V2, head reaches" in text
    assert "78.0 %" in text
    assert "71.8–83.2" in text
    assert "(runs/frozen)" in text


def test_a_long_backbone_name_does_not_widen_the_table(reports):
    path = "/home/somebody/checkpoints/of/last/year/ferplus-resnet"
    long = {run: replace(report, pretrained_on=path) for run, report in reports.items()}
    assert max(map(len, compare_runs(long).render().splitlines())) <= 125


def test_markdown_table_has_a_row_for_each_run_and_the_reason(reports):
    comparison = compare_runs(reports)
    rows = [line for line in comparison.render("markdown").splitlines() if line[:1] == "|"]
    assert len(rows) == 2 + 3
    assert len({row.count("|") for row in rows}) == 1
    assert rows[2].startswith("| * ResNet50V2, head")
    assert comparison.reason in comparison.render("markdown")


def test_an_unknown_layout_is_refused(reports):
    with pytest.raises(ValueError, match="Found layout 'html'"):
        compare_runs(reports).render("html")


def test_saved_comparison_is_json_markdown_and_a_picture(reports, tmp_path):
    comparison = compare_runs(reports)
    path = save_comparison(comparison, tmp_path / "all")
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data == comparison.to_dict()
    assert data["best"] == "runs/frozen"
    assert comparison.reason in (tmp_path / "all/comparison.md").read_text(encoding="utf-8")
    with Image.open(tmp_path / "all" / "comparison.png") as picture:
        picture.load()
        assert 1000 <= picture.width <= 2000
        assert 300 <= picture.height <= 1500


def test_picture_marks_the_chosen_by_more_than_colour(reports):
    rows = compare_runs(reports).rows
    figure = plot_comparison(
        [row.display_name for row in rows],
        [row.validation_accuracy for row in rows],
        [row.accuracy_gap for row in rows],
        chosen=0,
        title="x",
    )
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["✱ ResNet50V2, head", "ResNet50V2, all", "baseline CNN"]
