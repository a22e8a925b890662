"""The folder of a run: choosing it, losing nothing in it, and the checkpoint to go on from."""

import json
import logging
import re
import shutil
import zipfile
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

logger = logging.getLogger(__name__)

# Without the last two Trainer would go on, from other moments of the optimizer.
_CHECKPOINT_FILES = ("trainer_state.json", "model.safetensors", "optimizer.pt", "scheduler.pt")
# What a run writes into its folder: what --overwrite_output_dir may delete.
_RUN_FILES = (
    "config.json",
    "model.safetensors",
    "model.onnx",
    "preprocessor_config.json",
    "baseline.py",
    "dense_head.py",
    "report.json",
    "README.md",
    "curves.png",
    "confusion_matrix.png",
    "reliability.png",
    "seen.safetensors",
    "comparison.json",
    "comparison.md",
    "comparison.png",
)


def choose_folder(name: str) -> Path:
    """Return the next free folder `runs/NAME`, `runs/NAME-2` …, the same in all processes."""
    chosen: list[str | None] = [None]
    if PartialState().is_main_process:
        numbers = range(1, 10**6)
        candidates = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in numbers)
        chosen = [str(next(path for path in candidates if not path.exists()))]
    return Path(str(broadcast_object_list(chosen)[0]))


def claim_output_dir(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Make the output folder, and refuse one that holds another run.

    Raises:
        FileExistsError: The folder is not empty, and is neither to be resumed nor overwritten.
    """
    state = PartialState()
    taken: list[str | None] = [None]
    if state.is_main_process:
        if overwrite:
            _delete_run(folder)
        if folder.is_file() or (
            folder.is_dir() and any(folder.iterdir()) and not (resume or overwrite)
        ):
            taken = [str(folder)]
        else:
            folder.mkdir(parents=True, exist_ok=True)
    if broadcast_object_list(taken)[0] is not None:
        raise FileExistsError(
            f"Output folder {str(folder)!r} is not empty, expected a new or empty one. "
            "Give another --output_dir, --resume to go on with that run, or "
            "--overwrite_output_dir to delete it."
        )


def find_last_checkpoint(output_dir: Path) -> str | None:
    """Find the newest checkpoint that was written completely, or None.

    A kill, a full disk, a crash of the machine or a broken copy can leave half a checkpoint.
    """
    pattern = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")
    steps = {
        int(match[1]): folder
        for folder in output_dir.iterdir()
        if (match := pattern.fullmatch(folder.name))
    }
    for _, folder in sorted(steps.items(), reverse=True):
        try:
            _check_is_whole(folder)
        except (OSError, EOFError, ValueError, SafetensorError, zipfile.BadZipFile) as error:
            logger.warning("%s is not complete and is passed over: %s", folder, error)
        else:
            return str(folder)
    return None


def _check_is_whole(checkpoint: Path) -> None:
    """Raise an error of the libraries that read the files if one is missing, cut off or damaged."""
    for file in sorted({*checkpoint.iterdir(), *map(checkpoint.joinpath, _CHECKPOINT_FILES)}):
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".safetensors":
            with safe_open(file, framework="pt"):
                pass
        elif file.suffix in (".pt", ".pth"):
            with zipfile.ZipFile(file) as archive:
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"{file.name} is damaged at {damaged}")


def _delete_run(folder: Path) -> None:
    """Delete what a run writes, and nothing else."""
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    for made in (folder / "onnx", *folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        if made.is_dir():
            shutil.rmtree(made)
