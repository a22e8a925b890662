"""What columns of a list are."""

from fer_hf.data.layouts.list_columns import agree


def test_columns_agree_in_other_words_but_not_in_other_emotions():
    assert agree(["happy", "sad", "happy"], ["Freude", "Trauer", "joy"])
    assert agree(["0", "1", "0"], ["happy", "sad", "happy"])
    assert not agree(["0", "1", "0"], ["happy", "sad", "sad"])
    # One to one, and still two opinions.
    assert not agree(["happy", "sad", "happy"], ["sad", "happy", "sad"])
