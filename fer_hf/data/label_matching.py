"""The labels of a data set in the order of a model's scores, matched by name.

A room of its own because a model meets data it was not trained on: seven emotions instead of eight,
another order, another spelling.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fer_hf.emotions import canonical_emotion


def match_labels(data_names: Sequence[str], model_names: Sequence[str]) -> dict[str, str]:
    """Find the model's name for each label of the data.

    The same spelling comes first, then another spelling of the same emotion: `happy` is `happiness`
    (see `emotions.canonical_emotion`).

    Args:
        data_names: Label names of the data.
        model_names: Label names of the model.

    Returns:
        Data label to model label, in the order of the data; labels the model lacks are left out.

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


def map_labels(
    labels: npt.ArrayLike, data_names: Sequence[str], model_names: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Turn label ids of the data into those of the model.

    Args:
        labels: Shape (N,), positions in `data_names`.
        data_names: Label names of the data; one that no row has need not be the model's.
        model_names: Label names of the model.

    Returns:
        Shape (N,), positions in `model_names`.

    Raises:
        ValueError: A row has a label that the model lacks, or names do not match one to one.
    """
    label_ids, match = np.asarray(labels), match_labels(data_names, model_names)
    for label in np.unique(label_ids):
        if data_names[label] not in match:
            raise ValueError(
                f"The data has {int((label_ids == label).sum())} pictures labelled "
                f"{data_names[label]!r}, expected only labels that the model knows "
                f"({list(model_names)}). Take these pictures out, or evaluate a model that knows "
                "the label."
            )
    positions = [list(model_names).index(match[n]) if n in match else -1 for n in data_names]
    return np.asarray(positions, dtype=np.int64)[label_ids]


def map_votes(
    votes: npt.ArrayLike, data_names: Sequence[str], model_names: Sequence[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Put columns of votes into the order of the model's labels.

    Args:
        votes: Counts of shape (N, len(data_names)).
        data_names: Label names of the data.
        model_names: Label names of the model.

    Returns:
        Counts of shape (N, len(model_names)), 0 where the data has no such label; and counts of
        shape (N,) of the votes for labels that the model lacks.

    Raises:
        ValueError: Names do not match one to one.
    """
    counts, match = np.asarray(votes, dtype=np.float64), match_labels(data_names, model_names)
    mapped, lacking = np.zeros((len(counts), len(model_names))), np.zeros(len(counts))
    for column, name in enumerate(data_names):
        if name in match:
            mapped[:, list(model_names).index(match[name])] = counts[:, column]
        else:
            lacking += counts[:, column]
    return mapped, lacking
