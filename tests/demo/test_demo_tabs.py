"""The moving and the teaching tabs, as a client calls them and as their functions stand alone."""

import csv
import tempfile
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from fer_hf.demo.demo_models import DemoModels
from fer_hf.demo.limits import Limits
from fer_hf.demo.tabs.batch_tab import build_batch_tab, describe_others
from fer_hf.demo.tabs.live_tab import Watch, build_live_tab, embed_picture
from fer_hf.demo.tabs.teach_tab import build_teach_tab
from fer_hf.demo.tabs.video_tab import STOPPED, build_video_tab
from fer_hf.demo.timeline import render_timeline
from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading
from fer_hf.models.bundled import DEFAULT_MODEL

BOX = (8.0, 8.0, 40.0, 40.0)


def find_one_face(pictures):
    """A detector's stand-in: a face in every picture but black ones."""
    return [[Face(BOX, 1.0)] if np.asarray(p).max() > 60 else [] for p in pictures]


def read(scores, *, sure=True):
    named = dict(zip(["calm", "tense"], scores, strict=True))
    label = max(named, key=named.get) if sure else None
    return FaceReading(named, label, prediction_set=["calm"], face=Face(BOX, 1.0))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a page with these tabs."""
    folder = tmp_path_factory.mktemp("gradio")
    models = DemoModels([DEFAULT_MODEL], limits=Limits(batch_pictures=4, video_seconds=3))
    vars(models).update(detector=find_one_face, live_detector=find_one_face)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        # Of a browser the server learns at once that it is gone, of a client at the next heartbeat.
        patch.setattr("gradio.utils.get_heartbeat_rate", lambda: 0.2)
        with gr.Blocks(analytics_enabled=False, delete_cache=(60, 600)) as demo:
            for build in (build_live_tab, build_video_tab, build_teach_tab, build_batch_tab):
                build(models)
        _, url, _ = demo.launch(
            prevent_thread_lock=True, quiet=True, ssr_mode=False, run_history=False, share=False
        )
        yield url, folder
        demo.close(verbose=False)


@pytest.fixture
def client(served):
    client = Client(served[0], verbose=False)
    yield client
    client.close()


def write_pictures(folder, brightness, number):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(brightness)
    paths = [folder / f"{brightness}-{n}.png" for n in range(number)]
    for path in paths:
        pixels = brightness + rng.normal(0, 10, (64, 64, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return paths


def send(paths):
    return [handle_file(str(path)) for path in paths]


def test_a_batch_comes_back_as_a_table_and_a_csv_and_leaves_no_file_of_ours(
    client, monkeypatch, tmp_path
):
    ours = tmp_path / "ours"
    ours.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(ours))
    good, dark = *write_pictures(tmp_path, 200, 1), *write_pictures(tmp_path, 5, 1)
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(good, "in/good.png")
        archive.writestr("notes.txt", "hello")
    files = send([good, dark, tmp_path / "text.jpg", tmp_path / "more.zip"])
    summary, table, path = client.predict(files, api_name="/read_files")
    assert summary.startswith(
        "Faces found: 2. Pictures: 4. Left out, as they are not pictures: `more.zip/notes"
    )
    notes = {row[0]: row[-1] for row in table["data"]}
    assert notes[good.name] == notes["more.zip/in/good.png"] == ""
    assert notes[dark.name] == "no face found"
    assert "not a picture" in notes["text.jpg"]
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [row[0] for row in table["data"]]
    assert sum(float(rows[0][label]) for label in ("anger", "happy", "sad", "neutral")) > 0
    # The client's downloads are there, too, under names of another kind.
    assert not list(ours.glob("tmp*"))


def test_a_batch_of_too_many_or_none_is_refused_in_one_line(client, tmp_path):
    with pytest.raises(AppError, match="5 pictures, expected at most 4 at once"):
        client.predict(send(write_pictures(tmp_path, 200, 5)), api_name="/read_files")
    with pytest.raises(AppError, match="There are no files"):
        client.predict([], api_name="/read_files")


def test_two_visitors_teach_apart_and_what_they_taught_can_be_tried_taken_and_forgotten(
    client, served, tmp_path
):
    other = Client(served[0], verbose=False)
    light, dark = write_pictures(tmp_path, 220, 3), write_pictures(tmp_path, 90, 3)
    with pytest.raises(AppError, match="There are no labels"):
        client.predict(api_name="/teach")
    client.predict("light", send(light), api_name="/add_examples")
    counts, notes, _ = client.predict("dark", send([*dark, light[0]]), api_name="/add_examples")
    assert counts["data"] == [["light", 3], ["dark", 3]]
    assert "it is among the pictures of 'light'" in notes
    counts, *_ = other.predict("mine", send(dark[:1]), api_name="/add_examples")
    assert counts["data"] == [["mine", 1]]
    with pytest.raises(AppError, match="The number of labels is 1, expected 2 to 8"):
        other.predict(api_name="/teach")
    with pytest.raises(AppError, match="Nothing has been taught yet"):
        client.predict(handle_file(str(dark[0])), False, api_name="/try_taught")

    figures, archive = client.predict(api_name="/teach")
    assert "of 6 pictures**" in figures
    with zipfile.ZipFile(archive) as file:
        assert "my-expressions/model.safetensors" in file.namelist()
    _, panels, readings = client.predict(handle_file(str(dark[0])), False, api_name="/try_taught")
    assert panels
    assert set(readings[0]["scores"]) == {"light", "dark"}
    with pytest.raises(AppError, match="Nothing has been taught yet"):
        other.predict(handle_file(str(dark[0])), False, api_name="/try_taught")

    assert list(served[1].glob("*/my-expressions.zip"))
    client.predict(api_name="/forget_taught")
    assert not list(served[1].glob("*/my-expressions.zip"))
    with pytest.raises(AppError, match="The number of labels is 0"):
        client.predict(api_name="/teach")
    other.close()


def test_a_lesson_goes_when_its_visitor_leaves(served, tmp_path):
    visitor = Client(served[0], verbose=False)
    for label, brightness in (("light", 220), ("dark", 90)):
        pictures = write_pictures(tmp_path, brightness, 2)
        visitor.predict(label, send(pictures), api_name="/add_examples")
    visitor.predict(api_name="/teach")
    assert list(served[1].glob("*/my-expressions.zip"))
    visitor.close()
    deadline = time.monotonic() + 20
    while list(served[1].glob("*/my-expressions.zip")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not list(served[1].glob("*/my-expressions.zip"))


def write_video(path, *, seconds):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(round(seconds * 10)):
            picture = np.full((64, 96, 3), 100 + number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_a_video_comes_back_marked_with_plot_and_tables(client, tmp_path):
    video = write_video(tmp_path / "a.mp4", seconds=1)
    note, marked, plot, tables = client.predict(handle_file(str(video)), api_name="/read_video")
    assert "Faces followed: 1." in note
    assert Path(marked).suffix == ".mp4"
    assert Image.open(plot).width > 100
    kinds = [".csv", ".parquet"] if find_spec("pyarrow") else [".csv"]
    assert [Path(path).suffix for path in tables] == kinds


def test_a_video_that_is_missing_too_long_or_none_is_refused_in_one_line(client, tmp_path):
    with pytest.raises(AppError, match="There is no video"):
        client.predict(None, api_name="/read_video")
    long = write_video(tmp_path / "long.mp4", seconds=4)
    with pytest.raises(AppError, match="expected"):
        client.predict(handle_file(str(long)), api_name="/read_video")
    (tmp_path / "text.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(AppError, match="expected"):
        client.predict(handle_file(str(tmp_path / "text.mp4")), api_name="/read_video")


def test_a_video_can_be_stopped_and_the_next_one_is_read(client, monkeypatch, tmp_path):
    video = handle_file(str(write_video(tmp_path / "a.mp4", seconds=1)))

    def take_long(path, reader, *, output_dir, progress, **limits):
        while True:
            progress(0.5)
            time.sleep(0.02)

    with monkeypatch.context() as patch:
        patch.setattr("fer_hf.demo.tabs.video_tab.analyse_video", take_long)
        job = client.submit(video, api_name="/read_video")
        deadline = time.monotonic() + 20
        while not job.done() and time.monotonic() < deadline:
            client.predict(api_name="/stop_video")
            time.sleep(0.1)
        assert job.result()[0] == STOPPED
    assert "Faces followed" in client.predict(video, api_name="/read_video")[0]


def test_the_stream_is_no_function_of_the_api_and_the_others_say_what_they_take(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    names = {"/read_files", "/add_examples", "/teach", "/try_taught", "/forget_taught"}
    assert set(endpoints) == names | {"/read_video", "/stop_video"}
    assert all(endpoint["description"] for endpoint in endpoints.values())


def test_a_watch_smooths_what_its_own_visitor_shows_and_nothing_else():
    watch, other = Watch(0.4), Watch(0.4)
    (first,) = watch.see([read([0.9, 0.1])])
    (second,) = watch.see([read([0.1, 0.9], sure=False)])
    assert first.number == second.number == 1
    assert first.label == second.label == "calm"
    assert second.scores["calm"] > 0.5
    (others,) = other.see([read([0.1, 0.9])])
    assert others.label == "tense"
    assert second.sure is True
    assert "calm" in watch.render()


def test_a_frame_is_shown_without_a_file_and_with_words_for_who_does_not_see_it():
    html = embed_picture(Image.new("RGB", (4, 4)), 'face 1 <"x">')
    assert html.startswith('<img src="data:image/jpeg;base64,')
    assert 'alt="face 1 &lt;&quot;x&quot;&gt;"' in html
    assert '<"x">' not in html


def list_rows(times, face, **scores):
    return [
        {"time": t, "face": face, "label": label, "score": score}
        for t in times
        for label, score in scores.items()
    ]


def test_the_timeline_shows_the_face_seen_most_with_its_labels_by_name_apart_from_each_other():
    rows = list_rows([-9, -5, -1], 4, calm=0.5, tense=0.45, faint=0.05) + list_rows([-1], 2, calm=1)
    svg = render_timeline(rows, seconds=10)
    assert "face 4" in svg
    assert svg.count("<polyline") == 3
    heights = [float(part.split('"')[0]) for part in svg.split('<text x="354" y="')[1:]]
    assert len(heights) == 2  # the faint one is drawn, but not named
    assert heights[1] - heights[0] >= 14
    assert "appear here" in render_timeline([])


def test_the_timeline_escapes_the_names_of_labels():
    assert "<i>" not in render_timeline(list_rows([-1], 1, **{"<i>": 1.0}))


def test_of_files_that_were_left_out_five_are_named():
    assert describe_others([]) == ""
    assert describe_others(["a`b"]) == " Left out, as they are not pictures: `ab`."
    assert describe_others(list("abcdefg")).endswith("`e` and 2 more.")
