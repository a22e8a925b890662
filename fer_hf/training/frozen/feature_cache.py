"""Features on disk: a file for each key, written in chunks, complete or not there at all.

Files are memory-mapped and guarded by a checksum. A killed run leaves complete chunks behind,
which the next one uses; other runs wait while one of them writes the same file.
"""

import contextlib
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import safetensors.torch
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from filelock import FileLock
from huggingface_hub.constants import HF_HOME
from safetensors import SafetensorError, safe_open

logger = logging.getLogger(__name__)

FORMAT_VERSION = "2"
"""Raise it when what is written changes, so that files of older versions are not served."""

ComputeChunks = Callable[[Sequence[int]], Iterable[tuple[int, torch.Tensor]]]

_NAME = "features"
_SUFFIX = ".safetensors"


def load_or_compute(key: str, num_chunks: int, compute: ComputeChunks) -> torch.Tensor:
    """Return the features of a key, computed first if they are not there.

    Several processes of one run must call it together; each computes its share of the chunks.

    Args:
        key: Names all that the features depend on.
        num_chunks: How many chunks they are written in.
        compute: Yields the chunks asked for with their numbers, of shape (views, rows, …).

    Returns:
        The chunks joined along their rows, memory-mapped.

    Raises:
        OSError: The cache cannot be read or written, in this process or in another of the run.
    """
    path = get_cache_folder() / f"{key}{_SUFFIX}"
    with _failing_together():
        features = _load_tensor(path)
    # One process may see what another run has just written, the next one may not.
    if not all(gather_object([features is not None])):
        _write(path, num_chunks, compute)
        with _failing_together():
            features = _load_tensor(path)
            if features is None:
                raise OSError(f"{path.name} was lost while it was written")
    with contextlib.suppress(OSError):
        os.utime(path)  # when it was last used
    return features  # type: ignore[return-value]


def get_cache_folder() -> Path:
    """Return where features are kept: $FER_HF_CACHE, or fer_hf/features in $HF_HOME."""
    return Path(os.environ.get("FER_HF_CACHE") or Path(HF_HOME) / "fer_hf" / "features")


def list_entries() -> dict[Path, int]:
    """List the files of the cache with their size in bytes, the one used last at the end."""
    files = sorted(get_cache_folder().glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
    return {path: path.stat().st_size for path in files}


def clear_cache() -> int:
    """Delete everything in the cache; return how many bytes that freed."""
    freed = sum(list_entries().values())
    shutil.rmtree(get_cache_folder(), ignore_errors=True)
    return freed


@contextlib.contextmanager
def _failing_together() -> Iterator[None]:
    """Fail in every process of the run if one does; the others would wait for it forever."""
    failure = None
    try:
        yield
    except (OSError, SafetensorError) as error:
        failure = OSError(str(error))
    for other in gather_object([failure]):
        if other is not None:
            raise failure or other


def _write(path: Path, num_chunks: int, compute: ComputeChunks) -> None:
    """Compute what is missing of a file; complete chunks that a killed run left are used."""
    state = PartialState()
    chunks = [path.with_suffix(f".{number:05}{_SUFFIX}") for number in range(num_chunks)]
    missing: list[list[int]] = [[]]
    with contextlib.ExitStack() as held:
        with _failing_together():
            # The main process keeps other runs away for all processes of this one.
            if state.is_main_process:
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(f"{path}.lock"))
                if _load_tensor(path) is None:
                    if path.exists():
                        logger.warning("A damaged file of features is computed again: %s", path)
                    missing = [[n for n, chunk in enumerate(chunks) if _load_tensor(chunk) is None]]
        # Decided by one process: the others could already see chunks that were just written.
        (numbers,) = broadcast_object_list(missing)
        with _failing_together():
            for number, features in compute(numbers[state.process_index :: state.num_processes]):
                _save_tensor(chunks[number], features)
        with _failing_together():
            if state.is_main_process and _load_tensor(path) is None:
                tensors = [found for chunk in chunks if (found := _load_tensor(chunk)) is not None]
                if len(tensors) < num_chunks:
                    raise OSError(f"only {len(tensors)} of {num_chunks} chunks are complete")
                _save_tensor(path, torch.cat(tensors, dim=1))
                for chunk in chunks:
                    chunk.unlink()
                _evict_oldest(path)


def _save_tensor(path: Path, features: torch.Tensor) -> None:
    features = features.contiguous()
    metadata = {"format_version": FORMAT_VERSION, "crc32": str(_compute_checksum(features))}
    half = path.with_suffix(f".{os.getpid()}")
    try:
        safetensors.torch.save_file({_NAME: features}, half, metadata)
        half.rename(path)
    finally:
        half.unlink(missing_ok=True)


def _load_tensor(path: Path) -> torch.Tensor | None:
    """Return what `_save_tensor` wrote, memory-mapped, or None if it is missing or damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        features = safetensors.torch.load_file(path)[_NAME]
    except (SafetensorError, KeyError):
        return None
    whole = metadata.get("crc32") == str(_compute_checksum(features))
    return features if whole and metadata.get("format_version") == FORMAT_VERSION else None


def _compute_checksum(features: torch.Tensor) -> int:
    return zlib.crc32(features.flatten().view(torch.uint8).numpy().data)


def _evict_oldest(kept: Path) -> None:
    """Delete the files that were not used for longest, until the rest fits the limit."""
    limit = float(os.environ.get("FER_HF_CACHE_GB", "10")) * 1e9
    entries = list_entries()
    excess = sum(entries.values()) - limit
    for path, size in entries.items():
        if excess > 0 and path != kept:
            path.unlink(missing_ok=True)
            excess -= size
