"""What a model has seen in training, and so which pictures of a source measure it fairly."""

import logging
from collections.abc import Sequence

from datasets import Dataset, DatasetDict

from fer_hf.data.audit.fingerprints import (
    SEEN_NAME,
    Fingerprints,
    compute_fingerprints,
    find_seen,
    load_fingerprints,
)
from fer_hf.data.splits import is_cut, select_split
from fer_hf.evaluation.reports.provenance import name_source
from fer_hf.evaluation.scoring import Classifier

logger = logging.getLogger(__name__)


def count_seen(classifier: Classifier, pictures: Dataset) -> int | None:
    """Count the pictures that were trained on; None where the checkpoint does not say."""
    seen = _load_seen(classifier)
    return None if seen is None else int(find_seen(compute_fingerprints(pictures), seen).sum())


def choose_split(classifiers: Sequence[Classifier], splits: DatasetDict) -> str:
    """Choose what is measured where nobody says, and log why if the source has no `test`.

    It is `all`, where `test` was only cut out of pictures that none of the models has seen.

    Args:
        classifiers: The models, one or more.
        splits: As `load_splits` returns them.

    Returns:
        `test` or `all`.

    Raises:
        ValueError: A checkpoint's fingerprints cannot be read.
    """
    if not is_cut(splits["test"]):
        return "test"
    pictures = select_split(splits, "all")
    fingerprints = compute_fingerprints(pictures)
    for classifier in classifiers:
        name, seen = name_source(classifier.model_name_or_path), _load_seen(classifier)
        if seen is None:
            reason = f"whether {name} was trained on them is not known (no `{SEEN_NAME}`)"
        elif count := int(find_seen(fingerprints, seen).sum()):
            reason = f"{name} was trained on {count:,} of them"
        else:
            continue
        logger.info(
            "Measuring `test`, %s of %s pictures, since %s.",
            f"{len(splits['test']):,}",
            f"{len(pictures):,}",
            reason,
        )
        return "test"
    logger.info(
        "Measuring all %s pictures, since none was seen in training and no `test` was given.",
        f"{len(pictures):,}",
    )
    return "all"


def _load_seen(classifier: Classifier) -> Fingerprints | None:
    file = classifier.find_file(SEEN_NAME)
    return None if file is None else load_fingerprints(file.parent)
