"""`fer-hf predict`: what people read, what programs read, addresses, and what goes wrong."""

import io
import json
import os
import re
import shutil
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from onnx_files import write_config, write_network
from PIL import Image

from fer_hf import cli
from fer_hf.faces import Face
from fer_hf.models.bundled import BUNDLED_FOLDERS, BUNDLED_MODEL

LABELS = ["calm", "cross", "merry"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint with labels of its own; that it has learnt nothing matters to no test here."""
    folder = tmp_path_factory.mktemp("models") / "moods"
    write_network(folder / "onnx" / "model.onnx", np.diag([1.0, 2.0, 3.0]).astype(np.float32))
    write_config(folder, label_names=LABELS)
    return folder


@pytest.fixture(autouse=True)
def _the_model_in_the_box_is_that_one(model, monkeypatch):
    monkeypatch.setitem(BUNDLED_FOLDERS, BUNDLED_MODEL, str(model))


@pytest.fixture
def faces(tmp_path):
    """A folder with five pictures."""
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abcde":
        Image.fromarray(rng.integers(0, 256, (40, 36), np.uint8)).save(folder / f"{name}.png")
    return folder


def predict(*args):
    return cli.main(["predict", *map(str, args)])


def errors_of(err):
    """The lines in the name of the program; there must be no others, and no traceback."""
    lines = err.splitlines()
    assert all(line.startswith("fer-hf: ") for line in lines), err
    return lines


# What is printed


def test_a_picture_is_shown_with_a_bar_for_each_label(faces, capsys):
    assert predict(faces / "a.png") == 0
    out, err = capsys.readouterr()
    name, *rows, last = out.splitlines()
    assert name == str(faces / "a.png")
    assert last == ""
    shown = [re.fullmatch(r"  (\w+) +(\d+\.\d) %  (█+)", row) for row in rows]
    assert sorted(match[1] for match in shown) == LABELS
    scores = [float(match[2]) for match in shown]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(100, abs=0.2)
    for match, score in zip(shown, scores, strict=True):
        assert len(match[3]) == pytest.approx(score * 40 / 100, abs=0.6)
    assert err == ""


def test_more_than_three_pictures_are_a_table_with_a_row_each(faces, capsys):
    assert predict(faces) == 0
    out, err = capsys.readouterr()
    header, *rows = out.splitlines()
    assert re.fullmatch(r"picture +highest +second +third", header)
    assert len(rows) == 5
    for name, row in zip("abcde", rows, strict=True):
        shown = re.fullmatch(r"(\S+)((?:  \w+ +\d+\.\d %){3})", row)
        assert shown[1] == str(faces / f"{name}.png")
        scores = [float(score) for score in re.findall(r"[\d.]+(?= %)", shown[2])]
        assert scores == sorted(scores, reverse=True)
    # The columns stand below their names.
    if len(str(faces / "a.png")) <= 50:
        assert header.index("highest") == len(str(faces / "a.png")) + 2
    assert err == ""


def test_a_long_name_moves_its_own_row_only(faces, capsys, monkeypatch):
    monkeypatch.chdir(faces)
    shutil.copy("a.png", "f" * 80 + ".png")
    assert predict("*.png") == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert len(header) < 100
    assert len({len(row) for row in rows[:5]}) == 1
    assert rows[5].startswith("f" * 80 + ".png  ")


@pytest.mark.train
def test_many_labels_are_cut_to_ten_bars(faces, tmp_path, capsys):
    from fer_hf.models import load_model

    loaded = load_model("baseline", [f"mood {number}" for number in range(12)], input_size=32)
    loaded.model.save_pretrained(tmp_path / "many")
    loaded.image_processor.save_pretrained(tmp_path / "many")
    assert predict(faces / "a.png", "--model", tmp_path / "many") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("  mood") for line in lines) == 10
    assert "  and 2 more; --json has them all" in lines


@pytest.mark.train
def test_two_labels_are_a_table_of_two_columns(faces, tmp_path, capsys):
    from fer_hf.models import load_model

    for sigmoid, names in ((False, {"sad", "happy"}), (True, {"not happy", "happy"})):
        folder = tmp_path / f"sigmoid {sigmoid}"
        loaded = load_model("baseline", ["sad", "happy"], input_size=32, sigmoid=sigmoid)
        loaded.model.save_pretrained(folder)
        loaded.image_processor.save_pretrained(folder)
        assert predict(faces, "--model", folder) == 0
        header, *rows = capsys.readouterr().out.splitlines()
        assert header.split() == ["picture", "highest", "second"]
        assert len(rows) == 5
        for row in rows:
            assert set(re.findall(r"  (\w[a-z ]*?) +[\d.]+ %", row)) == names


def test_json_is_an_object_a_line_with_every_score(faces, capsys):
    assert predict(faces, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["picture"] for line in lines] == [str(faces / f"{name}.png") for name in "abcde"]
    for line in lines:
        assert list(line["scores"]) == LABELS
        assert sum(line["scores"].values()) == pytest.approx(1, abs=1e-5)


NOT_SURE = {
    "coverage": 0.9,
    "threshold": 1.0,
    "conformal_threshold": 0.0,
    "crowd_temperature": 5.0,
}


@pytest.fixture
def unsure(model, tmp_path):
    """Make the checkpoint one that was calibrated: `unsure(threshold=…)`, by default never sure."""

    def calibrate(**settings):
        folder = tmp_path / "unsure"
        shutil.copytree(model, folder, dirs_exist_ok=True)
        config = json.loads((folder / "config.json").read_text())
        config["not_sure"] = {k: v for k, v in (NOT_SURE | settings).items() if v is not None}
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return calibrate


def test_what_a_model_is_not_sure_of_is_marked_with_what_it_cannot_rule_out(faces, unsure, capsys):
    assert predict(faces / "a.png", "--model", unsure()) == 0
    *_, verdict, last = capsys.readouterr().out.splitlines()
    assert sorted(re.findall(r"calm|cross|merry", verdict)) == LABELS
    assert re.fullmatch(r"  90 % set: \w+, \w+, \w+ \(not sure\)", verdict)
    assert last == ""
    assert predict(faces / "a.png", "--model", unsure(threshold=0, conformal_threshold=1)) == 0
    assert "  90 % set: no label\n" in capsys.readouterr().out


def test_the_table_has_a_column_for_it(faces, unsure, capsys):
    assert predict(faces, "--model", unsure(coverage=0.8)) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"picture +highest +second +third +80 % set", header)
    for row in rows:
        ranked = re.findall(r"(\w+) +[\d.]+ %", row)
        assert row.endswith(f"  {', '.join(ranked)} (not sure)")


@pytest.mark.train
def test_long_sets_are_cut_and_json_has_all_of_them(faces, unsure, tmp_path, capsys):
    from fer_hf.models import load_model

    names = [f"mood {number}" for number in range(5)]
    loaded = load_model("baseline", names, input_size=32)
    loaded.model.config.not_sure = NOT_SURE
    loaded.model.save_pretrained(tmp_path / "five")
    loaded.image_processor.save_pretrained(tmp_path / "five")
    assert predict(faces / "a.png", "--model", tmp_path / "five") == 0
    assert re.search(r"set: mood \d, mood \d, mood \d and 2 more \(", capsys.readouterr().out)
    assert predict(faces / "a.png", "--model", tmp_path / "five", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown) == ["picture", "scores", "sure", "prediction_set"]
    assert shown["sure"] is False
    assert shown["prediction_set"] == sorted(names, key=lambda name: -shown["scores"][name])


def test_the_crowd_is_less_of_one_mind(faces, unsure, capsys):
    args = [faces / "a.png", "--model", unsure(), "--crowd"]
    assert predict(*args, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert sum(shown["crowd_scores"].values()) == pytest.approx(1)
    assert max(shown["crowd_scores"].values()) < max(shown["scores"].values())
    assert predict(*args) == 0
    bars = re.findall(r"(\w+) +([\d.]+) %  ", capsys.readouterr().out)
    assert {name: float(score) / 100 for name, score in bars} == pytest.approx(
        shown["crowd_scores"], abs=6e-4
    )


def test_a_model_that_knows_no_crowd_is_refused(faces, unsure, model, capsys):
    for folder in (model, unsure(crowd_temperature=None)):
        assert predict(faces, "--model", folder, "--crowd") == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = errors_of(err)
        assert "--crowd needs a model that was calibrated on people's votes" in line


def test_batches_change_nothing(faces, capsys):
    shown = []
    for size in (1, 2, 32):
        assert predict(faces, "--json", "--batch_size", size) == 0
        lines = capsys.readouterr().out.splitlines()
        shown.append([list(json.loads(line)["scores"].values()) for line in lines])
    np.testing.assert_allclose(shown[0], shown[1], atol=1e-6)
    np.testing.assert_allclose(shown[0], shown[2], atol=1e-6)


def write_into(monkeypatch, encoding):
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding=encoding))
    return content


def test_an_old_code_page_gets_other_bars_and_survives_any_name(faces, monkeypatch):
    shutil.copy(faces / "a.png", faces / "笑う\n.png")
    content = write_into(monkeypatch, "cp1252")
    assert predict(faces / "笑う\n.png") == 0
    shown = content.getvalue().decode("cp1252").splitlines()
    assert shown[0].endswith(r"\u7b11\u3046?.png")
    assert "█" not in shown[1]
    assert "##" in shown[1]


def test_a_name_that_is_no_text_is_shown_and_scored(faces, monkeypatch):
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(faces / "a.png", faces / name)
    content = write_into(monkeypatch, "utf-8")
    assert predict(faces / name) == 0
    assert predict(faces / name, "--json") == 0
    shown = content.getvalue().decode()
    assert "caf?.png" in shown
    assert json.loads(shown.splitlines()[-1])["picture"] == str(faces / name)


def test_a_reader_that_has_seen_enough_is_no_error(faces, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert predict(faces, "--json") == 0
    assert capsys.readouterr().err == ""


def test_help_is_a_lesson(capsys):
    with pytest.raises(SystemExit, match="0"):
        predict("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "fer-hf predict face.jpg" in text
    assert "With --faces, faces are found first" in text
    assert "when it is not sure" in text
    assert "the bundled model" in text


# Pictures that cannot be read


def announce(width, height):
    """A PNG whose header announces that size."""
    stream = io.BytesIO()
    Image.new("1", (8, 8)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


class OneFace:
    """A detector's stand-in: a face in every picture with more than one level."""

    name = "one"

    def __call__(self, pictures):  # noqa: D102
        found = [Face((4, 4, 30, 30), 1.0)]
        return [found * 2 if np.ptp(np.asarray(picture)) else [] for picture in pictures]


def test_faces_are_found_and_scored_each_by_itself(faces, capsys, monkeypatch):
    monkeypatch.setattr("fer_hf.faces.reader.load_detector", lambda name: OneFace())
    Image.new("RGB", (40, 36)).save(faces / "empty.png")
    assert predict(faces, "--faces", "--json") == 1
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(Path(row["picture"]).stem, row["face"]) for row in rows] == [
        (name, face) for name in "abcde" for face in (1, 2)
    ]
    assert rows[0]["box"] == [4, 4, 30, 30]
    named, total = errors_of(err)
    assert named.endswith("empty.png: no face was found")
    assert total == "fer-hf: error: 1 of 6 pictures have no scores; see above."
    assert predict(faces / "a.png", "--faces") == 0
    headings = [line for line in capsys.readouterr().out.splitlines() if "face" in Path(line).name]
    assert headings == [f"{faces / 'a.png'} face 1", f"{faces / 'a.png'} face 2"]


