"""What names of folders and files say."""

import pytest

from fer_hf.data.layouts.path_words import (
    are_series,
    find_emotion_word,
    find_emotions,
    find_splits,
)


def test_splits_are_found_in_any_spelling():
    names = ["train_set", "val_set", "Testing", "images"]
    assert find_splits(names) == {"train_set": "train", "val_set": "validation", "Testing": "test"}
    assert find_splits(["FER2013Train", "FER2013Valid"]) == {
        "FER2013Train": "train",
        "FER2013Valid": "validation",
    }
    assert find_splits(["PublicTest", "Training"]) == {
        "PublicTest": "validation",
        "Training": "train",
    }


def test_a_split_with_a_word_of_its_own_needs_a_sibling():
    assert find_splits(["train_station", "airport"]) == {}
    assert find_splits(["crash_test", "crash_train"]) == {
        "crash_test": "test",
        "crash_train": "train",
    }
    assert find_splits(["train_test"]) == {}


def test_numbers_containers_shared_words_and_folders_above_may_stand_beside_an_emotion():
    assert find_emotions(["0_neutral", "1-Happiness"]) == {
        "0_neutral": "neutral",
        "1-Happiness": "happy",
    }
    assert find_emotions(["aia_anger", "bonnie_joy"], ["aia", "bonnie"]) == {
        "aia_anger": "anger",
        "bonnie_joy": "happy",
    }
    assert find_emotions(["mood sad", "mood happy"]) == {"mood sad": "sad", "mood happy": "happy"}


def test_any_other_word_makes_a_label_of_its_own():
    names = ["happily_surprised", "not_happy", "very sad", "fear of heights"]
    assert find_emotions([*names, "anger"]) == {"anger": "anger"}
    assert find_emotions(["happily surprised", "sadly surprised", "angrily surprised"]) == {}
    assert find_emotions(["not happy", "not sad"]) == {}
    assert find_emotions(["sad 1", "sad 2"], ["sad"]) == {"sad 1": "sad", "sad 2": "sad"}


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("Rafd090_01_Caucasian_female_angry_frontal", "anger"),
        ("happy_joyful_2", "happy"),
        ("happy_or_sad", None),
        ("not_happy", None),
        ("happily_surprised", None),
        ("portrait", None),
    ],
)
def test_a_file_name_says_one_emotion_or_none(name, emotion):
    assert find_emotion_word(name) == emotion


@pytest.mark.parametrize(
    "names",
    [
        ["S001", "S002"],
        ["AF01", "BM22"],
        ["subject 1", "subject 2"],
        ["batch1", "batch2", "batch3"],
        ["001", "002"],
        ["3", "17", "40"],
        ["2024-01-01", "2024-01-02"],
    ],
)
def test_names_that_only_count_are_series(names):
    assert are_series(names)


@pytest.mark.parametrize(
    "names", [["0", "1", "2"], ["1", "2"], ["class_0", "class_1"], ["cross", "pleased"]]
)
def test_names_that_may_be_labels_are_no_series(names):
    assert not are_series(names)
