"""Folders that could be misread are refused, with what was found and the nearest layout."""

import pytest
from layout_samples import Sample, write_sample

from fer_hf.data import load_splits


def fill(root, *folders, count=5, first=0):
    for place, folder in enumerate(folders):
        numbers = range(first, first + count)
        names = {f"{folder}/{place}-{number}.png": None for number in numbers}
        write_sample(root, Sample("", names))
    return root


def cross(*levels):
    ways = [""]
    for names in levels:
        ways = [f"{way}/{name}" for way in ways for name in names]
    return [way[1:] for way in ways]


@pytest.mark.parametrize(
    ("folders", "found", "nearest"),
    [
        (["train_set/images", "val_set/images"], "'train_set/images', 'val_set/images'", "affect"),
        (["train_set", "val_set"], "pictures are in 'train_set', 'val_set'", "affectnet"),
        (["images", "aligned"], "pictures are in 'aligned', 'images'", "folders"),
        (["images"], "pictures are in 'images'", "folders"),
        (["happy"], "pictures are in 'happy'", "folders"),
        (["S001", "S002"], "'S001', 'S002', which count persons, takes", "folders"),
        (["001", "002"], "'001', '002', which count persons", "folders"),
        (cross(["S1", "S2"], ["take1", "take2"]), "'S1', 'S2', which count", "folders"),
        ([f"name {'x' * i}" for i in range(31)], "31 folders .* too many for labels", "folders"),
        (cross(["anna", "bob"], ["cross", "pleased"]), "either could be the labels", "folders"),
    ],
)
def test_folders_that_are_no_labels_are_refused(tmp_path, folders, found, nearest):
    with pytest.raises(ValueError, match=rf"{found}.*The nearest layout is `{nearest}"):
        load_splits(fill(tmp_path, *folders))


def test_a_list_beside_such_folders_is_named(tmp_path):
    fill(tmp_path, "S001", "S002")
    (tmp_path / "ratings.txt").write_text("see the paper")
    with pytest.raises(ValueError, match=r"is `table`, if one of the files 'ratings.txt' says"):
        load_splits(tmp_path)


def test_outermost_folders_are_labels_if_the_layout_says_so(tmp_path):
    fill(tmp_path, "S001/happy", "S002/pleased")
    splits = load_splits(tmp_path, layout="folders")
    assert splits["train"].features["label"].names == ["S001", "S002"]


def test_two_emotions_on_one_way_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'happy/anger' names the emotions \['happy', 'anger'\]"):
        load_splits(fill(tmp_path, *cross(["happy", "sad"], ["fear", "anger"])))


def test_two_splits_on_one_way_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'train', 'test'\], which mean the splits"):
        load_splits(fill(tmp_path, "train/happy", "train/test/sad", "test/happy"))


def test_two_names_for_one_split_are_refused_but_parts_of_it_are_not(tmp_path):
    fill(tmp_path / "a", *cross(["val", "dev", "train"], ["happy", "sad"]))
    with pytest.raises(ValueError, match="both 'dev' and 'val', which both mean the split"):
        load_splits(tmp_path / "a")
    fill(tmp_path / "b", *cross(["train_1", "train_2", "test"], ["happy", "sad"]))
    splits = load_splits(tmp_path / "b")
    assert len(splits["train"]) + len(splits["validation"]) == 20
    assert len(splits["test"]) == 10


def test_two_versions_of_the_same_pictures_are_refused(tmp_path):
    for version in ("aligned", "original"):
        for place, label in enumerate(("happy", "sad")):
            names = {f"{version}/{label}/{place}-{number}.png": None for number in range(5)}
            write_sample(tmp_path, Sample("", names))
    with pytest.raises(ValueError, match="same picture in 'aligned/happy' and in 'original/happy'"):
        load_splits(tmp_path)


def test_persons_above_and_below_labels_do_not_matter(tmp_path):
    splits = load_splits(fill(tmp_path, *cross(["S1", "S2"], ["cross", "pleased"], ["t1", "t2"])))
    assert splits["train"].features["label"].names == ["cross", "pleased"]
    assert sum(map(len, splits.values())) == 40


def test_labels_at_different_depths_are_found_and_a_folder_beside_them_is_one(tmp_path):
    fill(tmp_path, "VL/P1/happy", "VL/P1/sad", "bored/x")
    fill(tmp_path, "pre process/NI/P1/happy", "pre process/NI/P1/bored", first=5)
    splits = load_splits(tmp_path)
    assert splits["train"].features["label"].names == ["bored", "happy", "sad"]
    assert "left out 5 pictures outside of the label folders, in 'bored/x'" in (
        splits["train"].info.description
    )


def test_labels_without_a_known_emotion_are_warned_of(tmp_path, caplog):
    for _ in range(2):  # from the cache, too
        caplog.clear()
        load_splits(fill(tmp_path, "anna", "bob", "carl"))
        assert "none of the labels is a known emotion: if they are persons" in caplog.text
