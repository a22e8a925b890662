"""The pictures' audit: what is tiny or there twice is named with its place, and can be dropped."""

import logging

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features
from datasets import Image as ImageFeature
from PIL import Image, ImageOps

from fer_hf.data import load_splits
from fer_hf.data.audit.picture_audit import (
    audit_pictures,
    count_repeats,
    drop_duplicates,
    find_duplicates,
)
from fer_hf.training.arguments import DataArguments

FACES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)).resize(
        (40, 40), Image.Resampling.BICUBIC
    )
    for seed in range(10)
]
FEATURES = Features({"image": ImageFeature(), "label": ClassLabel(names=["happy", "sad"])})


def build(**splits):
    """Splits from lists of (picture, label)."""
    return DatasetDict(
        {
            split: Dataset.from_dict(
                {"image": [p for p, _ in rows], "label": [y for _, y in rows]}, FEATURES
            )
            for split, rows in splits.items()
        }
    )


def places(group):
    return [(picture.split, picture.row) for picture in group.pictures]


@pytest.fixture
def splits():
    """Face 0 in train and test, face 1 mirrored and labelled differently, face 2 twice in train."""
    return build(
        train=[
            (FACES[2], "sad"),
            (FACES[0], "happy"),
            (FACES[1], "happy"),
            (FACES[2], "sad"),
            (FACES[3], "happy"),
        ],
        validation=[(ImageOps.mirror(FACES[1]), "sad"), (FACES[4], "sad")],
        test=[(FACES[0], "happy"), (FACES[5].resize((30, 19)), "sad")],
    )


@pytest.fixture
def folder(tmp_path):
    """Two labels in three split folders; a happy picture of train is in test, too."""
    for split, faces in (("train", FACES[:4]), ("val", FACES[4:6]), ("test", FACES[6:8])):
        for row, face in enumerate(faces):
            path = tmp_path / "faces" / split / ("happy", "sad")[row % 2] / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            face.save(path)
    FACES[0].save(tmp_path / "faces" / "test" / "happy" / "copy.png")
    return tmp_path / "faces"


def test_copies_are_grouped_the_worst_first(splits):
    groups = find_duplicates(splits)
    assert [places(group) for group in groups] == [
        [("train", 2), ("validation", 0)],
        [("train", 1), ("test", 0)],
        [("train", 0), ("train", 3)],
    ]
    assert [group.exact for group in groups] == [False, True, True]
    assert [group.has_conflict for group in groups] == [True, False, False]
    assert [group.crosses_splits for group in groups] == [True, True, False]
    assert [picture.label for picture in groups[0].pictures] == ["happy", "sad"]


def test_copies_of_a_copy_are_one_group():
    half = FACES[0].resize((20, 20))
    (group,) = find_duplicates(
        build(train=[(FACES[0], "sad"), (half, "sad"), (ImageOps.mirror(half), "sad")])
    )
    assert places(group) == [("train", 0), ("train", 1), ("train", 2)]
    assert not group.exact


def test_problems_are_counted_in_words(splits):
    found = audit_pictures(splits, ["`train` 'a.png': not a picture"])
    assert found.list_problems() == [
        "1 unreadable pictures",
        "1 pictures below 20 pixels",
        "3 duplicates of other pictures",
        "2 photographs in more than one split",
        "1 photographs with different labels",
    ]
    (tiny,) = found.tiny
    assert (tiny.picture.split, tiny.picture.row) == ("test", 1)
    assert (tiny.width, tiny.height) == (30, 19)
    assert found.label_counts["train"] == {"happy": 3, "sad": 2}
    assert found.label_counts["validation"] == {"happy": 0, "sad": 2}


def test_nothing_is_wrong_with_different_pictures():
    found = audit_pictures(build(train=[(face, "sad") for face in FACES]))
    assert found.list_problems() == []


def test_the_drawn_faces_are_all_different(faces):
    assert audit_pictures(faces).list_problems() == []


def test_the_name_is_that_of_the_file_without_the_way_to_it(folder):
    (group,) = find_duplicates(load_splits(folder))
    assert [picture.name for picture in group.pictures] == ["happy/0.png", "happy/copy.png"]


def test_of_copies_one_is_kept_and_none_in_train_where_labels_differ(splits, caplog):
    with caplog.at_level(logging.INFO, logger="fer_hf"):
        dropped = drop_duplicates(splits)
    # Of train rows 0 to 4: face 1 has another label in validation, face 0 is in test, 2 is twice.
    assert [np.asarray(picture).tolist() for picture in dropped["train"]["image"]] == [
        np.asarray(face).tolist() for face in (FACES[2], FACES[3])
    ]
    assert dropped["train"]["label"][:] == [1, 0]
    assert {split: len(data) for split, data in dropped.items()} == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }
    assert "train 3, validation 0, test 0" in caplog.text
    assert find_duplicates(dropped) == []


def test_copies_with_different_labels_are_dropped_from_train_altogether():
    rows = [(FACES[0], "sad"), (FACES[0], "happy"), (FACES[1], "sad")]
    assert len(drop_duplicates(build(train=rows))["train"]) == 1


def test_between_validation_and_test_the_one_in_test_is_kept():
    rows = [(FACES[0], "sad"), (FACES[1], "sad")]
    dropped = drop_duplicates(build(train=[(FACES[2], "sad")], validation=rows, test=rows[:1]))
    assert [len(data) for data in dropped.values()] == [1, 1, 1]


def test_a_split_that_would_be_empty_is_refused():
    with pytest.raises(ValueError, match="All 1 pictures of `train` are duplicates of others"):
        drop_duplicates(build(train=[(FACES[0], "sad")], test=[(FACES[0], "sad")]))


def test_repeats_are_those_of_splits_before(splits):
    # Face 0 alone: face 2 is twice in one split, and face 1 was mirrored.
    assert count_repeats(splits) == 1


def test_a_load_warns_of_pictures_in_two_splits_where_it_checks_them(folder, caplog):
    for check in (True, False):
        splits = DataArguments(data=str(folder)).load(check=check)
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert warning.message.startswith("1 pictures of validation or test are byte for byte in anoth")
    assert f"fer-hf audit {folder}" in warning.message
    assert len(splits["train"]) == 4


def test_strict_stops_where_pictures_are_there_twice(folder):
    with pytest.raises(
        ValueError, match=r"1 duplicates of other pictures, 1 photographs in more than"
    ):
        DataArguments(data=str(folder), strict=True).load()


def test_without_its_copies_a_source_is_strict_enough_and_nothing_is_said(folder, caplog):
    splits = DataArguments(data=str(folder), strict=True, drop_duplicates=True).load()
    assert {split: len(data) for split, data in splits.items()} == {
        "train": 3,
        "validation": 2,
        "test": 3,
    }
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.realdata
def test_the_photographs_are_all_different(photos_dir):
    assert audit_pictures(load_splits(photos_dir)).list_problems() == []
