"""Learning from a handful: the head fits, its figures are of unseen pictures, its scores honest."""

import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

from fer_hf import cli
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.training.frozen.fitting import add_not_sure


@pytest.fixture
def folder(tmp_path):
    """Three labels of ten small pictures that differ in their stripes."""
    rng = np.random.default_rng(0)
    for label, axis in (("calm", 0), ("tense", 1), ("flat", None)):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for number in range(10):
            stripes = np.sin(np.arange(32) * rng.uniform(0.8, 1.2)) * (axis is not None)
            pixels = np.broadcast_to(stripes if axis else stripes[:, None], (32, 32))
            pixels = 128 + 80 * pixels + rng.normal(0, 10, (32, 32))
            picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            picture.save(tmp_path / "mine" / label / f"{number}.png")
    return tmp_path / "mine"


def test_the_command_leaves_a_checkpoint_whose_head_is_what_was_fitted(
    folder, resnet_run, tmp_path, capsys
):
    run = tmp_path / "run"
    args = ["fit", str(folder), "--model", str(resnet_run), "--output_dir", str(run)]
    start = time.perf_counter()
    assert cli.main(args) == 0
    assert time.perf_counter() - start < 60
    printed = capsys.readouterr().out
    assert "cross-validated in 5 folds" in printed
    assert "always" in printed
    report = load_report(run)
    assert report.split_sizes == {"train": 30}
    assert report.evaluations["validation"].num_pictures == 30
    assert report.label_names == ["calm", "flat", "tense"]
    assert report.evaluations["validation"].accuracy.value > 0.6
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "Cross-validated on all 30 pictures in 5 folds" in card
    assert str(tmp_path) not in card + json.dumps(report.to_dict())
    not_sure = json.loads((run / "config.json").read_text())["not_sure"]
    # Each label has ten pictures, too few for a threshold of its own.
    assert "conformal_threshold" in not_sure
    assert "conformal_thresholds" not in not_sure
    classify = pipeline("image-classification", model=str(run))
    found = [
        classify(str(path))[0]["label"] == label
        for label in report.label_names
        for path in sorted((folder / label).iterdir())
    ]
    assert np.mean(found) >= report.evaluations["validation"].accuracy.value
    assert cli.main(args) == 2  # the folder is taken


def test_what_cannot_be_fitted_is_one_line(folder, baseline_run, tmp_path, capsys):
    args = ["fit", str(folder), "--model", str(baseline_run), "--output_dir", str(tmp_path / "run")]
    assert cli.main(args) == 2
    assert "no backbone to keep" in capsys.readouterr().err


def test_an_existing_checkpoint_learns_when_it_is_not_sure(baseline_run, faces, tmp_path):
    checkpoint = shutil.copytree(baseline_run, tmp_path / "checkpoint")
    classifier, split = ExpressionClassifier(str(baseline_run)), faces["validation"]
    votes = np.random.default_rng(0).multinomial(10, [1 / 8] * 8, size=len(split))
    config = json.loads((checkpoint / "config.json").read_text())
    weights = (checkpoint / "model.safetensors").read_bytes()
    fitted = add_not_sure(checkpoint, split.add_column("votes", votes.tolist()), coverage=0.8)
    assert fitted == fit_not_sure(score_split(classifier, split)[0], split["label"], votes, 0.8)
    assert fitted.crowd_temperature is not None
    written = json.loads((checkpoint / "config.json").read_text())
    assert written == {**config, "not_sure": fitted.to_dict()}
    assert (checkpoint / "model.safetensors").read_bytes() == weights
    assert ExpressionClassifier(str(checkpoint)).not_sure == fitted
    # Once more, on pictures without votes, and nothing is left of the first time.
    assert add_not_sure(checkpoint, split).crowd_temperature is None
    assert "crowd_temperature" not in (checkpoint / "config.json").read_text()
    with pytest.raises(FileNotFoundError):
        add_not_sure("nobody/nothing", split)
