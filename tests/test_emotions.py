"""Names of emotions."""

import pytest

from fer_hf.emotions import ALIASES, EMOTIONS, canonical_emotion, order_labels


def test_emotions_are_alphabetical_and_aliases_lead_to_them():
    assert list(EMOTIONS) == sorted(EMOTIONS)
    assert set(ALIASES.values()) <= set(EMOTIONS)
    assert not set(ALIASES) & set(EMOTIONS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("happiness", "happy"),
        (" Joy\n", "happy"),
        ("SADNESS", "sad"),
        ("Angry", "anger"),
        ("con_tempt", "contempt"),
        ("dis gusted", "disgust"),
        ("afraid", "fear"),
        ("Surprised", "surprise"),
        ("neutrality", "neutral"),
        ("  Bored ", "Bored"),
        ("7", "7"),
        ("", ""),
    ],
)
def test_spellings_lead_to_one_name_and_unknown_names_stay(name, expected):
    assert canonical_emotion(name) == expected


def test_emotions_are_ordered_canonically_and_merged():
    assert order_labels(["Surprise", "joy", "happiness", "anger"]) == ["anger", "happy", "surprise"]
    assert order_labels(reversed(EMOTIONS)) == list(EMOTIONS)


def test_numbers_are_ordered_by_value_and_other_names_alphabetically():
    assert order_labels(["10", "9", "-1"]) == ["-1", "9", "10"]
    assert order_labels(["smile", "frown", "Joy"]) == ["frown", "happy", "smile"]
    assert order_labels([]) == []
