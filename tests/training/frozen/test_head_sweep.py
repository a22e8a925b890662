"""The sweep: heads side by side are the heads alone, and the best one is found."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fer_hf import cli
from fer_hf.models import load_model
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import FeatureDataset, load_features
from fer_hf.training.frozen.head_sweep import (
    HeadSettings,
    average_poolings,
    list_settings,
    sweep_heads,
)

PLAIN = HeadSettings("avg", "linear", 1e-2, 1e-4, "none")


class Faces:
    """What `FeatureDataset` takes of a `FaceDataset`."""

    def __init__(self, labels, targets=None):
        self.labels = torch.as_tensor(labels)
        self.targets = targets


def draw(count, apart=2.0, seed=0):
    """Three clouds of points, of which the third is rare."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=count, p=[0.48, 0.48, 0.04])
    points = np.eye(12)[labels] * apart + rng.normal(size=(count, 12))
    features = torch.tensor(points, dtype=torch.float32)[None, :, :, None, None]
    return {"avg": FeatureDataset(Faces(labels), features)}


def sweep(settings, **options):
    options = {"num_labels": 3, "epochs": 8, "batch_size": 32, "dropout": 0.0, **options}
    return sweep_heads(draw(600), draw(300, seed=1), settings, **options)[0]


@pytest.mark.parametrize("head", ["linear", "dense"])
def test_heads_side_by_side_are_what_each_is_alone(head):
    settings = [
        replace(PLAIN, head=head),
        replace(PLAIN, head=head, learning_rate=1e-4),
        replace(PLAIN, head=head, weight_decay=1.0),
        replace(PLAIN, head=head, class_weights="balanced"),
    ]
    together = {row.settings: row for row in sweep(settings)}
    for item in settings:
        (alone,) = sweep([item])
        assert together[item].validation == pytest.approx(alone.validation, abs=1e-4)
        assert together[item].train == pytest.approx(alone.train, abs=1e-4)
    assert len({row.validation["nll"] for row in together.values()}) == 4


def test_the_best_macro_f1_on_validation_comes_first():
    rows = sweep([replace(PLAIN, learning_rate=rate) for rate in (1e-6, 1e-2, 1e-3)])
    figures = [row.validation["f1_macro"] for row in rows]
    assert figures == sorted(figures, reverse=True)
    assert rows[0].settings.learning_rate == 1e-2
    assert rows[-1].settings.learning_rate == 1e-6
    assert rows[0].validation["accuracy"] > 0.8
    gap = rows[0].train["accuracy"] - rows[0].validation["accuracy"]
    assert rows[0].accuracy_gap == pytest.approx(gap)


def test_label_weights_find_more_of_a_rare_label():
    plain, weighted = (
        sweep([replace(PLAIN, class_weights=kind)])[0].validation["balanced_accuracy"]
        for kind in ("none", "balanced")
    )
    assert weighted > plain


def test_soft_targets_are_learnt_where_there_are_any():
    hard, soft = draw(600), draw(600)
    soft["avg"].targets = torch.full((600, 3), 1 / 3)
    validation = draw(300, seed=1)
    options = {"num_labels": 3, "epochs": 8, "batch_size": 32}
    (sure,), _ = sweep_heads(hard, validation, [PLAIN], **options)
    (unsure,), _ = sweep_heads(soft, validation, [PLAIN], **options)
    assert sure.validation["nll"] < 0.7
    assert unsure.validation["nll"] == pytest.approx(np.log(3), abs=0.02)


def test_features_under_both_poolings_are_those_the_network_computes(faces):
    names = faces["train"].features["label"].names
    found = {}
    for pooling in ("avg", "max", "avgmax"):
        torch.manual_seed(0)
        loaded = load_model("test_resnet", names, weights="none", input_size=32, pooling=pooling)
        pictures = FaceDataset(faces["train"], loaded.image_processor)
        found[pooling] = load_features(loaded.model.eval(), pictures)
    derived = average_poolings(found["avg"], found["max"])
    torch.testing.assert_close(derived.features, found["avgmax"].features)


def test_a_hundred_settings_and_more_each_once():
    settings = list_settings()
    assert len(settings) >= 100
    assert len(set(settings)) == len(settings)


def test_the_command_prints_the_best_and_writes_all_with_a_picture(resnet_run, tmp_path, capsys):
    folder = tmp_path / "sweep"
    args = ["sweep", "drawn", "--num_drawn", "80", "--drawn_size", "32"]
    args += ["--model", str(resnet_run), "--num_train_epochs", "1", "--dense_size", "8"]
    args += ["--output_dir", str(folder)]
    assert cli.main(args) == 0
    printed = capsys.readouterr().out
    assert "120 heads in" in printed
    assert "accelerate launch train.py --data drawn" in printed
    rows = json.loads((folder / "sweep.json").read_text())
    assert len(rows) == 120
    assert f"{100 * rows[0]['validation']['f1_macro']:.1f}" in printed
    with Image.open(folder / "sweep.png") as picture:
        assert picture.width > 800
    assert cli.main(args) == 2  # the folder is taken


def test_a_model_without_a_frozen_backbone_cannot_be_swept(baseline_run, tmp_path, capsys):
    drawn = ["drawn", "--num_drawn", "80", "--drawn_size", "32", "--output_dir", str(tmp_path)]
    assert cli.main(["sweep", *drawn, "--model", str(baseline_run)]) == 2
    assert "no backbone to keep frozen" in capsys.readouterr().err
