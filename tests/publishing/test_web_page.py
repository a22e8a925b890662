"""The page in the browser: complete, alone with itself, and of one mind with Python."""

import contextlib
import functools
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import PIL
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from playwright.sync_api import expect

from fer_hf.emotions import EMOTIONS
from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.preprocessing import resize_as_torchvision
from fer_hf.publishing.web_page import RUNTIME, fetch_runtime, write_page

PAGE = Path(write_page.__code__.co_filename).with_name("web")
SIDE = 24
TIMM = {
    "crop_mode": "squash",
    "crop_pct": 1.0,
    "input_size": [3, SIDE, SIDE],
    "interpolation": "bilinear",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.5, 0.25, 0.2],
}
SIZES = [
    (128, 128),
    (24, 20),
    (24, 77),
    (130, 20),
    (1, 1),
    (5, 300),
    (333, 251),
    (40, 52),
    (40, 53),
]
TALL = {(5, 300), (40, 53)}
# Gradio asks for it. It resizes tall pictures in another order than Pillow 13 and the page do.
IS_OLD_PILLOW = int(PIL.__version__.split(".")[0]) < 13
NOT_SURE = {"coverage": 0.9, "threshold": 0.99, "conformal_threshold": 0.1}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An exported checkpoint to whose scores every pixel matters."""
    folder = tmp_path_factory.mktemp("served")
    config = {"label_names": list(EMOTIONS), "pretrained_cfg": TIMM, "not_sure": NOT_SURE}
    (folder / "config.json").write_text(json.dumps(config))
    weights = np.random.default_rng(0).normal(size=(3 * SIDE**2, 8)).astype(np.float32) / SIDE
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    ends = [
        helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE]),
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 8]),
    ]
    tensors = [numpy_helper.from_array(weights, "weights")]
    graph = helper.make_graph(nodes, "linear", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"num_parameters": str(weights.size)})
    (folder / "onnx").mkdir()
    onnx.save(model, folder / "onnx" / "model.onnx")
    return folder


@pytest.fixture
def runtime(tmp_path):
    """A stand-in for the npm package, to copy and not to run."""
    package = tmp_path / "package"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text("{}")
    for name in ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm", "ort.all.js"):
        (package / "dist" / name).write_text(name)
    return package


# What is written


def test_the_folder_is_complete(checkpoint, runtime, tmp_path):
    page = tmp_path / "page"
    files = write_page(checkpoint, page, 'my "best" model', runtime)
    assert sorted(files) == sorted(path for path in page.rglob("*") if path.is_file())
    assert {str(file.relative_to(page)) for file in files} == {
        *("README.md", "index.html", "style.css", "app.js", "scoring.js"),
        *("model.onnx", "settings.json", "runtime/package.json"),
        *("runtime/ort.wasm.bundle.min.mjs", "runtime/ort-wasm-simd-threaded.wasm"),
    }
    assert json.loads((page / "settings.json").read_text()) == {
        "name": 'my "best" model',
        "label_names": list(EMOTIONS),
        "width": SIDE,
        "height": SIDE,
        "resample": "BILINEAR",
        "resizer": "pillow",
        "mean": TIMM["mean"],
        "std": TIMM["std"],
        "not_sure": NOT_SURE,
    }
    _, front_matter, _ = (page / "README.md").read_text(encoding="utf-8").split("---\n")
    settings = yaml.safe_load(front_matter)
    assert settings["title"] == 'my "best" model'
    assert (settings["sdk"], settings["app_file"]) == ("static", "index.html")
    write_page(checkpoint, page, "again", runtime)
    assert json.loads((page / "settings.json").read_text())["name"] == "again"


def test_the_page_asks_nobody_else_for_anything():
    for file in PAGE.iterdir():
        assert "//" not in re.sub(r"(?m)(^|\s)// .*$", "", file.read_text(encoding="utf-8"))
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    sources = {source for rule in policy.split("; ") for source in rule.split()[1:]}
    assert sources == {"'none'", "'self'", "'wasm-unsafe-eval'", "data:", "blob:"}


def test_every_element_that_the_script_looks_for_is_there():
    script = (PAGE / "app.js").read_text(encoding="utf-8")
    wanted = {*re.findall(r'find\("([\w-]+)"\)', script), "picture", "camera", "camera-button"}
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert wanted <= set(re.findall(r' id="([\w-]+)"', html))


def test_a_runtime_that_lacks_a_part_is_refused(checkpoint, runtime, tmp_path):
    (runtime / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks \['.*threaded.wasm'\], expected the unp"):
        write_page(checkpoint, tmp_path / "page", "mine", runtime)
    assert not (tmp_path / "page").exists()


def put_npm_in_place(folder, monkeypatch, script):
    """Make `npm` a script of ours, and nothing else."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_npm_fetches_the_pinned_runtime(runtime, tmp_path, monkeypatch):
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as packed:
        packed.add(runtime, "package")
    script = f'echo "$@" > {tmp_path}/asked; cp {tmp_path}/packed.tgz .; echo packed.tgz'
    put_npm_in_place(tmp_path / "bin", monkeypatch, script)
    (tmp_path / "fetched").mkdir()
    package = fetch_runtime(tmp_path / "fetched")
    assert (package / "dist" / "ort.all.js").read_text() == "ort.all.js"
    assert (tmp_path / "asked").read_text().startswith(f"pack {RUNTIME} ")
    assert re.fullmatch(r"onnxruntime-web@\d+\.\d+\.\d+", RUNTIME)


