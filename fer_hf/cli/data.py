"""`fer-hf data`: load a source of pictures and show what was found."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


def main(args: Sequence[str]) -> None:
    """Print the counts of each label in each split; draw a contact sheet if asked."""
    from collections import Counter

    from tabulate import tabulate

    from fer_hf.arguments import DataArguments, StrictParser

    parser = StrictParser(
        DataArguments,
        prog="fer-hf data",
        description="Load a source of labelled pictures and show what was found.",
        epilog="example: fer-hf data ../faces --contact_sheet faces.png",
    )
    parser.add_argument("source", help="what to look at, as for --data")
    parser.add_argument(
        "--contact_sheet", metavar="PNG", help="write a sheet with some pictures of each label"
    )
    data, given = parser.parse_strictly(args)
    data.data = given.source
    splits = data.load()
    names = splits["train"].features["label"].names
    counts = {name: Counter(split["label"][:]) for name, split in splits.items()}
    rows = [
        [label, *(counts[name][index] for name in splits), sum(c[index] for c in counts.values())]
        for index, label in enumerate(names)
    ]
    totals = [len(split) for split in splits.values()]
    rows.append(["total", *totals, sum(totals)])
    print(tabulate(rows, headers=["label", *splits, "all"], tablefmt="simple"))
    sizes = Counter(
        picture.size for picture in splits["train"].select(range(min(200, totals[0])))["image"]
    )
    shown = ", ".join(f"{w}×{h}" for (w, h), _ in sizes.most_common(3))
    more = f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
    print(f"\npictures: {shown}{more} pixels; columns: {', '.join(splits['train'].column_names)}")
    if given.contact_sheet:
        _save_contact_sheet(splits["train"], names, Path(given.contact_sheet))


def _save_contact_sheet(split: "Dataset", names: Sequence[str], path: Path) -> None:
    import numpy as np

    from fer_hf.data.contact_sheet import render_contact_sheet
    from fer_hf.data.pictures import to_rgb

    labels = np.asarray(split["label"][:])
    columns = 10
    chosen = [
        row for label in range(len(names)) for row in np.flatnonzero(labels == label)[:columns]
    ]
    pictures = [to_rgb(picture) for picture in split.select(chosen)["image"]]
    captions = [names[labels[row]] for row in chosen]
    render_contact_sheet(pictures, captions, columns=columns).save(path)
    print(f"contact sheet: {path}")
