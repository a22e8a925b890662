"""Label names and ids."""

import pytest

from fer_hf.data.labels import check_label_names, collect_label_names, name_labels


def test_numbers_get_names_by_position_and_canonical_spelling():
    assert name_labels([0, "1", 1.0], ["Joy", "bored"], "x") == ["happy", "bored", "bored"]


def test_numbers_without_names_are_their_own_names_with_a_hint(caplog):
    assert name_labels([10, 9, 9], None, "`train_labels`") == ["10", "9", "9"]
    assert "Pass `label_names`" in caplog.text


def test_numbers_that_are_names_are_taken_as_names():
    assert name_labels(["7", "1"], ["1", "7"], "x") == ["7", "1"]


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([0, 3], ["a", "b"], r"among them \[3\], but `label_names` has 2 names"),
        ([0, -1], None, r"among them \[-1\], but labels count from 0"),
        (["happy", " "], None, "Row 1 of table has no label"),
        ([None, "happy"], None, "Row 0 of table has no label"),
        ([1.0, float("nan")], None, "Row 1 of table has no label"),
    ],
)
def test_labels_without_a_name_are_refused(values, names, message):
    with pytest.raises(ValueError, match=message):
        name_labels(values, names, "table")


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