def test_a_face_detector_that_does_not_exist_is_refused(faces, capsys):
    assert predict(faces / "a.png", "--faces", "--detector", "dlib") == 2
    assert "There is no face detector 'dlib'" in capsys.readouterr().err


def test_unreadable_files_are_named_and_the_others_answered(faces, capsys, recwarn):
    (faces / "._a.png").write_bytes(b"left by another system")
    (faces / "notes.txt").write_text("no picture")
    (faces / "empty.jpg").write_bytes(b"")
    (faces / "text.jpg").write_text("no picture either")
    (faces / "truncated.png").write_bytes((faces / "a.png").read_bytes()[:600])
    # Pillow warns of the first, and refuses the second.
    (faces / "huge.png").write_bytes(announce(10_000, 10_000))
    (faces / "vast.png").write_bytes(announce(50_000, 50_000))
    assert predict(faces, "--json") == 1
    out, err = capsys.readouterr()
    assert [Path(json.loads(line)["picture"]).stem for line in out.splitlines()] == list("abcde")
    *named, total = errors_of(err)
    reasons = {
        match[1]: match[2]
        for match in (re.fullmatch(r"fer-hf: no scores for .*/(\w+)\.\w+: (.*)", n) for n in named)
    }
    assert reasons.keys() == {"empty", "text", "truncated", "huge", "vast"}
    assert reasons["empty"] == "empty file"
    assert reasons["text"] == "not a picture"
    assert "truncated" in reasons["truncated"]
    assert "too large" in reasons["huge"]
    assert "too large" in reasons["vast"]
    assert total == "fer-hf: error: 5 of 10 pictures have no scores; see above."
    assert not [str(warning) for warning in recwarn if "PIL" in warning.filename]


