"""`fer-hf data`: show a source of pictures, build FER+, or look after the feature cache."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

    from fer_hf.training.arguments import DataArguments

_EPILOG = """\
example: fer-hf data ../faces --contact_sheet faces.png
example: fer-hf data ferplus --fer2013 fer2013.csv --votes fer2013new.csv
example: fer-hf data cache --clear
"""


def main(args: Sequence[str]) -> None:
    """Print the counts of each label in each split; or build FER+; or show the feature cache."""
    from fer_hf.training.arguments import DataArguments, StrictParser

    parser = StrictParser(
        DataArguments,
        prog="fer-hf data",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Load a source of labelled pictures and show what was found.",
        epilog=_EPILOG,
    )
    parser.add_argument("source", help="what to look at, as for --data")
    parser.add_argument(
        "--contact_sheet", metavar="PNG", help="write a sheet with some pictures of each label"
    )
    building = parser.add_argument_group("building FER+ from its two public originals")
    building.add_argument("--fer2013", metavar="CSV", help="the challenge's fer2013.csv")
    building.add_argument(
        "--votes", metavar="CSV", help="FER+'s fer2013new.csv (default: the one beside --fer2013)"
    )
    building.add_argument(
        "--output_dir", metavar="FOLDER", help="where the Parquet files go (default: ferplus)"
    )
    caching = parser.add_argument_group("the cache of features of frozen backbones")
    caching.add_argument("--clear", action="store_true", help="with the source `cache`: empty it")
    data, given = parser.parse_strictly(args)
    if given.clear or (given.source == "cache" and not Path("cache").exists()):
        _show_cache(given)
        return
    if {given.fer2013, given.votes, given.output_dir} != {None}:
        _build_ferplus(given, others=data != DataArguments() or given.contact_sheet is not None)
        return
    data.data = given.source
    _show(data, given.contact_sheet)


def _show_cache(given: argparse.Namespace) -> None:
    """Print where features are kept and how many; empty the cache if asked.

    Raises:
        ValueError: --clear with a source of pictures.
    """
    from fer_hf.training.frozen.feature_cache import clear_cache, get_cache_folder, list_entries

    if given.source != "cache":
        raise ValueError(
            f"Found --clear with the source {given.source!r}, expected: fer-hf data cache --clear"
        )
    entries = list_entries()
    if given.clear:
        clear_cache()
    did = "freed" if given.clear else "in use"
    size = sum(entries.values()) / 1e6
    print(f"{get_cache_folder()}: {len(entries)} entries, {size:,.1f} MB {did}")


def _build_ferplus(given: argparse.Namespace, *, others: bool) -> None:
    """Build FER+; print its row counts and what to do next.

    Raises:
        ValueError: A call that lacks --fer2013, or asks for something else (`others`) as well.
    """
    from fer_hf.data.layouts.ferplus_build import build_ferplus

    if given.source != "ferplus" or not given.fer2013 or others:
        flags = [f"--{name}" for name in ("fer2013", "votes", "output_dir") if vars(given)[name]]
        raise ValueError(
            f"Found {', '.join(flags)}{' and other flags' if others else ''} with the source "
            f"{given.source!r}. To build FER+ say: fer-hf data ferplus --fer2013 fer2013.csv "
            "[--votes fer2013new.csv] [--output_dir FOLDER]"
        )
    output_dir = given.output_dir or "ferplus"
    votes = Path(given.votes) if given.votes else None
    counts = build_ferplus(Path(given.fer2013), votes, Path(output_dir))
    for split, count in counts.items():
        print(f"{split:10}  {count:6,}")
    print(f"{'total':10}  {sum(counts.values()):6,}")
    folder = shlex.quote(output_dir)
    print(f"\nnext: accelerate launch train.py --data {folder} --config resnetv2-ferplus")


def _show(data: "DataArguments", contact_sheet: str | None) -> None:
    from collections import Counter

    from tabulate import tabulate

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
    if contact_sheet:
        _save_contact_sheet(splits["train"], names, Path(contact_sheet))


def _save_contact_sheet(split: "Dataset", names: Sequence[str], path: Path) -> None:
    import numpy as np

    from fer_hf.data.audit.contact_sheet import render_contact_sheet
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
