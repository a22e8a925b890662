"""Columns of zeros with one 1 in each row."""

import pytest
from layout_samples import Sample, write_sample

from fer_hf.data import load_splits

EMOTIONS = ("anger", "happy", "sad")


def write(root, header, make_row, count=12):
    rows = [f"{n}.png,{make_row(n)}" for n in range(count)]
    files = {"labels.csv": "\n".join([header, *rows])}
    return write_sample(root, Sample("", {f"img/{n}.png": None for n in range(count)}, files))


def one_hot(number):
    return ",".join("1" if place == number % 3 else "0" for place in range(3))


def test_the_column_with_the_one_is_the_label(tmp_path):
    splits = load_splits(write(tmp_path, "file,Wut,Freude,Trauer", one_hot))
    found = {
        row["path"].rpartition("/")[2]: EMOTIONS[label]
        for data in splits.values()
        for row, label in zip(data.data["image"].to_pylist(), data["label"], strict=True)
    }
    assert found == {f"{n}.png": EMOTIONS[n % 3] for n in range(12)}
    assert "the column `Wut/Freude/Trauer` of 'labels.csv'" in splits["train"].info.description


@pytest.mark.parametrize("row", ["0,0,0", "1,1,0", "2,0,0", "0.8,0.1,0.1"])
def test_what_is_not_one_hot_is_no_label(tmp_path, row):
    write(tmp_path, "file,anger,happy,sad", lambda n: row if n == 5 else one_hot(n))
    with pytest.raises(ValueError, match="Pass `label_column`"):
        load_splits(tmp_path / "labels.csv")


def test_a_late_row_that_is_not_one_hot_is_refused_by_number(tmp_path):
    write(tmp_path, "file,anger,happy,sad", lambda n: "1,1,0" if n == 1004 else one_hot(n), 1010)
    with pytest.raises(ValueError, match=r"labels.csv' row 1004 has \['1', '1', '0'\] in the col"):
        load_splits(tmp_path)
