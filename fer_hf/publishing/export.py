"""The formats a checkpoint can be exported to, and the export: whole, or nothing is kept."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from fer_hf.inference.networks import MODEL_FILE, QUANTIZED_FILE
from fer_hf.inference.preprocessing import read_preprocessing
from fer_hf.models import LoadedModel, load_checkpoint
from fer_hf.publishing.export_job import ExportJob
from fer_hf.publishing.onnx_export import export_onnx
from fer_hf.publishing.onnx_quantization import export_int8
from fer_hf.publishing.web_page import export_page

EXPORT_FORMATS: dict[str, Callable[[ExportJob], object]] = {
    "onnx": export_onnx,
    "page": export_page,
    "onnx-int8": export_int8,
}
"""Name to what writes the format, in this order.

It returns something whose `str` says how good the result is, or None where there was nothing to do,
and raises where the result must not be used.
"""


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        files: The files that were kept.
        results: Name of a format to what its function says of the result.
    """

    files: list[Path]
    results: dict[str, object]


def export_checkpoint(
    model_name_or_path: str,
    output_dir: str | Path,
    validation: Dataset,
    train: Dataset | None = None,
    *,
    page: str | Path | None = None,
    runtime: str | Path | None = None,
) -> Export:
    """Write a checkpoint in each of the `EXPORT_FORMATS`.

    The files are tried as they will be used, in a folder that becomes part of `output_dir` only if
    they pass. Where that is not the checkpoint itself, its settings are put beside them, and the
    folder serves without the checkpoint.

    Args:
        model_name_or_path: A checkpoint folder or Hub id, or the bundled model.
        output_dir: Where `onnx/model.onnx` and the other files go.
        validation: Columns `image` and `label`; what is exported is measured on them.
        train: Column `image`; int8 is calibrated on a sample of them. None leaves int8 out.
        page: The folder of a page for browsers; None for no page.
        runtime: The unpacked npm package onnxruntime-web; by default npm fetches it.

    Raises:
        FileExistsError: `output_dir` is another checkpoint.
        ValueError: The checkpoint prepares pictures in a way that only torch can, or the
            validation pictures have labels it lacks.
        RuntimeError: The exported network's scores differ from the checkpoint's.
        OSError: The checkpoint cannot be found, reached or read, or npm could not fetch the
            runtime.
    """
    folder = Path(output_dir)
    is_own = folder.is_dir() and folder.resolve() == Path(model_name_or_path).resolve()
    if not is_own and (folder / "model.safetensors").exists():
        raise FileExistsError(
            f"Folder {str(folder)!r} is a checkpoint of its own, expected a new folder or that of "
            "the exported checkpoint. Give another --output_dir."
        )
    loaded = load_checkpoint(model_name_or_path)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        trial = Path(temporary)
        settings = _save_settings(loaded, trial)
        read_preprocessing(trial)  # refuses what cannot be served
        job = ExportJob(
            model_name_or_path,
            loaded,
            trial,
            validation,
            train,
            page=Path(page) if page else None,
            runtime=Path(runtime) if runtime else None,
        )
        results = {name: export(job) for name, export in EXPORT_FORMATS.items()}
        if is_own:
            for file in settings:
                file.unlink()
        files = _keep(trial, folder)
    return Export(files, {name: result for name, result in results.items() if result is not None})


def _save_settings(loaded: LoadedModel, folder: Path) -> list[Path]:
    loaded.model.config.save_pretrained(folder)
    loaded.save_image_processor(folder)
    for file in folder.glob("*.py"):  # the code of a network, which an exported one needs no more
        file.unlink()
    return list(folder.iterdir())


def _keep(trial: Path, folder: Path) -> list[Path]:
    """Move what passed to where it belongs; networks of an earlier export go."""
    for name in (MODEL_FILE, QUANTIZED_FILE):
        (folder / name).unlink(missing_ok=True)
    kept = []
    for file in sorted(path for path in trial.rglob("*") if path.is_file()):
        target = folder / file.relative_to(trial)
        target.parent.mkdir(parents=True, exist_ok=True)
        kept.append(file.replace(target))
    return kept
