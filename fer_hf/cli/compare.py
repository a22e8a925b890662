"""`fer-hf compare`: models on the same pictures, or the reports of runs on the same splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

    from fer_hf.evaluation.metrics.paired import ModelCost, PairedComparison
    from fer_hf.inference.classifier import ExpressionClassifier
    from fer_hf.training.arguments import DataArguments

_EPILOG = """\
example: fer-hf compare resnetv2-ferplus runs/mine --data ../ferplus --split validation
example: fer-hf compare runs/drawn/*/ --output_dir runs/drawn

With --data, all models are asked about the same pictures, and the table says which differences are
real. Without, the reports of runs that were trained on the same splits are compared, and one run
is chosen by its validation figures.
"""
_NUM_TIMED_PICTURES = 30


def main(args: Sequence[str]) -> None:
    """Print the comparison, and write it where asked."""
    import argparse
    from dataclasses import replace

    from fer_hf.data.splits import SPLITS, split_name
    from fer_hf.training.arguments import DataArguments, StrictParser

    parser = StrictParser(
        DataArguments,
        prog="fer-hf compare",
        description="Compare models on the same pictures, or the reports of runs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(data=None)
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="checkpoint folder or Hub id; without --data the output folder of a run",
    )
    parser.add_argument(
        "--split",
        type=lambda name: split_name(name) or name,
        choices=[*SPLITS, "all"],
        help="with --data: which pictures (default: test)",
    )
    parser.add_argument(
        "--output_dir",
        metavar="FOLDER",
        help="also write the comparison here, as JSON, Markdown and a picture",
    )
    parser.add_argument("--batch_size", type=int, default=32, help="pictures at a time")
    data, given = parser.parse_strictly(args)
    if data.data is not None:
        _compare_models(given, data)
    elif given.split or replace(data, data=DataArguments.data) != DataArguments():
        raise ValueError(
            "Found settings of pictures, but no pictures: expected --data SOURCE with them. Add "
            "it, or leave them out to compare the reports of runs."
        )
    else:
        _compare_reports(given)


def _compare_reports(given: Any) -> None:
    from fer_hf.evaluation.reports.comparison import compare_runs
    from fer_hf.evaluation.reports.comparison_table import render_comparison, save_comparison
    from fer_hf.evaluation.reports.run_report import load_report

    comparison = compare_runs({run: load_report(run) for run in given.models})
    print(render_comparison(comparison))
    if given.output_dir:
        save_comparison(comparison, given.output_dir)


def _compare_models(given: Any, data: "DataArguments") -> None:
    from transformers.utils import logging as transformers_logging

    from fer_hf.evaluation.metrics.paired import check_models
    from fer_hf.evaluation.reports.paired_table import (
        render_paired_comparison,
        save_paired_comparison,
    )
    from fer_hf.inference.classifier import ExpressionClassifier

    sources = [_resolve(model) for model in given.models]
    check_models(sources)
    transformers_logging.disable_progress_bar()
    classifiers = {source: ExpressionClassifier(source) for source in sources}
    comparison = _compare(classifiers, data, given.split or "test", given.batch_size)
    print(render_paired_comparison(comparison))
    if given.output_dir:
        print(f"written: {save_paired_comparison(comparison, given.output_dir)}")


def _compare(
    classifiers: "Mapping[str, ExpressionClassifier]",
    data: "DataArguments",
    name: str,
    batch_size: int,
) -> "PairedComparison":
    from fer_hf.evaluation.metrics.paired import ModelScores, PairedComparison, compare_scores
    from fer_hf.evaluation.reports.provenance import collect_versions, name_source
    from fer_hf.evaluation.scoring import score_split

    split = data.load_split(name)
    names = _name_models(list(classifiers))
    # What may be refused comes before minutes of scoring.
    labels = {
        source: _map_labels(split, names[source], classifier)
        for source, classifier in classifiers.items()
    }
    times = _measure_milliseconds(classifiers, split[:_NUM_TIMED_PICTURES]["image"])
    costs = {
        names[source]: _measure_cost(source, classifier.num_parameters, times[source])
        for source, classifier in classifiers.items()
    }
    evaluations, differences = compare_scores(
        [
            ModelScores(
                names[source],
                score_split(classifier, split, batch_size=batch_size, with_mirror_images=False)[0],
                labels[source],
                classifier.label_names,
            )
            for source, classifier in classifiers.items()
        ]
    )
    return PairedComparison(
        data=name_source(data.data),
        split=name,
        evaluations=evaluations,
        differences=differences,
        costs=costs,
        versions=collect_versions(),
    )


def _resolve(model: str) -> str:
    """Return what a model is known by, however its folder is spelled."""
    from fer_hf.models.bundled import locate_model

    model = locate_model(model)
    return str(Path(model).resolve()) if Path(model).is_dir() else model


def _name_models(sources: Sequence[str]) -> dict[str, str]:
    """Name each model by as much of the end of its path as tells it from the others."""
    parts = [Path(source).parts for source in sources]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return dict(zip(sources, names, strict=True))


def _map_labels(split: "Dataset", name: str, classifier: "ExpressionClassifier") -> Any:
    from fer_hf.data.labels import map_labels

    try:
        data_names = split.features["label"].names
        return map_labels(split["label"][:], data_names, classifier.label_names)
    except ValueError as error:
        raise ValueError(f"Model `{name}`: {error}") from error


def _measure_milliseconds(
    classifiers: "Mapping[str, ExpressionClassifier]", pictures: "Sequence[Image.Image]"
) -> dict[str, float]:
    """Return the median time of one picture, the models taking turns.

    On one thread CPU time is what a clock shows on a quiet machine, and on a busy one it stays so.
    """
    import time
    from statistics import median

    import torch

    seconds: dict[str, list[float]] = {source: [] for source in classifiers}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for picture in pictures:
            for source, classifier in classifiers.items():
                start = time.process_time()
                classifier([picture])
                seconds[source].append(time.process_time() - start)
    finally:
        torch.set_num_threads(num_threads)
    return {source: 1000 * median(times) for source, times in seconds.items()}


def _measure_cost(source: str, num_parameters: int, milliseconds: float) -> "ModelCost":
    from huggingface_hub import try_to_load_from_cache

    from fer_hf.evaluation.metrics.paired import ModelCost
    from fer_hf.evaluation.reports.run_report import REPORT_NAME, load_report

    folder = Path(source)
    report = load_report(folder) if (folder / REPORT_NAME).is_file() else None
    if folder.is_dir():
        files = list(folder.glob("model*.safetensors"))
    else:
        cached = try_to_load_from_cache(source, "model.safetensors")
        files = [Path(cached)] if isinstance(cached, str) else []
    return ModelCost(
        num_parameters=num_parameters,
        file_megabytes=sum(file.stat().st_size for file in files) / 1e6 if files else None,
        milliseconds=milliseconds,
        accuracy_gap=report.accuracy_gap if report else None,
        loss_gap=report.loss_gap if report else None,
    )
