"""A head for a handful of pictures, in seconds: logistic regression on cached features.

Trainer's small steps suit thousands of pictures; for a few dozen, `inference.linear_head` finds the
optimum at once. An existing checkpoint can also learn here when it is not sure.
"""

import json
import os
import time
from pathlib import Path

import torch
from datasets import Dataset

from fer_hf.data.labels import map_labels, map_votes
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.not_sure import CONFIG_KEY, NotSure
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.reports.report_files import write_text_atomically
from fer_hf.evaluation.reports.run_report import RunReport
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.linear_head import fit_head
from fer_hf.models import get_head_parameters
from fer_hf.models.bundled import BUNDLED_MODEL
from fer_hf.models.checkpoint_files import read_json
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import load_features, load_frozen
from fer_hf.training.results import fit_when_not_sure, save_run


def fit(
    pictures: Dataset,
    data: str,
    output_dir: Path,
    *,
    model_name_or_path: str = BUNDLED_MODEL,
    num_views: int = 2,
    seed: int = 0,
    use_cache: bool = True,
) -> RunReport:
    """Fit a head to all pictures on a frozen backbone, and leave a checkpoint, report and card.

    Args:
        pictures: Columns `image` and `label`.
        data: Where they come from, for the report.
        output_dir: A new or empty folder.
        model_name_or_path: As for `load_model`; one that was trained on faces.
        num_views: Of each picture: itself, mirrored, then augmented ones.
        seed: Decides the folds.
        use_cache: Whether the features may be kept on disk for the next time.

    Raises:
        ValueError: A label with fewer than two pictures, or a model without a linear head.
    """
    start = time.perf_counter()
    label_names = pictures.features["label"].names
    loaded = load_frozen(model_name_or_path, label_names)
    faces = FaceDataset(pictures, loaded.image_processor, seed=seed)
    cached = load_features(loaded.model, faces, num_views=num_views, use_cache=use_cache)
    labels = faces.labels.numpy()
    head = fit_head(cached.features.flatten(2).numpy(), labels, seed=seed)
    with torch.no_grad():
        for parameter, fitted in zip(
            get_head_parameters(loaded.model), (head.weight, head.bias), strict=True
        ):
            parameter.copy_(torch.from_numpy(fitted).view_as(parameter))
    fit_when_not_sure(loaded, head.held_out_scores, pictures)
    return save_run(
        loaded,
        {"train": pictures},
        output_dir,
        model_name_or_path=model_name_or_path,
        data=data,
        fine_tuned="head",
        seed=seed,
        settings={
            "method": "logistic regression on frozen features",
            "strength": head.strength,
            "temperature": head.temperature,
            "num_folds": head.num_folds,
            "feature_views": num_views,
        },
        train_seconds=time.perf_counter() - start,
        evaluations={"validation": evaluate_scores(head.held_out_scores, labels, label_names)},
        history=[],
    )


def add_not_sure(
    checkpoint_dir: str | os.PathLike[str],
    validation: Dataset,
    *,
    coverage: float = 0.9,
    batch_size: int = 32,
) -> NotSure:
    """Fit when an existing checkpoint is not sure, and write that into its `config.json`.

    Args:
        checkpoint_dir: A folder with `config.json`, in which nothing else is changed.
        validation: Columns `image`, `label` and possibly `votes`, of pictures that training has
            not seen and that are not those of test. Labels are matched by name.
        coverage: As for `fit_not_sure`.
        batch_size: Pictures at a time.

    Raises:
        ValueError: Not an image classifier, labels that it lacks, or a value out of its range.
        OSError: The checkpoint is not a folder, or cannot be read or written.
    """
    path = Path(checkpoint_dir) / "config.json"
    config = read_json(path)
    classifier = ExpressionClassifier(str(checkpoint_dir))
    names, data_names = classifier.label_names, validation.features["label"].names
    labels = map_labels(validation["label"][:], data_names, names)
    votes = None
    if "votes" in validation.column_names:
        votes, _ = map_votes(validation["votes"][:], data_names, names)
    (scores,) = score_split(classifier, validation, batch_size=batch_size, with_mirror_images=False)
    not_sure = fit_not_sure(scores, labels, votes, coverage)
    # As transformers writes it.
    text = json.dumps({**config, CONFIG_KEY: not_sure.to_dict()}, indent=2, sort_keys=True)
    write_text_atomically(path, text + "\n")
    return not_sure
