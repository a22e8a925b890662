"""The audit of a source: its pictures, its copies, and labels that a model doubts, in one report.

A room of its own because it needs what neither data nor evaluation may know: a network.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_hf.data.audit.contact_sheet import render_contact_sheet
from fer_hf.data.audit.picture_audit import Picture, PictureAudit, audit_pictures, list_pictures
from fer_hf.data.pictures import to_rgb
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share
from fer_hf.evaluation.metrics.label_issues import find_label_issues
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.report_files import write_text_atomically
from fer_hf.models import load_model, supports_standalone_head
from fer_hf.models.bundled import BUNDLED_MODEL
from fer_hf.training.augmentation import FaceDataset
from fer_hf.training.frozen.features import load_features
from fer_hf.training.frozen.fitting import list_folds

AUDIT_NAME = "audit.json"
DUPLICATES_NAME, LABELS_NAME = "duplicates.png", "suspicious_labels.png"
_ON_A_SHEET = 60  # pairs of copies, or suspicious labels
_COLUMNS = 10
# Inverse strength of the L2 penalty: the one that cross-validation prefers for the 964 photographs
# and for FER+. Choosing it anew, as `fitting.fit_head` does, would take ten times as long.
_STRENGTH = 0.01


@dataclass(frozen=True)
class SuspiciousLabel:
    """A label that the scores of a model speak against.

    Attributes:
        picture: Where it is, with the label it has.
        suggested: The label the scores speak for.
        score: Of the label it has, 0–1.
        suggested_score: Of the label suggested.
    """

    picture: Picture
    suggested: str
    score: float
    suggested_score: float


@dataclass(frozen=True)
class LabelAudit:
    """What a model says of the labels, scoring each picture after learning from others.

    Attributes:
        model: Whose features a head was cross-validated on.
        num_folds: Of the cross-validation.
        accuracy: How often that head agrees with the labels.
        suspicious: The most suspicious first.
        unchecked: Labels of which there are too few pictures to learn from others.
    """

    model: str
    num_folds: int
    accuracy: Estimate
    suspicious: Sequence[SuspiciousLabel]
    unchecked: Sequence[str]


@dataclass(frozen=True)
class AuditReport:
    """Everything that was found in a source.

    Attributes:
        data: The name of the source, without folders.
        pictures: What is wrong with pictures and copies.
        labels: What a model says of the labels; None where it was not asked.
        versions: Of the packages that computed it.
    """

    data: str
    pictures: PictureAudit
    labels: LabelAudit | None
    versions: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `json` can write."""
        return {**asdict(self), "problems": self.pictures.list_problems()}


def audit(
    splits: DatasetDict,
    data: str,
    *,
    unreadable: Sequence[str] = (),
    model_name_or_path: str | None = BUNDLED_MODEL,
) -> AuditReport:
    """Audit pictures and labels of all splits.

    Args:
        splits: As `load_splits` returns them.
        data: Where they come from, for the report.
        unreadable: Pictures that could not be loaded, in words.
        model_name_or_path: Whose features the labels are checked with, one that knows faces; None
            leaves the labels unchecked.

    Raises:
        ValueError: Too few pictures to check the labels with, or a model that knows nothing.
        OSError: The model cannot be read or reached.
    """
    # First, because a model that cannot be had should be told of at once.
    labels = audit_labels(splits, model_name_or_path) if model_name_or_path else None
    folder = f"{Path(data).expanduser().absolute()}/"
    return AuditReport(
        data=name_source(data),
        pictures=audit_pictures(splits, [words.replace(folder, "") for words in unreadable]),
        labels=labels,
        versions=collect_versions(),
    )


