"""What every test needs: caches in a folder of this run's own, no network, and the real data."""

# First of all: the Hugging Face libraries read these variables when they are imported.
import atexit
import os
import shutil
import tempfile

_HF_HOME = tempfile.mkdtemp(prefix="fer_hf_tests_")
atexit.register(shutil.rmtree, _HF_HOME, ignore_errors=True)
os.environ["HF_HOME"] = _HF_HOME
os.environ["HF_DATASETS_CACHE"] = os.path.join(_HF_HOME, "datasets")  # noqa: PTH118
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
# Where other work fills the cores, threads that wait for each other take far longer than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
for _name in ("HF_HUB_CACHE", "HF_DATASETS_OFFLINE", "HF_TOKEN"):
    os.environ.pop(_name, None)

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def _require(name: str) -> Path:
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"needs the folder '{folder}', which is not part of this project")
    return folder


def pytest_runtest_setup(item):
    """Skip what needs the extra `train` where it is not installed."""
    if item.get_closest_marker("train"):
        pytest.importorskip("torch")


@pytest.fixture(scope="session")
def ferplus_dir() -> Path:
    """The folder with FER+'s three Parquet files."""
    return _require("ferplus")


@pytest.fixture(scope="session")
def photos_dir() -> Path:
    """The folder with the photographs, one folder per label."""
    return _require("photos")


@pytest.fixture
def yunet_path(photos_dir):
    """The path of YuNet's file, which is not part of this project."""
    from fer_hf.faces.yunet import FILE

    return str(photos_dir.parent / "yunet" / FILE)


@pytest.fixture(scope="session")
def faces():
    """Eighty drawn faces at 32 pixels, in three splits."""
    pytest.importorskip("torch")
    from fer_hf.data import load_splits

    return load_splits("drawn", num_drawn=80, drawn_size=32)


@pytest.fixture(scope="module")
def launch_chromium():
    """How to start the Chromium of this machine; its camera shows a test picture, or a file."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs a Chromium")
    with sync_playwright() as playwright:

        def launch(camera_file=None):
            camera = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
            if camera_file:
                camera.append(f"--use-file-for-fake-video-capture={camera_file}")
            return playwright.chromium.launch(executable_path=chromium, args=camera)

        yield launch


@pytest.fixture(scope="session")
def fine_tune_faces():
    """A short run on the drawn faces: `fine_tune_faces(output_dir, model={…}, **training)`."""
    pytest.importorskip("torch")
    from fer_hf.training.arguments import DataArguments, ModelArguments
    from fer_hf.training.run import fine_tune
    from fer_hf.training.training_arguments import FerTrainingArguments

    def run(output_dir, *, data=None, model=None, **training):
        settings = {
            "num_train_epochs": 2,
            "per_device_train_batch_size": 16,
            "dataloader_num_workers": 0,
            "disable_tqdm": True,
            **training,
        }
        return fine_tune(
            DataArguments(**{"num_drawn": 80, "drawn_size": 32, **(data or {})}),
            ModelArguments(**{"input_size": 32, **(model or {})}),
            FerTrainingArguments(output_dir=str(output_dir), **settings),
        )

    return run


@pytest.fixture(scope="session")
def baseline_run(tmp_path_factory, fine_tune_faces):
    """The folder of a finished run of the baseline CNN."""
    folder = tmp_path_factory.mktemp("runs") / "baseline"
    fine_tune_faces(folder)
    return folder


@pytest.fixture(scope="session")
def resnet_run(tmp_path_factory, fine_tune_faces):
    """The folder of a finished run of a tiny ResNet, trained all through."""
    folder = tmp_path_factory.mktemp("runs") / "resnet"
    model = {"model_name_or_path": "test_resnet", "weights": "none", "unfreeze": "all"}
    fine_tune_faces(folder, model=model)
    return folder


@pytest.fixture
def hub(monkeypatch):
    """A Hub that this process knows, with a token for it."""
    from hub_server import HubServer

    with HubServer() as server:
        server.connect(monkeypatch)
        yield server


@pytest.fixture(scope="session")
def user_files():
    """What the examples of the API find: `user_files(folder)` fills a folder as a user has it."""
    import av
    from PIL import Image

    from fer_hf.data.drawn.faces import draw_face

    def fill(folder):
        face = draw_face("happy", size=160, seed=5)
        face.save(folder / "face.jpg")
        party = Image.new("RGB", (480, 240), "white")
        for number in range(2):
            party.paste(draw_face("happy", size=160, seed=3 + 2 * number), (40 + 240 * number, 40))
        party.save(folder / "party.jpg")
        for label in ("pleased", "cross"):
            (folder / "my_faces" / label).mkdir(parents=True)
            for seed in range(12):
                picture = draw_face("happy" if label == "pleased" else "anger", size=48, seed=seed)
                picture.save(folder / "my_faces" / label / f"{seed}.png")
        with av.open(str(folder / "party.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = *party.size, "yuv420p"
            for _ in range(10):
                container.mux(stream.encode(av.VideoFrame.from_image(party)))
            container.mux(stream.encode())
        return folder

    return fill
