"""`fer-hf audit`: what is wrong with a source of pictures and its labels, in one report."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import DatasetDict

    from fer_hf.data.audit.picture_audit import Picture, PictureAudit
    from fer_hf.training.arguments import DataArguments
    from fer_hf.training.frozen.label_audit import AuditReport, LabelAudit

_EPILOG = """\
Rows count from 0 in the splits as they are loaded; where a source has no splits of its own, they
are made as for training. What a model doubts is for people to judge: --strict does not count it.

example: fer-hf audit my_faces --output_dir audit
example: fer-hf audit ../ferplus --no_labels --strict
"""


def main(args: Sequence[str]) -> None:
    """Print what was found, and write it where asked.

    Raises:
        RuntimeError: `--strict` was asked for and something is wrong with the pictures.
    """
    import argparse
    from pathlib import Path

    from transformers.utils import logging as transformers_logging

    from fer_hf.models.bundled import BUNDLED_MODEL
    from fer_hf.training.arguments import DataArguments, StrictParser
    from fer_hf.training.frozen.label_audit import audit, save_audit
    from fer_hf.training.run_folder import claim_output_dir

    parser = StrictParser(
        DataArguments,
        prog="fer-hf audit",
        description="Find unreadable, tiny and duplicate pictures, and labels a model doubts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="the pictures, as for --data")
    parser.add_argument(
        "--output_dir",
        metavar="FOLDER",
        help="also write audit.json here, with every row, and contact sheets of what was found",
    )
    parser.add_argument(
        "--no_labels",
        action="store_true",
        help="look for no suspicious labels (the first time, a model needs minutes for 30,000)",
    )
    parser.add_argument(
        "--model", default=BUNDLED_MODEL, help="that model (default: the model in the box)"
    )
    parser.add_argument("--most", type=int, default=5, help="of each kind to print (default: 5)")
    data, given = parser.parse_strictly(args)
    data.data = given.source
    transformers_logging.disable_progress_bar()
    if given.output_dir:
        claim_output_dir(Path(given.output_dir), resume=False, overwrite=False)
    splits, unreadable = _load(data)
    report = audit(
        splits,
        given.source,
        unreadable=unreadable,
        model_name_or_path=None if given.no_labels else given.model,
    )
    _show(report, given.most)
    if given.output_dir:
        print(f"\nwritten: {', '.join(map(str, save_audit(report, splits, given.output_dir)))}")
    problems = report.pictures.list_problems()
    if data.strict and problems:
        raise RuntimeError(f"Found {', '.join(problems)}, expected none with --strict.")


def _load(data: "DataArguments") -> "tuple[DatasetDict, list[str]]":
    """Load what can be read; return it with what cannot, in words."""
    from dataclasses import replace

    from fer_hf.data.sources import UnreadablePicturesError

    try:
        return replace(data, skip_unreadable=False).load_unchecked(), []
    except UnreadablePicturesError as error:
        return replace(data, skip_unreadable=True).load_unchecked(), error.pictures


def _show(report: "AuditReport", most: int) -> None:
    counts = report.pictures.label_counts
    labels = list(next(iter(counts.values())))
    rows = {label: [of[label] for of in counts.values()] for label in labels}
    rows["total"] = [sum(of.values()) for of in counts.values()]
    _print_table(rows, ["label", *counts])
    _show_pictures(report.pictures, most)
    if report.labels:
        _show_labels(report.labels, most)


def _show_pictures(found: "PictureAudit", most: int) -> None:
    print("\n" + ("\n".join(found.list_problems()) or "nothing wrong with the pictures"))
    _list("unreadable", found.unreadable, most)
    tiny = [f"{_name(item.picture)}: {item.width}×{item.height}" for item in found.tiny]
    _list("tiny", tiny, most)
    if found.duplicates:
        print()
        rows = {
            name: [
                len(groups),
                sum(len(group.pictures) for group in groups),
                sum(group.crosses_splits for group in groups),
                sum(group.has_conflict for group in groups),
            ]
            for name, exact in (("in every pixel", True), ("nearly", False))
            if (groups := [group for group in found.duplicates if group.exact == exact])
        }
        headers = ["the same", "photographs", "pictures", "in several splits", "labels differ"]
        _print_table(rows, headers)
    copies = [
        " = ".join(f"{_name(picture)} ({picture.label})" for picture in group.pictures[:4])
        + (" = …" if group.pictures[4:] else "")
        for group in found.duplicates
    ]
    _list("copies, those with different labels first, then those in several splits", copies, most)


def _show_labels(found: "LabelAudit", most: int) -> None:
    accuracy = found.accuracy
    print(
        f"\n{len(found.suspicious):,} suspicious labels, by {found.model}: "
        f"cross-validated in {found.num_folds} folds, it agrees with {accuracy.value:.1%} "
        f"({accuracy.low:.1%}–{accuracy.high:.1%}) of the labels"
    )
    if found.unchecked:
        print(f"not checked, with a single picture each: {', '.join(found.unchecked)}")
    lines = [
        f"{_name(item.picture)}: {item.picture.label} {item.score:.2f}, "
        f"{item.suggested} {item.suggested_score:.2f}"
        for item in found.suspicious
    ]
    _list("most suspicious, with the model's scores", lines, most)


def _print_table(rows: Mapping[str, Sequence[int]], headers: Sequence[str]) -> None:
    from tabulate import tabulate

    shown = [[name, *(f"{count:,}" for count in counts)] for name, counts in rows.items()]
    align = ("left", *("right" for _ in headers[1:]))
    print(tabulate(shown, headers, "simple", colalign=align, disable_numparse=True))


def _list(title: str, lines: Sequence[str], most: int) -> None:
    if lines and most > 0:
        print(f"\n{title}:")
        print("\n".join(f"  {line}" for line in lines[:most]))
        if lines[most:]:
            print(f"  … and {len(lines) - most:,} more")


def _name(picture: "Picture") -> str:
    return f"{picture.split} {picture.row}" + (f" {picture.name}" if picture.name else "")
