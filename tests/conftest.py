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


@pytest.fixture(scope="session")
def ferplus_dir() -> Path:
    """The folder with FER+'s three Parquet files."""
    return _require("ferplus")


@pytest.fixture(scope="session")
def photos_dir() -> Path:
    """The folder with the photographs, one folder per label."""
    return _require("photos")
