"""Loaded data sets on disk as Arrow files, the entries of the cache that `sources` writes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter
from datasets.table import MemoryMappedTable


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
