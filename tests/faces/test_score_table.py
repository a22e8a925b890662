"""A table of scores grows picture by picture, and goes on after anything that stopped it."""

import csv
import json
from itertools import chain

import pytest

from fer_hf.faces import Face
from fer_hf.faces.reader import NO_FACE, FaceReading, FileReadings
from fer_hf.faces.score_table import ScoreTable, check_table_path

SURE = FaceReading(
    {"happy": 0.75, "sad": 0.25}, "happy", {"happy": 0.6, "sad": 0.4}, ["happy"],
    face=Face((1, 2, 30.5, 40), 0.9), number=1,
)  # fmt: skip
UNSURE = FaceReading(
    {"happy": 0.45, "sad": 0.55}, None, {"happy": 0.5, "sad": 0.5}, ["sad", "happy"],
    face=Face((50, 2, 80, 40), 0.8), number=2,
)  # fmt: skip


class Reader:
    """What the table asks of a reader."""

    label_names = ("happy", "sad")

    class classifier:  # noqa: N801, D106
        model_name_or_path = "runs/mine"
        fingerprint = "0123"

        @classmethod
        def compute_fingerprint(cls):  # noqa: D102
            return cls.fingerprint

    class detector:  # noqa: N801, D106
        name = "stub"


class WholeReader(Reader):
    """Without faces."""

    detector = None


def fill(path, *given, results=(), reader=Reader, **settings):
    with ScoreTable(path, reader, **settings) as table:
        for result in chain(given, results):
            table.add(result)
    return table


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


A = FileReadings("a.png", [SURE, UNSURE])
EMPTY = FileReadings("empty.png", [], NO_FACE)
BROKEN = FileReadings("broken.png", [], "not a picture")


def test_csv_has_a_row_for_each_face_and_for_each_picture_without_one(tmp_path):
    fill(tmp_path / "s.csv", A, EMPTY, BROKEN)
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "picture,face,left,top,right,bottom,score_happy,score_sad,prediction,sure,set,error",
        "a.png,1,1.0,2.0,30.5,40.0,0.75,0.25,happy,True,happy,",
        "a.png,2,50.0,2.0,80.0,40.0,0.45,0.55,sad,False,sad; happy,",
        "empty.png,,,,,,,,,,,no face was found",
        "broken.png,,,,,,,,,,,not a picture",
    ]


@pytest.mark.train
def test_all_formats_hold_the_same(tmp_path):
    import pyarrow.parquet as pq

    for ending in ("csv", "jsonl", "parquet"):
        fill(tmp_path / f"s.{ending}", A, EMPTY, reader=WholeReader, with_crowd=True)
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert rows == pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert list(rows[0]) == [
        *("picture", "score_happy", "score_sad", "crowd_happy", "crowd_sad"),
        *("prediction", "sure", "set", "error"),
    ]
    assert [row["set"] for row in rows] == [["happy"], ["sad", "happy"], None]
    assert rows[0]["crowd_happy"] == 0.6
    assert [row["score_sad"] for row in read_csv(tmp_path / "s.csv")] == ["0.25", "0.55", ""]


@pytest.mark.train
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_is_done_stays_and_what_was_unreadable_is_replaced(tmp_path, ending):
    import pyarrow.parquet as pq

    path = tmp_path / f"s.{ending}"
    fill(path, A, EMPTY, BROKEN)
    table = ScoreTable(path, Reader)
    assert [name in table for name in ("a.png", "empty.png", "broken.png", "new.png")] == [
        True, True, False, False,
    ]  # fmt: skip
    table = fill(path, FileReadings("broken.png", [SURE]), FileReadings("new.png", [SURE]))
    assert table.errors == {
        "a.png": None, "empty.png": NO_FACE, "broken.png": None, "new.png": None,
    }  # fmt: skip
    if ending == "parquet":
        rows = pq.read_table(path).to_pylist()
        assert [row["picture"] for row in rows] == [
            "a.png", "a.png", "empty.png", "broken.png", "new.png",
        ]  # fmt: skip
        assert [row["error"] for row in rows] == [None, None, NO_FACE, None, None]


