"""The page and its tabs for still pictures, called as visitors call them."""

import inspect
import json
import socket
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

import anyio
import gradio as gr
import numpy as np
import pytest
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import QueueError, Status
from PIL import Image

from fer_hf.data.drawn.faces import draw_face
from fer_hf.demo import DemoModels, Limits, build_demo
from fer_hf.demo.components import draw_examples
from fer_hf.demo.limits import open_picture
from fer_hf.demo.messages import SOMETHING_WENT_WRONG, show_errors
from fer_hf.demo.page import serve_demo
from fer_hf.demo.tabs.about_tab import render_figures
from fer_hf.faces import Face
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models.bundled import BUNDLED_MODEL, DEFAULT_MODEL, TINY_MODEL

FILE = {"_type": "gradio.FileData"}


class LeftHalf:
    """Finds one face, in the left half of pictures that are not of a single colour."""

    name = "left half"

    def __call__(self, pictures):
        """Return the faces of each picture."""
        return [
            [Face((0, 0, picture.width / 2, picture.height), 0.9)] if picture.getbbox() else []
            for picture in pictures
        ]


@pytest.fixture(scope="module")
def models():
    """The bundled model twice, to compare it with itself, and a detector of no interest."""
    models = DemoModels([BUNDLED_MODEL, DEFAULT_MODEL], limits=Limits(pixels=250_000))
    models.__dict__["detector"] = LeftHalf()
    return models


@pytest.fixture(scope="module")
def page(models):
    """The page."""
    return build_demo(models)


@pytest.fixture(scope="module")
def address(page, models):
    """Where the page is served, as visitors get it."""
    yield serve_demo(page, models)
    page.close(verbose=False)


@pytest.fixture
def visitor(address, tmp_path):
    """Somebody who calls the functions of the page."""
    return Client(address, verbose=False, download_files=str(tmp_path / "downloads"))


@pytest.fixture(scope="module")
def face(tmp_path_factory):
    """The path of a drawn face."""
    path = tmp_path_factory.mktemp("faces") / "face.png"
    draw_face("happy", size=128, seed=5).save(path)
    return str(path)


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """The path of a black picture."""
    path = tmp_path_factory.mktemp("blanks") / "blank.png"
    Image.new("RGB", (60, 60)).save(path)
    return str(path)


def test_whole_picture_gets_the_scores_that_the_classifier_gives(visitor, face):
    annotated, panels, [found] = visitor.predict(handle_file(face), True, api_name="/read_faces")
    picture = Image.open(face)
    expected = ExpressionClassifier()([picture])[0]
    assert np.allclose(list(found["scores"].values()), expected, atol=1e-4)
    assert found["label"] == list(found["scores"])[int(expected.argmax())]
    assert found["box"] == [0, 0, 128, 128]
    assert found["label"] in panels
    assert Image.open(annotated).size == picture.size


def test_faces_are_looked_for_unless_the_whole_picture_is_one(visitor, face):
    *_, [found] = visitor.predict(handle_file(face), api_name="/read_faces")
    assert found["box"] == [0, 0, 64, 128]
    assert found["detection_score"] == 0.9


def test_picture_without_a_face_is_an_answer(visitor, blank):
    annotated, panels, faces = visitor.predict(handle_file(blank), api_name="/read_faces")
    assert faces == []
    assert "No face" in panels
    assert Image.open(annotated).size == (60, 60)


def test_picture_taken_away_leaves_nothing(visitor):
    assert visitor.predict(None, api_name="/read_faces") == (None, "", [])


