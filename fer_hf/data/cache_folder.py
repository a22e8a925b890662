"""What was unpacked or loaded once, kept on disk, so that the second time takes no time.

An entry is in the cache of `datasets` under a key of everything its content depends on, and appears
by one rename: it is complete or not there at all.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub.constants import HF_HOME

FORMAT_VERSION = 4
"""Raise it when what is written changes, so that entries of older versions are not served."""


def compute_key(identity: Sequence[Path | str], options: Mapping[str, Any]) -> str:
    """Return 32 hexadecimal digits for the files an entry comes from and the options it needs.

    Args:
        identity: Paths count with size and time of change; texts as they are.
        options: Plain values.
    """
    digest = hashlib.sha256(f"{FORMAT_VERSION} {json.dumps(options, default=str)}\n".encode())
    for item in identity:
        if isinstance(item, Path):
            try:
                stat = item.stat()
                item = f"{item} {stat.st_size} {stat.st_mtime_ns}"
            except OSError:
                item = f"{item} cannot be read"
        digest.update(f"{item}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def find_or_write(key: str, write: Callable[[Path], None]) -> Path:
    """Return the folder of the entry `key`; `write` fills it first if it is not there yet.

    Several processes may ask at once: one writes, the others wait for it.
    """
    entry = _home() / key
    if not entry.is_dir():
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{entry}.lock"):
            if not entry.is_dir():
                _write_whole(entry, write)
    return entry


def _home() -> Path:
    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(HF_HOME, "datasets")) / "fer_hf"


def _write_whole(entry: Path, write: Callable[[Path], None]) -> None:
    # A process that was killed may have left its half here. The lock says nobody writes it now.
    half = entry.with_suffix(".incomplete")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    try:
        write(half)
        half.rename(entry)
    finally:
        shutil.rmtree(half, ignore_errors=True)


@contextlib.contextmanager
def explaining_full_disk() -> Iterator[None]:
    """Turn a full disk, wherever it was met, into one error that says what to do.

    Raises:
        OSError: With the errno of the full disk and the name of the cache folder.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(
                    cause.errno,
                    f"The disk is full: no room for the data set in the cache folder '{_home()}'. "
                    "Free some space there, or set HF_HOME to a folder on a larger disk",
                ) from error
            cause = cause.__cause__ or cause.__context__
        raise
