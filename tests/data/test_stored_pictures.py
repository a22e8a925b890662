"""Pictures on their way into Arrow and back."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fer_hf.data import stored_pictures
from fer_hf.data.pictures import load_picture
from fer_hf.data.stored_pictures import encode_pictures, find_unreadable, read_crops


def test_what_cannot_be_read_is_found_by_row_with_a_reason(tmp_path):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(noise).resize((64, 64)).save(stream, "JPEG")
    good = stream.getvalue()
    contents = [good, good[: len(good) // 2], b"", b"hello", b"P6 50000 50000 255 ", good]
    batch = pa.array(
        [{"bytes": content, "path": None} for content in contents]
        + [{"bytes": None, "path": str(tmp_path / "gone.jpg")}, {"bytes": None, "path": None}],
        pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    )
    faults = find_unreadable(iter([batch[:3], batch[3:]]), len(batch))
    assert list(faults) == [1, 2, 3, 4, 6, 7]
    assert "truncated" in faults[1]
    assert faults[2] == "empty file"
    assert faults[3] == "not a picture"
    assert "too large" in faults[4]
    assert faults[6] == "no such file"
    assert faults[7] == "no picture in this row"


def test_checking_many_pictures_shows_a_progress_bar(monkeypatch):
    asked = []

    class Bar:
        def __init__(self, **options):
            asked.append(options["disable"])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, _):
            pass

    monkeypatch.setattr(stored_pictures, "tqdm", Bar)
    find_unreadable(iter([]), 1_999)
    find_unreadable(iter([]), 2_001)
    assert asked == [True, None]  # None: shown on a terminal


@pytest.mark.parametrize("shape", [(3, 5, 7, 3), (3, 5, 7), (1, 1, 1, 3)])
def test_encoding_loses_nothing(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    encoded = encode_pictures(pixels).to_pylist()
    decoded = [np.asarray(load_picture(picture["bytes"])) for picture in encoded]
    np.testing.assert_array_equal(np.stack(decoded), pixels)


def cut(path, *boxes):
    paths, rows = [str(path)] * len(boxes), np.arange(len(boxes))
    batches = list(read_crops(paths, np.array(boxes, float), rows, "'l.csv'"))
    return batches, [load_picture(stored["bytes"]) for stored in batches[0].to_pylist()]


def test_crops_are_the_pixels_within_the_picture(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    _, faces = cut(tmp_path / "a.png", (1, 0, 3, 2), (-5, 2.5, 2, 9))
    np.testing.assert_array_equal(faces[0], pixels[0:2, 1:3])
    np.testing.assert_array_equal(faces[1], pixels[2:4, 0:2])


def test_boxes_count_in_stored_pixels_and_crops_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture is shown turned to the right
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    _, (face,) = cut(tmp_path / "a.png", (4, 0, 6, 3))
    np.testing.assert_array_equal(face, np.rot90(pixels[0:3, 4:6], -1))


def test_a_box_outside_of_its_picture_is_refused_by_row(tmp_path):
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"'l.csv' row 1 has the box \[6.0, .*a.png' with its 6×4"):
        cut(tmp_path / "a.png", (0, 0, 1, 1), (6, 0, 9, 4))


def test_crops_of_pictures_that_cannot_be_read_are_found_by_row(tmp_path):
    batches = read_crops([str(tmp_path / "no.png")], np.ones((1, 4)), np.arange(1), "'l.csv'")
    assert find_unreadable(batches, 1) == {0: "no such file"}
