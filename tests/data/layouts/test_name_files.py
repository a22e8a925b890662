"""Files that name the labels which are numbers."""

import numpy as np
import pytest

from fer_hf.data.layouts.name_files import find_names_file, read_names_file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "sad\n\njoy\n"),
        ("label_names.json", '["sad", "joy"]'),
        ("label_names.json", '{"0": "sad", "1": "joy"}'),
        ("class_names.json", '{"joy": 1, "sad": 0}'),
        ("data.yaml", "nc: 2\nnames: [sad, joy]\n"),
        ("data.yml", "names:\n  0: sad\n  1: joy\n"),
    ],
)
def test_names_are_read_in_every_form(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert find_names_file(tmp_path) == tmp_path / name
    assert read_names_file(tmp_path / name) == ["sad", "joy"]


def test_names_are_read_from_an_array(tmp_path):
    np.save(tmp_path / "label_names.npy", np.array(["sad", "joy"]))
    assert read_names_file(tmp_path / "label_names.npy") == ["sad", "joy"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"0": "sad", "2": "joy"}', "numbered from 0 without gaps"),
        ("a.json", "{", "cannot be read as names of labels"),
        ("a.json", "3", "holds 3. Expected a JSON list"),
        ("a.yaml", "train: images", "cannot be read as names of labels"),
        ("a.txt", "sad\nsad", r"names \['sad'\] more than once"),
        ("a.txt", "", "Give every label one name"),
    ],
)
def test_files_that_name_no_labels_are_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"'{tmp_path / name}' .*{message}"):
        read_names_file(tmp_path / name)


def test_a_folder_without_such_a_file_has_no_names(tmp_path):
    assert find_names_file(tmp_path) is None
