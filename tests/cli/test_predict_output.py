"""`fer-hf predict --output`: a table that goes on where it stopped, and what is refused."""

import json
import signal
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from fer_hf import cli
from fer_hf.data.drawn.faces import draw_face


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A folder with five pictures, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()
    for number in range(5):
        draw_face("happy", size=64, seed=number).save(f"faces/{number}.png")
    return tmp_path / "faces"


def predict(*args):
    return cli.main(["predict", *map(str, args)])


def test_a_second_call_does_only_what_is_missing(faces, capsys, monkeypatch):
    assert predict("faces", "--output", "s.csv") == 0
    assert capsys.readouterr().out == "s.csv: 5 pictures, 5 of them new\n"
    first = pd.read_csv("s.csv")
    assert list(first.picture) == [f"faces/{number}.png" for number in range(5)]
    assert list(first.filter(like="score_").sum(axis=1)) == pytest.approx([1] * 5, abs=1e-4)
    draw_face("sad", size=64, seed=9).save("faces/9.png")
    opened = []
    monkeypatch.setattr(
        "fer_hf.faces.reader.open_file",
        lambda file, **_: opened.append(file) or Image.open(file).convert("RGB"),
    )
    assert predict("faces", "--output", "s.csv") == 0
    assert capsys.readouterr().out == "s.csv: 6 pictures, 1 of them new\n"
    assert opened == ["faces/9.png"]
    pd.testing.assert_frame_equal(pd.read_csv("s.csv")[:5], first)


def test_the_scores_are_those_that_are_printed(faces, capsys):
    assert predict("faces", "--output", "s.jsonl", "--crowd") == 0
    capsys.readouterr()
    assert predict("faces", "--json", "--crowd") == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line, one in zip((faces.parent / "s.jsonl").read_text().splitlines(), printed, strict=True):
        row = json.loads(line)
        for label, score in one["scores"].items():
            assert row[f"score_{label}"] == pytest.approx(score, rel=1e-4)
            assert row[f"crowd_{label}"] == pytest.approx(one["crowd_scores"][label], rel=1e-4)
        assert row["prediction"] == max(one["scores"], key=one["scores"].get)
        assert (row["sure"], row["set"]) == (one["sure"], one["prediction_set"])


def test_an_unreadable_picture_has_a_row_and_is_read_once_it_is_repaired(faces, capsys):
    (faces / "3.png").write_bytes(b"no picture")
    for _ in range(2):
        assert predict("faces", "--output", "s.csv") == 1
        named, total = capsys.readouterr().err.splitlines()
        assert named == "fer-hf: no scores for faces/3.png: not a picture"
        assert "1 of 5 pictures in 's.csv' have no scores; its column `error` says why" in total
        assert list(pd.read_csv("s.csv").error.dropna()) == ["not a picture"]
    draw_face("happy", size=64, seed=3).save("faces/3.png")
    assert predict("faces", "--output", "s.csv") == 0
    assert pd.read_csv("s.csv").error.isna().all()


@pytest.mark.train
def test_a_killed_call_goes_on_where_it_was(faces, capsys):
    program = """
import os, signal, sys
from fer_hf import cli
from fer_hf.faces.score_table import ScoreTable
add = ScoreTable.add
def add_or_die(self, result):
    if len(self.errors) == 3:
        with self.journal.open("a") as file:
            file.write('["faces/3.p')
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, result)
ScoreTable.add = add_or_die
cli.main(sys.argv[1:])
"""
    call = ["predict", "faces", "--output", "s.parquet"]
    done = subprocess.run([sys.executable, "-c", program, *call], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert not (faces.parent / "s.parquet").exists()
    assert cli.main(call) == 0
    assert capsys.readouterr().out == "s.parquet: 5 pictures, 2 of them new\n"
    assert list(pd.read_parquet("s.parquet").picture) == [
        f"faces/{number}.png" for number in range(5)
    ]


def test_faces_are_rows_and_a_picture_without_one_is_not_searched_again(faces, capsys):
    Image.new("RGB", (64, 64)).save("faces/9.png")
    draw_face("happy", size=200, seed=3).save("faces/0.png")
    for num_named in (1, 0):
        assert predict("faces/[09].png", "--faces", "--output", "f.csv") == 1
        named = [line for line in capsys.readouterr().err.splitlines() if "9.png" in line]
        assert len(named) == num_named
    table = pd.read_csv("f.csv")
    assert list(table.columns[:6]) == ["picture", "face", "left", "top", "right", "bottom"]
    assert list(table.error.fillna("")) == ["", "no face was found"]
    assert predict("faces", "--output", "f.csv") == 2
    assert "`faces` 'found by finder'" in capsys.readouterr().err


@pytest.mark.train
def test_labelled_sources_go_into_the_table_and_on_the_screen(faces, capsys):
    rows = "".join(f"faces/{number}.png,happy\n" for number in range(5))
    (faces.parent / "t.csv").write_text(f"path,label\n{rows}")
    assert predict("t.csv", "--output", "s.parquet") == 0
    assert predict("t.csv", "faces/0.png", "--output", "s.parquet") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "s.parquet: 6 pictures, 1 of them new"
    assert pd.read_parquet("s.parquet").picture[0] == str(faces / "0.png")
    assert predict("t.csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["faces", "--output", "s.xlsx"], "'s.xlsx', expected a file ending in one of ['.csv'"),
        (["faces", "--output", "s.csv", "--json"], "Found --json and --output, expected one of"),
        (["party.mp4"], "Found party.mp4, expected pictures. Say: fer-hf video party.mp4"),
        (["faces", "--output", "s.csv", "--batch_size", "0"], "`batch_size` is 0"),
    ],
)
def test_a_wrong_call_is_one_line_ends_with_2_and_writes_nothing(faces, args, part, capsys):
    (faces.parent / "party.mp4").write_bytes(b"\0" * 99)
    assert predict(*args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line
    assert {file.name for file in faces.parent.iterdir()} == {"faces", "party.mp4"}


def test_a_video_among_pictures_is_named_and_they_are_answered(faces, capsys):
    (faces.parent / "party.mp4").write_bytes(b"\0" * 99)
    assert predict("faces/0.png", "party.mp4", "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["picture"] == "faces/0.png"
    assert "no scores for party.mp4: a video: use `fer-hf video`" in err
