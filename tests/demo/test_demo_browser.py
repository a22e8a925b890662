"""The demo in a real browser: what visitors do, see and get, and that it asks nobody else."""

import contextlib
import csv
import re
import subprocess
import sys
import zipfile

import av
import pytest
from PIL import Image
from playwright.sync_api import expect

from fer_hf.data.drawn.faces import draw_face
from fer_hf.faces import load_detector
from fer_hf.faces.reader import FaceReader
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.reading import format_percent
from fer_hf.models.bundled import BUNDLED_MODEL, locate_model

pytestmark = pytest.mark.browser

TABS = ["Picture", "Live", "Video", "Why?", "Compare", "Teach it", "Batch", "About"]
# Gradio's own client says so whenever an upload has ended.
GRADIO_WARNINGS = {"Method not implemented."}
# Texts with a contrast below 4.5 (WCAG 2.2, 1.4.3), worked out as its "relative luminance" says.
LIST_FAINT_TEXTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const blend = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => rgb.map((x) => x / 255)
    .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4))
    .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), owner = walker.currentNode.parentElement;
    if (!text || owner.closest("svg, :disabled")) continue;
    if (!owner.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const grounds = [];
    for (let at = owner; at; at = at.parentElement) {
      grounds.unshift(getComputedStyle(at).backgroundColor);
    }
    const ground = blend(grounds), ink = blend([...grounds, getComputedStyle(owner).color]);
    const [low, high] = [luminance(ground), luminance(ink)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) faint.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with what visitors bring; every face in it is drawn."""
    folder = tmp_path_factory.mktemp("drawn")
    faces = {
        emotion: draw_face(emotion, size=320, seed=seed)
        for emotion, seed in {"happy": 3, "surprise": 3, "sad": 8}.items()
    }
    for emotion, face in faces.items():
        face.save(folder / f"{emotion}.png")
    both = Image.new("RGB", (640, 320))
    both.paste(faces["surprise"], (0, 0))
    both.paste(faces["sad"], (320, 0))
    both.save(folder / "both.png")
    Image.new("RGB", (320, 320), "green").save(folder / "nobody.png")
    (folder / "broken.png").write_bytes((folder / "sad.png").read_bytes()[:5000])
    with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
        archive.write(folder / "happy.png", "happy.png")
        archive.write(folder / "nobody.png", "in/nobody.png")
        archive.writestr("notes.txt", "no picture")
    # What a camera sends: the browser shows a Motion JPEG of one frame again and again.
    camera = Image.new("RGB", (640, 480), "grey")
    camera.paste(draw_face("happy", size=480, seed=3), (80, 0))
    camera.save(folder / "camera.mjpeg", "JPEG")
    with av.open(folder / "clip.mp4", "w") as video:
        stream = video.add_stream("h264", rate=10)
        stream.width = stream.height = 320
        stream.pix_fmt = "yuv420p"
        for frame in [faces["happy"]] * 10 + [None]:
            video.mux(stream.encode(frame and av.VideoFrame.from_image(frame)))
    return folder


@pytest.fixture(scope="module")
def address():
    """Where the demo is that a user started, with a second model that is the first again."""
    models = ["--model", BUNDLED_MODEL, str(locate_model(BUNDLED_MODEL))]
    command = [sys.executable, "-m", "fer_hf", "demo", *models]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        for line in server.stderr:
            if match := re.search(r"The demo is at (\S+),", line):
                break
        else:
            pytest.fail("the demo ended before it was there")
        yield match[1]
        server.terminate()
        assert "Traceback" not in server.stderr.read()


@pytest.fixture(scope="module")
def browser(launch_chromium, drawn):
    """A Chromium whose camera shows a drawn face."""
    with launch_chromium(drawn / "camera.mjpeg") as browser:
        yield browser


@pytest.fixture
def visit(browser, address):
    """Open the page as another visitor; at the end nobody has asked others or complained."""
    requests, complaints = [], []
    with contextlib.ExitStack() as contexts:

        def open_page(*, query="", width=1280):
            context = browser.new_context(viewport={"width": width, "height": 900})
            contexts.callback(context.close)
            context.set_default_timeout(60_000)
            context.on("request", lambda request: requests.append(request.url))
            context.on("console", lambda line: complaints.append((line.type, line.text)))
            context.on("weberror", lambda error: complaints.append(("error", str(error.error))))
            page = context.new_page()
            page.goto(address + query)
            expect(page.get_by_role("tab", name="Picture")).to_be_visible()
            # The page's own script has run.
            expect(page.locator("html")).to_have_attribute("data-keys", "ready")
            return page

        yield open_page
    assert requests
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert [
        (kind, text)
        for kind, text in complaints
        if kind in ("error", "warning") and text not in GRADIO_WARNINGS
    ] == []


@pytest.fixture
def page(visit):
    return visit()


@pytest.fixture(scope="module")
def reader():
    """What the demo reads with, in this process."""
    return FaceReader(ExpressionClassifier(BUNDLED_MODEL), load_detector())


@pytest.fixture(scope="module", autouse=True)
def patience():
    """Wait longer than the usual five seconds, for machines that other work fills."""
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


def open_tab(page, name):
    """Open a tab, on a phone from the menu if it is there; return its panel."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button").get_by_text(name, exact=True)
    if tab.get_attribute("aria-selected") != "true":
        before = page.get_by_role("tabpanel").filter(visible=True).element_handle()
        tab.click()
        before.wait_for_element_state("hidden")
    return page.get_by_role("tabpanel").filter(visible=True)


