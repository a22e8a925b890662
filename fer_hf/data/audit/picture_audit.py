"""What is wrong with the pictures of a source: unreadable, tiny, or there more than once.

A command shows these findings, `--strict` stops a training because of them, and duplicates can be
dropped before one.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import DatasetDict

from fer_hf.data.audit.label_counts import count_labels
from fer_hf.data.audit.photographs import Photographs, find_photographs
from fer_hf.data.stored_pictures import list_stored, read_encoded

logger = logging.getLogger(__name__)

SMALLEST_SIDE = 20
"""Below so many pixels, eyes and mouth are a pixel or two each."""

# Of duplicates in several splits the one that counts most is kept.
_KEPT_FIRST = ("test", "validation", "train")


@dataclass(frozen=True)
class Picture:
    """Where a picture is.

    Attributes:
        split: `train`, `validation` or `test`.
        row: Its row in that split as it was loaded, from 0 on.
        label: The name of its label.
        name: Its file with the folder it is in, where the source tells.
    """

    split: str
    row: int
    label: str
    name: str | None


@dataclass(frozen=True)
class TinyPicture:
    """A picture with a side below 20 pixels."""

    picture: Picture
    width: int
    height: int


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that are one photograph.

    Attributes:
        pictures: Two or more.
        exact: Whether they agree in every pixel; else some were saved again, resized, mirrored …
    """

    pictures: Sequence[Picture]
    exact: bool

    @property
    def crosses_splits(self) -> bool:
        """Whether a model is tested on what it was trained on."""
        return len({picture.split for picture in self.pictures}) > 1

    @property
    def has_conflict(self) -> bool:
        """Whether their labels differ."""
        return len({picture.label for picture in self.pictures}) > 1


@dataclass(frozen=True)
class PictureAudit:
    """What was found in the pictures of a source.

    Attributes:
        label_counts: Split to label name to number of pictures.
        unreadable: What cannot be read and is in no split, in words.
        tiny: Pictures with a side below 20 pixels.
        duplicates: First those whose labels differ, then those in more than one split, then the
            others.
    """

    label_counts: Mapping[str, Mapping[str, int]]
    unreadable: Sequence[str]
    tiny: Sequence[TinyPicture]
    duplicates: Sequence[DuplicateGroup]

    def list_problems(self) -> list[str]:
        """Name what was found in a few words each; empty if nothing was."""
        groups = self.duplicates
        found = {
            "unreadable pictures": len(self.unreadable),
            f"pictures below {SMALLEST_SIDE} pixels": len(self.tiny),
            "duplicates of other pictures": sum(len(group.pictures) - 1 for group in groups),
            "photographs in more than one split": sum(group.crosses_splits for group in groups),
            "photographs with different labels": sum(group.has_conflict for group in groups),
        }
        return [f"{count:,} {what}" for what, count in found.items() if count]


def audit_pictures(splits: DatasetDict, unreadable: Sequence[str] = ()) -> PictureAudit:
    """Examine every picture once, and compare all of them.

    Args:
        splits: As `load_splits` returns them.
        unreadable: What `load_splits` left out, in words.
    """
    pictures, found = list_pictures(splits), find_photographs(splits.values())
    tiny = [
        TinyPicture(picture, *size)
        for picture, size in zip(pictures, found.sizes.tolist(), strict=True)
        if min(size) < SMALLEST_SIDE
    ]
    duplicates = _group(pictures, found)
    return PictureAudit(count_labels(splits), list(unreadable), tiny, duplicates)


def find_duplicates(splits: DatasetDict) -> list[DuplicateGroup]:
    """Find the groups of duplicates, in the order of `PictureAudit.duplicates`."""
    return _group(list_pictures(splits), find_photographs(splits.values()))


def count_repeats(splits: DatasetDict) -> int:
    """Count the pictures that are, byte for byte, in a split before theirs.

    Nothing is decoded, so it costs next to nothing before every training.
    """
    seen: set[int] = set()
    repeats = 0
    for data in splits.values():
        # Python's own 64-bit hash: none is faster, and it need not outlive the process.
        hashes = [hash(content) for content in read_encoded(data)]
        repeats += sum(value in seen for value in hashes)
        seen.update(hashes)
    return repeats


def drop_duplicates(splits: DatasetDict) -> DatasetDict:
    """Keep one picture of each group of duplicates: in test, else in validation, else in train.

    Where their labels differ, none is kept in train.

    Raises:
        ValueError: A split would be left without pictures.
    """
    dropped: dict[str, list[int]] = {split: [] for split in splits}
    for group in find_duplicates(splits):
        kept = min(group.pictures, key=lambda picture: _KEPT_FIRST.index(picture.split))
        for picture in group.pictures:
            if picture is not kept or (group.has_conflict and picture.split == "train"):
                dropped[picture.split].append(picture.row)
    for split, rows in dropped.items():
        if len(rows) == len(splits[split]):
            raise ValueError(
                f"All {len(rows)} pictures of `{split}` are duplicates of others, expected at "
                "least one to keep. Look at them with `fer-hf audit`."
            )
    if any(dropped.values()):
        counts = ", ".join(f"{split} {len(rows):,}" for split, rows in dropped.items())
        logger.info("Left out duplicates: %s.", counts)
    return DatasetDict(
        {
            split: data.select(np.delete(np.arange(len(data)), dropped[split]))
            for split, data in splits.items()
        }
    )


def list_pictures(splits: DatasetDict) -> list[Picture]:
    """List all pictures, one split after the other."""
    pictures = []
    for split, data in splits.items():
        names = data.features["label"].names
        stored = zip(data["label"][:], list_stored(data), strict=True)
        for row, (label, picture) in enumerate(stored):
            # Enough to find the file, without saying where on this machine it is.
            name = "/".join(Path(picture["path"]).parts[-2:]) if picture["path"] else None
            pictures.append(Picture(split, row, names[label], name))
    return pictures


def _group(pictures: Sequence[Picture], found: Photographs) -> list[DuplicateGroup]:
    members = defaultdict(list)
    for row, photograph in enumerate(found.photographs):
        members[photograph].append(row)
    groups = [
        DuplicateGroup([pictures[row] for row in rows], exact=len(set(found.contents[rows])) == 1)
        for rows in members.values()
        if len(rows) > 1
    ]
    return sorted(groups, key=lambda group: (not group.has_conflict, not group.crosses_splits))
