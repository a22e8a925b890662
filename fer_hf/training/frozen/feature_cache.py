"""Features on disk: entries under a key, written in chunks, whole or not there at all.

Files are memory-mapped and guarded by a checksum. A killed run leaves whole chunks behind,
which the next one uses; other runs wait for an entry that one of them writes.
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

FORMAT_VERSION = "1"
"""Raise it when what is written changes, so that entries of older versions are not served."""

ComputeChunks = Callable[[Sequence[int]], Iterable[tuple[int, torch.Tensor]]]

_NAME = "features"


def load_or_compute(key: str, num_chunks: int, compute: ComputeChunks) -> torch.Tensor:
    """Return the features of an entry, computed first where they are not there.

    Several processes of one run must call it together; each computes its share of the chunks.

    Args:
        key: Names all that the features depend on.
        num_chunks: In how many chunks they are written.
        compute: Yields the chunks asked for with their numbers, of shape (views, rows, …).

    Returns:
        The chunks joined along their rows, memory-mapped.

    Raises:
        OSError: The cache cannot be read or written, in this process or in another of the run.
    """
    entry = get_cache_folder() / key
    main = PartialState().is_main_process
    features = None
    with _failing_together():
        if main:
            features = _load(entry)  # which deletes a damaged one, so the others look after it
    with _failing_together():
        if not main:
            features = _load(entry)
    if all(gather_object([features is not None])) and features is not None:
        return features
    with _holding_lock(entry):
        _write(entry, num_chunks, compute)
    with _failing_together():
        features = _load(entry)
        if features is None:
            raise OSError(f"the entry {entry.name} was lost while it was written")
    return features


def get_cache_folder() -> Path:
    """Return where features are kept: $FER_HF_CACHE, or fer_hf/features in $HF_HOME."""
    return Path(os.environ.get("FER_HF_CACHE") or Path(HF_HOME) / "fer_hf" / "features")


def list_entries() -> dict[Path, int]:
    """List the entries of the cache with their size in bytes, the one used last at the end."""
    folder = get_cache_folder()
    entries = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    entries.sort(key=lambda entry: entry.stat().st_mtime)
    return {entry: sum(file.stat().st_size for file in entry.iterdir()) for entry in entries}


def clear_cache() -> int:
    """Delete every entry; return how many bytes that freed."""
    entries = list_entries()
    for entry in entries:
        shutil.rmtree(entry)
    return sum(entries.values())


@contextlib.contextmanager
def _failing_together() -> Iterator[None]:
    """Fail in every process of the run where one does; the others would wait for it forever."""
    failure = None
    try:
        yield
    except (OSError, SafetensorError) as error:
        failure = OSError(str(error))
    for other in gather_object([failure]):
        if other is not None:
            raise failure or other


@contextlib.contextmanager
def _holding_lock(entry: Path) -> Iterator[None]:
    """Keep other runs away from an entry; the main process holds the lock for all of this run's."""
    lock = FileLock(f"{entry}.lock") if PartialState().is_main_process else None
    with _failing_together():
        entry.parent.mkdir(parents=True, exist_ok=True)
        if lock is not None:
            lock.acquire()
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _write(entry: Path, num_chunks: int, compute: ComputeChunks) -> None:
    """Compute what is missing of an entry; chunks that another try left whole are used."""
    state = PartialState()
    half = entry.with_suffix(".incomplete")
    chunks = [half / f"{number:05}.safetensors" for number in range(num_chunks)]
    missing: list[list[int] | None] = [None]
    with _failing_together():
        if state.is_main_process and not entry.is_dir():
            half.mkdir(exist_ok=True)
            missing = [[n for n, chunk in enumerate(chunks) if _load_tensor(chunk) is None]]
    # Decided by one process: the others could already see chunks that were just written.
    (numbers,) = broadcast_object_list(missing)
    if numbers is None:
        return
    with _failing_together():
        for number, features in compute(numbers[state.process_index :: state.num_processes]):
            _save_tensor(chunks[number], features)
    with _failing_together():
        if state.is_main_process:
            tensors = [tensor for chunk in chunks if (tensor := _load_tensor(chunk)) is not None]
            if len(tensors) < num_chunks:
                raise OSError(
                    f"of {num_chunks} chunks of {half.name} only {len(tensors)} are whole"
                )
            _save_tensor(half / f"{_NAME}.safetensors", torch.cat(tensors, dim=1))
            for chunk in chunks:
                chunk.unlink()
            half.rename(entry)
            _evict_oldest(entry)


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
    """Return what `_save_tensor` wrote, memory-mapped, or None where it is not there or damaged."""
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


def _load(entry: Path) -> torch.Tensor | None:
    """Return the features of an entry; a damaged one is deleted, to be computed again."""
    if not entry.is_dir():
        return None
    features = _load_tensor(entry / f"{_NAME}.safetensors")
    if features is None:
        logger.warning("A damaged entry of the feature cache is computed again: %s", entry.name)
        shutil.rmtree(entry)
        return None
    with contextlib.suppress(OSError):
        os.utime(entry)  # when it was last of use
    return features


def _evict_oldest(kept: Path) -> None:
    """Delete the entries that were of no use for longest, until the rest fits the limit."""
    limit = float(os.environ.get("FER_HF_CACHE_GB", "10")) * 1e9
    entries = list_entries()
    excess = sum(entries.values()) - limit
    for entry, size in entries.items():
        if excess > 0 and entry != kept:
            shutil.rmtree(entry, ignore_errors=True)
            excess -= size
