"""From what a source says about labels to one list of names and one id for each row."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fer_hf.emotions import canonical_emotion, order_labels

logger = logging.getLogger(__name__)


def name_labels(values: Sequence[Any], label_names: Sequence[str] | None, where: str) -> list[str]:
    """Turn labels, names or whole numbers, into names in canonical spelling.

    Args:
        values: One label a row. ``3``, ``"3"`` and ``3.0`` count as numbers if all labels do.
        label_names: The name of each number, from 0. Without it a number is its own name.
        where: The source of the labels, for messages.

    Raises:
        ValueError: If a row has no label, or a number has no name.
    """
    texts = ["" if value is None else str(value).strip() for value in values]
    distinct = sorted(set(texts))
    if "" in distinct or "nan" in distinct:
        row = next(row for row, text in enumerate(texts) if text in ("", "nan"))
        raise ValueError(f"Row {row} of {where} has no label. Give it one, or remove the row.")
    named = label_names is not None and set(distinct) <= set(label_names)
    if named or not all(re.fullmatch(r"-?[0-9]+(\.0+)?", text) for text in distinct):
        names = {text: canonical_emotion(text) for text in distinct}
    else:
        names = _name_numbers(distinct, label_names, where)
    return [names[text] for text in texts]


def _name_numbers(
    texts: Sequence[str], label_names: Sequence[str] | None, where: str
) -> dict[str, str]:
    numbers = {text: int(text.split(".")[0]) for text in texts}
    outside = sorted(
        {
            number
            for number in numbers.values()
            if number < 0 or (label_names is not None and number >= len(label_names))
        }
    )
    if outside:
        found = f"Labels of {where} are numbers, among them {outside[:10]}"
        if label_names is None:
            raise ValueError(f"{found}, but labels count from 0. Remove those rows.")
        raise ValueError(
            f"{found}, but `label_names` has {len(label_names)} names {list(label_names)} for the "
            f"numbers 0 to {len(label_names) - 1}. Name all numbers, or remove those rows."
        )
    if label_names is None:
        logger.warning(
            "Labels of %s are numbers without names, so the model will call them %s. Pass "
            "`label_names` to name them, in the order of the numbers.",
            where,
            [str(number) for number in sorted(set(numbers.values()))],
        )
        return {text: str(number) for text, number in numbers.items()}
    return {text: canonical_emotion(label_names[number]) for text, number in numbers.items()}


def check_label_names(label_names: Sequence[str], where: str) -> list[str]:
    """Return names, given by position, as a list of texts.

    Raises:
        ValueError: If there are none, one is empty, or one comes twice in the same spelling.
    """
    names = [str(name).strip() for name in label_names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or "" in names or repeated:
        found = f"names {repeated} more than once" if repeated else f"is {names}"
        raise ValueError(f"{where} {found}. Give every label one name of its own.")
    return names


def collect_label_names(
    labels: Mapping[str, Sequence[str]], declared: Sequence[str] | None
) -> list[str]:
    """Find the label names of a data set; a name's position is its id, in every split.

    Args:
        labels: The label names of each row, by split.
        declared: All labels there may be, where the source or the user says so. A declared label
            that no row has keeps its id.

    Returns:
        Names as `order_labels` orders them.

    Raises:
        ValueError: If `train` is missing, a split is empty, a label is not declared, or a split has
            a label that `train` lacks: the model could not learn it.
    """
    if "train" not in labels:
        raise ValueError(
            f"Found the splits {sorted(labels)}, but no `train` to learn from. Add one."
        )
    for split, names in labels.items():
        if not len(names):
            raise ValueError(f"Split `{split}` is empty. Add pictures, or remove the split.")
    used = {split: order_labels(set(names)) for split, names in labels.items()}
    allowed = order_labels(declared if declared is not None else set().union(*used.values()))
    for split, names in used.items():
        if outside := [name for name in names if name not in allowed]:
            raise ValueError(
                f"Split `{split}` has label {outside[0]!r}, which is none of the label names "
                f"{allowed}. Add it to `label_names`, or remove its rows."
            )
        if lacking := [name for name in names if name not in used["train"]]:
            raise ValueError(
                f"Split `{split}` has label {lacking[0]!r}, which `train` lacks ({used['train']}). "
                "Use the same label folders in every split."
            )
    if unused := [name for name in allowed if name not in used["train"]]:
        logger.warning("No picture of `train` is labelled %s; a model cannot learn it.", unused)
    if len(allowed) < 2:
        raise ValueError(f"Found only the label {allowed}. Classifying needs two or more.")
    return allowed
