"""Names taken apart into words."""

import pytest

from fer_hf.data.words import is_container, split_words


def test_names_are_split_where_kinds_of_characters_meet():
    assert split_words("FER2013Train_set") == ["fer", "2013", "train", "set"]
    assert split_words("aligned-images 2") == ["aligned", "images", "2"]
    assert split_words("ÄrgerStufe3") == ["ärger", "stufe", "3"]


@pytest.mark.parametrize("name", ["images", "Image", "aligned_images", "JPG", "data-1", "Bilder"])
def test_containers_say_only_that_pictures_are_inside(name):
    assert is_container(name)


@pytest.mark.parametrize("name", ["happy", "S001", "1", "happy_images", ""])
def test_other_names_are_no_containers(name):
    assert not is_container(name)


def test_vowel_signs_belong_to_their_words():
    assert split_words("0_गुस्सा") == ["0", "गुस्सा"]
