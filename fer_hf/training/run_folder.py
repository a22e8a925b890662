"""The folder of a run: choosing it, losing nothing in it, and the checkpoint to go on from."""

import json
import re
import shutil
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

# What a run writes into its folder: what --overwrite_output_dir may delete.
_RUN_FILES = (
    "config.json",
    "model.safetensors",
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

    A kill or a full disk can leave half a checkpoint: `trainer_state.json` is written last.
    """
    pattern = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")
    steps = {
        int(match[1]): folder
        for folder in output_dir.iterdir()
        if (match := pattern.fullmatch(folder.name)) and _is_whole(folder)
    }
    return str(steps[max(steps)]) if steps else None


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def _delete_run(folder: Path) -> None:
    """Delete what a run writes, and nothing else."""
    for name in _RUN_FILES:
        (folder / name).unlink(missing_ok=True)
    for made in (folder / "onnx", *folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")):
        if made.is_dir():
            shutil.rmtree(made)