def upload(panel, *files):
    # A tab may have several, of which that for a single picture may be there first.
    kind = "input[type=file][multiple]" if len(files) > 1 else "input[type=file]"
    panel.locator(kind).first.set_input_files([str(file) for file in files])


def expect_uploaded(panel, name):
    """Expect a list of files to have one whole: its name is there while it is still sent, too."""
    expect(panel.get_by_role("row", name=name).get_by_role("link")).to_be_visible()


def face_of(panel, number):
    return panel.get_by_role("region", name=f"Face {number}")


def read_bars(face):
    """Return label to share as a panel shows them."""
    labels = face.get_by_role("rowheader").all_inner_texts()
    return dict(zip(labels, face.locator(".fer-share").all_inner_texts(), strict=True))


def expect_bars(panel, picture, reader):
    """Expect the panels to show what the model says in this process."""
    (readings,) = reader([picture])
    assert readings
    expect(panel.get_by_role("region")).to_have_count(len(readings))
    for number, reading in enumerate(readings, 1):
        shares = map(format_percent, reading.crowd_scores.values())
        expected = dict(zip(reader.label_names, shares, strict=True))
        assert read_bars(face_of(panel, number)) == expected


def take_csv(page, panel, name):
    """Download a table as a visitor does, and return its rows."""
    with page.expect_download() as download:
        panel.get_by_role("row", name=name).get_by_role("link").click()
    with download.value.path().open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_face_of_a_picture_gets_the_bars_that_python_computes(page, drawn, reader):
    panel = open_tab(page, "Picture")
    upload(panel, drawn / "both.png")
    expect(face_of(panel, 1)).to_contain_text("Most people would say: surprise")
    expect(face_of(panel, 2)).to_contain_text("Most people would say: sad")
    expect(panel.get_by_alt_text("numbered box")).to_be_visible()
    with Image.open(drawn / "both.png") as picture:
        expect_bars(panel, picture, reader)


@pytest.mark.realdata
def test_a_photograph_gets_the_bars_that_python_computes(page, photos_dir, reader):
    photo = min((photos_dir / "happy").glob("*.jpg"))
    panel = open_tab(page, "Picture")
    upload(panel, photo)
    expect(face_of(panel, 1)).to_be_visible()
    with Image.open(photo) as picture:
        expect_bars(panel, picture, reader)


