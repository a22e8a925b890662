"""The audit of a source: its pictures, duplicates, and labels that a model doubts, in one report.

It is part of training because it needs what data and evaluation must not import: a network.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict

from fer_hf.data.audit.contact_sheet import render_contact_sheet
from fer_hf.data.audit.picture_audit import Picture, PictureAudit, audit_pictures, list_pictures
from fer_hf.data.pictures import to_rgb
from fer_hf.evaluation.metrics.intervals import Estimate, estimate_share
from fer_hf.evaluation.metrics.label_issues import find_label_issues
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.report_files import write_text_atomically
from fer_hf.inference.linear_head import compute_held_out_logits, list_folds
from fer_hf.models.bundled import BUNDLED_MODEL
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import load_features, load_frozen

AUDIT_NAME = "audit.json"
DUPLICATES_NAME, LABELS_NAME = "duplicates.png", "suspicious_labels.png"
_ON_A_SHEET = 60  # pairs of duplicates, or label issues
_COLUMNS = 10
# Inverse strength of the L2 penalty: what cross-validation prefers for 964 photographs and for
# FER+. Choosing it each time, as `fitting.fit_head` does, would take ten times as long.
_STRENGTH = 0.01


@dataclass(frozen=True)
class LabelIssue:
    """A label that the scores of a model contradict.

    Attributes:
        picture: Which one, with the label it has.
        suggested: The label that the scores favour.
        score: Of the label it has, 0–1.
        suggested_score: Of the label suggested.
    """

    picture: Picture
    suggested: str
    score: float
    suggested_score: float


@dataclass(frozen=True)
class LabelAudit:
    """What a model says about the labels, scoring each picture after learning from others.

    Attributes:
        model: Whose features a head was cross-validated on.
        num_folds: Of the cross-validation.
        accuracy: How often that head agrees with the labels.
        suspicious: The label issues, the clearest first.
        unchecked: Labels with too few pictures to be checked.
    """

    model: str
    num_folds: int
    accuracy: Estimate
    suspicious: Sequence[LabelIssue]
    unchecked: Sequence[str]


@dataclass(frozen=True)
class AuditReport:
    """Everything that was found in a source.

    Attributes:
        data: The name of the source, without folders.
        pictures: Unreadable, tiny and duplicate pictures.
        labels: What a model says about the labels; None if they were not checked.
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
        unreadable: Descriptions of pictures that could not be loaded.
        model_name_or_path: Whose features the labels are checked with, one that was trained on
            faces; None leaves the labels unchecked.

    Raises:
        ValueError: Too few pictures to check the labels with, or a model that is not pretrained.
        OSError: The model cannot be read or reached.
    """
    # First, so that a model that cannot be loaded is reported at once.
    labels = audit_labels(splits, model_name_or_path) if model_name_or_path else None
    folder = f"{Path(data).expanduser().absolute()}/"
    return AuditReport(
        data=name_source(data),
        pictures=audit_pictures(splits, [words.replace(folder, "") for words in unreadable]),
        labels=labels,
        versions=collect_versions(),
    )


def audit_labels(splits: DatasetDict, model_name_or_path: str) -> LabelAudit:
    """Find label issues by confident learning on cross-validated scores; errors as `audit`."""
    pictures = list_pictures(splits)
    names = splits["train"].features["label"].names
    labels = np.concatenate([data["label"][:] for data in splits.values()])
    # The only picture of a label is never scored by a head that has learnt the label.
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
    scores = compute_softmax(compute_held_out_logits(features[None, rows], given, folds, _STRENGTH))
    issues = find_label_issues(scores, given)
    return LabelAudit(
        model=name_source(model_name_or_path),
        num_folds=len(folds),
        accuracy=estimate_share(int((scores.argmax(axis=1) == given).sum()), len(given)),
        suspicious=[
            LabelIssue(
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
    loaded = load_frozen(model_name_or_path, label_names, pretrained=True)
    faces = [FaceDataset(data, loaded.image_processor) for data in splits.values()]
    found = [load_features(loaded.model, split).features[0].flatten(1) for split in faces]
    return torch.cat(found).numpy()


def save_audit(report: AuditReport, splits: DatasetDict, output_dir: str | Path) -> list[Path]:
    """Write audit.json, and contact sheets of the first duplicates and label issues.

    Returns:
        The files written; a sheet only if there is something to show.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False)
    write_text_atomically(folder / AUDIT_NAME, text + "\n")
    written = [folder / AUDIT_NAME]
    pairs = [_choose_pair(group.pictures) for group in report.pictures.duplicates[:_ON_A_SHEET]]
    issues = report.labels.suspicious[:_ON_A_SHEET] if report.labels else []
    for name, title, captioned in (
        (
            DUPLICATES_NAME,
            "Duplicates in pairs: different labels first, then different splits",
            [(copy, f"{copy.label} {copy.split} {copy.row}") for pair in pairs for copy in pair],
        ),
        (
            LABELS_NAME,
            "The labels that a model doubts most, and what it suggests",
            [(item.picture, f"{item.picture.label}: {item.suggested}") for item in issues],
        ),
    ):
        if captioned:
            pictures, captions = zip(*captioned, strict=True)
            images = [to_rgb(splits[picture.split][picture.row]["image"]) for picture in pictures]
            sheet = render_contact_sheet(images, captions, columns=_COLUMNS, title=title)
            sheet.save(folder / name)
            written.append(folder / name)
    return written


def _choose_pair(pictures: Sequence[Picture]) -> tuple[Picture, Picture]:
    """Return the first duplicate, and one that differs from it in label, or else in split."""
    first, *others = pictures
    other = max(others, key=lambda copy: (copy.label != first.label, copy.split != first.split))
    return first, other
