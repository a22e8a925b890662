"""Loaded data sets on disk as Arrow files, so that the second load takes no time.

An entry is in the `datasets` cache under a key of everything its content depends on, and appears by
one rename: it is complete or not there at all.
"""

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter
from datasets.table import MemoryMappedTable
from filelock import FileLock

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
    return Path(datasets.config.HF_DATASETS_CACHE) / "fer_hf"


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


def write_split(
    path: Path,
    pictures: Iterator[pa.StructArray],
    columns: Mapping[str, np.ndarray],
    label_names: Sequence[str],
) -> None:
    """Write one split as an Arrow file.

    Args:
        path: The file.
        pictures: N encoded pictures in batches, as `IMAGE_TYPE` arrays.
        columns: `label` (N,), the label ids, and others as float32 of shape (N,) or (N, labels).
        label_names: The names by id.
    """
    features = datasets.Features(image=datasets.Image())
    for name, values in columns.items():
        features[name] = datasets.Value("float32")
        if values.ndim == 2:
            features[name] = datasets.List(features[name], length=values.shape[1])
    features["label"] = datasets.ClassLabel(names=list(label_names))
    start = 0
    with ArrowWriter(features=features, path=str(path)) as writer:
        for batch in pictures:
            rows = slice(start, start + len(batch))
            arrays = [batch, *(_to_arrow(values[rows]) for values in columns.values())]
            writer.write_table(pa.Table.from_arrays(arrays, names=list(features)))
            start = rows.stop
        writer.finalize()


def _to_arrow(values: np.ndarray) -> pa.Array:
    flat = pa.array(values.ravel())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def load_split(path: Path, description: str, own_splits: Mapping[str, int]) -> datasets.Dataset:
    """Load what `write_split` wrote, memory-mapped.

    Args:
        path: The file.
        description: How the source was understood; it becomes `info.description`.
        own_splits: The splits of the source itself and their numbers of pictures; they become
            `info.splits`.
    """
    table = MemoryMappedTable.from_file(str(path))
    own = {name: datasets.SplitInfo(name, num_examples=rows) for name, rows in own_splits.items()}
    return datasets.Dataset(
        table,
        info=datasets.DatasetInfo(
            description=description,
            features=datasets.Features.from_arrow_schema(table.schema),
            splits=datasets.SplitDict(own),
        ),
        split=datasets.NamedSplit(path.stem),
        # The key already says what the content depends on; hashing the table would take longer.
        fingerprint=hashlib.sha256(f"{path.parent.name} {path.stem}".encode()).hexdigest()[:16],
    )
