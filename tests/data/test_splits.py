"""Making missing splits."""

import numpy as np
import pytest

from fer_hf.data import load_splits
from fer_hf.data.splits import is_cut, select_split, split_name, split_rows


def count(label_ids, rows):
    return np.bincount(label_ids[rows], minlength=label_ids.max() + 1).tolist()


def test_the_reference_size_is_cut_into_the_reference_proportions():
    label_ids = np.random.default_rng(0).integers(0, 8, 5856)
    rows = split_rows(label_ids, {"train"}, seed=0)
    assert {split: len(found) for split, found in rows.items()} == {
        "train": 4743,
        "validation": 526,
        "test": 587,
    }
    assert sorted(np.concatenate(list(rows.values()))) == list(range(5856))


def test_every_label_gives_its_share_to_within_one_row():
    counts = np.array([600, 300, 60, 37])
    label_ids = np.repeat(np.arange(4), counts)
    rows = split_rows(label_ids, {"train"}, seed=3)
    for split, share in (("test", 587 / 5856), ("validation", 526 / 5856)):
        assert np.abs(count(label_ids, rows[split]) - counts * share).max() <= 1


def test_rare_labels_keep_a_row_in_train_and_reach_the_others_where_they_can():
    label_ids = np.repeat(np.arange(5), [1, 2, 3, 10, 300])
    rows = split_rows(label_ids, {"train"}, seed=0)
    assert count(label_ids, rows["test"])[:4] == [0, 1, 1, 1]
    assert count(label_ids, rows["validation"])[:4] == [0, 0, 1, 1]
    assert count(label_ids, rows["train"])[:4] == [1, 1, 1, 8]


def test_only_what_is_missing_is_cut_out_of_train():
    label_ids = np.repeat([0, 1], 5269)
    rows = split_rows(label_ids, {"train", "test"}, seed=0)
    assert set(rows) == {"train", "validation"}
    assert len(rows["validation"]) == 2 * 526
    assert set(split_rows(label_ids, {"train", "validation", "test"}, seed=0)) == {"train"}


def test_the_seed_decides_and_nothing_else():
    label_ids = np.random.default_rng(1).integers(0, 3, 200)
    first, again, other = (split_rows(label_ids, {"train"}, seed=seed) for seed in (5, 5, 6))
    assert all((first[split] == again[split]).all() for split in first)
    assert any((first[split] != other[split]).any() for split in ("test", "validation"))
    assert all((np.diff(found) > 0).all() for found in first.values())


def test_a_split_that_would_be_empty_is_refused():
    with pytest.raises(ValueError, match="too few to cut out the missing split `test`"):
        split_rows(np.array([0, 1, 2]), {"train", "validation"}, seed=0)


def test_splits_that_were_cut_are_told_from_those_of_the_source(tmp_path):
    images = np.zeros((12, 4, 4, 3), np.uint8)
    for name, given in (("whole", ["train"]), ("tested", ["train", "test"])):
        arrays = {f"{split}_images": images for split in given}
        arrays |= {f"{split}_labels": np.arange(12) % 2 for split in given}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    whole, tested = (load_splits(tmp_path / f"{name}.npz") for name in ("whole", "tested"))
    assert [is_cut(split) for split in whole.values()] == [False, True, True]
    assert [is_cut(split) for split in tested.values()] == [False, True, False]
    assert {name: own.num_examples for name, own in whole["test"].info.splits.items()} == {
        "train": 12
    }
    assert is_cut(whole["test"].shuffle(seed=0).take(1))
    whole["test"].info.splits = None  # as of a `Dataset` from elsewhere
    assert not is_cut(whole["test"])


def test_all_splits_are_one_after_the_other(faces):
    joined = select_split(faces, "all")
    assert joined["label"][:] == [label for split in faces.values() for label in split["label"][:]]
    assert select_split(faces, "test") is faces["test"]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Val", "validation"),
        ("val_set", "validation"),
        ("Train_Aligned_Faces", "train"),
        ("PublicTest", "validation"),
        ("trainset", "train"),
        ("images-test-2", "test"),
        ("train_test", None),
        ("train_station", None),
        ("latest", None),
        ("", None),
    ],
)
def test_a_name_means_a_split_if_its_words_say_nothing_else(name, split):
    assert split_name(name) == split
