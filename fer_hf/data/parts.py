"""What every layout's reader hands over, whatever the files look like.

Labels come up front because they are small; pictures come in batches because they are not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

SPLITS = ("train", "validation", "test")

# PublicTest and PrivateTest are FER2013's words.
_SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}

BATCH_SIZE = 128
"""Pictures handled at a time: 6 MB of 128×128 colour pictures, about what the CPU cache holds."""

IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
"""How `datasets.Image` keeps a picture in Arrow."""


@dataclass(frozen=True)
class Part:
    """One split as its source gives it.

    Attributes:
        labels: The label name of each of the N rows, in canonical spelling.
        read: Takes ascending row numbers, yields the encoded pictures of those rows in that order,
            as `IMAGE_TYPE` arrays of at most `BATCH_SIZE`.
        name: Takes a row number, tells a person where that picture is.
        votes: Counts of shape (N, number of declared labels), columns in the order that
            `order_labels` gives `Source.label_names`; None where the source has no votes.
        other_votes: Votes of shape (N,) for none of these labels, such as `unknown`; None where the
            source does not say.
        encoded_here: Whether `read` encodes numbers, so that its pictures need no checking.
    """

    labels: Sequence[str]
    read: Callable[[np.ndarray], Iterator[pa.StructArray]]
    name: Callable[[int], str]
    votes: np.ndarray | None = None
    other_votes: np.ndarray | None = None
    encoded_here: bool = False


@dataclass(frozen=True)
class Source:
    """A recognised source: cheap to make, and it reads the pictures only when asked.

    Attributes:
        identity: What the content depends on: paths, or texts. A path counts with its size and
            its time of change.
        read: Reads the parts, one for each split found.
        label_names: All labels the source declares, also those no row has; None if it does not say.
    """

    identity: Sequence[Path | str]
    read: Callable[[], dict[str, Part]]
    label_names: Sequence[str] | None = None


def split_name(name: str) -> str | None:
    """Return the split that `name` means (``"Val"`` is ``"validation"``), or None if it is none."""
    return _SPLIT_ALIASES.get(name.strip().lower().replace(" ", ""))


def assign_splits(names: Sequence[str]) -> dict[str, str]:
    """Map each split found to the one name among `names` that means it; other names are left out.

    Raises:
        ValueError: If two names mean one split.
    """
    found: dict[str, str] = {}
    for name in names:
        split = split_name(name)
        if split in found:
            raise ValueError(
                f"Found both {found[split]!r} and {name!r}, which both mean the split `{split}`. "
                "Keep one of them, or merge them."
            )
        if split is not None:
            found[split] = name
    return {split: found[split] for split in SPLITS if split in found}


def read_paths(paths: Sequence[str], rows: np.ndarray) -> Iterator[pa.StructArray]:
    """Yield pictures that stay in their own files: only the paths are kept."""
    for start in range(0, len(rows), BATCH_SIZE):
        batch = [paths[row] for row in rows[start : start + BATCH_SIZE]]
        yield pa.StructArray.from_arrays(
            [pa.nulls(len(batch), pa.binary()), pa.array(batch, pa.string())], ["bytes", "path"]
        )