def test_picture_is_read_upright(visitor, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    draw_face("sad", size=64).resize((64, 32)).save(tmp_path / "turned.jpg", exif=exif)
    *_, [found] = visitor.predict(
        handle_file(tmp_path / "turned.jpg"), True, api_name="/read_faces"
    )
    assert found["box"] == [0, 0, 32, 64]


def test_heat_map_is_of_the_face_and_for_the_label_asked_for(visitor, face):
    shown, legend = visitor.predict(handle_file(face), False, 1, "anger", api_name="/explain_face")
    width, height = Image.open(shown).size
    assert width == height
    assert "anger" in legend


def test_heat_map_is_for_the_likeliest_label_unless_another_is_named(visitor, face):
    *_, [found] = visitor.predict(handle_file(face), True, api_name="/read_faces")
    _, legend = visitor.predict(handle_file(face), True, api_name="/explain_face")
    assert found["label"] in legend


@pytest.mark.parametrize(
    ("number", "label", "message"),
    [(2, "anger", "expected 1 to 1"), (1, "boredom", "'boredom', expected one of")],
)
def test_face_or_label_that_is_not_there_cannot_be_explained(visitor, face, number, label, message):
    with pytest.raises(AppError, match=message):
        visitor.predict(handle_file(face), True, number, label, api_name="/explain_face")


def test_nothing_is_explained_where_no_face_is(visitor, blank):
    shown, legend = visitor.predict(handle_file(blank), api_name="/explain_face")
    assert shown is None
    assert "No face" in legend


def test_model_compared_with_itself_agrees_with_itself(visitor, models, face):
    names = models.names
    *_, [first, second] = visitor.predict(
        handle_file(face), True, *names, api_name="/compare_models"
    )
    assert first == second
    assert names == [f"{BUNDLED_MODEL} (1)", f"{BUNDLED_MODEL} (2)"]


def test_only_models_of_the_start_can_be_compared(visitor, models, face):
    with pytest.raises(AppError):
        visitor.predict(
            handle_file(face), True, models.names[0], "someone/else", api_name="/compare_models"
        )
    with pytest.raises(ValueError, match="expected one that the demo started with"):
        DemoModels().open_reader("someone/else")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("words.png", b"no picture at all", "cannot be read"),
        ("empty.jpg", b"", "cannot be read"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        ("page.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    ],
)
def test_file_that_is_no_picture_gets_a_message_and_the_next_request_works(
    visitor, tmp_path, face, name, content, message
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AppError, match=message) as refusal:
        visitor.predict(handle_file(tmp_path / name), api_name="/read_faces")
    assert "/" not in str(refusal.value)  # no path of the server
    assert visitor.predict(handle_file(face), api_name="/read_faces")[2]


def test_truncated_picture_gets_a_message(visitor, tmp_path, face):
    (tmp_path / "cut.png").write_bytes(Path(face).read_bytes()[:2000])
    with pytest.raises(AppError, match="The picture cannot be read"):
        visitor.predict(handle_file(tmp_path / "cut.png"), api_name="/read_faces")


@pytest.mark.parametrize("side", [600, 30_000])
def test_picture_with_too_many_pixels_is_refused_by_its_header(visitor, tmp_path, side):
    header = f"P5 {side} {side} 255\n".encode()
    (tmp_path / "huge.pgm").write_bytes(header + b"\0" * 9)
    with pytest.raises(AppError, match="pixels"):
        visitor.predict(handle_file(tmp_path / "huge.pgm"), api_name="/read_faces")


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"path": "http://127.0.0.1/face.png", "meta": FILE}, "Upload it"),
        ({"path": "https://example.com/face.png", "meta": FILE}, "Upload it"),
        ({"path": None, "url": "data:image/png;base64,iVBO", "meta": FILE}, "Upload it"),
        ({"path": "/etc/passwd", "meta": FILE}, "cannot be read"),
        ({"path": DEFAULT_MODEL + "/config.json", "meta": FILE}, "cannot be read"),
    ],
)
def test_neither_addresses_nor_files_of_the_server_are_opened(page, sent, message):
    read_faces = next(f for f in page.fns.values() if f.api_name == "read_faces")

    with pytest.raises(gr.Error, match=message):
        anyio.run(page.preprocess_data, read_faces, [sent, False], None)


def test_uploads_and_results_are_deleted_while_examples_stay(visitor, page, face):
    def list_files():
        return {path for path in Path(page.GRADIO_CACHE).rglob("*") if path.is_file()}

    delete_files_created_by_app(page, age=-1)
    before = list_files()
    assert {path.name for path in before} >= {Path(path).name for path in draw_examples()}
    visitor.predict(handle_file(face), api_name="/read_faces")
    new = list_files() - before
    assert sorted(path.suffix for path in new) == [".jpg", ".png"]  # the answer, the upload
    delete_files_created_by_app(page, age=-1)
    assert list_files() == before


def test_every_function_of_the_api_is_named_and_described(visitor):
    endpoints = visitor.view_api(return_format="dict")["named_endpoints"]
    assert {"/read_faces", "/explain_face", "/compare_models"} <= set(endpoints)
    assert [name for name, endpoint in endpoints.items() if not endpoint["description"]] == []


def test_busy_demo_says_so_and_goes_on(face):
    opened, enough = threading.Event(), threading.Event()

    class SlowModels(DemoModels):
        def open_reader(self, model):
            opened.set()
            enough.wait(20)
            raise ValueError("Slow, expected fast. Wait.")

    models = SlowModels(limits=Limits(waiting_requests=1, requests_at_once=1))
    demo = build_demo(models)
    visitor = Client(serve_demo(demo, models), verbose=False)
    try:
        served = visitor.submit(handle_file(face), api_name="/read_faces")
        assert opened.wait(20)
        waiting = visitor.submit(handle_file(face), api_name="/read_faces")
        while waiting.status().code is not Status.IN_QUEUE:
            time.sleep(0.05)
        with pytest.raises(QueueError, match="Please try again"):
            visitor.predict(handle_file(face), api_name="/read_faces")
        enough.set()
        for job in (served, waiting):
            with pytest.raises(AppError, match="Slow"):
                job.result(20)
    finally:
        enough.set()
        demo.close(verbose=False)


