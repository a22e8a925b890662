"""Load a source of labelled pictures and show what was found.

example: fer-hf data ../faces --contact_sheet faces.png
example: fer-hf data ferplus --fer2013 fer2013.csv --votes fer2013new.csv
example: fer-hf data cache --clear
"""

import logging
import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from datasets import Dataset


def main(args: Sequence[str]) -> None:
    """Print the counts of each label in each split; or build FER+; or show the feature cache."""
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    add_shared(parser, "source")
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
    given = parse(parser, args)
    if given.clear or (given.source == "cache" and not Path("cache").exists()):
        _show_cache(given)
    elif {given.fer2013, given.votes, given.output_dir} != {None}:
        _build_ferplus(given)
    else:
        _show(given)


def _show_cache(given: Namespace) -> None:
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


def _build_ferplus(given: Namespace) -> None:
    """Build FER+; print its row counts and what to do next.

    Raises:
        ValueError: A call that lacks --fer2013, or asks for something else as well.
    """
    from fer_hf.data.layouts.ferplus_build import build_ferplus

    defaults = type(given.pictures)(data=given.source)
    has_others = given.pictures != defaults or given.contact_sheet is not None
    if given.source != "ferplus" or not given.fer2013 or has_others:
        flags = [f"--{name}" for name in ("fer2013", "votes", "output_dir") if vars(given)[name]]
        raise ValueError(
            f"Found {', '.join(flags)}{' and other flags' if has_others else ''} with the source "
            f"{given.source!r}. To build FER+ say: fer-hf data ferplus --fer2013 fer2013.csv "
            "[--votes fer2013new.csv] [--output_dir FOLDER]"
        )
    output_dir = given.output_dir or "ferplus"
    votes = Path(given.votes) if given.votes else None
    counts = build_ferplus(Path(given.fer2013), votes, Path(output_dir))
    for split, count in (*counts.items(), ("total", sum(counts.values()))):
        print(f"{split:10}  {count:6,}")
    folder = shlex.quote(output_dir)
    print(f"\nnext: accelerate launch train.py --data {folder} --config resnetv2-ferplus")


def _show(given: Namespace) -> None:
    from fer_hf.data.audit.label_counts import count_labels, render_label_counts

    # What is logged of the source is printed below, for whoever reads only that.
    log = logging.getLogger("fer_hf.data.sources")
    log.addFilter(_is_warning)
    try:
        splits = given.pictures.load()
    finally:
        log.removeFilter(_is_warning)
    train = splits["train"]
    print(f"understood as {train.info.description}\n")
    print(render_label_counts(count_labels(splits)))
    sizes = Counter(picture.size for picture in train[:200]["image"])
    shown = ", ".join(f"{w}×{h}" for (w, h), _ in sizes.most_common(3))
    more = f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
    print(f"\npictures: {shown}{more} pixels; columns: {', '.join(train.column_names)}")
    if given.contact_sheet:
        _save_contact_sheet(train, Path(given.contact_sheet))


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _save_contact_sheet(split: "Dataset", path: Path) -> None:
    import numpy as np

    from fer_hf.data.audit.contact_sheet import render_contact_sheet
    from fer_hf.data.pictures import to_rgb

    names, labels = split.features["label"].names, np.asarray(split["label"][:])
    columns = 10
    chosen = [
        row for label in range(len(names)) for row in np.flatnonzero(labels == label)[:columns]
    ]
    pictures = [to_rgb(picture) for picture in split.select(chosen)["image"]]
    captions = [names[labels[row]] for row in chosen]
    render_contact_sheet(pictures, captions, columns=columns).save(path)
    print(f"contact sheet: {path}")
