"""Names of emotions."""

import unicodedata

import pytest

from fer_hf.emotions import (
    ALIASES,
    EMOTIONS,
    canonical_emotion,
    find_emotion_codes,
    order_labels,
)
from fer_hf.emotions.spellings import SPELLINGS


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


@pytest.mark.parametrize("language", SPELLINGS)
def test_each_language_has_all_emotions_and_no_spelling_of_two(language):
    assert tuple(SPELLINGS[language]) == EMOTIONS
    for emotion, spellings in SPELLINGS[language].items():
        # A word that another emotion of any language shares would lead to the later of the two.
        assert {canonical_emotion(word) for word in spellings.split()} == {emotion}
        assert len(set(spellings.split())) == len(spellings.split())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Ärger", "ARGER", "aerger", "Arger", unicodedata.normalize("NFD", "Ärger")], "anger"),
        (["Fröhlich", "froehlich", "FRÖHLICH", "Fro\u0308hlich"], "happy"),
        (["KIZGIN", "kızgın", "kizgin", "Kızgın", "KİZGİN"], "anger"),
        (["ŞAŞKIN", "şaşkın", "saskin"], "surprise"),
        (["ＡＮＧＲＹ", "ａｎｇｅｒ"], "anger"),
        (["ﾊｯﾋﾟｰ", "ハッピー", unicodedata.normalize("NFD", "ハッピー")], "happy"),
        (["슬픔", unicodedata.normalize("NFD", "슬픔")], "sad"),
        (["愤怒", "憤怒", "怒り"], "anger"),
        (["ZŁOŚĆ", "zlosc", "злость", "ЗЛІСТЬ"], "anger"),
        (["ΦΌΒΟΣ", "φοβος", "sợ hãi", "so_hai"], "fear"),
        (["En colère", "en-colere"], "anger"),
    ],
)
def test_accents_width_and_keyboards_do_not_matter(names, expected):
    assert [canonical_emotion(name) for name in names] == [expected] * len(names)


@pytest.mark.parametrize("name", ["calm", "rage", "content", "happily surprised", "ß"])
def test_names_that_are_no_emotion_for_sure_stay_labels_of_their_own(name):
    assert canonical_emotion(f" {name} ") == name


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("AN DI FE HA NE SA SU", "anger disgust fear happy neutral sad surprise"),
        ("AF AN DI HA NE SA SU", "fear anger disgust happy neutral sad surprise"),
        ("ANG DIS FEA HAP NEU SAD", "anger disgust fear happy neutral sad"),
        ("an An SP", "anger anger surprise"),
    ],
)
def test_codes_of_file_names_mean_the_emotion_they_begin(codes, expected):
    found = find_emotion_codes(codes.split())
    assert found == dict(zip(codes.split(), expected.split(), strict=True))


@pytest.mark.parametrize(
    "codes",
    [
        ["AN", "CA"],  # nothing begins with it
        ["SA", "SC"],  # scared or scornful
        ["S", "AN"],  # one letter
        ["AN", "ANG"],  # two codes of one emotion
        [],
    ],
)
def test_codes_that_do_not_mean_one_emotion_each_mean_nothing(codes):
    assert find_emotion_codes(codes) is None


def test_codes_mean_the_label_names_that_a_user_gave():
    names = ["Anger", "calm", "Happiness"]
    expected = {"AN": "Anger", "ca": "calm", "JO": "Happiness"}
    assert find_emotion_codes(["AN", "ca", "JO"], names) == expected
    assert find_emotion_codes(["AN", "SA"], names) is None
    assert find_emotion_codes(["CA"], ["calm", "careful"]) is None


def test_emotions_are_ordered_canonically_and_merged():
    assert order_labels(["Surprise", "joy", "happiness", "anger"]) == ["anger", "happy", "surprise"]
    assert order_labels(reversed(EMOTIONS)) == list(EMOTIONS)


def test_numbers_are_ordered_by_value_and_other_names_alphabetically():
    assert order_labels(["10", "9", "-1"]) == ["-1", "9", "10"]
    assert order_labels(["smile", "frown", "Joy"]) == ["frown", "happy", "smile"]
    assert order_labels([]) == []
