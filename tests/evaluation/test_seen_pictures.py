"""What is measured where nobody says: all pictures, if they are all new to the model."""

import logging
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fer_hf import cli
from fer_hf.data import load_splits
from fer_hf.data.audit.fingerprints import compute_fingerprints, save_fingerprints
from fer_hf.data.splits import select_split
from fer_hf.evaluation.seen_pictures import choose_split, count_seen


def make_model(folder, seen=None):
    """As much of a classifier as is asked of it, in a folder with or without fingerprints."""
    folder.mkdir()
    file = None if seen is None else save_fingerprints(seen, folder)
    return SimpleNamespace(model_name_or_path=str(folder), find_file=lambda name: file)


@pytest.fixture
def cut(tmp_path):
    """The splits of twenty pictures in a folder for each of two labels."""
    return load_splits(write_pictures(tmp_path / "faces", "happy", "sad"))


def write_pictures(root, *folders):
    rng = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(
                root / folder / f"{number}.png"
            )
    return root


NONE = np.array([], np.uint64)


def test_all_of_a_source_without_splits_are_measured_where_none_was_seen(cut, tmp_path, caplog):
    models = [make_model(tmp_path / name, NONE) for name in ("one", "two")]
    with caplog.at_level(logging.INFO, logger="fer_hf"):
        assert choose_split(models, cut) == "all"
    assert caplog.messages == [
        "Measuring all 20 pictures, since none was seen in training and no `test` was given."
    ]
    assert len(select_split(cut, "all")) == 20


def test_test_alone_is_measured_where_one_model_has_seen_a_picture(cut, tmp_path, caplog):
    seen = compute_fingerprints(cut["train"].select([0]))
    models = [make_model(tmp_path / "new", NONE), make_model(tmp_path / "old", seen)]
    assert count_seen(models[1], cut["train"]) == 1
    with caplog.at_level(logging.INFO, logger="fer_hf"):
        assert choose_split(models, cut) == "test"
    assert caplog.messages == [
        "Measuring `test`, 2 of 20 pictures, since old was trained on 1 of them."
    ]


def test_test_alone_is_measured_where_a_checkpoint_does_not_say(cut, tmp_path, caplog):
    model = make_model(tmp_path / "old")
    assert count_seen(model, cut["train"]) is None
    with caplog.at_level(logging.INFO, logger="fer_hf"):
        assert choose_split([model], cut) == "test"
    assert "whether old was trained on them is not known (no `seen.safetensors`)" in caplog.text


def test_a_test_split_that_was_given_is_measured_without_a_look_at_fingerprints(tmp_path, caplog):
    root = write_pictures(tmp_path / "faces", "train/happy", "train/sad", "test/happy", "test/sad")
    with caplog.at_level(logging.INFO, logger="fer_hf.evaluation"):
        assert choose_split([], load_splits(root)) == "test"
    assert caplog.messages == []


def test_damaged_fingerprints_are_refused(cut, tmp_path):
    model = make_model(tmp_path / "old", NONE)
    (tmp_path / "old" / "seen.safetensors").write_bytes(b"{}")
    with pytest.raises(ValueError, match="has no fingerprints to compare with"):
        choose_split([model], cut)


def test_evaluate_and_compare_choose_and_an_explicit_split_wins(
    baseline_run, tmp_path, capsys, caplog
):
    root = write_pictures(tmp_path / "faces", "happy", "sad")
    shutil.copytree(baseline_run, tmp_path / "other")
    one, two = ["evaluate", str(baseline_run)], ["compare", str(baseline_run)]
    two.append(str(tmp_path / "other"))
    for call, asked, expected in (
        (one, [], "all: 20 pictures"),
        (two, [], "all: 20 pictures"),
        (one, ["--split", "test"], "test: 2 pictures"),
        (two, ["--split", "validation"], "validation: 2 pictures"),
    ):
        caplog.clear()
        assert cli.main([*call, "--data", str(root), *asked]) == 0
        assert expected in capsys.readouterr().out
        assert ("Measuring all 20 pictures" in caplog.text) == (not asked)
