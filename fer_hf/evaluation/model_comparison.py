"""Models compared on the same pictures: each scores them once, and its costs are measured."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from datasets import Dataset
from huggingface_hub import try_to_load_from_cache
from PIL import Image

from fer_hf.data.labels import map_labels
from fer_hf.evaluation.metrics.paired import (
    ModelScores,
    check_models,
    compare_scores,
)
from fer_hf.evaluation.reports.paired_comparison import ModelCost, PairedComparison
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.report_files import REPORT_NAME
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.evaluation.scoring import Classifier, score_split

_NUM_TIMED_PICTURES = 30


class SizedClassifier(Classifier, Protocol):
    """A classifier that can say how large its network is."""

    @property
    def num_parameters(self) -> int: ...  # noqa: D102


def compare_models(
    classifiers: Mapping[str, SizedClassifier],
    split: Dataset,
    *,
    data: str,
    split_name: str,
    batch_size: int = 32,
) -> PairedComparison:
    """Score a split with two or more models, time them, and compare them picture by picture.

    Args:
        classifiers: Folder or Hub id to the model opened from it.
        split: Columns `image` and `label`.
        data: Where the pictures come from, for the report.
        split_name: Which split it is, for the report.
        batch_size: Pictures at a time.

    Raises:
        ValueError: Fewer than two models or pictures, labels that a model lacks, or scores that
            are not numbers.
    """
    check_models(list(classifiers))
    models = dict(zip(_name_models(list(classifiers)), classifiers.items(), strict=True))
    # What may be refused comes before minutes of scoring.
    labels = {
        name: _map_labels(split, name, found.label_names) for name, (_, found) in models.items()
    }
    times = _measure_milliseconds(
        {name: found for name, (_, found) in models.items()}, split[:_NUM_TIMED_PICTURES]["image"]
    )
    costs = {
        name: _measure_cost(source, found.num_parameters, times[name])
        for name, (source, found) in models.items()
    }
    scored = [
        ModelScores(
            name,
            score_split(found, split, batch_size=batch_size, with_mirror_images=False)[0],
            labels[name],
            found.label_names,
        )
        for name, (_, found) in models.items()
    ]
    evaluations, differences = compare_scores(scored)
    return PairedComparison(
        data=name_source(data),
        split=split_name,
        evaluations=evaluations,
        differences=differences,
        costs=costs,
        versions=collect_versions(),
    )


def _name_models(sources: Sequence[str]) -> list[str]:
    """Name each model by as much of the end of its path as tells it from the others."""
    parts = [Path(source).parts for source in sources]
    names: list[str] = []
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _map_labels(split: Dataset, name: str, label_names: Sequence[str]) -> np.ndarray:
    try:
        return map_labels(split["label"][:], split.features["label"].names, label_names)
    except ValueError as error:
        raise ValueError(f"Model `{name}`: {error}") from error


def _measure_milliseconds(
    classifiers: Mapping[str, SizedClassifier], pictures: Sequence[Image.Image]
) -> dict[str, float]:
    """Return each model's median time for one picture, the models taking turns.

    On one thread CPU time is what a clock shows on a quiet machine, and on a busy one it stays so.
    """
    seconds: dict[str, list[float]] = {name: [] for name in classifiers}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for picture in pictures:
            for name, classifier in classifiers.items():
                start = time.process_time()
                classifier([picture])
                seconds[name].append(time.process_time() - start)
    finally:
        torch.set_num_threads(num_threads)
    return {name: 1000 * float(np.median(times)) for name, times in seconds.items()}


def _measure_cost(source: str, num_parameters: int, milliseconds: float) -> ModelCost:
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
