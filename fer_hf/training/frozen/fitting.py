"""A head for a handful of pictures, in seconds: logistic regression on cached features.

Trainer's small steps suit thousands of pictures; for a few dozen scikit-learn finds the optimum at
once, and cross-validation says how good it is without holding pictures back. An existing checkpoint
can also learn here when it is not sure.
"""

import json
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_hf.data.labels import map_labels, map_votes
from fer_hf.evaluation.metrics.calibration import fit_temperature
from fer_hf.evaluation.metrics.evaluation import compute_metrics, evaluate_scores
from fer_hf.evaluation.metrics.not_sure import CONFIG_KEY, NotSure
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.reports.report_files import write_text_atomically
from fer_hf.evaluation.reports.run_report import RunReport
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import get_head_parameters
from fer_hf.models.bundled import BUNDLED_MODEL
from fer_hf.models.checkpoint_files import read_json
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import load_features, load_frozen
from fer_hf.training.results import fit_when_not_sure, save_run

Floats = npt.NDArray[np.float64]
Folds = list[tuple[npt.NDArray, npt.NDArray]]

MOST_FOLDS = 5
# Inverse strengths of the L2 penalty, as scikit-learn counts them.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class FittedHead:
    """A linear head, and how it did in cross-validation.

    Attributes:
        weight: Shape (num_labels, D).
        bias: Shape (num_labels,).
        held_out_scores: Shape (N, num_labels), of each picture by a head that had not seen it.
        strength: Inverse strength of the penalty, chosen by the NLL of those scores.
        temperature: Divisor of the logits that calibrates them; the weights include it.
        num_folds: Of the cross-validation.
    """

    weight: Floats
    bias: Floats
    held_out_scores: Floats
    strength: float
    temperature: float
    num_folds: int


def fit_head(features: npt.ArrayLike, labels: npt.ArrayLike, *, seed: int = 0) -> FittedHead:
    """Fit a linear head by cross-validated logistic regression, and calibrate it.

    Folds are stratified: five, or as many as the commonest label has pictures. All views of a
    picture are in the same fold.

    Args:
        features: Shape (views, N, D); all views are learnt, the first one is scored.
        labels: (N,) integers from 0 on, each at least twice.
        seed: Decides the folds.

    Raises:
        ValueError: A label with fewer than two pictures.
    """
    views, label_ids = np.asarray(features, dtype=np.float64), np.asarray(labels)
    counts = np.bincount(label_ids)
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError(
            f"Labels have {counts.tolist()} pictures, expected two labels or more with two "
            "pictures or more each. Add pictures, or remove the label."
        )
    folds = list_folds(label_ids, seed)
    held_out = {
        strength: compute_held_out_logits(views, label_ids, folds, strength)
        for strength in STRENGTHS
    }
    strength = min(
        STRENGTHS, key=lambda c: compute_metrics(compute_softmax(held_out[c]), label_ids)["nll"]
    )
    temperature = fit_temperature(held_out[strength], label_ids)
    weight, bias = _solve(views, label_ids, strength)
    return FittedHead(
        weight=weight / temperature,
        bias=bias / temperature,
        held_out_scores=compute_softmax(held_out[strength] / temperature),
        strength=strength,
        temperature=temperature,
        num_folds=len(folds),
    )


def compute_held_out_logits(
    views: Floats, labels: npt.NDArray, folds: Folds, strength: float
) -> Floats:
    """Return logits (N, num_labels) of first views, each by a head that had not seen the picture.

    Features, labels and folds are those of `fit_head`; 1 / `strength` is the L2 penalty.
    """
    logits = np.zeros((len(labels), labels.max() + 1))
    for train, test in folds:
        weight, bias = _solve(views[:, train], labels[train], strength)
        logits[test] = views[0, test] @ weight.T + bias
    return logits


def list_folds(labels: npt.NDArray, seed: int = 0) -> Folds:
    """Return the rows to learn from and the rows held out, for each fold of `fit_head`.

    Each label with two pictures or more is among the rows to learn from in every fold.
    """
    num_folds = int(min(MOST_FOLDS, np.bincount(labels).max()))
    splitter = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A label with fewer pictures than folds is held out in some of them only.
        warnings.filterwarnings("ignore", "The least populated class")
        return list(splitter.split(labels, labels))


def _solve(views: Floats, labels: npt.NDArray, strength: float) -> tuple[Floats, Floats]:
    """Return weight (num_labels, D) and bias (num_labels,) for features that are not scaled."""
    rows = views.reshape(-1, views.shape[-1])
    scaler, regression = StandardScaler(), LogisticRegression(C=strength, max_iter=1000)
    make_pipeline(scaler, regression).fit(rows, np.tile(labels, len(views)))
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # of two labels, only the second one's logit
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / scaler.scale_
    return weight, bias - weight @ scaler.mean_


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
