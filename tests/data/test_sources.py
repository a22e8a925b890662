"""Recognising layouts, and what all of them return."""

import subprocess
import sys

import datasets
import numpy as np
import pytest
from PIL import Image

from fer_hf.data import LAYOUTS, LoadOptions, load_splits
from fer_hf.data.recognition import recognise_layout


def make_folders(root):
    for label in ("happy", "sad"):
        (root / label).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (4, 4)).save(root / label / f"{number}.png")


def make_npz(root):
    root.mkdir(exist_ok=True)
    images = np.zeros((10, 4, 4, 3), np.uint8)
    np.savez(root / "a.npz", train_images=images, train_labels=np.arange(10) % 2)
    return root / "a.npz"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_layout_is_recognised_by_what_it_looks_like(tmp_path):
    make_folders(tmp_path / "folders")
    write(tmp_path / "table" / "all.csv", "path,label\na.png,sad\n")
    write(tmp_path / "fer2013" / "fer2013.csv", "emotion,pixels,Usage\n")
    write(tmp_path / "ferplus" / "fer2013.csv", "emotion,pixels,Usage\n")
    write(tmp_path / "ferplus" / "fer2013new.csv", "Usage,Image name\n")
    write(tmp_path / "hub" / "dataset_dict.json", "{}")
    for name in ("folders", "table", "fer2013", "ferplus", "hub"):
        assert recognise_layout(tmp_path / name) == name
    assert recognise_layout(make_npz(tmp_path / "arrays")) == "arrays"
    assert recognise_layout("drawn") == "drawn"
    assert recognise_layout("some/faces") == "hub"
    assert recognise_layout(tmp_path / "fer2013", LoadOptions(votes_file="votes.csv")) == "ferplus"


def test_a_fitting_table_comes_before_label_folders_and_another_one_does_not_count(tmp_path):
    make_folders(tmp_path)
    write(tmp_path / "notes.csv", "who,when\nme,today\n")
    assert recognise_layout(tmp_path) == "folders"
    write(tmp_path / "notes.csv", "path,label\nhappy/0.png,happy\n")
    assert recognise_layout(tmp_path) == "table"


def test_a_folder_called_drawn_is_a_folder(tmp_path, monkeypatch):
    make_folders(tmp_path / "drawn")
    monkeypatch.chdir(tmp_path)
    assert recognise_layout("drawn") == "folders"


def test_a_folder_of_no_layout_is_refused_with_what_it_holds_and_what_is_known(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "face.png")
    (tmp_path / "stuff").mkdir()
    with pytest.raises(ValueError, match=r"holds face.png, stuff/, which is not a known") as e:
        load_splits(tmp_path)
    assert all(f"`{layout}`" in str(e.value) for layout in LAYOUTS)
    (tmp_path / "file.xyz").write_text("x")
    with pytest.raises(ValueError, match="is a file of an unknown kind"):
        load_splits(tmp_path / "file.xyz")


def test_options_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`layout` is 'foldrs'. Expected one of .*'folders'"):
        load_splits(tmp_path, layout="foldrs")
    with pytest.raises(ValueError, match=r"`label_names` is the text 'happy'. Pass a list"):
        load_splits(tmp_path, label_names="happy")
    with pytest.raises(FileNotFoundError, match=r"no file or folder '.*nowhere'. Check the path"):
        load_splits(tmp_path / "nowhere", layout="folders")
    with pytest.raises(FileNotFoundError, match="is not a file or folder here, nor an id"):
        load_splits(tmp_path / "nowhere")


@pytest.mark.parametrize("layout", ["arrays", "table", "fer2013", "ferplus"])
def test_a_layout_named_wrongly_is_refused(tmp_path, layout):
    make_folders(tmp_path)
    with pytest.raises(ValueError, match=f"'{tmp_path}'"):
        load_splits(tmp_path, layout=layout)


def test_every_load_returns_the_same_three_splits_and_columns(tmp_path):
    make_folders(tmp_path / "folders")
    for source in (tmp_path / "folders", str(make_npz(tmp_path))):
        splits = load_splits(source)
        assert isinstance(splits, datasets.DatasetDict)
        assert list(splits) == ["train", "validation", "test"]
        for split, data in splits.items():
            assert data.column_names == ["image", "label"]
            assert isinstance(data.features["image"], datasets.Image)
            assert isinstance(data.features["label"], datasets.ClassLabel)
            assert str(data.split) == split
            assert data.num_rows > 0


def test_importing_the_room_imports_neither_torch_nor_transformers():
    script = "import sys, fer_hf.data; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_spellings_of_one_emotion_in_one_split_are_said(tmp_path, caplog):
    for label in ("enojado", "raiva", "feliz"):
        (tmp_path / label).mkdir()
        for number in range(5):
            Image.new("RGB", (4, 4)).save(tmp_path / label / f"{label}{number}.png")
    splits = load_splits(tmp_path)
    assert splits["train"].features["label"].names == ["anger", "happy"]
    assert "enojado, raiva are all 'anger'" in caplog.text
