"""A layout of one's own: ten lines in a module, and its name in `sources.LAYOUTS`."""

import pytest
from PIL import Image

from fer_hf.data import LAYOUTS, load_splits
from fer_hf.data.layout import Layout, source_of_files
from fer_hf.data.pictures import list_pictures
from fer_hf.data.recognition import recognise_layout


def locate_named(path, options):
    labelled = [(file.stem.split("_")[0], file) for file in list_pictures(path)]
    return source_of_files({"train": labelled}, "the beginning of each file's name")


NAMED = Layout(
    "named",
    "happy_01.jpg, sad_02.jpg: the label, then a number",
    recognise=lambda path, options: path.is_dir() and any(path.glob("*_[0-9]*.jpg")),
    locate=locate_named,
)


@pytest.fixture
def folder(tmp_path):
    """Ten pictures named after their label."""
    for number in range(10):
        label = ("joy", "sad")[number % 2]
        Image.new("RGB", (4, 4)).save(tmp_path / f"{label}_{number:02}.jpg")
    return tmp_path


@pytest.fixture
def added(monkeypatch):
    """The line in `sources.py`."""
    monkeypatch.setitem(LAYOUTS, NAMED.name, NAMED)


def test_without_its_layout_the_folder_is_refused(folder):
    with pytest.raises(ValueError, match="which is not a known layout"):
        load_splits(folder)


@pytest.mark.parametrize("layout", [None, "named"])
def test_a_layout_that_was_added_is_recognised_loaded_and_said(folder, added, caplog, layout):
    assert recognise_layout(folder) == "named"
    with caplog.at_level("INFO", "fer_hf.data"):
        splits = load_splits(folder, layout=layout)
    assert sum(map(len, splits.values())) == 10
    assert splits["train"].features["label"].names == ["happy", "sad"]
    assert f"Read '{folder}' as `named`; labels: the beginning of each file's name" in caplog.text


def test_a_layout_that_was_added_is_listed_where_layouts_are(tmp_path, added):
    (tmp_path / "stuff").mkdir()
    with pytest.raises(ValueError, match=r"Expected one of: .*`named` \(happy_01.jpg, sad_02.jpg"):
        load_splits(tmp_path)
    with pytest.raises(ValueError, match=r"`layout` is 'naemd'. Expected one of \[.*'named'\]"):
        load_splits(tmp_path, layout="naemd")