def test_pictures_that_pillow_has_a_word_about_are_answered_in_silence(faces, capsys, recwarn):
    path = faces / "palette.png"
    Image.new("P", (9, 9)).save(path, transparency=bytes(range(256)))
    assert predict(path) == 0
    assert capsys.readouterr().err == ""
    assert not [str(warning) for warning in recwarn if "PIL" in warning.filename]


def test_all_pictures_unreadable_is_an_error_and_no_crash(tmp_path, capsys):
    for name in "abcd":
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    assert predict(tmp_path) == 1
    assert len(errors_of(capsys.readouterr().err)) == 5


# Wrong calls and wrong models


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["nothing.jpg"], ["There is no picture at 'nothing.jpg'", "Check the path"]),
        (["none-*.jpg"], ["There is no picture at 'none-*.jpg'"]),
        (["nothing-in-here"], ["There is no picture at 'nothing-in-here'"]),
        (["https://example.org/face.jpg"], ["is an address", "--allow_url"]),
        (["face.png", "--batch_size", "0"], ["`batch_size` is 0"]),
        (["face.png", "--model", "no/such/run"], ["There is no folder 'no/such/run'"]),
        pytest.param(
            ["face.png", "--model", "nothing-in-here"],
            ["holds no `config.json`"],
            marks=pytest.mark.train,
        ),
    ],
)
def test_a_wrong_call_is_one_line_and_ends_with_2(args, parts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("nothing-in-here").mkdir()
    Image.new("L", (9, 9)).save("face.png")
    assert predict(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = errors_of(err)
    for part in parts:
        assert part in line


@pytest.mark.train
@pytest.mark.parametrize(
    ("config", "weights", "status", "part"),
    [
        ({"model_type": "bert"}, bytes([2, *bytes(7)]) + b"{}", 2, "not an image classifier"),
        (None, None, 2, "holds no `model.safetensors`"),
        (None, b"garbage" * 100, 1, "damaged or incomplete"),
    ],
)
def test_a_model_that_is_none_is_one_line(config, weights, status, part, faces, tmp_path, capsys):
    from fer_hf.models import load_model

    folder = tmp_path / "model"
    load_model("baseline", LABELS, input_size=32).model.save_pretrained(folder)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    if weights is None:
        (folder / "model.safetensors").unlink()
    else:
        (folder / "model.safetensors").write_bytes(weights)
    assert predict(faces, "--model", folder) == status
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = errors_of(err)
    assert part in line


# Addresses


class Server(ThreadingHTTPServer):
    """A server on this machine with pictures and with every kind of trouble."""

    daemon_threads = True

    def __init__(self, picture):
        super().__init__(("127.0.0.1", 0), Handler)
        self.picture = picture
        self.asked = []

    def address(self, path):
        """Say how to ask for `path`."""
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    """Answers by the path it is asked for."""

    def do_GET(self):
        """Answer."""
        path = self.path.removeprefix("/")
        self.server.asked.append(path)
        locations = {
            "moved": "/face.png",
            "far": "/moved",
            "round": "/round",
            "elsewhere": "ftp://127.0.0.1/face.png",
            "inside": "file:///etc/hostname",
        }
        if path in locations:
            self._answer(302, b"", Location=locations[path])
        elif path == "face.png":
            self._answer(200, self.server.picture)
        elif path == "empty":
            self._answer(200, b"")
        elif path == "page":
            self._answer(200, b"<html>Please log in.</html>")
        elif path == "silent":
            time.sleep(1)
        elif path in ("endless", "endless-redirect"):
            self._send_without_end(302 if "redirect" in path else 200)
        else:
            self._answer(404, b"")

    def _answer(self, status, content, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_without_end(self, status):
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/face.png")
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1_000_000))
                self.server.asked.append("a megabyte more")
        except OSError:
            pass  # the other side hung up, as it should

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server(faces, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with Server((faces / "a.png").read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_addresses_are_fetched_only_on_request(server, faces, capsys):
    address = server.address("face.png")
    assert predict(address) == 2
    (line,) = errors_of(capsys.readouterr().err)
    assert "--allow_url" in line
    assert server.asked == []
    assert predict(address, faces / "a.png", "--json", "--allow_url") == 0
    fetched, local = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert fetched["picture"] == address
    assert fetched["scores"] == pytest.approx(local["scores"], abs=1e-6)


@pytest.mark.parametrize("path", ["moved", "far", "endless-redirect"])
def test_redirects_are_followed_without_reading_what_they_say(server, path, capsys):
    assert predict(server.address(path), "--allow_url", "--json") == 0
    assert server.asked.count("face.png") == 1
    # What fits into the buffers between the two, but not what the other side likes to send.
    assert server.asked.count("a megabyte more") < 20


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("gone.png", "the server answers 404 Not Found"),
        ("page", "not a picture"),
        ("empty", "empty file"),
        ("round", "more than 3 redirects"),
        ("elsewhere", "unsupported protocol 'ftp://'"),
        ("inside", "unsupported protocol 'file://'"),
        ("silent", "timed out"),
        ("endless", "more than 20 MB"),
    ],
)
def test_an_address_that_gives_no_picture_is_one_line(
    server, faces, path, reason, monkeypatch, capsys
):
    monkeypatch.setattr("fer_hf.data.addresses._WAIT_SECONDS", 0.3)
    address = server.address(path)
    assert predict(address, faces / "a.png", "--allow_url", "--json") == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["picture"] for line in out.splitlines()] == [str(faces / "a.png")]
    named, _ = errors_of(err)
    assert named.startswith(f"fer-hf: no scores for {address}: ")
    assert reason in named


def test_a_download_that_takes_too_long_in_all_is_stopped(server, monkeypatch, capsys):
    monkeypatch.setattr("fer_hf.data.addresses._FETCH_SECONDS", 0.0)
    assert predict(server.address("face.png"), "--allow_url") == 1
    assert "not complete after 0 seconds" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_one_line(server, capsys):
    address = server.address("face.png")
    server.shutdown()
    server.server_close()
    assert predict(address, "http://[", "--allow_url") == 1
    refused, invalid, total = errors_of(capsys.readouterr().err)
    assert "refused" in refused
    assert invalid.startswith("fer-hf: no scores for http://[: ")
    assert "2 of 2 pictures" in total
