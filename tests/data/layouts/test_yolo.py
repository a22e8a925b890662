"""YOLO's text files: each box is a face, cut out of its picture."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.data import load_splits


def write(root, lines, names="names: [Anger, Happy, Sad]\n", split="train"):
    """Write pictures of 40×20 pixels whose left half is red and right half is blue."""
    for folder in ("images", "labels"):
        (root / split / folder).mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(lines):
        pixels = np.zeros((20, 40, 3), np.uint8)
        pixels[:, :20, 0] = pixels[:, 20:, 2] = 200 + number
        Image.fromarray(pixels).save(root / split / "images" / f"{number}.png")
        (root / split / "labels" / f"{number}.txt").write_text(text)
    (root / "data.yaml").write_text(names)
    return root


LEFT, RIGHT = "0.25 0.5 0.5 1", "0.75 0.5 0.5 1"


def test_each_box_is_a_face_with_the_name_of_its_number(tmp_path):
    write(tmp_path, [f"1 {LEFT}\n2 {RIGHT}\n"] * 6)
    write(tmp_path, [f"2 {RIGHT}"] * 2, split="valid")
    splits = load_splits(tmp_path)
    names = splits["train"].features["label"].names
    assert names == ["anger", "happy", "sad"]
    for data in splits.values():
        for row in data:
            assert row["image"].size == (20, 20)
            red, _, blue = row["image"].getpixel((10, 10))
            assert names[row["label"]] == ("happy" if red > blue else "sad")
    assert {split: len(data) for split, data in splits.items()}["validation"] == 2
    assert sum(map(len, splits.values())) == 14
    about = splits["train"].info.description
    assert about.startswith("`yolo`; labels from the text file of each picture, and 'data.yaml' (1")
    assert "1 → happy, 2 → sad" in about


@pytest.mark.parametrize("line", ["1 0.5 0.5 1", "x 0.5 0.5 1 1", "1 0.5 0.5 7 1", "-1 .5 .5 1 1"])
def test_a_line_that_is_no_box_is_refused_by_file(tmp_path, line):
    write(tmp_path, [f"1 {LEFT}", f"2 {LEFT}", line, f"1 {LEFT}"])
    with pytest.raises(ValueError, match=r"2.txt' has the line .* Expected a label's number"):
        load_splits(tmp_path, layout="yolo")


def test_a_number_without_a_name_is_refused(tmp_path):
    write(tmp_path, [f"{n} {LEFT}" for n in (0, 1, 2, 3)])
    with pytest.raises(ValueError, match=r"\[3\], but `label_names` has 3 names"):
        load_splits(tmp_path)


def test_pictures_without_names_of_labels_are_not_of_this_layout(tmp_path):
    write(tmp_path, [f"1 {LEFT}"] * 3)
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(ValueError, match=r"is not of the layout `yolo`. Expected data.yaml, train"):
        load_splits(tmp_path, layout="yolo")
    with pytest.raises(ValueError, match="no folders of pictures, one for each label"):
        load_splits(tmp_path)