def test_no_face_is_an_answer_and_the_whole_picture_a_choice(page, drawn):
    panel = open_tab(page, "Picture")
    upload(panel, drawn / "nobody.png")
    expect(panel.get_by_role("status").get_by_role("heading")).to_have_text("No face found")
    expect(panel.get_by_role("region")).to_have_count(0)
    panel.get_by_label("Treat the whole picture as a face").check()
    expect(face_of(panel, 1)).to_be_visible()
    assert len(read_bars(face_of(panel, 1))) == 8


def test_a_broken_picture_gets_a_message_and_the_next_one_is_read(page, drawn):
    panel = open_tab(page, "Picture")
    upload(panel, drawn / "broken.png")
    message = page.get_by_test_id("toast-body")
    expect(message).to_contain_text("The picture cannot be read")
    assert not re.search(r"Traceback|/tmp|\.py", message.inner_text())
    upload(panel, drawn / "happy.png")
    expect(face_of(panel, 1)).to_contain_text("happy")


def test_the_webcam_is_read_while_it_runs(page):
    panel = open_tab(page, "Live")
    panel.get_by_role("button", name="Click to Access Webcam").click()
    panel.get_by_text("Record", exact=True).click()
    expect(face_of(panel, 1)).to_contain_text("Most people would say: happy")
    expect(panel.get_by_alt_text("face 1 happy")).to_be_visible()
    timeline = panel.get_by_role("img", name="Scores of face 1 over the last 60 seconds")
    line = timeline.locator("polyline").first
    before = line.get_attribute("points")
    expect(line).not_to_have_attribute("points", before)
    panel.get_by_text("Stop", exact=True).click()
    expect(panel.get_by_text("Record", exact=True)).to_be_visible()


def test_a_video_comes_back_with_its_faces_and_a_table(page, drawn):
    panel = open_tab(page, "Video")
    upload(panel, drawn / "clip.mp4")
    panel.get_by_role("button", name="Read the video").click()
    expect(panel.get_by_text("Faces followed: 1.")).to_be_visible()
    seen = panel.locator("video").last
    expect(seen).to_have_js_property("videoWidth", 320)
    assert seen.evaluate("video => video.duration") == pytest.approx(1, abs=0.1)
    rows = take_csv(page, panel, ".csv")
    assert len(rows) >= 4
    assert {row["label"] for row in rows} == {"happy"}


def test_another_label_gets_another_heat_map(page, drawn):
    panel = open_tab(page, "Why?")
    upload(panel, drawn / "happy.png")
    expect(panel.get_by_text("what spoke for happy")).to_be_visible()
    heat_map = panel.get_by_alt_text("The face under a heat map")
    before = heat_map.get_attribute("src")
    panel.get_by_label("Label").click()
    page.get_by_role("option", name="neutral").click()
    expect(panel.get_by_text("spoke for neutral")).to_be_visible()
    assert heat_map.get_attribute("src") != before


def test_two_models_read_the_same_picture_and_the_same_model_says_the_same(page, drawn):
    panel = open_tab(page, "Compare")
    upload(panel, drawn / "happy.png")
    faces = panel.get_by_role("region")
    expect(faces).to_have_count(2)
    assert read_bars(faces.first) == read_bars(faces.last)
    expect(panel.get_by_label("Model A")).to_have_value(f"{BUNDLED_MODEL} (1)")
    expect(panel.get_by_label("Model B")).to_have_value(f"{BUNDLED_MODEL} (2)")


