"""`fer-hf audit`: everything that is wrong with a source, on the terminal and in a folder."""

import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer_hf import cli
from fer_hf.data import load_splits
from fer_hf.training.frozen.label_audit import audit, audit_labels

NAMES = ("dark", "light", "lone")


def draw(seed, level):
    """A smooth picture around a grey level."""
    pixels = np.random.default_rng(seed).integers(level - 40, level + 40, (9, 9), np.uint8)
    return Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)


def save(picture, *parts):
    path = parts[0].joinpath(*parts[1:])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


@pytest.fixture
def clean(tmp_path):
    """Twenty dark and twenty light pictures in three splits."""
    for seed in range(40):
        split = "train" if seed < 24 else "validation" if seed < 32 else "test"
        label, level = (("dark", 60), ("light", 190))[seed % 2]
        save(draw(seed, level), tmp_path / "faces", split, label, f"{seed}.png")
    return tmp_path / "faces"


@pytest.fixture
def corrupted(clean):
    """The same with a copy, a tiny, a broken and a wrongly labelled picture, and one alone."""
    save(ImageOps.mirror(draw(0, 60)), clean, "test", "dark", "mirrored.png")
    save(draw(50, 190).resize((12, 30)), clean, "train", "light", "tiny.png")
    (clean / "validation" / "dark" / "broken.png").write_bytes(b"no picture")
    save(draw(51, 190), clean, "train", "dark", "wrong.png")
    save(draw(52, 120), clean, "train", "lone", "lone.png")
    return clean


def run(*args):
    return cli.main(["audit", *map(str, args)])


def test_everything_wrong_is_on_the_terminal_and_in_the_folder(corrupted, tmp_path, capsys):
    assert run(corrupted, "--output_dir", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    for part in (
        "1 unreadable pictures",
        "1 pictures below 20 pixels",
        "1 duplicates of other pictures",
        "1 photographs in more than one split",
        "`validation` 'validation/dark/broken.png': not a picture",
        "light/tiny.png: 12×30",
        "train 0 dark/0.png (dark) = test 4 dark/mirrored.png (dark)",
        "cross-validated in 5 folds",
        "not checked, with a single picture each: lone",
    ):
        assert part in shown
    report = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert report["data"] == "faces"
    assert str(tmp_path) not in json.dumps(report)
    assert report["problems"][0] == "1 unreadable pictures"
    (group,) = report["pictures"]["duplicates"]
    assert group == {
        "pictures": [
            {"split": "train", "row": 0, "label": "dark", "name": "dark/0.png"},
            {"split": "test", "row": 4, "label": "dark", "name": "dark/mirrored.png"},
        ],
        "exact": False,
    }
    assert report["pictures"]["label_counts"]["train"] == {"dark": 13, "light": 13, "lone": 1}
    assert report["labels"]["num_folds"] == 5
    assert Image.open(tmp_path / "out" / "duplicates.png").width > 2 * 96


def test_a_clean_source_is_said_to_be_clean(clean, tmp_path, capsys):
    assert run(clean, "--no_labels", "--strict", "--output_dir", tmp_path / "out") == 0
    assert "nothing wrong with the pictures" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["audit.json"]
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["labels"] is None


def test_strict_ends_with_1_after_the_report(corrupted, capsys):
    assert run(corrupted, "--no_labels", "--strict") == 1
    captured = capsys.readouterr()
    assert "light/tiny.png" in captured.out
    last = captured.err.splitlines()[-1]
    assert last.startswith("fer-hf: error: Found 1 unreadable pictures, 1 pictures below 20")
    assert last.endswith("expected none with --strict.")


def test_most_limits_what_is_printed(corrupted, capsys):
    assert run(corrupted, "--no_labels", "--most", 0) == 0
    shown = capsys.readouterr().out
    assert "1 duplicates of other pictures" in shown
    assert "mirrored.png" not in shown


def test_a_folder_in_use_is_refused_before_anything_is_computed(clean, tmp_path, capsys):
    assert run(clean, "--output_dir", clean) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_wrong_label_is_found_by_a_model_that_had_not_seen_it(corrupted, monkeypatch):
    # The features of a network are not what is tested: brightness stands for them.
    def brightness(splits, *_):
        pictures = [face for data in splits.values() for face in data["image"]]
        levels = np.array([[np.asarray(face).mean()] for face in pictures]) / 255
        return np.column_stack([levels, levels**2])

    monkeypatch.setattr("fer_hf.training.frozen.label_audit._compute_features", brightness)
    splits = load_splits(corrupted, skip_unreadable=True)
    found = audit_labels(splits, "somebody/model")
    assert found.suspicious[0].picture.name == "dark/wrong.png"
    assert found.suspicious[0].picture.row == 12
    assert found.suspicious[0].suggested == "light"
    assert found.suspicious[0].score < 0.5 < found.suspicious[0].suggested_score
    assert found.accuracy.value == pytest.approx(42 / 43)  # 41 and the tiny one, not the lone one
    assert found.unchecked == ["lone"]
    assert found.model == "somebody/model"


def test_too_few_pictures_to_check_labels_with_are_refused(tmp_path):
    for seed, label in enumerate(("dark", "dark", "dark", "light")):
        save(draw(seed, 100), tmp_path, label, f"{seed}.png")
    splits = load_splits(tmp_path)
    with pytest.raises(ValueError, match=r"Labels have \[3, 1\] pictures.*--no_labels"):
        audit_labels(splits, "resnetv2-ferplus")


@pytest.mark.parametrize("model", ["baseline", "test_resnet"])
def test_a_model_that_is_not_pretrained_is_refused(clean, model, capsys):
    assert run(clean, "--model", model) == 2
    assert f"{model!r} has no pretrained backbone" in capsys.readouterr().err


def test_without_a_model_the_labels_are_not_checked(clean):
    assert audit(load_splits(clean), str(clean), model_name_or_path=None).labels is None


@pytest.mark.realdata
def test_the_bundled_model_finds_flipped_labels_of_photographs(photos_dir, tmp_path):
    for label in ("happy", "surprise"):
        (tmp_path / label).mkdir()
        for path in sorted((photos_dir / label).iterdir())[:60]:
            (tmp_path / label / path.name).symlink_to(path)
    flipped = sorted((photos_dir / "happy").iterdir())[60:66]
    for path in flipped:
        (tmp_path / "surprise" / path.name).symlink_to(path)
    found = audit_labels(load_splits(tmp_path), "resnetv2-ferplus")
    names = {item.picture.name for item in found.suspicious[:8]}
    assert len({f"surprise/{path.name}" for path in flipped} & names) >= 4