def test_page_asks_nobody_else_and_shows_no_traceback(address):
    page, config = (urlopen(address + path, timeout=20).read() for path in ("", "config"))
    assert b"fonts.googleapis" not in page
    settings = json.loads(config)
    assert not any(settings[name] for name in ("analytics_enabled", "show_error", "run_history"))


def test_errors_of_ours_are_shown_and_others_only_noted(caplog):
    @show_errors
    def fail(error):
        """Fail."""
        raise error

    def say(error):
        with pytest.raises(gr.Error) as shown:
            fail(error)
        return shown.value.message

    assert say(ValueError("Found <b>,\n expected b. Do.")) == "Found &lt;b&gt;, expected b. Do."
    assert say(OSError("The Hub is away. Try again.")) == "The Hub is away. Try again."
    assert not caplog.records
    assert say(FileNotFoundError(2, "No such file", "/srv/secret")) == SOMETHING_WENT_WRONG
    assert say(ZeroDivisionError("1/0")) == SOMETHING_WENT_WRONG
    assert [record.message for record in caplog.records] == ["fail failed"] * 2
    assert say(gr.Error("As it is")) == "As it is"
    assert fail.__doc__ == "Fail."
    assert list(inspect.signature(fail).parameters) == ["error"]


def test_errors_of_a_generator_are_shown_where_they_happen():
    @show_errors
    def count():
        yield 1
        raise ValueError("Enough.")

    steps = count()
    assert next(steps) == 1
    with pytest.raises(gr.Error, match="Enough"):
        next(steps)


def test_picture_at_the_limit_is_opened_and_one_beyond_is_not(tmp_path):
    Image.new("L", (20, 10)).save(tmp_path / "grey.png")
    opened = open_picture(tmp_path / "grey.png", Limits(pixels=200))
    assert (opened.size, opened.mode) == ((20, 10), "RGB")
    with pytest.raises(ValueError, match="expected a JPEG"):
        open_picture((tmp_path / "grey.png").read_bytes(), Limits(pixels=199))


def test_kit_without_a_model_or_with_one_twice_is_refused():
    for models in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="expected one or more, each once"):
            DemoModels(models)


def test_a_webcam_is_read_by_the_tiny_model_in_place_of_the_bundled_one():
    models = DemoModels([BUNDLED_MODEL])
    assert models.live_source == DemoModels([DEFAULT_MODEL]).live_source == TINY_MODEL
    assert models.live_reader.classifier.model_name_or_path == TINY_MODEL
    assert models.reader.classifier.model_name_or_path == BUNDLED_MODEL
    assert DemoModels(["another"]).live_source == "another"


def test_about_tells_the_figures_of_the_report():
    figures = render_figures("the model", BUNDLED_MODEL)
    report = json.loads((Path(DEFAULT_MODEL) / "report.json").read_text())
    accuracy = report["evaluations"]["test"]["accuracy"]["value"]
    assert f"right on {100 * accuracy:.1f} %" in figures
    assert all(f"| {label} " in figures for label in report["label_names"])


def test_about_says_where_a_report_is_missing(tmp_path):
    assert "No report" in render_figures("mine", str(tmp_path))


def test_callers_without_a_session_do_not_fill_the_memory():
    models = DemoModels(limits=Limits(remembered_visitors=2))
    models.__dict__["detector"] = LeftHalf()
    page = build_demo(models)
    api = f"{serve_demo(page, models)}gradio_api/call/read_faces"
    try:
        for _ in range(4):
            question = Request(
                api, b'{"data": [null, false]}', {"Content-Type": "application/json"}
            )
            event = json.load(urlopen(question))["event_id"]
            assert b"complete" in urlopen(f"{api}/{event}").read()
        assert len(page.app.state_holder.session_data) <= 2
    finally:
        page.close(verbose=False)


@pytest.mark.parametrize("host", ["../x", "no such host", "8.8.8.8"])
def test_hosts_that_are_not_of_this_machine_are_refused_in_one_line(host):
    with pytest.raises(OSError, match=r"cannot listen on host .* Choose another --host or --port"):
        serve_demo(None, None, host=host)


def test_ports_that_are_taken_or_do_not_exist_are_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(OSError, match=rf"port {taken} \(Address already in use\)"):
            serve_demo(None, None, port=taken)
    with pytest.raises(ValueError, match="`port` is 99999, expected 1 to 65535"):
        serve_demo(None, None, port=99_999)
