"""List files, whatever they look like."""

import json

import pytest

from fer_hf.data.layouts.list_dialects import find_encoding, read_rows, sniff_delimiters
from fer_hf.data.layouts.list_files import find_list_files, open_list

ROWS = [["img/0.png", "happy"], ["img/1.png", "sad"], ["img/2.png", "anger"]]


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("delimiter", "quote"),
    [(",", ""), (";", ""), ("\t", ""), ("|", ""), (" ", ""), ("    ", ""), (", ", "")]
    + [(delimiter, '"') for delimiter in (",", ";", "\t", "|", " ")],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_separator_is_told(tmp_path, delimiter, quote, end):
    lines = (delimiter.join(f"{quote}{cell}{quote}" for cell in row) for row in ROWS)
    path = write(tmp_path / "l.txt", end.join(lines) + end)
    assert list(read_rows(path)) == ROWS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sep=;\na.png;happy\n", [["a.png", "happy"]]),
        ('"sep=|"\na.png|x, y|happy\n', [["a.png", "x, y", "happy"]]),
        (
            "# by me, by hand\na.png,happy\n#then\nb.png,sad\n",
            [["a.png", "happy"], ["b.png", "sad"]],
        ),
        ("#1.png,happy\n#2.png,sad\n", [["#1.png", "happy"], ["#2.png", "sad"]]),
        ('a.png,"one\ntwo",happy\n', [["a.png", "one\ntwo", "happy"]]),
        (
            "a.png,it's,happy\nb.png,don't,sad\n",
            [["a.png", "it's", "happy"], ["b.png", "don't", "sad"]],
        ),
        ("a.png,happy\n\n,,\n", [["a.png", "happy"]]),
        ("my a.png,happy\nmy b.png,sad\n", [["my a.png", "happy"], ["my b.png", "sad"]]),
    ],
)
def test_what_programs_and_people_write_is_read(tmp_path, text, expected):
    assert list(read_rows(write(tmp_path / "l.csv", text))) == expected


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "utf-8-sig"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("cp1252", "cp1252"),
    ],
)
def test_the_encoding_is_told(tmp_path, encoding, expected):
    path = write(tmp_path / "l.csv", "Datei;Gefühl\na.png;happy\n", encoding)
    assert find_encoding(path) == expected
    assert open_list(path)[0].names == ["Datei", "Gefühl"]
    said = "read as cp1252 because it is not UTF-8" in open_list(path)[0].how
    assert said == (expected == "cp1252")


@pytest.mark.parametrize(("content", "expected"), [(b"a\x81,b", "latin-1"), (b"a\xc3", "cp1252")])
def test_bytes_that_no_code_page_has_or_that_end_early_are_read_too(tmp_path, content, expected):
    path = tmp_path / "l.csv"
    path.write_bytes(content)
    assert find_encoding(path) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.png,happy\0\n", "is not a text"),
        (bytes(range(1, 9)) * 9, "is not a text"),
        (b"x" * 9_000_000, "has a line of more than 8,000,000 characters"),
        (b'a.png,"happy\nb.png,sad\n', "cannot be read as a table .*not closed"),
        (b"", "is empty"),
        (b"image,label\na.png,happy,x\n", r"row 0 has 3 columns, the first line 2"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, content, message):
    path = tmp_path / "l.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"l\.csv.*{message}"):
        open_list(path)[0].read([0])


def test_rows_may_be_shorter_than_the_header_or_end_in_empty_cells(tmp_path):
    path = write(tmp_path / "l.csv", "image,label\na.png,happy,,\nb.png\n")
    assert open_list(path)[0].read([0, 1]) == [["a.png", "b.png"], ["happy", ""]]


def test_every_consistent_separator_is_a_reading(tmp_path):
    path = write(tmp_path / "l.csv", "a.png;0,5\nb.png;0,6\n")
    assert set(sniff_delimiters(path)) == {",", ";"}


def test_a_given_header_names_the_columns_of_a_text_without_one(tmp_path):
    path = write(tmp_path / "l.lst", "a.png 0 1\nb.png 0 2\n")
    (table,) = open_list(path, ["name", "id", "label"])
    assert (table.names, table.read([2])) == (["name", "id", "label"], [["1", "2"]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.json", json.dumps([{"f": "a.png", "n": 1}, {"f": "b.png"}])),
        ("l.jsonl", '{"f": "a.png", "n": 1}\n\n{"f": "b.png"}\n'),
    ],
)
def test_json_is_a_row_for_each_object(tmp_path, name, content):
    (table,) = open_list(write(tmp_path / name, content))
    assert (table.names, table.read([0, 1])) == (["f", "n"], [["a.png", "b.png"], ["1", ""]])


def test_json_may_map_pictures_to_labels(tmp_path):
    (table,) = open_list(write(tmp_path / "l.json", '{"a.png": "happy", "b.png": 3}'))
    assert table.read([0, 1]) == [["a.png", "b.png"], ["happy", "3"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.json", "[1, 2]", "holds list. Expected a list of objects"),
        ("l.json", "{", "cannot be read as JSON"),
        ("l.parquet", "PAR", "cannot be read as Parquet"),
        ("l.xlsx", "PK", "is a spreadsheet. Save it as CSV"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    with pytest.raises(ValueError, match=message):
        open_list(write(tmp_path / name, content))


def test_lists_are_found_up_to_two_folders_down(tmp_path):
    for name in (
        "a.csv",
        "x/b.txt",
        "x/y/c.jsonl",
        "x/y/z/d.csv",
        ".h/e.csv",
        "LICENSE.txt",
        "f.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [file.relative_to(tmp_path).as_posix() for file in find_list_files(tmp_path)]
    assert found == ["a.csv", "x/b.txt", "x/y/c.jsonl"]
