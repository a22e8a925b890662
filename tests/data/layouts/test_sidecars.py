"""A file for each picture that says its label: what it may hold, and what is refused."""

import numpy as np
import pytest
from layout_samples import Sample, write_sample

from fer_hf.data import load_splits


def write(root, files, count=6, form="{}.jpg"):
    return write_sample(root, Sample("", {form.format(n): None for n in range(count)}, files))


@pytest.mark.parametrize("value", [np.array("3"), np.array(3), np.array([3.0]), np.array(b"3")])
def test_affectnet_codes_may_be_texts_or_numbers(tmp_path, value):
    files = {f"annotations/{n}_exp.npy": value if n % 2 else np.array("1") for n in range(6)}
    splits = load_splits(write(tmp_path, files, form="images/{}.jpg"))
    assert splits["train"].features["label"].names == ["happy", "surprise"]
    assert "(1 → happy, 3 → surprise)" in splits["train"].info.description


def test_an_unknown_code_of_affectnet_is_refused(tmp_path):
    files = {f"annotations/{n}_exp.npy": np.array(n % 2 + 11) for n in range(6)}
    with pytest.raises(
        ValueError, match=r"_exp.npy' says '1[12]', which is none of the set's codes"
    ):
        load_splits(write(tmp_path, files, form="images/{}.jpg"))


def test_pictures_of_one_name_are_told_apart_by_their_folders(tmp_path):
    names = {f"{folder}/{n}.jpg": None for folder in ("a", "b") for n in range(6)}
    files = {f"{folder}/{n}.cls": ("sad", "joy")[n % 2] for folder in ("a", "b") for n in range(6)}
    splits = load_splits(write_sample(tmp_path, Sample("", names, files)))
    assert sum(map(len, splits.values())) == 12
    (tmp_path / "labels").mkdir()
    for file in tmp_path.glob("*/*.cls"):
        file.rename(tmp_path / "labels" / file.name)
    with pytest.raises(ValueError, match="has no picture with a label in a file of its own"):
        load_splits(tmp_path, layout="sidecars")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "does not hold one label"),
        ("sad\nhappy", "does not hold one label"),
        (np.array([1, 2]), "does not hold one label"),
        (np.array([{}], dtype=object), "cannot be read as a label .*Python objects"),
        (b"\x93NUMPY\x01", "cannot be read as a label"),
    ],
)
def test_a_file_that_does_not_say_one_label_is_refused(tmp_path, content, message):
    ending = ".cls" if isinstance(content, str) else "_exp.npy"
    good = "sad" if ending == ".cls" else np.array("1")
    files = {f"{n}{ending}": good for n in range(6)} | {f"3{ending}": content}
    with pytest.raises(ValueError, match=rf"3{ending}' {message}"):
        load_splits(write(tmp_path, files), layout="sidecars" if ending == ".cls" else "affectnet")


def test_a_layout_without_its_files_is_refused(tmp_path):
    write(tmp_path, {})
    for layout, expected in (("affectnet", "_exp.npy"), ("ck-plus", "_emotion.txt")):
        with pytest.raises(ValueError, match=f"Expected files named .* ending in '{expected}'"):
            load_splits(tmp_path, layout=layout)


def test_names_of_numbers_are_read_beside_them(tmp_path):
    files = {f"{n}.cls": str(n % 2) for n in range(6)} | {"classes.txt": "joy\nsad"}
    splits = load_splits(write(tmp_path, files))
    assert splits["train"].features["label"].names == ["happy", "sad"]
    assert "names from 'classes.txt'" in splits["train"].info.description
