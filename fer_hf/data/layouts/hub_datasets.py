"""The `hub` and `drawn` layouts: whatever `datasets` itself can load, and the built-in drawn faces.

Both come as `datasets.Dataset`, so that only the columns are left to understand.
"""

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from fer_hf.data.drawn import faces as drawn
from fer_hf.data.labels import name_labels
from fer_hf.data.layouts.tables import IMAGE_COLUMNS, LABEL_COLUMNS, choose_column
from fer_hf.data.parts import BATCH_SIZE, Part, Source, assign_splits
from fer_hf.emotions import canonical_emotion, order_labels

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0


def is_repo_id(source: str) -> bool:
    """Tell whether `source` could be a data set's id on the Hub: `name` or `namespace/name`."""
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", source) is not None


def locate_hub(
    source: str,
    revision: str | None,
    image_column: str | None,
    label_column: str | None,
    label_names: Sequence[str] | None,
) -> Source:
    """Load a data set of the Hub, or a folder that `datasets.load_dataset` understands.

    The picture column is the one of type `Image`, the label column the one of type `ClassLabel`,
    or else those with the usual names.

    Raises:
        ValueError: If a column or split is not found, or `datasets` cannot read the folder.
        FileNotFoundError: If the Hub has no such data set.
        ConnectionError: If the Hub cannot be reached.
    """
    loaded = _load(source, revision)
    names = assign_splits(list(loaded))
    if left_out := [name for name in loaded if name not in names.values()]:
        logger.warning("Data set %r: splits %s are not used.", source, left_out)
    return _describe(
        {split: loaded[name] for split, name in names.items()} or dict(loaded),
        repr(source),
        [f"{split} {loaded[name]._fingerprint}" for split, name in names.items()],
        (image_column, label_column, label_names),
    )


def locate_drawn(num_pictures: int, size: int, seed: int) -> Source:
    """Take the drawn faces, which the project makes itself."""

    def read() -> dict[str, Part]:
        faces = drawn.load_drawn(num_pictures, size=size, seed=seed)
        return _describe({"train": faces}, "the drawn faces", [], (None, None, None)).read()

    # A change of the drawing code is a change of the pictures.
    code = sorted(Path(drawn.__file__).parent.glob("*.py"))
    return Source([*code, f"{num_pictures} {size} {seed}"], read)


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
    # What the Hub itself answers, and being told to stay offline, is for `datasets` to explain.
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
            f"{source!r} is no file or folder here, and no data set on the Hub that you can read "
            f"({reason}). Check the spelling; for a private one, log in with `hf auth login`."
        )
    if isinstance(error, ValueError | RuntimeError | datasets.exceptions.DatasetsError):
        return ValueError(f"`datasets` cannot load {source!r} ({reason}).")
    return ConnectionError(
        f"{source!r} is no file or folder here, and the Hub cannot be asked for it ({reason}). "
        "Check the spelling and the network, or pass a folder."
    )


def _describe(
    splits: dict[str, datasets.Dataset],
    where: str,
    identity: Sequence[str],
    columns: tuple[str | None, str | None, Sequence[str] | None],
) -> Source:
    image_column, label_column, label_names = columns
    features = next(iter(splits.values())).features
    image = image_column or _find_feature(features, datasets.Image)
    image = choose_column(list(features), image, IMAGE_COLUMNS, "image_column", where)
    label = label_column or _find_feature(features, datasets.ClassLabel)
    label = choose_column(list(features), label, LABEL_COLUMNS, "label_column", where)
    own = features[label].names if isinstance(features[label], datasets.ClassLabel) else None
    names = own or label_names

    def read() -> dict[str, Part]:
        return {
            split: _read_part(data, (image, label), own, names, f"{where} split `{split}`")
            for split, data in splits.items()
        }

    return Source(identity, read, names)


def _find_feature(features: datasets.Features, kind: type) -> str | None:
    found = [name for name, feature in features.items() if isinstance(feature, kind)]
    return found[0] if len(found) == 1 else None


def _read_part(
    data: datasets.Dataset,
    columns: tuple[str, str],
    own: Sequence[str] | None,
    names: Sequence[str] | None,
    where: str,
) -> Part:
    image, label = columns
    pictures = data.select_columns([image]).cast_column(image, datasets.Image(decode=False))

    def read(rows: np.ndarray) -> Iterator[pa.StructArray]:
        chosen = pictures if len(rows) == len(data) else pictures.select(rows)
        for batch in chosen.with_format("arrow").iter(BATCH_SIZE):
            yield batch[image].combine_chunks()

    return Part(
        name_labels(data.with_format("numpy")[label][:].tolist(), names, where),
        read,
        name=lambda row: f"{where} row {row}",
        votes=_read_votes(data, own),
        other_votes=(
            data.with_format("numpy")["other_votes"][:] if "other_votes" in data.features else None
        ),
    )


def _read_votes(data: datasets.Dataset, own: Sequence[str] | None) -> np.ndarray | None:
    """Read a `votes` column as we write it: one count for each label, in the order of the ids."""
    feature = data.features.get("votes")
    if own is None or not isinstance(feature, datasets.List) or feature.length != len(own):
        return None
    names = [canonical_emotion(name) for name in own]
    votes = data.with_format("numpy")["votes"][:]
    return votes[:, [names.index(name) for name in order_labels(names)]]
