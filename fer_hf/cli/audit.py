"""Find unreadable, tiny and duplicate pictures, and labels that a model doubts.

Rows count from 0 in the splits as they are loaded; where a source has no splits of its own, they
are made as for training. Label issues are for people to judge: --strict does not count them.

example: fer-hf audit my_faces --output_dir audit
example: fer-hf audit ../ferplus --no_labels --strict
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from datasets import DatasetDict

    from fer_hf.data.audit.picture_audit import DuplicateGroup, Picture, PictureAudit
    from fer_hf.training.arguments import DataArguments
    from fer_hf.training.frozen.label_audit import LabelAudit


def main(args: Sequence[str]) -> None:
    """Print what was found, and write it where asked.

    Raises:
        RuntimeError: `--strict` was asked for and something is wrong with the pictures.
    """
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    add_shared(parser, "source")
    add_shared(
        parser,
        "--output_dir",
        help="also write audit.json here, with every row, and contact sheets of what was found",
    )
    parser.add_argument(
        "--no_labels",
        action="store_true",
        help="do not look for label issues (the model takes minutes for 30,000 pictures, once)",
    )
    add_shared(
        parser, "--model", help="the model that checks the labels (default: the bundled model)"
    )
    parser.add_argument(
        "--most", type=int, default=5, help="how many of each kind to print (default: 5)"
    )
    given = parse(parser, args)

    from fer_hf.training.frozen.label_audit import audit, save_audit
    from fer_hf.training.run_folder import claim_output_dir

    if given.output_dir:
        claim_output_dir(Path(given.output_dir), resume=False, overwrite=False)
    splits, unreadable = _load(given.pictures)
    report = audit(
        splits,
        given.source,
        unreadable=unreadable,
        model_name_or_path=None if given.no_labels else given.model,
    )
    _show_pictures(report.pictures, given.most)
    if report.labels:
        _show_labels(report.labels, given.most)
    if given.output_dir:
        print(f"\nwritten: {', '.join(map(str, save_audit(report, splits, given.output_dir)))}")
    problems = report.pictures.list_problems()
    if given.pictures.strict and problems:
        raise RuntimeError(f"Found {', '.join(problems)}, expected none with --strict.")


def _load(pictures: "DataArguments") -> "tuple[DatasetDict, list[str]]":
    """Load what can be read; return it with what cannot, in words."""
    from fer_hf.data.sources import UnreadablePicturesError

    try:
        return replace(pictures, skip_unreadable=False).load(check=False), []
    except UnreadablePicturesError as error:
        return replace(pictures, skip_unreadable=True).load(check=False), error.pictures


def _show_pictures(found: "PictureAudit", most: int) -> None:
    from fer_hf.data.audit.label_counts import render_label_counts

    print(render_label_counts(found.label_counts))
    print("\n" + ("\n".join(found.list_problems()) or "nothing wrong with the pictures"))
    _list("unreadable", found.unreadable, most)
    tiny = [f"{_name(item.picture)}: {item.width}×{item.height}" for item in found.tiny]
    _list("tiny", tiny, most)
    if found.duplicates:
        _show_duplicates(found.duplicates, most)


def _show_duplicates(groups: "Sequence[DuplicateGroup]", most: int) -> None:
    from fer_hf.evaluation.reports.blocks import Table

    print()
    rows = []
    for name, exact in (("in every pixel", True), ("nearly", False)):
        chosen = [group for group in groups if group.exact == exact]
        counts = [
            len(chosen),
            sum(len(group.pictures) for group in chosen),
            sum(group.crosses_splits for group in chosen),
            sum(group.has_conflict for group in chosen),
        ]
        rows += [[name, *(f"{count:,}" for count in counts)]] if chosen else []
    headers = ["identical", "photographs", "pictures", "in several splits", "labels differ"]
    print(Table(headers, rows).to_text())
    duplicates = [
        " = ".join(f"{_name(picture)} ({picture.label})" for picture in group.pictures[:4])
        + (" = …" if group.pictures[4:] else "")
        for group in groups
    ]
    order = "those with different labels first, then those in several splits"
    _list(f"duplicates, {order}", duplicates, most)


def _show_labels(found: "LabelAudit", most: int) -> None:
    accuracy = found.accuracy
    print(
        f"\n{len(found.suspicious):,} label issues, according to {found.model}: cross-validated in "
        f"{found.num_folds} folds, it agrees with {accuracy.value:.1%} "
        f"({accuracy.low:.1%}–{accuracy.high:.1%}) of the labels"
    )
    if found.unchecked:
        print(f"not checked, with a single picture each: {', '.join(found.unchecked)}")
    lines = [
        f"{_name(item.picture)}: {item.picture.label} {item.score:.2f}, "
        f"{item.suggested} {item.suggested_score:.2f}"
        for item in found.suspicious
    ]
    _list("clearest label issues, with the model's scores", lines, most)


def _list(title: str, lines: Sequence[str], most: int) -> None:
    if lines and most > 0:
        print(f"\n{title}:")
        print("\n".join(f"  {line}" for line in lines[:most]))
        if lines[most:]:
            print(f"  … and {len(lines) - most:,} more")


def _name(picture: "Picture") -> str:
    return f"{picture.split} {picture.row}" + (f" {picture.name}" if picture.name else "")
