"""The `folders` layout."""

from pathlib import Path

import pytest
from PIL import Image

from fer_hf.data import load_splits


def put(folder, name="1.png", colour="red", size=(8, 8)):
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(folder / name)
    return folder / name


def fill(root, labels, count=3, split=""):
    for label in labels:
        for number in range(count):
            put(root / split / label, f"{number}.png")
    return root


def names_of(split):
    return [split.features["label"].int2str(label) for label in split["label"]]


@pytest.mark.parametrize("layout", [None, "folders"])
@pytest.mark.parametrize("validation", ["val", "Valid", "validation", "DEV"])
@pytest.mark.parametrize("train", ["train", "Training"])
def test_split_folders_in_any_spelling_are_kept_as_they_are(tmp_path, train, validation, layout):
    fill(tmp_path, ["Happiness", "sad"], 4, train)
    fill(tmp_path, ["happy", "SAD"], 2, validation)
    fill(tmp_path, ["joy"], 1, "TEST")
    splits = load_splits(tmp_path, layout=layout)
    assert {split: len(data) for split, data in splits.items()} == {
        "train": 8,
        "validation": 4,
        "test": 1,
    }
    # A label missing from one split does not shift the ids.
    assert all(data.features["label"].names == ["happy", "sad"] for data in splits.values())
    assert splits["test"]["label"][:] == [0]
    assert splits["train"].column_names == ["image", "label"]


def test_folders_of_labels_alone_are_split_and_paths_are_kept(tmp_path):
    fill(tmp_path, ["happy", "sad"], 20)
    splits = load_splits(tmp_path)
    assert {split: len(data) for split, data in splits.items()} == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }
    stored = splits["test"].data.column("image").to_pylist()
    assert all(picture["bytes"] is None for picture in stored)
    assert all(picture["path"].startswith(str(tmp_path)) for picture in stored)
    assert (
        len({p["path"] for s in splits.values() for p in s.data.column("image").to_pylist()}) == 40
    )


def test_the_seed_decides_which_rows_go_where(tmp_path):
    fill(tmp_path, ["happy", "sad"], 20)
    paths = [
        [p["path"] for p in load_splits(tmp_path, seed=seed)["test"].data["image"].to_pylist()]
        for seed in (0, 0, 1)
    ]
    assert paths[0] == paths[1] != paths[2]


def test_what_is_no_picture_of_a_label_is_left_alone(tmp_path, caplog):
    fill(tmp_path, ["happy", "sad"], 10)
    put(tmp_path / "happy" / "more", "deeper.JPG")
    for name in ("LICENSE", "README.md", "cover.png", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("Thumbs.db", "._1.png", ".DS_Store"):
        (tmp_path / "happy" / name).write_bytes(b"x")
    put(tmp_path / ".cache" / "sad")
    (tmp_path / "docs").mkdir()
    splits = load_splits(tmp_path)
    assert sum(len(data) for data in splits.values()) == 21


def test_an_empty_label_folder_is_left_out_with_a_word(tmp_path, caplog):
    for split in ("train", "val", "test"):
        fill(tmp_path, ["happy", "sad"], 2, split)
    (tmp_path / "train" / "fear").mkdir()
    assert load_splits(tmp_path)["train"].features["label"].names == ["happy", "sad"]
    assert "fear' has no pictures and is left out" in caplog.text


def test_numbered_folders_take_their_names_from_label_names(tmp_path):
    fill(tmp_path, ["0", "1", "2"], 5)
    splits = load_splits(tmp_path, label_names=["sad", "anger", "joy"])
    names = splits["train"].features["label"].names
    assert names == ["anger", "happy", "sad"]
    for picture, name in zip(
        splits["train"].data["image"].to_pylist(), names_of(splits["train"]), strict=True
    ):
        assert {"0": "sad", "1": "anger", "2": "happy"}[Path(picture["path"]).parent.name] == name


def test_a_label_that_train_lacks_is_refused(tmp_path):
    fill(tmp_path, ["anger", "sad"], 2, "train")
    fill(tmp_path, ["anger", "contempt"], 2, "test")
    message = (
        r"Split `test` has label 'contempt', which `train` lacks \(\['anger', 'sad'\]\)\. "
        r"Use the same label folders in every split\."
    )
    with pytest.raises(ValueError, match=message):
        load_splits(tmp_path)


def test_an_empty_split_folder_is_refused(tmp_path):
    fill(tmp_path, ["anger", "sad"], 2, "train")
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match="Split `test` is empty"):
        load_splits(tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path):
    fill(tmp_path, ["anger", "sad"], 2, "train")
    fill(tmp_path, ["anger", "sad"], 2, "val")
    fill(tmp_path, ["anger", "sad"], 2, "dev")
    with pytest.raises(ValueError, match="'dev' and 'val', which both mean the split `validation`"):
        load_splits(tmp_path)


def test_a_label_outside_the_given_names_is_refused(tmp_path):
    fill(tmp_path, ["anger", "sad"], 4)
    with pytest.raises(ValueError, match="'sad', which is none of the label names"):
        load_splits(tmp_path, label_names=["anger", "fear"])


def test_naming_the_layout_of_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no folders of pictures, one for each label"):
        load_splits(tmp_path, layout="folders")


def spoil(root):
    good = put(root / "happy", "good.jpg", size=(64, 64)).read_bytes()
    (root / "happy" / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (root / "happy" / "empty.png").write_bytes(b"")
    (root / "sad" / "text.png").write_text("no picture")


def test_unreadable_pictures_stop_the_load_by_name(tmp_path):
    spoil(fill(tmp_path, ["happy", "sad"], 5))
    with pytest.raises(
        ValueError, match=r"3 pictures cannot be read: `train` '.*empty.png': empty "
    ):
        load_splits(tmp_path)


def test_only_the_first_ten_unreadable_pictures_are_named(tmp_path):
    fill(tmp_path, ["happy", "sad"], 5)
    for number in range(12):
        (tmp_path / "sad" / f"bad{number}.png").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"12 pictures cannot be read.*and 2 more. Repair"
    ) as caught:
        load_splits(tmp_path)
    assert str(caught.value).count("empty file") == 10


def test_unreadable_pictures_can_be_left_out_and_are_logged_every_time(tmp_path, caplog):
    spoil(fill(tmp_path, ["happy", "sad"], 5))
    for _ in range(2):
        caplog.clear()
        splits = load_splits(tmp_path, skip_unreadable=True)
        assert sum(len(data) for data in splits.values()) == 11
        assert "Left out 3 unreadable pictures" in caplog.text
        assert "truncated.jpg" in caplog.text
    for data in splits.values():
        assert all(image.size for image in data["image"])


def test_a_changed_folder_is_read_anew(tmp_path):
    fill(tmp_path, ["happy", "sad"], 5)
    assert sum(map(len, load_splits(tmp_path).values())) == 10
    added = put(tmp_path / "sad", "new.png")
    assert sum(map(len, load_splits(tmp_path).values())) == 11
    added.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"new.png': not a picture"):
        load_splits(tmp_path)


@pytest.mark.realdata
def test_the_photographs_load_with_every_rare_label_in_train(photos_dir):
    splits = load_splits(photos_dir)
    assert sum(map(len, splits.values())) == 964
    assert {split: names_of(data).count("contempt") for split, data in splits.items()} == {
        "train": 1,
        "validation": 0,
        "test": 1,
    }
    assert {split: names_of(data).count("fear") for split, data in splits.items()} == {
        "train": 8,
        "validation": 1,
        "test": 1,
    }
