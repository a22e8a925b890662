"""Pictures by whatever a list calls them."""

import pytest

from fer_hf.data.layouts.picture_index import PictureIndex


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return PictureIndex(folder)


def find(index, folder, *values):
    matches = index.find(values, folder)
    return [None if path is None else index.show(path) for path in matches.paths]


@pytest.mark.parametrize(
    "value",
    [
        *("img/a b.jpg", "./img/a b.jpg", "img\\a b.jpg", "img/a%20b.jpg", "a b.jpg", "a b"),
        *("IMG/A B.JPG", "A b", r"C:\data\img\a b.jpg", "/x/y/a b.jpg", "other/../img/a b.jpg"),
        *("file:///x/img/a b.jpg", "'img/a b.jpg'"),
    ],
)
def test_a_picture_is_found_however_it_is_written(tmp_path, value):
    assert find(make(tmp_path, "img/a b.jpg", "img/c.jpg"), tmp_path, value) == ["img/a b.jpg"]


def test_paths_may_start_at_the_list_or_lead_out_of_the_folder(tmp_path):
    index = make(tmp_path, "labels/x/1.jpg", "img/2.jpg")
    assert find(index, tmp_path / "labels", "x/1.jpg", "../img/2.jpg") == [
        "labels/x/1.jpg",
        "img/2.jpg",
    ]
    inside = PictureIndex(tmp_path / "labels")
    paths = inside.find(["../img/2.jpg"], tmp_path / "labels").paths
    assert paths == [f"{tmp_path}/img/2.jpg"]


def test_the_longest_end_decides_between_pictures_of_one_name(tmp_path):
    index = make(tmp_path, "train/1.jpg", "test/1.jpg")
    assert find(index, tmp_path, "/old/test/1.jpg", "/old/train/1.jpg") == [
        "test/1.jpg",
        "train/1.jpg",
    ]
    assert index.find(["1.jpg"], tmp_path).unclear == {
        0: [f"{tmp_path}/test/1.jpg", f"{tmp_path}/train/1.jpg"]
    }


def test_a_missing_picture_is_not_one_of_the_same_name_in_another_folder(tmp_path):
    index = make(tmp_path, "train/1.jpg", "train/2.jpg", "test/3.jpg")
    assert find(index, tmp_path, "/o/train/1.jpg", "/o/train/2.jpg", "/o/train/3.jpg") == [
        *("train/1.jpg", "train/2.jpg"),
        None,
    ]


def test_what_is_no_picture_or_hidden_is_not_found(tmp_path):
    index = make(tmp_path, "a.txt", ".b.jpg", ".c/d.jpg")
    assert find(index, tmp_path, "a.txt", "a", "b.jpg", "d.jpg", "", "x\0.jpg") == [None] * 6


def test_a_folder_that_leads_back_to_itself_is_read_once(tmp_path):
    index = make(tmp_path, "img/1.jpg")
    (tmp_path / "img" / "again").symlink_to(tmp_path)
    assert find(index, tmp_path, "1.jpg") == ["img/1.jpg"]


def test_a_list_beside_its_pictures_takes_none_of_the_same_name_elsewhere(tmp_path):
    index = make(tmp_path, "a/i/1.jpg", "a/i/2.jpg", "b/i/1.jpg", "b/i/2.jpg", "b/i/3.jpg")
    assert find(index, tmp_path / "a", "1.jpg", "2.jpg", "3.jpg") == [
        "a/i/1.jpg",
        "a/i/2.jpg",
        None,
    ]
    assert find(index, tmp_path / "b", "1.jpg", "3.jpg") == ["b/i/1.jpg", "b/i/3.jpg"]
