"""Labels in file names: patterns, codes, and what is refused."""

import pytest
from layout_samples import Sample, write_sample

from fer_hf.data import load_splits


def fill(root, *names):
    return write_sample(root, Sample("", dict.fromkeys(names)))


def five(form):
    return [form.replace("#", str(number)) for number in range(5)]


def names_of(splits):
    return splits["train"].features["label"].names


def test_a_pattern_finds_labels_and_splits(tmp_path):
    forms = ("a/tr-x1_#.png", "a/tr-x2_#.png", "a/te-x1_#.png", "a/te-x2_#.png", "a/cover#.png")
    fill(tmp_path, *(name for form in forms for name in five(form)))
    pattern = r"(?P<split>t[re])-(?P<label>x\d)"
    with pytest.raises(ValueError, match=r"finds the split 'te' in 'a/te-x1_0.png', which is none"):
        load_splits(tmp_path, label_pattern=pattern)
    for file in (tmp_path / "a").iterdir():
        file.rename(file.with_name(file.name.replace("tr-", "train-").replace("te-", "test-")))
    splits = load_splits(
        tmp_path,
        label_pattern=r"(?P<split>train|test)-(?P<label>x\d)",
        label_names=["x1=joy", "x2=sad"],
    )
    assert names_of(splits) == ["happy", "sad"]
    assert len(splits["test"]) == 10
    about = splits["train"].info.description
    assert "(x1 → happy, x2 → sad); its own splits train, test (validation cut" in about
    assert "left out 5 pictures without a label, such as 'a/cover0.png'" in about


def test_codes_take_the_names_they_begin(tmp_path):
    fill(tmp_path, *five("AN#.png"), *five("SU#.png"))
    pattern = "(?P<label>[A-Z]{2})"
    assert names_of(load_splits(tmp_path, label_pattern=pattern)) == ["anger", "surprise"]
    given = load_splits(tmp_path, label_pattern=pattern, label_names=["annoyed", "sulky"])
    assert names_of(given) == ["annoyed", "sulky"]
    with pytest.raises(ValueError, match="has label 'AN', which is none of the label names"):
        load_splits(tmp_path, label_pattern=pattern, label_names=["angst?", "annoyed", "sulky"])


def test_numbers_take_names_in_order_or_one_by_one(tmp_path):
    fill(tmp_path, *five("1x#.png"), *five("2x#.png"))
    pattern = r"(?P<label>\d)x"
    with pytest.raises(ValueError, match=r"\[2\], but `label_names` has 2 names .* 1=happy 2=sad"):
        load_splits(tmp_path, label_pattern=pattern, label_names=["happy", "sad"])
    splits = load_splits(tmp_path, label_pattern=pattern, label_names=["1=happy", "2=sad"])
    assert names_of(splits) == ["happy", "sad"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<label>", "is not a regular expression"),
        ("(x)", r"has no group `label`. Write \(\?P<label>"),
        ("(?P<label>y)", "is found in none of 5 paths below .* such as '0.png'"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(tmp_path, pattern, message):
    fill(tmp_path, *five("#.png"))
    with pytest.raises(ValueError, match=message):
        load_splits(tmp_path, label_pattern=pattern)


def test_names_that_say_a_search_query_are_no_labels(tmp_path):
    words = ("angry_actor", "afraid_African", "amazed_teacher", "awe_boss")
    fill(tmp_path, *(name for word in words for name in five(f"origin/{word}_#.jpg")))
    with pytest.raises(ValueError, match="no folders of pictures, one for each label"):
        load_splits(tmp_path)
    with pytest.raises(ValueError, match="no pictures whose names all say an emotion"):
        load_splits(tmp_path, layout="file-names")


def test_codes_in_two_places_are_not_guessed(tmp_path):
    codes = ("AN", "DI", "HA", "SA")
    fill(tmp_path, *(f"{a}-{b}.png" for a in codes for b in codes))
    with pytest.raises(ValueError, match="not a known layout"):
        load_splits(tmp_path)


@pytest.mark.parametrize("names", [["a=happy", "sad"], ["=happy", "b=sad"], ["a=x", "a=y"]])
def test_codes_and_names_that_do_not_go_together_are_refused(tmp_path, names):
    with pytest.raises(ValueError, match="`label_names`"):
        load_splits(tmp_path, label_names=names)