def test_an_npm_that_fails_is_named_with_its_reason(tmp_path, monkeypatch):
    put_npm_in_place(tmp_path / "bin", monkeypatch, "echo npm error no network >&2; exit 1")
    with pytest.raises(OSError, match=r"could not fetch .* \(npm error no network\).*--web_runt"):
        fetch_runtime(tmp_path)


def test_without_npm_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"npm is not installed.*--web_runtime"):
        fetch_runtime(tmp_path)


# What it computes


def run_in_node(folder, function, cases):
    """Return what a function, which may call those of scoring.js, makes of each case."""
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "scoring.mjs").write_bytes((PAGE / "scoring.js").read_bytes())
    (folder / "run.mjs").write_text(f"""
import {{ readFileSync }} from "node:fs";
import {{ describeScores, resize }} from "./scoring.mjs";
const cases = JSON.parse(readFileSync("cases.json"));
console.log(JSON.stringify(cases.map({function})));
""")
    done = subprocess.run(
        ["node", "run.mjs"], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize(
    # The top label is no longer in the set; contempt has the threshold of all labels.
    ("own", "named"),
    [({}, ["anger"]), ({"conformal_thresholds": [0.7, None, 0.05]}, ["disgust"])],
)
def test_the_page_says_what_python_says_of_scores(tmp_path, own, named):
    not_sure = {"coverage": 0.9, "threshold": 0.6, "conformal_threshold": 0.3, **own}
    settings = {"label_names": list(EMOTIONS[:3]), "not_sure": not_sure}
    scores = [0.6, 0.29, 0.11]
    [found] = run_in_node(
        tmp_path, f"(scores) => describeScores(scores, {json.dumps(settings)})", [scores]
    )
    assert [one["label"] for one in found["ranked"]] == list(EMOTIONS[:3])
    assert [one["score"] for one in found["ranked"]] == scores
    assert (found["isSure"], found["predictionSet"]) == (True, named)
    sets = NotSure.from_dict(not_sure, num_labels=3).build_prediction_sets(scores)
    assert [label for label, held in zip(EMOTIONS, sets, strict=False) if held] == named


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_page_resizes_bit_for_bit_as_python_does(tmp_path):
    rng = np.random.default_rng(0)
    cases, expected = [], []
    for width, height in SIZES:
        levels = rng.integers(0, 256, (height, width, 3), np.uint8)
        levels[::3] = np.where(levels[::3] > 127, 255, 0)  # what bicubic overshoots
        for resample in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
            target = {"width": 24, "height": 20, "resample": resample.name}
            case = {"rgb": levels.ravel().tolist(), "width": width, "height": height}
            cases.append({**case, "settings": {**target, "resizer": "pillow"}})
            expected.append(np.asarray(Image.fromarray(levels).resize((24, 20), resample)))
            cases.append({**case, "settings": {**target, "resizer": "torchvision"}})
            expected.append(resize_as_torchvision(levels, 24, 20, resample))
    results = run_in_node(
        tmp_path,
        """({ rgb, width, height, settings }) =>
            [...resize(Uint8ClampedArray.from(rgb), width, height, settings)]""",
        cases,
    )
    for case, found, right in zip(cases, results, expected, strict=True):
        is_tall = (case["width"], case["height"]) in TALL
        if is_tall and case["settings"]["resizer"] == "pillow" and IS_OLD_PILLOW:
            continue
        np.testing.assert_array_equal(found, right.ravel(), err_msg=str(case["settings"]))


# In a browser


def open_page(browser, address):
    """Open the page and wait until it has its model; returns it and the addresses it asks for."""
    page, requests = browser.new_page(), []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    expect(page.locator("#verdict")).to_have_text("No picture yet", timeout=60_000)
    return page, requests


def read_scores(page):
    """Return label to score as the page shows them once there are any, 0–1."""
    expect(page.locator("#bars .score").first).not_to_have_text("–", timeout=60_000)
    rows = page.locator("#bars li").all_inner_texts()
    shown = (re.fullmatch(r"(\w+)\s+([\d.]+) %", row.strip()) for row in rows)
    return {match[1]: float(match[2]) / 100 for match in shown}


def choose(page, file):
    """Choose a file, as if by hand, and return the shown scores."""
    page.locator("#file").set_input_files(file)
    expect(page.locator("#picture")).to_have_attribute("aria-label", file.name)
    return read_scores(page)


class Quiet(SimpleHTTPRequestHandler):
    """A static server without a word."""

    def log_message(self, *args):
        """Say nothing."""


@contextlib.contextmanager
def serve(folder):
    """Serve a folder from this computer; yields its address."""
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("npm_config_offline", "true")  # tests use no network
        try:
            write_page(checkpoint, folder / "page", "drawn model")
        except OSError as error:
            pytest.skip(f"needs {RUNTIME} in npm's cache (npm cache add {RUNTIME}): {error}")
    return folder / "page"


@pytest.fixture(scope="module")
def browser(launch_chromium):
    """A Chromium whose camera shows a test picture."""
    with launch_chromium() as browser:
        yield browser


@pytest.mark.browser
def test_a_browser_scores_as_python_does_and_asks_nobody_else(checkpoint, page, browser, tmp_path):
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    rng = np.random.default_rng(1)
    with serve(page) as address:
        opened, requests = open_page(browser, address)
        for name, size in (("square", (128, 128)), ("wide", (91, 40)), ("small", (9, 9))):
            picture = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8))
            picture.save(tmp_path / f"{name}.png")
            shown = choose(opened, tmp_path / f"{name}.png")
            expected = dict(zip(EMOTIONS, classifier([picture])[0].tolist(), strict=True))
            assert shown == pytest.approx(expected, abs=6e-4)  # it shows tenths of a percent
        exact = opened.evaluate("""async () => {
            const { preprocess, computeScores } = await import("./scoring.js");
            const ort = await import("./runtime/ort.wasm.bundle.min.mjs");
            const settings = await (await fetch("settings.json")).json();
            const { width, height } = document.querySelector("#picture");
            const context = document.querySelector("#picture").getContext("2d");
            const { data } = context.getImageData(0, 0, width, height);
            const session = await ort.InferenceSession.create("model.onnx");
            const pixels = preprocess(data, width, height, settings);
            const shape = [1, 3, settings.height, settings.width];
            const input = new ort.Tensor("float32", pixels, shape);
            const { logits } = await session.run({ pixel_values: input });
            return [...computeScores(logits.data)];
        }""")
        assert exact == pytest.approx(list(expected.values()), abs=1e-5)
    assert requests
    assert not [url for url in requests if not url.startswith((address, "data:", "blob:"))]


