"""Names of emotions: one spelling, one order, whatever a data set calls them.

A room of its own because pictures, networks and reports must agree on it, and it needs none of
them.
"""

import re
from collections.abc import Iterable

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")

ALIASES = {
    "angry": "anger",
    "contemptuous": "contempt",
    "scorn": "contempt",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "joyful": "happy",
    "neutrality": "neutral",
    "sadness": "sad",
    "unhappy": "sad",
    "surprised": "surprise",
}

_CANONICAL = {**{emotion: emotion for emotion in EMOTIONS}, **ALIASES}


def canonical_emotion(name: str) -> str:
    """Spell an emotion our way: ``" Happiness"`` becomes ``"happy"``.

    Case, blanks, hyphens and underscores do not matter.

    Args:
        name: What a data set calls a label.

    Returns:
        A name of `EMOTIONS`, or `name` stripped but otherwise unchanged where it is none of them:
        other label sets are welcome.
    """
    return _CANONICAL.get(re.sub(r"[\s_-]+", "", name).lower(), name.strip())


def order_labels(names: Iterable[str]) -> list[str]:
    """Put label names into the order that gives them their ids.

    Emotions come in the order of `EMOTIONS`, numbers by value (``"2"`` before ``"10"``), anything
    else alphabetically. The order depends on the names alone, never on the order they came in.

    Args:
        names: Label names in any spelling; two spellings of one emotion become one label.

    Returns:
        The canonical names, each once.
    """
    labels = {canonical_emotion(name) for name in names}
    # int() also reads "1_0" and " 1"; what it reads should be what a person calls a number.
    if all(re.fullmatch(r"-?[0-9]+", label) for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)
