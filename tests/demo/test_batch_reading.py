"""A batch: every file gets its line, whatever is in it, and no zip can do harm."""

import csv
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_hf.demo.batch_reading import (
    TABLE_COLUMNS,
    build_table,
    list_pictures_of,
    read_pictures,
    write_csv,
)
from fer_hf.demo.limits import Limits
from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading

LABELS = ["calm", "tense"]


def encode(colour="red", size=(8, 6), kind="png"):
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, kind)
    return content.getvalue()


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read_red_faces(pictures):
    """A reader's stand-in: one sure face in red pictures, one unsure in green, none in others."""
    faces = []
    for picture in pictures:
        red, green, _ = np.asarray(picture.convert("RGB"))[0, 0]
        scores = {"calm": 0.75, "tense": 0.25}
        label = "calm" if red > green else None
        face = Face((1.4, 2, 5, 6), 1.0)
        reading = FaceReading(scores, label, scores, ["calm"], face=face)
        faces.append([reading] if max(red, green) > 100 else [])
    return faces


def read_all(files, limits=Limits()):  # noqa: B008 - frozen
    pictures, others = list_pictures_of(files, limits)
    rows = [row for rows in read_pictures(pictures, read_red_faces, limits) for row in rows]
    return rows, others


def list_notes(rows):
    return {row.file: row.note for row in rows}


def test_every_face_has_a_line_and_so_has_a_picture_without_one(tmp_path):
    (tmp_path / "a.png").write_bytes(encode("red"))
    (tmp_path / "b.png").write_bytes(encode("black"))
    archive = write_zip(tmp_path / "c.zip", {"in/d.jpg": encode("lime", kind="jpeg")})
    rows, others = read_all([tmp_path / "a.png", tmp_path / "b.png", archive])
    assert build_table(rows) == [
        ["a.png", 1, "calm", 0.75, 1, 2, 5, 6, ""],
        ["b.png", None, None, None, None, None, None, None, "no face found"],
        ["c.zip/in/d.jpg", 1, "not sure", 0.75, 1, 2, 5, 6, ""],
    ]
    assert others == []


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path):
    whole = encode(size=(64, 64))
    archive = write_zip(
        tmp_path / "mixed.zip",
        {
            "notes.txt": b"hello",
            "__MACOSX/._good.png": b"x",
            ".hidden.png": b"x",
            "cut.png": whole[: len(whole) // 2],
            "empty.png": b"",
            "inner.zip": b"PK",
            "good.png": whole,
        },
    )
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    rows, others = read_all([tmp_path / "text.jpg", tmp_path / "broken.zip", archive])
    notes = list_notes(rows)
    assert others == ["mixed.zip/notes.txt"]
    assert "not a picture" in notes["text.jpg"]
    assert "not a zip that can be opened" in notes["broken.zip"]
    assert notes["mixed.zip/inner.zip"] == "a zip inside of a zip is not opened"
    assert notes["mixed.zip/cut.png"]
    assert notes["mixed.zip/empty.png"]
    assert notes["mixed.zip/good.png"] == ""
    assert len(rows) == 6


def test_names_that_point_elsewhere_reach_nothing(tmp_path):
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    archive = write_zip(
        folder / "z.zip", {"../../escaped.png": encode(), f"{tmp_path}/absolute.png": encode()}
    )
    rows, _ = read_all([archive])
    assert [row.note for row in rows] == ["", ""]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [archive]


def test_an_encrypted_member_is_not_read(tmp_path):
    archive = write_zip(tmp_path / "locked.zip", {"a.png": encode()})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[content.index(b"PK\x03\x04") + 6] |= 1
    archive.write_bytes(content)
    (row,), _ = read_all([archive])
    assert "encrypted" in row.note


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_unpacks_without_bound_is_not_read(tmp_path, method):
    (row,), _ = read_all([write_zip(tmp_path / "odd.zip", {"a.png": encode()}, method)])
    assert "make an ordinary zip" in row.note


def test_too_much_is_refused_before_anything_is_read(tmp_path):
    bomb = write_zip(tmp_path / "bomb.zip", {f"{n}.png": bytes(1000) for n in range(3)})
    with pytest.raises(ValueError, match="3 pictures, expected at most 2 at once"):
        list_pictures_of([bomb], Limits(batch_pictures=2))
    with pytest.raises(ValueError, match=r"unpack to 3,000 bytes, expected at most 2,999"):
        list_pictures_of([bomb], Limits(unpacked_bytes=2999))
    with pytest.raises(ValueError, match="There are no files"):
        list_pictures_of([], Limits())


def test_a_zip_that_lies_about_its_size_gives_no_more_than_it_declared(tmp_path):
    archive = write_zip(tmp_path / "liar.zip", {"a.bmp": encode(size=(300, 300), kind="bmp")})
    content = bytearray(archive.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 1000)
    archive.write_bytes(content)
    (file,), _ = list_pictures_of([archive], Limits(unpacked_bytes=1000))
    with pytest.raises(ValueError, match="damaged in the zip"):
        file.load(Limits())


def test_a_directory_that_would_fill_the_memory_is_not_read(tmp_path):
    names = {f"{number:06}{'x' * 150}.png": b"" for number in range(6000)}
    (row,), _ = read_all([write_zip(tmp_path / "many.zip", names, zipfile.ZIP_STORED)])
    assert "bytes of file names" in row.note


def test_a_picture_with_too_many_pixels_is_named_and_not_decoded(tmp_path):
    (tmp_path / "large.png").write_bytes(encode())
    (row,), _ = read_all([tmp_path / "large.png"], Limits(pixels=47))
    assert "expected" in row.note
    (row,), _ = read_all([tmp_path / "large.png"], Limits(pixels=48))
    assert row.note == ""


def test_the_csv_has_every_score_and_no_cell_that_a_spreadsheet_would_run(tmp_path):
    names = ["=cmd.png", "+1.png", "-1.png", "@x.png", "\tx.png", "plain.png"]
    archive = write_zip(tmp_path / "=z.zip", {"a.png": encode()})
    for name in names:
        (tmp_path / name).write_bytes(encode())
    rows, _ = read_all([*(tmp_path / name for name in names), archive])
    file = io.StringIO()
    write_csv(rows, ["calm", "=tense"], file)
    header, *lines = csv.reader(io.StringIO(file.getvalue()))
    assert header == [*TABLE_COLUMNS, "calm", "'=tense"]
    assert [line[0] for line in lines] == [
        *(f"'{name}" for name in names[:-1]),
        "plain.png",
        "'=z.zip/a.png",
    ]
    assert [float(cell) for cell in lines[0][-2:]] == [0.75, 0.25]
