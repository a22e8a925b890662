"""Label names and ids."""

import numpy as np
import pytest

from fer_hf.data.labels import (
    check_label_names,
    collect_label_names,
    map_labels,
    map_votes,
    match_labels,
    name_labels,
)


def test_numbers_get_names_by_position_and_canonical_spelling():
    assert name_labels([0, "1", 1.0], ["Joy", "bored"], "x", str) == ["happy", "bored", "bored"]


def test_numbers_without_names_are_their_own_names():
    assert name_labels([10, 9, 9], None, "`train_labels`", str) == ["10", "9", "9"]
    assert collect_label_names({"train": ["10", "9", "9"]}, None) == ["9", "10"]


def test_numbers_that_are_names_are_taken_as_names():
    assert name_labels(["7", "1"], ["1", "7"], "x", str) == ["7", "1"]


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([0, 3], ["a", "b"], r"among them \[3\], but `label_names` has 2 names"),
        ([0, -1], None, r"among them \[-1\], but labels count from 0"),
        (["happy", " "], None, "table row 1 has no label"),
        ([None, "happy"], None, "table row 0 has no label"),
        ([1.0, float("nan")], None, "table row 1 has no label"),
    ],
)
def test_labels_without_a_name_are_refused(values, names, message):
    with pytest.raises(ValueError, match=message):
        name_labels(values, names, "table", "table row {}".format)


@pytest.mark.parametrize("names", [[], ["a", ""], ["a", "a"]])
def test_label_names_must_be_names_of_their_own(names):
    with pytest.raises(ValueError, match="Give every label one name of its own"):
        check_label_names(names, "`label_names`")


def test_ids_are_the_same_whichever_split_lacks_a_label():
    assert collect_label_names({"train": ["sad", "fear", "anger"], "test": ["sad"]}, None) == [
        "anger",
        "fear",
        "sad",
    ]


def test_a_declared_label_without_rows_keeps_its_id(caplog):
    assert collect_label_names({"train": ["sad"]}, ["sad", "fear"]) == ["fear", "sad"]
    assert "No picture of `train` is labelled ['fear']" in caplog.text


@pytest.mark.parametrize(
    ("labels", "declared", "message"),
    [
        (
            {"train": ["anger", "sad"], "test": ["contempt"]},
            None,
            r"Split `test` has label 'contempt', which `train` lacks \(\['anger', 'sad'\]\)\. "
            "Use the same label folders in every split",
        ),
        ({"test": ["sad"]}, None, "no `train` to learn from"),
        ({"train": ["sad"], "test": []}, None, "Split `test` is empty"),
        ({"train": ["sad", "odd"]}, ["sad", "fear"], "'odd', which is none of the label names"),
        ({"train": ["sad", "sad"]}, None, "needs two or more"),
    ],
)
def test_unusable_label_sets_are_refused(labels, declared, message):
    with pytest.raises(ValueError, match=message):
        collect_label_names(labels, declared)


def test_labels_match_by_name_in_any_order_and_spelling():
    model = ["neutral", "happiness", "Sad", "contempt"]
    assert match_labels(["happy", "neutral", "sad"], model) == {
        "happy": "happiness",
        "neutral": "neutral",
        "sad": "Sad",
    }
    assert map_labels([0, 1, 2, 0], ["happy", "neutral", "sad"], model).tolist() == [1, 0, 2, 1]


def test_the_same_spelling_comes_first():
    assert match_labels(["happy"], ["joy", "happy"]) == {"happy": "happy"}


def test_names_that_are_no_emotions_match_too():
    assert map_labels([1, 0], ["left", "right"], ["right", "left", "up"]).tolist() == [0, 1]


def test_a_label_that_several_names_fit_is_refused():
    with pytest.raises(ValueError, match="'happy' does not match one label of the model's alone"):
        match_labels(["happy"], ["joy", "happiness"])
    with pytest.raises(ValueError, match="'joy' does not match one label of the model's alone"):
        match_labels(["happy", "joy"], ["happy", "sad"])


def test_pictures_with_a_label_that_the_model_lacks_are_refused():
    with pytest.raises(ValueError, match=r"2 pictures labelled 'bored', expected .*\['sad'\].*out"):
        map_labels([1, 0, 1], ["sad", "bored"], ["sad"])
    # A name that no picture has is no reason.
    assert map_labels([0, 0], ["sad", "bored"], ["happy", "sad"]).tolist() == [1, 1]


def test_votes_move_with_their_labels_and_those_the_model_lacks_are_told_apart():
    votes, lacking = map_votes(
        [[1, 2, 3], [4, 5, 6]], ["happy", "bored", "sad"], ["sad", "fear", "joy"]
    )
    assert votes.tolist() == [[3, 0, 1], [6, 0, 4]]
    assert np.array_equal(lacking, [2, 5])
