"""Run the audit on whole sources, and publish what it finds: counts, no picture.

Writes benchmarks/audit.md. The bundled model learned from FER+'s `train`, so that it doubts
labels there too seldom; test is new to it.

    python benchmarks/audit.py ../shared/data/ferplus ../shared/data/photos
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from datasets import DatasetDict
from tabulate import tabulate

from fer_hf.data import load_splits
from fer_hf.training.frozen.label_audit import AuditReport, LabelAudit, audit

MOST_PAIRS = 8


def render_pictures(report: AuditReport) -> str:
    """Return a table of what is wrong with pictures and their copies."""
    found = report.pictures
    rows = [["unreadable", len(found.unreadable), ""], ["tiny", len(found.tiny), ""]]
    for name, exact in (("the same in every pixel", True), ("nearly the same", False)):
        groups = [group for group in found.duplicates if group.exact == exact]
        for what, some in (
            (name, groups),
            (f"{name}, in several splits", [g for g in groups if g.crosses_splits]),
            (f"{name}, labelled differently", [g for g in groups if g.has_conflict]),
        ):
            rows.append([what, sum(len(group.pictures) for group in some), len(some)])
    return tabulate(rows, ["what", "pictures", "photographs"], "github", intfmt=",")


def render_labels(labels: LabelAudit, splits: DatasetDict) -> str:
    """Return tables of suspicious labels by split and by pair, and what the votes say."""
    suspicious = labels.suspicious
    by_split = Counter(item.picture.split for item in suspicious)
    rows = [
        [split, f"{len(data):,}", by_split[split], f"{100 * by_split[split] / len(data):.1f} %"]
        for split, data in splits.items()
    ]
    pairs = Counter((item.picture.label, item.suggested) for item in suspicious)
    kinds = [[*pair, count] for pair, count in pairs.most_common(MOST_PAIRS)]
    text = (
        f"By features of `{labels.model}`, cross-validated in {labels.num_folds} folds, which "
        f"agrees with {labels.accuracy.value:.1%} of the labels: {len(suspicious):,} suspicious "
        f"labels.\n\n{tabulate(rows, ['split', 'pictures', 'suspicious', 'share'], 'github')}\n\n"
        f"{tabulate(kinds, ['labelled', 'rather', 'pictures'], 'github')}\n"
    )
    if "votes" in splits["train"].column_names:
        text += f"\n{describe_votes(labels, splits)}\n"
    return text


def describe_votes(labels: LabelAudit, splits: DatasetDict) -> str:
    """Say how people voted on the pictures whose labels are suspicious."""
    shares = {}
    for split, data in splits.items():
        votes = np.asarray(data["votes"][:])
        shares[split] = votes / votes.sum(axis=1, keepdims=True)
    names = splits["train"].features["label"].names
    doubted = [
        shares[item.picture.split][item.picture.row][
            [names.index(item.picture.label), names.index(item.suggested)]
        ]
        for item in labels.suspicious
    ]
    given, suggested = np.mean(doubted, axis=0)
    everywhere = np.concatenate(
        [shares[split][np.arange(len(data)), data["label"][:]] for split, data in splits.items()]
    )
    return (
        f"People's votes for an emotion bear it out: on all pictures {everywhere.mean():.0%} are "
        f"for the label; where it is suspicious {given:.0%}, and {suggested:.0%} for the label "
        "suggested."
    )


def main() -> None:
    """Audit each source and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", help="the pictures, as for --data")
    given = parser.parse_args()
    first, *_, caveat = __doc__.split("\n\n")[:2]
    text = f"{first}\n\nWritten by `python benchmarks/audit.py`. {caveat.partition('. ')[2]}\n"
    for source in given.sources:
        splits = load_splits(source)
        report = audit(splits, source)
        total = sum(map(len, splits.values()))
        text += f"\n## {report.data}: {total:,} pictures\n\n"
        text += f"{render_pictures(report)}\n"
        if report.labels:
            text += f"\n{render_labels(report.labels, splits)}"
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
