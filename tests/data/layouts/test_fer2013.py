"""The `fer2013` layout, in the forms that are around."""

import numpy as np
import pytest

from fer_hf.data import load_splits
from fer_hf.data.layouts.fer2013 import read_fer2013
from fer_hf.data.recognition import recognise_layout


def write(path, header="emotion,pixels,Usage", num_labels=7, side=2, usage="Training"):
    """Two rows of each label, whose pixels all are ten times the label."""
    lines = [header]
    for label in [*range(num_labels)] * 2:
        cells = {"emotion": label, "pixels": " ".join([str(10 * label)] * side**2), "usage": usage}
        lines.append(",".join(str(cells[name.strip().lower()]) for name in header.split(",")))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "header",
    ["emotion, Usage, pixels", "Usage,pixels,emotion", "pixels,emotion", "emotion,pixels,Usage"],
)
def test_columns_may_come_in_any_order(tmp_path, header):
    write(tmp_path / "icml_face_data.csv", header)
    assert recognise_layout(tmp_path) == "fer2013"
    part, pixels, usages = read_fer2013(tmp_path / "icml_face_data.csv")
    assert part.labels == [str(label) for label in range(7)] * 2
    np.testing.assert_array_equal(pixels[6], np.full((2, 2), 60))
    assert set(usages) == ({"Training"} if "Usage" in header else {"train"})


def test_an_eighth_label_is_contempt(tmp_path):
    part, pixels, _ = read_fer2013(write(tmp_path / "ckextended.csv", num_labels=8, side=3))
    assert part.label_names[7] == "contempt"
    assert pixels.shape == (16, 3, 3)


def test_the_challenges_own_file_comes_first(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "extra.csv")
    assert recognise_layout(tmp_path) != "fer2013"
    write(tmp_path / "fer2013.csv")
    assert recognise_layout(tmp_path) == "fer2013"


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ("1 2 3", r"Row 0 of .* has 3 values in `pixels`. Expected those of a square"),
        ("1 2 3 x", "Row 0 of .* more than numbers from 0 to 255"),
        ("", "Row 0 of .* has no `pixels`"),
        ("1 1 1 1\n0,1", r"Row 1 of .* has 1 values in `pixels`. Expected 2×2 = 4"),
    ],
)
def test_damaged_rows_are_refused(tmp_path, pixels, message):
    path = tmp_path / "a.csv"
    path.write_text(f"emotion,pixels\n0,{pixels}\n")
    with pytest.raises(ValueError, match=message):
        load_splits(path)


def test_a_file_without_rows_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("emotion,pixels\n")
    with pytest.raises(ValueError, match="has no rows"):
        load_splits(tmp_path / "a.csv")
