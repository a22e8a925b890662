"""The `hub` layout: a data set on the Hub, or anything else that `datasets` itself can load."""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.list_columns import (
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    agree,
    choose_column,
    find_column,
    find_label_columns,
)
from fer_hf.data.splits import assign_splits
from fer_hf.data.stored_pictures import BATCH_SIZE
from fer_hf.emotions import canonical_emotion

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0


def is_repo_id(source: str) -> bool:
    """Return whether `source` could be a data set's id on the Hub: `name` or `namespace/name`."""
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source) is not None


def _recognise(folder: Path, options: LoadOptions) -> bool:
    # `datasets` itself would try any folder, and say little. Two levels are enough to look at, and
    # a whole home directory given by mistake would take long.
    inside = [*folder.glob("*"), *folder.glob("*/*")] if folder.is_dir() else []
    names = {file.name for file in inside if file.parent == folder}
    endings = {file.suffix.lower() for file in inside if file.is_file()}
    return bool(
        names & {"dataset_dict.json", "state.json"}
        or endings & {".parquet", ".csv", ".tsv", ".json", ".jsonl", ".arrow", ".tar"}
    )


def _locate(path: Path, options: LoadOptions) -> Source:
    """Load a data set of the Hub, or a folder that `datasets.load_dataset` understands.

    The picture column is the one of type `Image`, the label column the one of type `ClassLabel`,
    or else those told by their names or their first rows.

    Raises:
        ValueError: If a column or split is not found, or `datasets` cannot read the folder.
        FileNotFoundError: If the Hub has no such data set.
        ConnectionError: If the Hub cannot be reached.
    """
    source = path.as_posix()
    where, loaded = repr(source), _load(source, options.revision)
    names = assign_splits(list(loaded))
    if left_out := [name for name in loaded if name not in names.values()]:
        logger.warning("Data set %r: splits %s are not used.", source, left_out)
    splits = {split: loaded[name] for split, name in names.items()} or dict(loaded)
    features = next(iter(splits.values())).features
    image = options.image_column or _find_images(features)
    image = choose_column(list(features), image, IMAGE_COLUMNS, "image_column", where)
    label = options.label_column or _find_labels(next(iter(splits.values())), image)
    label = choose_column(list(features), label, LABEL_COLUMNS, "label_column", where)

    def read() -> dict[str, Part]:
        return {
            split: _read_part(data, f"{where} split `{split}`", image, label)
            for split, data in splits.items()
        }

    identity = [f"{split} {data._fingerprint}" for split, data in splits.items()]
    return Source(identity, read, f"the column `{label}`")


def _load(source: str, revision: str | None) -> datasets.DatasetDict:
    path = Path(source)
    saved = path / "dataset_dict.json", path / "state.json"
    try:
        if any(file.is_file() for file in saved):
            loaded = datasets.load_from_disk(source)
        else:
            if not path.exists():
                _require_answer(source, revision)
            loaded = datasets.load_dataset(source, revision=revision)
    # `datasets` passes on whatever its builders and its HTTP library (httpx, or httpx2) raise.
    except Exception as error:
        raise _explain(error, source) from error
    if isinstance(loaded, datasets.Dataset):
        return datasets.DatasetDict({"train": loaded})
    return loaded


def _require_answer(source: str, revision: str | None) -> None:
    """Ask the Hub once, briefly: `datasets` would repeat itself for half a minute over a typo."""
    if (Path(datasets.config.HF_DATASETS_CACHE) / source.replace("/", "___")).exists():
        return
    # `datasets` itself explains what the Hub answers, and that it has to stay offline.
    with contextlib.suppress(HfHubHTTPError, OfflineModeIsEnabled):
        HfApi().dataset_info(source, revision=revision, timeout=_CONNECT_SECONDS)


def _explain(error: Exception, source: str) -> Exception:
    reason = " ".join(str(error).split()) or type(error).__name__
    if Path(source).exists():
        return ValueError(
            f"`datasets` cannot load '{source}' ({reason}). Arrange its files as one of the other "
            "layouts, such as one folder for each label."
        )
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(
            f"{source!r} is not a file or folder here, nor a data set on the Hub that you can read "
            f"({reason}). Check the spelling; for a private one, log in with `hf auth login`."
        )
    if isinstance(error, ValueError | RuntimeError | datasets.exceptions.DatasetsError):
        return ValueError(f"`datasets` cannot load {source!r} ({reason}).")
    return ConnectionError(
        f"{source!r} is not a file or folder here, and the Hub cannot be asked for it ({reason}). "
        "Check the spelling and the network, or pass a folder."
    )


def _find_images(features: datasets.Features) -> str | None:
    """Return the only column of type `Image`, or else of bytes; None for what its heading says."""
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    if not images and find_column(list(features), IMAGE_COLUMNS) is None:
        images = [name for name, kind in features.items() if _holds_bytes(kind)]
    return images[0] if len(images) == 1 else None


def _holds_bytes(kind: Any) -> bool:
    if isinstance(kind, dict):
        return kind.keys() == {"bytes", "path"}
    return isinstance(kind, datasets.Value) and kind.dtype in ("binary", "large_binary")


def _find_labels(data: datasets.Dataset, image: str) -> str | None:
    """Return the only `ClassLabel`, else what its heading or the first rows say; None if nothing.

    Raises:
        ValueError: If two columns of emotions do not agree.
    """
    kinds = data.features
    labels = [name for name, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)]
    if len(labels) == 1:
        return labels[0]
    names = [n for n, kind in kinds.items() if n != image and isinstance(kind, datasets.Value)]
    first = data.select_columns(names)[:BATCH_SIZE]
    values = [first[name] for name in names]
    found = find_label_columns(names, values)
    for other in found[1:]:
        if not labels and not agree(values[found[0]], values[other]):
            raise ValueError(
                f"The columns {names[found[0]]!r} and {names[other]!r} may both be the label, but "
                "do not agree. Pass `label_column` with the right one."
            )
    return names[found[0]] if found and not labels else None


def _read_part(data: datasets.Dataset, where: str, image: str, label: str) -> Part:
    feature = data.features[label]
    names = feature.names if isinstance(feature, datasets.ClassLabel) else None
    pictures = data.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    columns = data.with_format("numpy")

    def read(rows: np.ndarray) -> Iterator[pa.StructArray]:
        chosen = pictures if len(rows) == len(data) else pictures.select(rows)
        for batch in chosen.with_format("arrow").iter(BATCH_SIZE):
            yield batch[image].combine_chunks()

    votes = {}
    kind = data.features.get("votes")
    # As we write it: one count for each label, in the order of the ids.
    if names and isinstance(kind, datasets.List) and kind.length == len(names):
        votes = dict(zip(map(canonical_emotion, names), columns["votes"][:].T, strict=True))
    return Part(
        columns[label][:].tolist(),
        read,
        where,
        name=lambda row: f"{where} row {row}",
        label_names=names,
        votes=votes,
        other_votes=columns["other_votes"][:] if "other_votes" in data.features else None,
    )


HUB = Layout(
    "hub",
    "a data set's id on the Hub, or anything else `datasets.load_dataset` can load",
    _recognise,
    _locate,
    recognise_text=is_repo_id,
)
