"""How many pictures each label has in each split, as numbers and as a table."""

from collections import Counter
from collections.abc import Mapping

from datasets import Dataset
from tabulate import tabulate


def count_labels(splits: Mapping[str, Dataset]) -> dict[str, dict[str, int]]:
    """Count the pictures of each label: split to label name to number."""
    counts = {}
    for split, data in splits.items():
        found = Counter(data["label"][:])
        names = data.features["label"].names
        counts[str(split)] = {name: found[label] for label, name in enumerate(names)}
    return counts


def render_label_counts(
    counts: Mapping[str, Mapping[str, int]], table_format: str = "simple"
) -> str:
    """Render what `count_labels` returns: a row for each label, a column for each split, totals.

    Args:
        counts: Split to label name to number of pictures.
        table_format: As for `tabulate`: "simple" for a terminal, "github" for Markdown.
    """
    columns = [list(found.values()) for found in counts.values()]
    columns.append([sum(numbers) for numbers in zip(*columns, strict=True)])
    columns = [[*numbers, sum(numbers)] for numbers in columns]
    labels = [*next(iter(counts.values())), "total"]
    shown = [
        [label, *(f"{number:,}" for number in numbers)]
        for label, *numbers in zip(labels, *columns, strict=True)
    ]
    align = ("left", *("right" for _ in range(len(counts) + 1)))
    headers = ["label", *counts, "all"]
    return tabulate(shown, headers, table_format, colalign=align, disable_numparse=True)