@pytest.mark.browser
def test_a_browser_says_when_it_is_not_sure_and_what_is_no_picture(page, browser, tmp_path):
    Image.new("RGB", (40, 40), (128, 102, 77)).save(tmp_path / "grey.png")
    (tmp_path / "words.png").write_text("no picture")
    with serve(page) as address:
        opened, _ = open_page(browser, address)
        choose(opened, tmp_path / "grey.png")
        expect(opened.locator("#verdict")).to_have_text(re.compile("^Not sure"))
        expect(opened.locator("body")).to_contain_text(
            "Cannot be ruled out at 90 %: ", use_inner_text=True
        )
        opened.locator("#file").set_input_files(tmp_path / "words.png")
        expect(opened.locator("#problem")).to_contain_text("words.png is")


@pytest.mark.browser
def test_a_camera_is_scored_until_it_is_stopped(page, browser):
    with serve(page) as address:
        opened, _ = open_page(browser, address)
        button = opened.locator("#camera-button")
        button.click()
        assert sum(read_scores(opened).values()) == pytest.approx(1, abs=0.005)
        button.click()
        opened.wait_for_function("document.querySelector('video').srcObject === null")
        expect(button).to_have_attribute("aria-pressed", "false")


@pytest.mark.browser
def test_a_phone_shows_all_of_it_without_scrolling_sideways(page, browser):
    with serve(page) as address:
        opened, _ = open_page(browser, address)
        for width in (320, 390, 1280):
            opened.set_viewport_size({"width": width, "height": 800})
            with Image.open(io.BytesIO(opened.screenshot(full_page=True))) as shot:
                assert shot.width == width
            assert opened.evaluate("document.documentElement.scrollWidth") <= width
