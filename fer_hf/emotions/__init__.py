"""Names of emotions: one spelling, one order, whatever a data set calls them in whatever language.

A room of its own because pictures, networks and reports must agree on it, and it needs none of
them.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from fer_hf.emotions.spellings import SPELLINGS

EMOTIONS = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")

# Letters that Unicode does not take apart, and what people without them on the keyboard write.
_PLAIN_LETTERS = str.maketrans({"ı": "i", "ł": "l", "đ": "d"})
_WITHOUT_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})


def _normalise(name: str) -> str:
    """Drop what does not make another word: case, width, accents, blanks, hyphens, underscores."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    letters = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return re.sub(r"[\s_-]+", "", letters).translate(_PLAIN_LETTERS)


_CANONICAL = {
    _normalise(spelling): emotion
    for words in SPELLINGS.values()
    for emotion, spellings in words.items()
    for word in spellings.lower().split()
    for spelling in (word, word.translate(_WITHOUT_UMLAUTS))
}

ALIASES = {name: emotion for name, emotion in _CANONICAL.items() if name not in EMOTIONS}
"""The emotion of each other spelling, which is in lower case and without accents or blanks."""

_CODES = {"sp": "surprise"}  # NimStim's; the codes of other sets are how an English word begins


def canonical_emotion(name: str) -> str:
    """Spell an emotion our way: ``" Happiness"`` and ``"Fröhlich"`` become ``"happy"``.

    Case, accents, blanks, hyphens and underscores do not matter; see `SPELLINGS`.

    Args:
        name: What a data set calls a label.

    Returns:
        A name of `EMOTIONS`, or `name` stripped but otherwise unchanged where it is none of them:
        other label sets are welcome.
    """
    return _CANONICAL.get(_normalise(name), name.strip())


def find_emotion_codes(
    codes: Iterable[str], label_names: Sequence[str] | None = None
) -> dict[str, str] | None:
    """Find out what abbreviations as in file names mean: ``"AN"`` is ``"anger"``.

    A code means the one label whose name, or English name of the emotion, begins with it: KDEF's
    ``"AF"`` is `fear`, because of "afraid". Case does not matter.

    Args:
        codes: All codes of a data set, of two letters or more.
        label_names: The labels there may be, in any spelling; by default `EMOTIONS`.

    Returns:
        The label of each code, spelled as in `label_names`; None if there are no codes, or not
        every code means exactly one label, or two codes mean the same.
    """
    names = {name: _list_abbreviated(name) for name in label_names or EMOTIONS}
    found: dict[str, str] = {}
    meanings: dict[str, str] = {}
    for code in codes:
        plain = _normalise(code)
        fitting = [name for name, words in names.items() if any(w.startswith(plain) for w in words)]
        if len(fitting) != 1 or len(plain) < 2 or meanings.setdefault(fitting[0], plain) != plain:
            return None
        found[code] = fitting[0]
    return found or None


def _list_abbreviated(name: str) -> list[str]:
    emotion = canonical_emotion(name)
    words = SPELLINGS["English"].get(emotion, "").split()
    codes = [code for code, meant in _CODES.items() if meant == emotion]
    return [_normalise(name), *words, *codes]


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
