"""A head for a handful of pictures, in seconds: logistic regression on cached features.

Trainer's small steps suit thousands of pictures; of a few dozen scikit-learn finds the optimum at
once, and cross-validation says how good it is without a picture to spare. Also without Trainer, an
existing checkpoint learns here when it is not sure.
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

from fer_hf.data.audit.fingerprints import compute_fingerprints, save_fingerprints
from fer_hf.data.labels import map_labels, map_votes
from fer_hf.evaluation.metrics.calibration import fit_temperature
from fer_hf.evaluation.metrics.evaluation import compute_metrics, evaluate_scores
from fer_hf.evaluation.metrics.not_sure import CONFIG_KEY, NotSure
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.thresholds import fit_not_sure
from fer_hf.evaluation.people.human import compute_constant_answer
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.report_files import write_text_atomically
from fer_hf.evaluation.reports.run_report import RunReport, save_report
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier, keep_not_sure
from fer_hf.models import LoadedModel, freeze_backbone, get_head_parameters, load_model
from fer_hf.models.bundled import BUNDLED_MODEL
from fer_hf.publishing.model_card import CARD_NAME, render_model_card
from fer_hf.training.augmentation import FaceDataset
from fer_hf.training.frozen.features import load_features

Floats = npt.NDArray[np.float64]

MOST_FOLDS = 5
# Inverse strengths of the L2 penalty, as scikit-learn counts them.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class FittedHead:
    """A linear head, and what cross-validation says of it.

    Attributes:
        weight: Shape (num_labels, D).
        bias: Shape (num_labels,).
        held_out_scores: Shape (N, num_labels), of each picture by heads that had not seen it.
        strength: Inverse strength of the penalty, chosen by the NLL of those scores.
        temperature: What the logits were divided by to calibrate them; it is in the weights.
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

    Folds are stratified, five or as many as the commonest label has pictures, and a picture's views
    are always in the same one.

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
            "pictures or more each. Add pictures, or take the label out."
        )
    folds = list_folds(label_ids, seed)
    held_out = {strength: np.zeros((len(label_ids), len(counts))) for strength in STRENGTHS}
    for strength, logits in held_out.items():
        for train, test in folds:
            weight, bias = _solve(views[:, train], label_ids[train], strength)
            logits[test] = views[0, test] @ weight.T + bias
    nll = {
        strength: compute_metrics(compute_softmax(logits), label_ids)["nll"]
        for strength, logits in held_out.items()
    }
    strength = min(nll, key=lambda key: nll[key])
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


def list_folds(labels: npt.NDArray, seed: int = 0) -> list[tuple[npt.NDArray, npt.NDArray]]:
    """Return the rows to learn from and the rows held out of each fold of `fit_head`.

    Every label is in every part that is learnt from, if it has two pictures or more.
    """
    num_folds = int(min(MOST_FOLDS, np.bincount(labels).max()))
    splitter = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A label with fewer pictures than folds is held out in some of them only.
        warnings.filterwarnings("ignore", "The least populated class")
        return list(splitter.split(labels, labels))


def _solve(views: Floats, labels: npt.NDArray, strength: float) -> tuple[Floats, Floats]:
    """Return weight (num_labels, D) and bias (num_labels,) for features as they are."""
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
        model_name_or_path: As for `load_model`; one that knows faces.
        num_views: Of each picture: itself, mirrored, then augmented ones.
        seed: Decides the folds.
        use_cache: Whether the features of the pictures may be kept on disk, for the next time.

    Raises:
        ValueError: A label with fewer than two pictures, or a model without a linear head.
    """
    start = time.perf_counter()
    label_names = pictures.features["label"].names
    loaded = load_model(model_name_or_path, label_names)
    fine_tuned = freeze_backbone(loaded.model)
    if fine_tuned != "head":
        raise ValueError(
            f"{model_name_or_path!r} has no backbone to keep, expected a network that knows faces, "
            "such as 'resnetv2-ferplus'."
        )
    loaded.model.eval()
    faces = FaceDataset(pictures, loaded.image_processor, seed=seed)
    cached = load_features(loaded.model, faces, num_views=num_views, use_cache=use_cache)
    labels = faces.labels.numpy()
    head = fit_head(cached.features.flatten(2).numpy(), labels, seed=seed)
    _put_in(loaded, head)
    votes = pictures["votes"][:] if "votes" in pictures.column_names else None
    keep_not_sure(loaded.model.config, fit_not_sure(head.held_out_scores, labels, votes))
    report = RunReport(
        model_name_or_path=name_source(model_name_or_path),
        display_name=output_dir.name,
        pretrained_on=loaded.pretrained_on,
        fine_tuned=fine_tuned,
        num_parameters=sum(p.numel() for p in loaded.model.parameters()),
        num_trainable_parameters=sum(p.numel() for p in get_head_parameters(loaded.model)),
        data=name_source(data),
        label_names=label_names,
        split_sizes={"train": len(labels)},
        input_size=faces[0]["pixel_values"].shape[-1],
        seed=seed,
        settings={
            "method": "logistic regression on frozen features",
            "strength": head.strength,
            "temperature": head.temperature,
            "num_folds": head.num_folds,
            "feature_views": num_views,
        },
        versions=collect_versions(),
        train_seconds=time.perf_counter() - start,
        evaluations={"validation": evaluate_scores(head.held_out_scores, labels, label_names)},
        history=[],
        yardsticks=[compute_constant_answer(labels, label_names)],
    )
    output_dir.mkdir(parents=True, exist_ok=True)
    loaded.model.save_pretrained(output_dir)
    loaded.image_processor.save_pretrained(output_dir)
    (output_dir / CARD_NAME).write_text(render_model_card(report), encoding="utf-8")
    save_fingerprints(compute_fingerprints(pictures), output_dir)
    save_report(report, output_dir)
    return report


def add_not_sure(
    checkpoint_dir: str | os.PathLike[str],
    validation: Dataset,
    *,
    coverage: float = 0.9,
    batch_size: int = 32,
) -> NotSure:
    """Fit when an existing checkpoint is not sure, and write it into its `config.json`.

    Args:
        checkpoint_dir: A folder with `config.json`, in which nothing else is changed.
        validation: Columns `image`, `label` and maybe `votes`, of pictures that training has not
            seen; never those of test. Labels are matched by name.
        coverage: As for `fit_not_sure`.
        batch_size: Pictures at a time.

    Raises:
        ValueError: No image classifier, labels that it lacks, or a value out of its range.
        OSError: The checkpoint is no folder, or cannot be read or written.
    """
    path = Path(checkpoint_dir) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
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


@torch.no_grad()
def _put_in(loaded: LoadedModel, head: FittedHead) -> None:
    weight, bias = get_head_parameters(loaded.model)
    weight.copy_(torch.from_numpy(head.weight).to(weight).view_as(weight))
    bias.copy_(torch.from_numpy(head.bias).to(bias))
