"""`fer-hf video`: several files, folders and a webcam; where things go, and what is refused."""

import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec

import av
import pandas as pd
import pytest

from fer_hf import cli
from fer_hf.video.webcam import _Device

TABLES = ["faces.csv", "faces.parquet"] if find_spec("pyarrow") else ["faces.csv"]
FILES = {"annotated.mp4", *TABLES, "plot.png"}


@pytest.fixture
def party(tmp_path, monkeypatch, user_files):
    """A video of two happy faces, in the working directory."""
    monkeypatch.chdir(tmp_path)
    user_files(tmp_path)
    return tmp_path / "party.mp4"


def video(*args):
    return cli.main(["video", *map(str, args)])


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_a_video_gets_a_folder_of_its_name_with_what_the_demo_gives(party, tmp_path, capsys):
    assert video("party.mp4") == 0
    out, err = capsys.readouterr()
    summary, where = out.splitlines()
    assert summary == "party.mp4: 0.9 seconds, 2 faces: happy 100 %"
    assert where == f"  videos/party: annotated.mp4, {', '.join(TABLES)}, plot.png"
    assert err == ""
    assert names_in(tmp_path / "videos" / "party") == FILES
    table = pd.read_csv("videos/party/faces.csv")
    assert set(table.face) == {1, 2}
    with av.open("videos/party/annotated.mp4") as container:
        assert len(list(container.decode(video=0))) == 10


def test_one_bad_file_is_a_line_and_the_others_of_the_same_name_do_not_meet(
    party, tmp_path, capsys
):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "Party.mp4").write_bytes(party.read_bytes())
    (tmp_path / "more" / "bad.mov").write_bytes(b"no video")
    (tmp_path / "more" / "notes.txt").write_text("no video either")
    assert video("party.mp4", "more", "*.mp4", "--output_dir", "more/read") == 1
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()[::2]] == ["party.mp4", "more/Party.mp4"]
    named, total = err.splitlines()
    assert named.startswith("fer-hf: no results for more/bad.mov: 'bad.mov' cannot be opened as a")
    assert total == "fer-hf: error: 1 of 3 videos have no results; see above."
    assert names_in(tmp_path / "more" / "read") == {"party", "Party-2"}
    # Its own results lie in the folder, and are no videos to read.
    assert video("more", "--output_dir", "more/read", "--overwrite") == 1
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[::2]] == [
        "more/Party.mp4"
    ]


def test_results_are_replaced_only_on_request(party, tmp_path, capsys):
    assert video("party.mp4", "--seconds", "0.3") == 0
    assert capsys.readouterr().out.startswith("party.mp4: 0.3 seconds, ")
    before = (tmp_path / "videos/party/faces.csv").read_bytes()
    assert video("party.mp4") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "'videos/party' holds results already. Choose another --output_dir, or" in line
    assert (tmp_path / "videos/party/faces.csv").read_bytes() == before
    assert video("party.mp4", "--overwrite") == 0
    assert (tmp_path / "videos/party/faces.csv").read_bytes() != before


@pytest.mark.parametrize(
    ("args", "status", "part"),
    [
        (["gone.mp4"], 2, "There is no video at 'gone.mp4', expected a file, a folder of videos"),
        (["my_faces"], 2, "There is no video at 'my_faces'"),
        (["face.jpg"], 1, "no results for face.jpg: 'face.jpg' cannot be opened as a video"),
        (["77"], 1, "no results for webcam 77: Webcam 77 gives no pictures ("),
        (["party.mp4", "--seconds", "0"], 1, "`seconds` is 0.0, expected above 0"),
        (["party.mp4", "--detector", "dlib"], 2, "There is no face detector 'dlib'"),
        (["party.mp4", "--model", "no/such/run"], 2, "There is no folder 'no/such/run'"),
        ([], 2, "the following arguments are required: VIDEO"),
    ],
)
def test_a_call_for_nothing_is_one_line_and_leaves_nothing(
    party, tmp_path, args, status, part, capsys
):
    assert video(*args) == status
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert part in line
    assert not (tmp_path / "videos").exists() or names_in(tmp_path / "videos") == set()


def test_ctrl_c_leaves_nothing_of_a_video(party, tmp_path, capsys, monkeypatch):
    interrupt(monkeypatch, "fer_hf.video.analysis.FaceTable.add")
    assert video("party.mp4") == 130
    assert capsys.readouterr().err == "fer-hf: interrupted\n"
    assert names_in(tmp_path / "videos") == set()


def interrupt(monkeypatch, where):
    """Press Ctrl-C at the second call of a function."""
    module, name, method = where.rsplit(".", 2)
    owner = getattr(import_module(module), name)
    function, calls = getattr(owner, method), []

    def wrapped(*args):
        calls.append(args)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*args)

    monkeypatch.setattr(owner, method, wrapped)


def test_ctrl_c_ends_a_webcam_and_keeps_what_was_read(party, tmp_path, capsys, monkeypatch):
    # A picture, shown for ever.
    shown = _Device("party.jpg", "image2", {"loop": "1", "framerate": "15"})
    monkeypatch.setattr("fer_hf.video.webcam._find_device", lambda number: shown)
    before = signal.getsignal(signal.SIGINT)
    interrupt(monkeypatch, "fer_hf.video.analysis.FaceTable.add")
    assert video("0") == 0
    out, err = capsys.readouterr()
    assert out.startswith("webcam 0: 0.")
    assert ", 2 faces: happy 100 %\n  videos/webcam-0: annotated.mp4, " in out
    assert err == ""
    assert signal.getsignal(signal.SIGINT) == before
    assert names_in(tmp_path / "videos" / "webcam-0") == FILES
    assert len(set(pd.read_csv("videos/webcam-0/faces.csv").time_seconds)) == 2
    # Another recording is another one.
    assert video("0", "--seconds", "0.2") == 0
    assert names_in(tmp_path / "videos") == {"webcam-0", "webcam-0-2"}


def test_a_file_whose_name_is_a_number_is_a_file(party, tmp_path, capsys):
    party.rename(tmp_path / "7")
    assert video("7", "--seconds", "0.2") == 0
    assert capsys.readouterr().out.startswith("7: 0.2 seconds")


def test_what_is_not_installed_is_named_with_its_extra(party, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fer_hf.video.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "av", None)
    assert video("party.mp4") == 1
    assert "This needs av, which is not installed. Say: pip install 'fer-hf[video]'" in (
        capsys.readouterr().err
    )
