"""Compare models on the same pictures, or the reports of runs.

example: fer-hf compare resnetv2-ferplus runs/mine --data ../ferplus --split validation
example: fer-hf compare runs/drawn/*/ --output_dir runs/drawn

With --data, every model scores the same pictures, and the table says which differences are real.
Without --data, the reports of runs that were trained on the same splits are compared, and the best
run is chosen by its validation figures.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fer_hf.cli.parsing import add_shared, build_parser, parse


def main(args: Sequence[str]) -> None:
    """Print the comparison, and write it where asked."""
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    parser.set_defaults(data=None)
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="checkpoint folder or Hub id; without --data, the output folder of a run",
    )
    add_shared(parser, "--split")
    add_shared(
        parser,
        "--output_dir",
        help="also write the comparison here, as JSON, as Markdown and as a picture",
    )
    add_shared(parser, "--batch_size")
    given = parse(parser, args)
    if given.pictures.data is not None:
        _compare_models(given)
        return
    settings = replace(given.pictures, data=type(given.pictures).data)
    if given.split or settings != type(given.pictures)():
        raise ValueError(
            "Found settings of pictures, but no pictures: expected --data SOURCE with them. Add "
            "it, or leave them out to compare the reports of runs."
        )
    _compare_reports(given)


def _compare_reports(given: Namespace) -> None:
    from fer_hf.evaluation.reports.run_comparison import (
        compare_runs,
        save_comparison,
    )
    from fer_hf.evaluation.reports.run_report import load_report

    comparison = compare_runs({run: load_report(run) for run in given.models})
    print(comparison.render())
    if given.output_dir:
        save_comparison(comparison, given.output_dir)


def _compare_models(given: Namespace) -> None:
    from fer_hf.data.splits import select_split
    from fer_hf.evaluation.metrics.paired import check_models
    from fer_hf.evaluation.model_comparison import compare_models
    from fer_hf.evaluation.reports.paired_comparison import (
        save_paired_comparison,
    )
    from fer_hf.evaluation.seen_pictures import choose_split
    from fer_hf.inference.classifier import ExpressionClassifier

    sources = [_resolve(model) for model in given.models]
    check_models(sources)
    classifiers = {source: ExpressionClassifier(source) for source in sources}
    splits = given.pictures.load()
    split_name = given.split or choose_split([*classifiers.values()], splits)
    comparison = compare_models(
        classifiers,
        select_split(splits, split_name),
        data=given.pictures.data,
        split_name=split_name,
        batch_size=given.batch_size,
    )
    print(comparison.render())
    if given.output_dir:
        print(f"written: {save_paired_comparison(comparison, given.output_dir)}")


def _resolve(model: str) -> str:
    """Return what a model is known by, however its folder is spelled."""
    from fer_hf.models.bundled import locate_model

    model = locate_model(model)
    return str(Path(model).resolve()) if Path(model).is_dir() else model