def test_a_torn_line_is_cut_off_and_everything_before_it_kept(tmp_path):
    path = tmp_path / "s.csv"
    fill(path, A, EMPTY)
    path.unlink()  # as after a kill: the journal is all there is
    journal = tmp_path / "s.csv.journal"
    whole = journal.read_bytes()
    for cut in (1, 20):
        journal.write_bytes(whole[:-cut])
        table = fill(path, BROKEN)
        assert ("a.png" in table, "empty.png" in table) == (True, False)
        assert [row["picture"] for row in read_csv(path)] == ["a.png", "a.png", "broken.png"]
    # After a power cut the rest of a line may be zeros.
    journal.write_bytes(whole + b"\0" * 50 + b"\n")
    fill(path, BROKEN)
    assert len(read_csv(path)) == 4


def test_what_was_added_before_an_error_is_in_the_table(tmp_path):
    def read():
        yield A
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "new" / "s.csv", results=read())
    assert len(read_csv(tmp_path / "new" / "s.csv")) == 2
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"s.csv", "s.csv.journal"}


def test_a_table_to_which_nothing_was_added_leaves_nothing(tmp_path):
    fill(tmp_path / "s.csv")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "s.csv.journal").touch()  # killed before the first line
    fill(tmp_path / "s.csv", A)
    assert len(read_csv(tmp_path / "s.csv")) == 2


@pytest.mark.train
def test_names_that_are_no_text_or_have_lines_are_held_by_every_format(tmp_path):
    import pyarrow.parquet as pq

    names = ["caf\udce9.png", 'two\nlines, and "quotes".png']
    for ending in ("csv", "parquet"):
        table = fill(tmp_path / f"s.{ending}", *(FileReadings(name, [SURE]) for name in names))
        assert all(name in ScoreTable(table.path, Reader) for name in names)
    expected = ["caf\ufffd.png", names[1]]
    assert [row["picture"] for row in read_csv(tmp_path / "s.csv")] == expected
    assert pq.read_table(tmp_path / "s.parquet")["picture"].to_pylist() == expected


def test_another_model_or_other_flags_are_refused_with_what_was_found(tmp_path, monkeypatch):
    path = tmp_path / "s.csv"
    fill(path, A)
    with pytest.raises(ValueError, match=r"made with .*`faces` 'found by stub'.*, expected as in"):
        ScoreTable(path, WholeReader)
    with pytest.raises(ValueError, match=r"`crowd` False, expected .*`crowd` True\. Choose anoth"):
        ScoreTable(path, Reader, with_crowd=True)
    monkeypatch.setattr(Reader.classifier, "model_name_or_path", "runs/moved")
    assert "a.png" in ScoreTable(path, Reader)
    monkeypatch.setattr(Reader.classifier, "fingerprint", "4567")
    with pytest.raises(ValueError, match=r"`fingerprint` '0123'.* 'runs/moved', `fingerprint` '45"):
        ScoreTable(path, Reader)
    assert len(read_csv(path)) == 2


def test_files_of_others_are_not_written_over(tmp_path):
    (tmp_path / "s.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"exists without its journal 's\.csv\.journal'"):
        ScoreTable(tmp_path / "s.csv", Reader)
    for content in ("mine", "[1]\n", "3\n"):
        (tmp_path / "s.csv.journal").write_text(content)
        with pytest.raises(FileExistsError, match=r"is no journal of scores, expected one or none"):
            ScoreTable(tmp_path / "s.csv", Reader)
        assert (tmp_path / "s.csv.journal").read_text() == content


def test_any_other_ending_is_refused():
    with pytest.raises(ValueError, match=r"The output is 's\.xlsx', expected a file ending in"):
        check_table_path("s.xlsx")
