"""Measure a trained model on labelled pictures, with 95 % intervals.

example: fer-hf evaluate runs/drawn/drawn-resnetv2 --data my_faces --output_dir report
example: fer-hf evaluate runs/mine --data ../ferplus --split test --data my_faces --split all
example: fer-hf evaluate served --backend onnx-int8 --data my_faces

Labels are matched by name: the data may have fewer than the model. Where several people voted on
the data, they are measured too. --data can be given several times, and --split once for all of
them or once for each. The folder gets report.html, report.json and the pictures in them.
"""

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from datasets import Dataset

    from fer_hf.training.arguments import DataArguments


def main(args: Sequence[str]) -> None:
    """Print how good a model is on one or more splits, and write it where asked."""
    given = _parse(args)
    asked = _match_splits(given.split or [None], len(given.sources))
    _check_folders(given.output_dir, len(given.sources))

    import logging

    from datasets.utils import disable_progress_bars

    from fer_hf.data.splits import select_split
    from fer_hf.evaluation.checkpoint_evaluation import evaluate_checkpoint, save_evaluation
    from fer_hf.evaluation.reports.checkpoint_report import (
        render_side_by_side,
    )
    from fer_hf.evaluation.scoring import join_processes
    from fer_hf.evaluation.seen_pictures import choose_split
    from fer_hf.inference.classifier import ExpressionClassifier

    state = join_processes()
    if not state.is_main_process:
        logging.getLogger("fer_hf").setLevel(logging.ERROR)
        disable_progress_bars()
    classifier = ExpressionClassifier(given.model, backend=given.backend)
    with state.main_process_first():
        loaded = [source.load() for source in given.sources]
    names = [
        name or choose_split([classifier], splits)
        for name, splits in zip(asked, loaded, strict=True)
    ]
    folders = _name_folders(given.output_dir, given.sources, names)
    reports = []
    for source, splits, name, folder in zip(given.sources, loaded, names, folders, strict=True):
        split = select_split(splits, name)
        with state.main_process_first():
            voted = _load_voted(source, name, split)
        report = evaluate_checkpoint(
            classifier,
            split,
            voted,
            data=source.data,
            split_name=name,
            num_corrupted=given.corruption_pictures if given.corruptions else None,
            batch_size=given.batch_size,
            command=_describe_command(args, given.output_dir),
        )
        reports.append(report)
        if state.is_main_process:
            print(report.render())
            if folder:
                print(f"written: {save_evaluation(report, split, classifier, folder)}\n")
    if state.is_main_process and len(reports) > 1:
        print(render_side_by_side(reports))


def _parse(args: Sequence[str]) -> argparse.Namespace:
    """Parse a call; its `.sources` are the settings of each `--data`."""
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    parser.add_argument("model", metavar="MODEL", help="checkpoint folder or Hub id")
    add_shared(parser, "--split", action="append")
    add_shared(parser, "--backend")
    parser.add_argument(
        "--corruptions", action="store_true", help="also measure on corrupted pictures"
    )
    parser.add_argument(
        "--corruption_pictures",
        type=int,
        default=500,
        metavar="N",
        help="on how many, chosen at random (default: 500)",
    )
    add_shared(parser, "--output_dir", help="also write the report here")
    add_shared(parser, "--batch_size")
    given = parse(parser, args)
    # The parser of settings keeps only the last one.
    repeated = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    repeated.add_argument("--data", action="append", default=[])
    sources = repeated.parse_known_args(args)[0].data or [given.pictures.data]
    given.sources = [replace(given.pictures, data=source) for source in sources]
    return given


def _match_splits(names: Sequence[str | None], num_sources: int) -> list[str | None]:
    if len(names) not in (1, num_sources):
        raise ValueError(
            f"Found --split {len(names)} times for {num_sources} sources, expected it once for all "
            "of them, or once for each. Give them in the order of --data."
        )
    return list(names) if len(names) == num_sources else list(names) * num_sources


def _check_folders(output_dir: str | None, num_sources: int) -> None:
    """Refuse what is in use, before minutes of scoring."""
    from fer_hf.evaluation.checkpoint_evaluation import check_report_folder

    if output_dir is None:
        return
    folder = Path(output_dir)
    for entry in folder.iterdir() if num_sources > 1 and folder.is_dir() else [folder]:
        check_report_folder(entry)


def _name_folders(
    output_dir: str | None, sources: "Sequence[DataArguments]", names: Sequence[str]
) -> list[str | None]:
    """Return where each report goes."""
    from fer_hf.evaluation.reports.provenance import name_source

    if output_dir is None or len(sources) == 1:
        return [output_dir] * len(sources)
    parts = [
        re.sub(r"[^\w.-]+", "-", f"{name_source(source.data)}-{name}")
        for source, name in zip(sources, names, strict=True)
    ]
    if len(set(parts)) < len(parts):
        raise ValueError(
            f"Found sources of the same name and split, {parts}, expected a sub-folder of "
            "--output_dir for each. Rename a folder, or evaluate them one by one."
        )
    return [str(Path(output_dir) / part) for part in parts]


def _describe_command(args: Sequence[str], output_dir: str | None) -> str:
    """Return what was typed, without saying where things lie on this machine."""
    from fer_hf.evaluation.reports.provenance import name_source

    words = [word for arg in args for word in (arg.split("=", 1) if arg[:2] == "--" else [arg])]
    shown = [Path(word).name if word == output_dir else name_source(word) for word in words]
    return shlex.join(["fer-hf", "evaluate", *shown])


def _load_voted(data: "DataArguments", name: str, split: "Dataset") -> "Dataset | None":
    """Return all rows of the split that have votes, or None where the data has none."""
    if "votes" not in split.column_names:
        return None
    # No rule leaves rows out of other sources with votes.
    is_ferplus = data.find_layout() == "ferplus"
    return replace(data, vote_rule="all").load_split(name) if is_ferplus else split
