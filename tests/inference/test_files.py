"""Pictures as users name them: plain ones stay plain, and labelled sources are read as such."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_hf.data.pictures import VIDEO_ENDINGS
from fer_hf.inference.files import StoredPicture, find_files, find_pictures, name_picture, open_file


def encode(level):
    stream = io.BytesIO()
    Image.new("L", (8, 8), level).save(stream, "PNG")
    return stream.getvalue()


def names_of(found):
    return [name_picture(picture) for picture in found]


@pytest.mark.train
def test_arrays_are_read_row_by_row_and_named_after_their_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((3, 8, 8), np.uint8)
    np.savez("a.npz", train_images=images, train_labels=np.array([0, 1, 0]))
    np.savez("b.npz", train_images=images, train_labels=np.array([0, 1, 0]))
    found = find_pictures(["a.npz", "b.npz", "a.npz"])
    assert len(found) == 6
    assert names_of(found) == [
        f"{file}: `train_labels` row {row}" for file in ("a.npz", "b.npz") for row in range(3)
    ]
    assert [np.asarray(open_file(picture)).max() for picture in found] == [0, 1, 2] * 2


@pytest.mark.train
def test_a_table_of_paths_gives_the_paths_with_or_without_labels(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.png").write_bytes(encode(9))
    expected = [str(tmp_path / "faces" / name) for name in ("a.png", "gone.png")]
    for extra in (",label\n{},happy\n{},sad\n", ",age\n{},3\n{},4\n", "\n{}\n{}\n"):
        (tmp_path / "t.csv").write_text("path" + extra.format("faces/a.png", "faces/gone.png"))
        found = find_pictures([str(tmp_path / "t.csv")])
        assert names_of(found) == expected
    assert open_file(expected[1]) == "no such file"


@pytest.mark.train
def test_pictures_inside_of_parquet_are_streamed_and_an_empty_cell_is_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": [encode(3), None], "name": ["x", "y"]}), file)
    first, second = find_pictures([str(file)])
    assert first == StoredPicture(f"'{file}' row 0", encode(3))
    assert open_file(second) == "empty file"


@pytest.mark.train
def test_the_drawn_faces_come_without_a_file():
    found = find_pictures(["drawn"])
    assert len(found) == 1200
    assert next(iter(found)).name == "drawn face 0"


@pytest.mark.train
def test_a_folder_of_pictures_stays_one_whatever_table_lies_in_it(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(0))
    (tmp_path / "labels.csv").write_text("path,label\na.png,happy\n")
    assert find_pictures([str(tmp_path)]).files == [str(tmp_path / "a.png")]
    (tmp_path / "a.png").rename(tmp_path / "a.jpeg_")
    # No picture is left, so that the table is what the folder holds.
    assert names_of(find_pictures([str(tmp_path)])) == [str(tmp_path / "a.png")]


@pytest.mark.train
def test_a_word_that_is_nothing_here_is_asked_for_at_the_hub(monkeypatch):
    with pytest.raises((ConnectionError, FileNotFoundError), match="'holidy' is not a file or"):
        find_pictures(["holidy"])
    with pytest.raises(FileNotFoundError, match=r"a source that `fer-hf data` takes\. Check"):
        find_pictures(["holiday/face.jpg"])


@pytest.mark.train
def test_a_table_without_pictures_is_refused_with_its_columns(tmp_path):
    # Pictures are looked for above the folder as well, where other tests have theirs.
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_text("age,label\n3,happy\n")
    with pytest.raises(ValueError, match=r"has the columns \['age', 'label'\] .* but none of"):
        find_pictures([str(folder / "t.csv")])


def test_a_video_says_what_reads_it(tmp_path):
    video = tmp_path / "party.MP4"
    video.write_bytes(b"\0" * 99)
    assert open_file(str(video)) == "a video: use `fer-hf video`"
    assert find_files(str(tmp_path)) == []
    assert find_files(str(tmp_path), VIDEO_ENDINGS) == [str(video)]


@pytest.mark.train
def test_pictures_of_archives_are_called_by_their_place_in_the_archive(tmp_path):
    for name in ("a", "b"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for number in range(2):
                stream = io.BytesIO()
                Image.new("RGB", (4, 4), (number, 0, 0)).save(stream, "PNG")
                archive.writestr(f"{name}/{number}.png", stream.getvalue())
    found = find_pictures([str(tmp_path / "a.zip")])
    assert [name_picture(one) for one in found] == [f"{tmp_path}/a.zip/{n}.png" for n in (0, 1)]
    assert [open_file(one).getpixel((0, 0))[0] for one in found] == [0, 1]
    both = find_pictures([str(tmp_path)])
    assert [name_picture(one) for one in both] == [
        f"{tmp_path}/{name}/{number}.png" for name in ("a", "b") for number in (0, 1)
    ]
