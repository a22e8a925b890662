"""The three splits: the names that mean them, and how those that a source lacks are made."""

import re
from collections.abc import Collection, Sequence

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from fer_hf.data.words import CONTAINER_WORDS, split_words

SPLITS = ("train", "validation", "test")

_SPELLINGS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev", "publictest"),  # FER2013's word
    "test": ("test", "testing", "privatetest"),  # FER2013's word
}

_SPLIT_OF = {word: split for split, words in _SPELLINGS.items() for word in words}

PROPORTIONS = {"train": 4743, "validation": 526, "test": 587}
"""Pictures of each split among 5,856; a missing split gets the same share of what is there."""

_LONGEST_NAME = 255  # as of a file; cells of a table can be far longer


def split_name(name: str) -> str | None:
    """Return the split that `name` means, or None.

    ``"Val"`` and ``"val_set"`` are ``"validation"``, ``"Test_Aligned_Faces"`` is ``"test"``.
    """
    split, rest = find_split(name)
    return None if rest else split


def find_split(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the one split that words of `name` mean, and its words that mean anything else.

    Numbers and words such as `images` do not count.
    """
    if len(name) > _LONGEST_NAME:
        return None, ()
    words = split_words(name)
    if split := _SPLIT_OF.get("".join(words)):
        return split, ()
    splits, rest = set(), []
    for word in words:
        split = _SPLIT_OF.get(re.sub("(set|data)$", "", word))
        if split:
            splits.add(split)
        elif not (word.isdigit() or word in CONTAINER_WORDS):
            rest.append(word)
    return (splits.pop(), tuple(rest)) if len(splits) == 1 else (None, ())


def assign_splits(names: Sequence[str]) -> dict[str, str]:
    """Map each split to the one name among `names` that means it; other names are left out.

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


def divide_rows(values: Sequence[str], where: str) -> dict[str, np.ndarray]:
    """Map each split to the rows whose value means it; `where` names the table in messages.

    Raises:
        ValueError: If a value means no split, or two values mean the same one.
    """
    names = list(dict.fromkeys(values))
    if unknown := [name for name in names if split_name(name) is None]:
        raise ValueError(
            f"{where} has the splits {names}, of which {unknown} (the first in row "
            f"{list(values).index(unknown[0])}) are none of train, validation and test. "
            "Rename them."
        )
    column = np.array(values)
    return {split: np.flatnonzero(column == name) for split, name in assign_splits(names).items()}


def split_rows(label_ids: np.ndarray, given: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """Cut the splits that are not `given` out of the rows of `train`.

    Each label gives up its share of rows, to within one; a held-out split gets at least one row of
    every label that has two or more left, and `train` keeps at least one of every label.

    Args:
        label_ids: Label id of each row of the source's `train`, shape (N,).
        given: The splits the source has, among them `train`.
        seed: The same seed puts the same rows into the same splits.

    Returns:
        Ascending row numbers, for `train` and each new split.

    Raises:
        ValueError: If there are too few rows to give a missing split any.
    """
    missing = [split for split in ("test", "validation") if split not in given]
    rng = np.random.default_rng(seed)
    rows = {"train": np.arange(len(label_ids))}
    for position, split in enumerate(missing):
        left = rows["train"]
        pool = ("train", *missing[position:])
        share = PROPORTIONS[split] / sum(PROPORTIONS[name] for name in pool)
        held_out = _stratified_sample(label_ids[left], share, rng)
        if not held_out.any():
            raise ValueError(
                f"`train` has {len(left)} rows, none of a label with two or more: too few to "
                f"cut out the missing split `{split}`. Add pictures, or a `{split}` of your own."
            )
        rows[split], rows["train"] = left[held_out], left[~held_out]
    return rows


def is_cut(split: Dataset) -> bool:
    """Whether a split of `load_splits` was cut out of the source's `train`."""
    return split.info.splits is not None and str(split.split) not in split.info.splits


def select_split(splits: DatasetDict, name: str) -> Dataset:
    """Return one split, or with `all` the pictures of all of them."""
    return concatenate_datasets(list(splits.values())) if name == "all" else splits[name]


def _stratified_sample(label_ids: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Mark about `share` of the rows of each label, as booleans of shape (N,)."""
    counts = np.bincount(label_ids)
    # Rounding the running sum keeps the total exact and every label within one of its share.
    quotas = np.diff(np.round(np.cumsum(counts) * share), prepend=0).astype(int)
    quotas = np.clip(quotas, np.minimum(counts - 1, 1).clip(0), (counts - 1).clip(0))
    marked = np.zeros(len(label_ids), bool)
    for label_id, quota in enumerate(quotas):
        marked[rng.permutation(np.flatnonzero(label_ids == label_id))[:quota]] = True
    return marked
