"""Labels are matched by name, whatever their order and spelling."""

import numpy as np
import pytest

from fer_hf.data.label_matching import map_labels, map_votes, match_labels


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
