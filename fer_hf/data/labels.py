"""Labels: from what a source says to names and ids, and from a data set's to a model's.

Labels are matched by name, because a model meets data it was not trained on: seven emotions instead
of eight, another order, another spelling.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fer_hf.emotions import canonical_emotion, order_labels

logger = logging.getLogger(__name__)

_MISSING = frozenset({"", "#n/a", "<na>", "nan", "null"})
"""What tables have (in lower case) where a cell is empty."""


def name_labels(
    values: Sequence[Any],
    label_names: Sequence[str] | None,
    where: str,
    name_row: Callable[[int], str],
    codes: Mapping[str, str | None] | None = None,
) -> list[str]:
    """Turn labels, names, codes or whole numbers, into names in canonical spelling.

    Args:
        values: One label a row. ``3``, ``"3"`` and ``3.0`` count as numbers if all labels do.
        label_names: The name of each number, from 0. Without it a number is its own name.
        where: What holds the labels, for messages.
        name_row: Returns where the picture of a row is, for messages.
        codes: The name of each label that is a code, unless `label_names` has it.

    Raises:
        ValueError: If a row has no label, or a number has no name.
    """
    named = {code: name for code, name in (codes or {}).items() if code not in (label_names or ())}
    for row, value in enumerate(values):
        if isinstance(value, list | dict):
            raise ValueError(f"{name_row(row)} has the label {value!r}. Write a text or a number.")
    texts = [spell_label(value) for value in values]
    texts = [named.get(text) or text for text in texts]
    distinct = set(texts)
    if missing := {text for text in distinct if text.lower() in _MISSING}:
        row = min(texts.index(text) for text in missing)
        raise ValueError(f"{name_row(row)} has no label. Give it one, or remove the row.")
    are_names = label_names is not None and distinct <= set(label_names)
    if are_names or not all(re.fullmatch(r"-?[0-9]+(\.0+)?", text) for text in distinct):
        names = {text: canonical_emotion(text) for text in distinct}
    else:
        numbers = {text: int(text.split(".")[0]) for text in distinct}
        _check_numbers(sorted(set(numbers.values())), label_names, where)
        spelled = label_names or range(max(numbers.values(), default=0) + 1)
        names = {text: canonical_emotion(str(spelled[i])) for text, i in numbers.items()}
    return [names[text] for text in texts]


def spell_label(value: Any) -> str:
    """Return a label as the text that codes are looked up by; empty for none."""
    return "" if value is None else str(value).strip()


def _check_numbers(numbers: list[int], label_names: Sequence[str] | None, where: str) -> None:
    found = f"Labels of {where} are numbers, among them"
    if label_names is None:
        if negative := [number for number in numbers if number < 0]:
            raise ValueError(
                f"{found} {negative[:10]}, but labels count from 0. Remove those rows."
            )
    elif outside := [number for number in numbers if not 0 <= number < len(label_names)]:
        raise ValueError(
            f"{found} {outside[:10]}, but `label_names` has {len(label_names)} names "
            f"{list(label_names)} for the numbers 0 to {len(label_names) - 1}. Name all numbers, "
            "in order or as 1=happy 2=sad, or remove those rows."
        )


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
    """Find the label names of a data set, as `order_labels` orders them; the position is the id.

    Args:
        labels: The label names of each row, by split.
        declared: All labels there may be, where the source or the user says so. A declared label
            that no row has keeps its id.

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


def match_labels(data_names: Sequence[str], model_names: Sequence[str]) -> dict[str, str]:
    """Map each label of the data to the model's name for it; labels the model lacks are left out.

    The same spelling comes first, then another spelling of the same emotion: `happy` is `happiness`
    (see `emotions.canonical_emotion`).

    Raises:
        ValueError: A data label fits several of the model's, or several fit one.
    """
    match: dict[str, str] = {}
    for name in data_names:
        same = [other for other in model_names if other == name] or [
            other for other in model_names if canonical_emotion(other) == canonical_emotion(name)
        ]
        if len(same) > 1 or (same and same[0] in match.values()):
            raise ValueError(
                f"The data's label {name!r} does not match one label of the model's alone: the "
                f"data has {list(data_names)}, the model {list(model_names)}. Rename the labels."
            )
        if same:
            match[name] = same[0]
    return match


def _find_positions(data_names: Sequence[str], model_names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the position in `model_names` of each data label, -1 for those the model lacks."""
    match, names = match_labels(data_names, model_names), list(model_names)
    return np.array([names.index(match[n]) if n in match else -1 for n in data_names], np.int64)


def map_labels(
    labels: npt.ArrayLike, data_names: Sequence[str], model_names: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Turn label ids (N,) of the data into those of the model, which may lack labels of no row.

    Raises:
        ValueError: A row has a label that the model lacks, or names do not match one to one.
    """
    label_ids = np.asarray(labels)
    mapped = _find_positions(data_names, model_names)[label_ids]
    if (mapped < 0).any():
        lacking = label_ids[mapped < 0].min()
        raise ValueError(
            f"The data has {int((label_ids == lacking).sum())} pictures labelled "
            f"{data_names[lacking]!r}, expected only labels of the model ({list(model_names)}). "
            "Take these pictures out, or evaluate a model that has the label."
        )
    return mapped


def map_votes(
    votes: npt.ArrayLike, data_names: Sequence[str], model_names: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Put columns of votes, of shape (N, len(data_names)), into the order of the model's labels.

    Returns:
        Counts of shape (N, len(model_names)), 0 where the data has no such label; and counts of
        shape (N,) of the votes for labels that the model lacks.

    Raises:
        ValueError: Names do not match one to one.
    """
    counts, positions = np.asarray(votes, np.float64), _find_positions(data_names, model_names)
    # Column -1, the last one, takes the votes for labels that the model lacks.
    mapped = np.zeros((len(counts), len(model_names) + 1))
    np.add.at(mapped.T, positions, counts.T)
    return mapped[:, :-1], mapped[:, -1]
