"""Keeping loaded data sets on disk as Arrow files, so that the second load takes no time.

An entry lies in the `datasets` cache under a key of everything its content depends on, and appears
by one rename: whoever sees it sees it whole.
"""

import contextlib
import errno
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter
from datasets.table import MemoryMappedTable
from filelock import FileLock

from fer_hf.data.splits import SPLITS

logger = logging.getLogger(__name__)

FORMAT_VERSION = 3
"""Raise it when what is written changes, so that entries of older versions are not served."""


@dataclass(frozen=True)
class Table:
    """One split ready to write: pictures in batches, and the other columns whole.

    Attributes:
        pictures: N encoded pictures in batches, as `IMAGE_TYPE` arrays.
        columns: `label`, with label ids, and others as float32: shape (N,), or (N, labels).
    """

    pictures: Iterator[pa.StructArray]
    columns: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Content:
    """A data set ready to write, and what was left out of it."""

    label_names: Sequence[str]
    tables: Mapping[str, Table]
    skipped: Sequence[str]


def compute_key(identity: Sequence[Path | str], options: Mapping[str, Any]) -> str:
    """Name a cache entry after the files it comes from and the options it was made with.

    Args:
        identity: Paths count with size and time of change; texts as they are.
        options: Plain values.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for item in (f"{FORMAT_VERSION} {json.dumps(options, sort_keys=True, default=str)}", *identity):
        digest.update(f"{_describe(item)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _describe(item: Path | str) -> str:
    if isinstance(item, str):
        return item
    try:
        stat = item.stat()
    except OSError:
        return f"{item} cannot be read"
    return f"{item} {stat.st_size} {stat.st_mtime_ns}"


def load_or_write(key: str, prepare: Callable[[], Content]) -> datasets.DatasetDict:
    """Load the entry `key`; prepare and write it first if it is not there yet.

    Several processes may ask at once: one writes, the others wait for it.
    """
    entry = _home() / key
    if not entry.is_dir():
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{entry}.lock"):
            if not entry.is_dir():
                _write_whole(entry, prepare())
    return _load(entry)


@contextlib.contextmanager
def explain_full_disk() -> Iterator[None]:
    """Turn a full disk, however deep it was met, into one error that says what to do.

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


def _home() -> Path:
    return Path(datasets.config.HF_DATASETS_CACHE) / "fer_hf"


def _write_whole(entry: Path, content: Content) -> None:
    # A process that was killed may have left its half here. The lock says nobody writes it now.
    half = entry.with_suffix(".incomplete")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    try:
        for split, table in content.tables.items():
            _write_table(half / f"{split}.arrow", table, content.label_names)
        (half / "skipped.json").write_text(json.dumps(list(content.skipped)), encoding="utf-8")
        half.rename(entry)
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _write_table(path: Path, table: Table, label_names: Sequence[str]) -> None:
    features = datasets.Features(image=datasets.Image())
    for name, values in table.columns.items():
        features[name] = datasets.Value("float32")
        if values.ndim == 2:
            features[name] = datasets.List(features[name], length=values.shape[1])
    features["label"] = datasets.ClassLabel(names=list(label_names))
    start = 0
    with ArrowWriter(features=features, path=str(path)) as writer:
        for pictures in table.pictures:
            rows = slice(start, start + len(pictures))
            arrays = [pictures, *(_to_arrow(values[rows]) for values in table.columns.values())]
            writer.write_table(pa.Table.from_arrays(arrays, names=list(features)))
            start = rows.stop
        writer.finalize()


def _to_arrow(values: np.ndarray) -> pa.Array:
    flat = pa.array(values.ravel())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _load(entry: Path) -> datasets.DatasetDict:
    skipped = json.loads((entry / "skipped.json").read_text(encoding="utf-8"))
    if skipped:
        logger.warning("Left out %d unreadable pictures: %s", len(skipped), "; ".join(skipped))
    loaded = datasets.DatasetDict()
    for split in SPLITS:
        table = MemoryMappedTable.from_file(str(entry / f"{split}.arrow"))
        loaded[split] = datasets.Dataset(
            table,
            info=datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(table.schema)),
            split=datasets.NamedSplit(split),
            # The key already says what the content depends on; hashing the table would take longer.
            fingerprint=hashlib.sha256(f"{entry.name} {split}".encode()).hexdigest()[:16],
        )
    return loaded