def audit_labels(splits: DatasetDict, model_name_or_path: str) -> LabelAudit:
    """Find suspicious labels by confident learning on cross-validated scores; errors as `audit`."""
    pictures = list_pictures(splits)
    names = splits["train"].features["label"].names
    labels = np.concatenate([data["label"][:] for data in splits.values()])
    # A picture that is alone with its label is never scored by a head that knows the label.
    counts = np.bincount(labels, minlength=len(names))
    known = np.flatnonzero(counts >= 2)
    if len(known) < 2:
        raise ValueError(
            f"Labels have {counts.tolist()} pictures, expected two labels or more with two "
            "pictures or more each. Add pictures, or audit with --no_labels."
        )
    rows = np.flatnonzero(counts[labels] >= 2)
    given = np.searchsorted(known, labels[rows])
    features = _compute_features(splits, model_name_or_path, names)
    folds = list_folds(given)
    regression = LogisticRegression(C=_STRENGTH, max_iter=1000)
    scores = cross_val_predict(
        make_pipeline(StandardScaler(), regression),
        features[rows],
        given,
        cv=folds,
        method="predict_proba",
    )
    issues = find_label_issues(scores, given)
    return LabelAudit(
        model=name_source(model_name_or_path),
        num_folds=len(folds),
        accuracy=estimate_share(int((scores.argmax(axis=1) == given).sum()), len(given)),
        suspicious=[
            SuspiciousLabel(
                picture=pictures[rows[row]],
                suggested=names[known[label]],
                score=float(scores[row, given[row]]),
                suggested_score=float(scores[row, label]),
            )
            for row, label in zip(issues.rows, issues.suggested, strict=True)
        ],
        unchecked=[names[label] for label in np.flatnonzero(counts == 1)],
    )


def _compute_features(
    splits: DatasetDict, model_name_or_path: str, label_names: Sequence[str]
) -> np.ndarray:
    """Return features (N, D) of all splits; each split's are cached as training caches them."""
    loaded = load_model(model_name_or_path, label_names)
    if not supports_standalone_head(loaded.model) or loaded.pretrained_on == "none":
        raise ValueError(
            f"{model_name_or_path!r} has no backbone that knows anything, expected a trained "
            "network such as 'resnetv2-ferplus'. Name one, or audit with --no_labels."
        )
    loaded.model.eval()
    found = [
        load_features(loaded.model, FaceDataset(data, loaded.image_processor)).features[0]
        for data in splits.values()
    ]
    return np.concatenate([features.flatten(1).numpy() for features in found])


def save_audit(report: AuditReport, splits: DatasetDict, output_dir: str | Path) -> list[Path]:
    """Write audit.json, and contact sheets of the first copies and suspicious labels.

    Returns:
        The files written; a sheet only where there is something to show.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False)
    write_text_atomically(folder / AUDIT_NAME, text + "\n")
    written = [folder / AUDIT_NAME]
    groups = report.pictures.duplicates[:_ON_A_SHEET]
    if groups:
        # Of each group the first of one kind and the last of another: labels, or splits.
        pairs = [_choose_pair(group.pictures) for group in groups]
        copies = [picture for pair in pairs for picture in pair]
        captions = [f"{picture.label} {picture.split} {picture.row}" for picture in copies]
        title = "Copies, two by two: different labels first, then different splits"
        _save_sheet(splits, copies, captions, title, folder / DUPLICATES_NAME)
        written.append(folder / DUPLICATES_NAME)
    suspicious = report.labels.suspicious[:_ON_A_SHEET] if report.labels else []
    if suspicious:
        pictures = [item.picture for item in suspicious]
        captions = [f"{item.picture.label}: {item.suggested}" for item in suspicious]
        title = "Labels that a model doubts most, and what it says instead"
        _save_sheet(splits, pictures, captions, title, folder / LABELS_NAME)
        written.append(folder / LABELS_NAME)
    return written


def _choose_pair(pictures: Sequence[Picture]) -> tuple[Picture, Picture]:
    """Return the first copy, and one that differs from it in label, else in split."""
    first, *others = pictures
    other = max(others, key=lambda copy: (copy.label != first.label, copy.split != first.split))
    return first, other


def _save_sheet(
    splits: DatasetDict,
    pictures: Sequence[Picture],
    captions: Sequence[str],
    title: str,
    path: Path,
) -> None:
    images: list[Image.Image] = [
        to_rgb(splits[picture.split][picture.row]["image"]) for picture in pictures
    ]
    render_contact_sheet(images, captions, columns=_COLUMNS, title=title).save(path)
