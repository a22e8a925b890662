"""A layout of one's own: ten lines in a module, and its name in `recognition.LAYOUTS`."""

import pytest
from PIL import Image

from fer_hf.data import LAYOUTS, load_splits
from fer_hf.data.layout import Layout, source_of_files
from fer_hf.data.pictures import list_pictures
from fer_hf.data.recognition import recognise_layout


def locate_coded(path, options):
    labelled = [(file.stem[-1], file) for file in list_pictures(path)]
    where = "the last digit of each file's name"
    return source_of_files({"train": labelled}, where, {"1": "joy", "2": "sad"})


CODED = Layout(
    "coded",
    "p01_e1.jpg, p02_e2.jpg: the number after the e",
    recognise=lambda path, options: path.is_dir() and any(path.glob("p*_e[12].jpg")),
    locate=locate_coded,
)


@pytest.fixture
def folder(tmp_path):
    """Ten pictures named by the number of their label."""
    for number in range(10):
        Image.new("RGB", (4, 4)).save(tmp_path / f"p{number:02}_e{1 + number % 2}.jpg")
    return tmp_path


@pytest.fixture
def added(monkeypatch):
    """The line in `recognition.py`."""
    monkeypatch.setitem(LAYOUTS, CODED.name, CODED)


def test_without_its_layout_the_folder_is_refused(folder):
    with pytest.raises(ValueError, match="which is not a known layout"):
        load_splits(folder)


@pytest.mark.parametrize("layout", [None, "coded"])
def test_a_layout_that_was_added_is_recognised_loaded_and_said(folder, added, caplog, layout):
    assert recognise_layout(folder) == "coded"
    with caplog.at_level("INFO", "fer_hf.data"):
        splits = load_splits(folder, layout=layout)
    assert sum(map(len, splits.values())) == 10
    assert splits["train"].features["label"].names == ["happy", "sad"]
    assert f"Read '{folder}' as `coded`; labels from the last digit of each" in caplog.text
    assert "file's name (1 → happy, 2 → sad)" in caplog.text


def test_a_layout_that_was_added_is_listed_where_layouts_are(tmp_path, added):
    (tmp_path / "stuff").mkdir()
    with pytest.raises(ValueError, match=r"Expected one of: .*`coded` \(p01_e1.jpg, p02_e2.jpg"):
        load_splits(tmp_path)
    with pytest.raises(ValueError, match=r"`layout` is 'naemd'. Expected one of \[.*'coded'\]"):
        load_splits(tmp_path, layout="naemd")
