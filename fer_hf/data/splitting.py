"""Making the splits a source does not have: stratified, seeded, in fixed proportions."""

from collections.abc import Collection

import numpy as np

PROPORTIONS = {"train": 4743, "validation": 526, "test": 587}
"""Pictures of each split among 5,856; a missing split takes the same share of what is there."""


def split_rows(label_ids: np.ndarray, given: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """Cut the splits that are not `given` out of the rows of `train`.

    Each label gives up its share of rows, to within one; a held-out split gets at least one row of
    every label that has two or more left, and `train` keeps at least one of every label.

    Args:
        label_ids: Label id of each row of the source's `train`, shape (N,).
        given: The splits the source has; `train` is always among them.
        seed: Which rows go where; the same seed gives the same rows.

    Returns:
        Ascending row numbers, for `train` and each split made.

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
                f"`train` has {len(left)} rows, no label two or more: too few to cut the missing "
                f"split `{split}` out of. Add pictures, or bring your own `{split}`."
            )
        rows[split], rows["train"] = left[held_out], left[~held_out]
    return rows


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