def test_a_visitor_teaches_two_labels_tries_them_and_takes_the_model(page, drawn):
    panel = open_tab(page, "Teach it")
    lessons = {"pleased": ("happy.png", "surprise.png"), "low": ("sad.png", "nobody.png")}
    for label, names in lessons.items():
        panel.get_by_label("Name of a label").fill(label)
        upload(panel, *(drawn / name for name in names))
        expect_uploaded(panel, names[0])
        panel.get_by_role("button", name="Add to label").click()
        expect(panel.get_by_role("row", name=f"{label} 2")).to_be_visible()
    panel.get_by_role("button", name="Teach", exact=True).click()
    expect(panel.get_by_text("of 4 pictures")).to_be_visible()
    with page.expect_download() as download:
        panel.get_by_role("row", name="my-expressions.zip").get_by_role("link").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        files = {"my-expressions/model.safetensors", "my-expressions/model.onnx"}
        assert files <= set(archive.namelist())
    panel.locator("input[type=file]").last.set_input_files(drawn / "sad.png")
    expect(face_of(panel, 1)).to_contain_text("low")
    assert set(read_bars(face_of(panel, 1))) == set(lessons)
    panel.get_by_role("button", name="Forget everything").click()
    expect(panel.get_by_text("are deleted.")).to_be_visible()
    expect(face_of(panel, 1)).to_have_count(0)


def test_a_zip_comes_back_as_a_table_and_a_csv(page, drawn):
    panel = open_tab(page, "Batch")
    upload(panel, drawn / "faces.zip")
    expect_uploaded(panel, "faces.zip")
    panel.get_by_role("button", name="Read all faces").click()
    expect(panel.get_by_text("Faces found: 1. Pictures: 2.")).to_contain_text("faces.zip/notes.txt")
    expect(panel.get_by_role("row", name="faces.zip/happy.png 1 happy")).to_be_visible()
    expect(panel.get_by_role("row", name="faces.zip/in/nobody.png")).to_contain_text("no face")
    happy, nobody = take_csv(page, panel, "expressions.csv")
    assert (happy["label"], nobody["note"]) == ("happy", "no face found")
    assert float(happy["happy"]) > 0.9


def test_two_visitors_at_once_see_only_what_is_theirs(visit, drawn):
    visitors = {"happy": visit(), "sad": visit()}
    panels = {name: open_tab(page, "Picture") for name, page in visitors.items()}
    for name, panel in panels.items():
        upload(panel, drawn / f"{name}.png")
    for name, panel in panels.items():
        expect(panel.get_by_role("region")).to_contain_text([f"Most people would say: {name}"])
    happy, sad = (panel.get_by_alt_text("numbered box") for panel in panels.values())
    assert happy.get_attribute("src") != sad.get_attribute("src")
    expect(open_tab(visit(), "Picture").get_by_role("region")).to_have_count(0)


def test_every_tab_and_the_upload_can_be_reached_by_keyboard(page):
    # Playwright takes the dialog's place a moment after it is first asked to.
    page.on("filechooser", lambda chooser: None)
    focused = page.locator("*:focus")
    for name in TABS:
        page.keyboard.press("Tab")
        expect(focused).to_have_role("tab")
        expect(focused).to_have_text(name)
        expect(focused).to_have_css("outline-style", "solid")
        page.keyboard.press("Enter")
        expect(focused).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Picture").press("Enter")
    for _ in TABS:
        page.keyboard.press("Tab")
    expect(focused).to_have_accessible_name("Drop an image file here to upload")
    expect(focused).to_have_css("outline-style", "solid")
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


def test_arrow_keys_move_between_tabs(page):
    page.get_by_role("tab", name="Picture").focus()
    for key, name in {"ArrowRight": "Live", "End": "About", "Home": "Picture"}.items():
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_be_focused()


def test_a_phone_shows_every_tab_without_scrolling_sideways(visit, drawn):
    page = visit(width=390)
    panel = open_tab(page, "Picture")
    upload(panel, drawn / "both.png")
    expect(face_of(panel, 2)).to_be_visible()
    for name in TABS:
        expect(open_tab(page, name)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(visit, drawn, theme):
    page = visit(query=f"?__theme={theme}")
    panel = open_tab(page, "Picture")
    upload(panel, drawn / "both.png")
    expect(face_of(panel, 2)).to_be_visible()
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    for name in TABS:
        open_tab(page, name)
        assert page.evaluate(LIST_FAINT_TEXTS) == [], name
