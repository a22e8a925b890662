"""The static page that scores pictures in a browser: the files of `web/`, and a network for them.

Nothing here runs in Python but the copying: the page runs an exported network on onnxruntime-web,
which comes from its npm package.
"""

import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from fer_hf.evaluation.metrics.not_sure import CONFIG_KEY
from fer_hf.inference.networks import MODEL_FILE
from fer_hf.inference.preprocessing import read_label_names, read_preprocessing
from fer_hf.models.checkpoint_files import CONFIG_FILE, read_json
from fer_hf.publishing.export_job import ExportJob

RUNTIME = "onnxruntime-web@1.30.0"
"""The npm package, 33 MB packed, of which the page needs 14 MB."""

_RUNTIME_FILES = (
    "package.json",
    "dist/ort.wasm.bundle.min.mjs",
    "dist/ort-wasm-simd-threaded.wasm",
)
_PAGE = Path(__file__).with_name("web")


@dataclass(frozen=True)
class PageExport:
    """A page that was written: its folder, and its size in 10⁶ bytes."""

    folder: Path
    megabytes: float

    def __str__(self) -> str:
        return (
            f"page: {self.folder} ({self.megabytes:.1f} MB); open it with "
            f"python -m http.server -d {self.folder}"
        )


def export_page(job: ExportJob) -> PageExport | None:
    """Write the page where one is wanted; errors as those of `write_page`."""
    if job.page is None:
        return None
    model = job.model_name_or_path
    name = Path(model).resolve().name if Path(model).is_dir() else model
    files = write_page(job.folder, job.page, name, job.runtime)
    return PageExport(job.page, sum(file.stat().st_size for file in files) / 1e6)


def write_page(
    checkpoint: str | Path,
    page: str | Path,
    name: str,
    runtime: str | Path | None = None,
) -> list[Path]:
    """Write a folder that any static server, or a static Space, serves as a page.

    Args:
        checkpoint: A folder with an exported network and its settings.
        page: The folder to write; files of an earlier page are replaced.
        name: What the page calls the model.
        runtime: The unpacked npm package onnxruntime-web; by default npm fetches it.

    Returns:
        The files written.

    Raises:
        ValueError: The checkpoint prepares pictures in a way that only torch can.
        FileNotFoundError: A part of the checkpoint or of the runtime is missing, or npm is.
        OSError: npm could not fetch the runtime.
    """
    checkpoint, page = Path(checkpoint), Path(page)
    settings = json.dumps(_build_settings(checkpoint, name), indent=2) + "\n"
    with tempfile.TemporaryDirectory() as temporary:
        package = Path(runtime) if runtime else fetch_runtime(Path(temporary))
        parts = [package / file for file in _RUNTIME_FILES]
        if missing := [str(part) for part in parts if not part.is_file()]:
            raise FileNotFoundError(
                f"The runtime lacks {missing}, expected the unpacked npm package {RUNTIME}. Give "
                "its folder, or leave --web_runtime out to have npm fetch it."
            )
        (page / "runtime").mkdir(parents=True, exist_ok=True)
        copies = {part: page / "runtime" / part.name for part in parts}
        copies |= {file: page / file.name for file in sorted(_PAGE.iterdir())}
        copies[checkpoint / MODEL_FILE] = page / "model.onnx"
        for source, target in copies.items():
            shutil.copyfile(source, target)
    (page / "settings.json").write_text(settings, encoding="utf-8")
    readme = page / "README.md"
    text = readme.read_text(encoding="utf-8").replace("{{ title }}", json.dumps(name))
    readme.write_text(text, encoding="utf-8")
    return [*copies.values(), page / "settings.json"]


def fetch_runtime(folder: Path) -> Path:
    """Have npm fetch onnxruntime-web, or take it from its cache, and unpack it into a folder.

    Returns:
        The folder of the package.

    Raises:
        FileNotFoundError: npm is not installed.
        OSError: npm could not fetch it.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError(
            f"npm is not installed, expected it to fetch {RUNTIME}. Install Node.js, or unpack the "
            "package yourself and pass its folder as --web_runtime."
        )
    command = [npm, "pack", RUNTIME, "--prefer-offline", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise OSError(
            f"npm could not fetch {RUNTIME} ({reason}). Check the network, or pass --web_runtime."
        )
    with tarfile.open(folder / done.stdout.split()[-1]) as package:
        package.extractall(folder, filter="data")
    return folder / "package"


def _build_settings(checkpoint: Path, name: str) -> dict[str, object]:
    """Return what the page needs to score as Python does."""
    config = read_json(checkpoint / CONFIG_FILE)
    preprocessing = read_preprocessing(checkpoint)
    labels = read_label_names(config, str(checkpoint))
    return {
        "name": name,
        "label_names": labels if len(labels) > 1 else [f"not {labels[0]}", labels[0]],
        **asdict(preprocessing),
        "resample": preprocessing.resample.name,
        "not_sure": config.get(CONFIG_KEY),
    }
