"""`fer-hf compare MODEL MODEL --data SOURCE` asks all models about the same pictures."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from fer_hf import cli
from fer_hf.data.labels import map_labels
from fer_hf.evaluation import model_comparison
from fer_hf.evaluation.metrics.evaluation import compute_metrics
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import DEFAULT_MODEL

DRAWN = ["--data", "drawn", "--num_drawn", "80", "--drawn_size", "32"]


def run(*args):
    return cli.main(["compare", *map(str, args)])


def get_error(capsys):
    """Return the one line that a failed command ends with."""
    text = capsys.readouterr().err
    (line,) = [line for line in text.splitlines() if line.startswith("fer-hf: error:")]
    return line


@pytest.fixture
def nowhere(monkeypatch):
    """Fail where a picture would be scored."""

    def refuse(*args, **kwargs):
        raise AssertionError("scored pictures before refusing")

    monkeypatch.setattr(model_comparison, "score_split", refuse)


def test_the_table_has_the_figures_and_costs_of_each_model(
    baseline_run, resnet_run, faces, tmp_path, capsys
):
    folder = tmp_path / "out"
    args = [*DRAWN, "--split", "val", "--output_dir", folder]
    assert run(baseline_run, resnet_run, *args) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("drawn, validation: ")
    assert f"written: {folder / 'compare.json'}" in shown
    assert {path.name for path in folder.iterdir()} == {
        "compare.json",
        "compare.md",
        "compare.png",
    }
    found = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    assert " ".join(shown.split()).count(found["conclusion"]) == 1
    assert str(tmp_path) not in json.dumps(found)
    assert len(found["differences"]) == 1

    split = faces["validation"]
    labels, data_names = split["label"][:], split.features["label"].names
    for name, path in (("baseline", baseline_run), ("resnet", resnet_run)):
        classifier, report = ExpressionClassifier(str(path)), load_report(path)
        names = classifier.label_names
        expected = compute_metrics(
            classifier(split["image"][:]), map_labels(labels, data_names, names)
        )
        for figure in ("accuracy", "balanced_accuracy", "f1_macro", "nll"):
            value = found["evaluations"][name][figure]["value"]
            assert value == pytest.approx(expected[figure], abs=1e-5)
        cost = found["costs"][name]
        assert cost["num_parameters"] == report.num_parameters
        assert cost["accuracy_gap"] == pytest.approx(report.accuracy_gap)
        assert cost["loss_gap"] == pytest.approx(report.loss_gap)
        size = (path / "model.safetensors").stat().st_size
        assert cost["file_megabytes"] == pytest.approx(size / 1e6)
        assert cost["milliseconds"] > 0


def test_a_checkpoint_without_a_report_and_the_model_in_the_box_are_compared(
    baseline_run, tmp_path
):
    shutil.copytree(baseline_run, tmp_path / "mine")
    (tmp_path / "mine" / "report.json").unlink()
    args = [*DRAWN, "--output_dir", tmp_path / "out"]
    assert run(tmp_path / "mine", "resnetv2-ferplus", *args) == 0
    found = json.loads((tmp_path / "out" / "compare.json").read_text(encoding="utf-8"))
    assert found["costs"].keys() == {"mine", "resnetv2-ferplus"}
    assert found["costs"]["mine"]["accuracy_gap"] is None
    assert found["split"] == "test"


def test_all_splits_are_joined(baseline_run, resnet_run, capsys):
    assert run(baseline_run, resnet_run, *DRAWN, "--split", "all") == 0
    assert "drawn, all: 80 pictures" in capsys.readouterr().out


# What is refused


def test_one_model_is_refused(baseline_run, nowhere, capsys):
    assert run(baseline_run, *DRAWN) == 2
    assert "Found 1 model, expected two or more different models" in get_error(capsys)


def test_a_model_given_twice_is_refused_however_it_is_spelled(baseline_run, nowhere, capsys):
    other = baseline_run / ".." / baseline_run.name
    assert run(baseline_run, other, *DRAWN) == 2
    assert f"Found `{baseline_run.resolve()}` more than once" in get_error(capsys)
    box = Path(DEFAULT_MODEL)
    assert run("resnetv2-ferplus", box, *DRAWN) == 2
    assert "more than once" in get_error(capsys)


def test_a_label_that_one_model_lacks_is_refused_by_name(
    baseline_run, resnet_run, tmp_path, nowhere, capsys
):
    shutil.copytree(resnet_run, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text(encoding="utf-8"))
    config["label_names"] = [name.replace("happy", "bored") for name in config["label_names"]]
    (tmp_path / "other" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert run(baseline_run, tmp_path / "other", *DRAWN) == 2
    line = get_error(capsys)
    assert "Model `other`: The data has" in line
    assert "pictures labelled 'happy'" in line
    assert "'bored'" in line


def test_a_model_whose_scores_are_no_numbers_is_refused_by_name(
    baseline_run, resnet_run, tmp_path, capsys
):
    shutil.copytree(baseline_run, tmp_path / "broken")
    file = tmp_path / "broken" / "model.safetensors"
    weights = safetensors.torch.load_file(file)
    broken = {name: torch.full_like(values, np.nan) for name, values in weights.items()}
    safetensors.torch.save_file(broken, file, {"format": "pt"})
    assert run(tmp_path / "broken", resnet_run, *DRAWN) == 2
    assert f"The weights of '{tmp_path / 'broken'}' are NaN" in get_error(capsys)


def test_a_single_picture_is_refused(baseline_run, resnet_run, capsys):
    assert run(baseline_run, resnet_run, *DRAWN, "--max_eval_samples", 1) == 2
    assert "expected the same two or more for each model" in get_error(capsys)


@pytest.mark.parametrize("args", [["--split", "test"], ["--num_drawn", "80"]])
def test_settings_of_pictures_without_pictures_are_refused(baseline_run, args, capsys):
    assert run(baseline_run, *args) == 2
    assert "expected --data SOURCE with them" in get_error(capsys)


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ([], "MODEL"),
        (["a", "b", "--data", "drawn", "--split", "tests"], "invalid choice: 'tests'"),
        (["no/such/folder", "b", "--data", "drawn"], "There is no folder 'no/such/folder'"),
        (["a", "--layot", "x"], "`--layout`"),
    ],
)
def test_a_wrong_call_is_one_line_and_ends_with_2(args, part, nowhere, capsys):
    assert run(*args) == 2
    assert part in get_error(capsys)


def test_pictures_are_scored_once_by_each_model(baseline_run, resnet_run, monkeypatch, capsys):
    scored = []

    def count(classifier, split, **settings):
        scored.append(split["image"][0].tobytes())
        return score_split(classifier, split, **settings)

    monkeypatch.setattr(model_comparison, "score_split", count)
    assert run(baseline_run, resnet_run, *DRAWN) == 0
    assert len(scored) == 2
    assert len(set(scored)) == 1
