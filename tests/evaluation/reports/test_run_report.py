"""The report of a run: its gaps, its JSON, its pictures, and what it refuses."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.reports.evaluation_plots import plot_confusion_matrix
from fer_hf.evaluation.reports.report_files import write_text_atomically
from fer_hf.evaluation.reports.run_plots import plot_curves
from fer_hf.evaluation.reports.run_report import (
    RunReport,
    load_report,
    save_report,
)

NAMES = ["happy", "sad"]


def _evaluate(hits, total, top=0.8):
    """Evaluate `total` pictures of two labels, of which the first `hits` are right."""
    labels = np.arange(total) % 2
    predicted = np.where(np.arange(total) < hits, labels, 1 - labels)
    scores = np.full((total, 2), 1 - top)
    scores[np.arange(total), predicted] = top
    return evaluate_scores(scores, labels, NAMES)


@pytest.fixture(scope="module")
def report():
    return RunReport(
        model_name_or_path="timm/resnetv2_50.a1h_in1k",
        display_name="ResNet50V2",
        pretrained_on="ImageNet",
        fine_tuned="head",
        num_parameters=23_516_000,
        num_trainable_parameters=16_392,
        data="drawn",
        label_names=NAMES,
        split_sizes={"train": 100, "validation": 50, "test": 50},
        input_size=128,
        seed=42,
        settings={"learning_rate": 1e-3, "augment": ["flip"], "note": "glücklich"},
        versions={"torch": "2.15.0"},
        train_seconds=12.5,
        evaluations={
            "train": _evaluate(90, 100),
            "validation": _evaluate(40, 50),
            "test": _evaluate(38, 50),
        },
        history=[
            {"epoch": 1.0, "train_loss": 0.9, "validation_loss": 1.0, "validation_accuracy": 0.6},
            {"epoch": 2.0, "train_loss": 0.5, "validation_loss": 0.8, "validation_accuracy": 0.8},
            {"epoch": 3.0, "validation_loss": 0.9, "validation_accuracy": 0.7},
        ],
    )


def test_gaps_are_train_minus_validation_accuracy_and_validation_minus_train_loss(report):
    assert report.accuracy_gap == pytest.approx(0.9 - 0.8)
    # A tenth more of the pictures is wrong, and a mistake costs ln(0.8 / 0.2) more.
    assert report.loss_gap == pytest.approx(0.1 * math.log(4))


def test_gaps_are_none_without_a_train_evaluation(report):
    partial = replace(report, evaluations={"validation": report.evaluations["validation"]})
    assert partial.accuracy_gap is None
    assert partial.to_dict()["gaps"] == {"accuracy": None, "loss": None}


def test_report_survives_its_file(report, tmp_path):
    path = save_report(report, tmp_path / "runs" / "head")
    assert path == tmp_path / "runs" / "head" / "report.json"
    assert load_report(path) == report
    assert load_report(path.parent) == report


def test_file_names_its_format_and_gaps_and_is_the_same_each_time(report, tmp_path):
    first = save_report(report, tmp_path / "a").read_text(encoding="utf-8")
    assert save_report(report, tmp_path / "b").read_text(encoding="utf-8") == first
    data = json.loads(first)
    assert data["format"] == 2
    assert data["gaps"]["accuracy"] == pytest.approx(0.1)
    assert "glücklich" in first


def test_nan_is_never_written(report, tmp_path):
    history = [{"epoch": 1.0, "train_loss": math.nan, "validation_loss": math.inf}]
    diverged = replace(report, history=history, settings={"weight": np.float32(0.5)})
    text = save_report(diverged, tmp_path).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert load_report(tmp_path).history == [
        {"epoch": 1.0, "train_loss": None, "validation_loss": None}
    ]
    assert load_report(tmp_path).settings == {"weight": 0.5}


def test_settings_that_json_cannot_hold_are_refused_by_name_before_anything_is_written(
    report, tmp_path
):
    odd = replace(report, settings={"outer": {"device": object()}})
    with pytest.raises(TypeError, match=r"`report\.settings\.outer\.device`.*`str`"):
        save_report(odd, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_failed_write_leaves_the_old_report_whole(tmp_path, monkeypatch):
    path = write_text_atomically(tmp_path / "report.json", "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_pictures_are_whole_and_of_a_size_for_a_page(report, tmp_path):
    save_report(report, tmp_path)
    for name in ("curves.png", "confusion_matrix.png"):
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert 400 <= picture.width <= 2000
            assert 400 <= picture.height <= 2000
            # Drawn, not blank: ink, paper and colours between.
            assert len(picture.convert("RGB").getcolors(1_000_000)) > 50


def test_a_run_without_history_or_figures_still_has_a_report(report, tmp_path):
    save_report(replace(report, history=[], evaluations={}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_curves_mark_the_epoch_with_the_highest_validation_accuracy(report):
    figure = plot_curves(report.history, "ResNet50V2")
    assert figure.axes[1].get_title("right") == "best epoch: 2"


def test_curves_mark_the_lowest_loss_where_no_accuracy_was_recorded():
    history = [{"epoch": e, "validation_loss": loss} for e, loss in ((1, 2.0), (2, 1.0), (3, 1.5))]
    assert plot_curves(history, "x").axes[1].get_title("right") == "best epoch: 2"


def test_train_and_validation_differ_in_more_than_colour(report):
    history = [{**row, "train_loss": 0.4} for row in report.history]
    train, validation = plot_curves(history, "x").axes[0].lines[:2]
    assert train.get_linestyle() != validation.get_linestyle()
    assert train.get_marker() != validation.get_marker()


def test_confusion_matrix_shows_shares_of_the_row_and_counts(report):
    figure = plot_confusion_matrix(report.evaluations["validation"], "x")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["80 %\n20", "20 %\n5", "20 %\n5", "80 %\n20"]


def test_a_missing_report_is_refused_with_its_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Found no `.*report\.json`.*output folder"):
        load_report(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: [], "is not a fer_hf report"),
        (lambda data: {"accuracy": 0.9}, "is not a fer_hf report"),
        (lambda data: {**data, "format": 3}, "report format 3, expected format 2"),
        (lambda data: {k: v for k, v in data.items() if k != "seed"}, r"lacks \['seed'\]"),
        (
            lambda data: {**data, "evaluations": {"test": {}}},
            "`evaluations` that cannot be read",
        ),
        (
            lambda data: {**data, "evaluations": [1]},
            "`evaluations` that cannot be read",
        ),
    ],
)
def test_files_that_are_no_report_are_refused(report, tmp_path, change, message):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(change(report.to_dict())), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        load_report(path)
    assert str(path) in str(caught.value)


def test_a_report_of_format_1_still_opens_under_the_new_names(report, tmp_path):
    data = replace(report, pretrained_on="none", fine_tuned="all layers").to_dict()
    old = {name: value for name, value in data.items() if not name.endswith(("_on", "_tuned"))}
    old |= {"format": 1, "backbone_knowledge": "nothing", "trained_part": "everything"}
    (tmp_path / "report.json").write_text(json.dumps(old), encoding="utf-8")
    loaded = load_report(tmp_path)
    assert (loaded.pretrained_on, loaded.fine_tuned) == ("none", "all layers")
    assert loaded.to_dict() == data


def test_a_file_that_is_not_json_is_refused(tmp_path):
    (tmp_path / "report.json").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="is not JSON"):
        load_report(tmp_path)


def test_reading_reports_needs_neither_torch_nor_transformers_nor_a_window():
    code = (
        "import sys, fer_hf.evaluation.reports.run_comparison; "
        "print([m for m in ('torch', 'transformers', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
