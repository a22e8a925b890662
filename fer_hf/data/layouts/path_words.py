"""What names of folders and files say: a split, an emotion, a person, or only "pictures inside".

Every layout that reads labels from paths asks here, so that one name means one thing everywhere.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from fer_hf.data.splits import find_split
from fer_hf.data.words import CONTAINER_WORDS, split_words
from fer_hf.emotions import EMOTIONS, canonical_emotion

_COUNTED = "category class cls emo emotion expr expression label"
_NEGATIONS = "kein keine no non not ohne pas sans sin without"
_ADVERBS = "angrily appalled awed disgustedly fearfully happily hatred sadly surprisedly"

_LABEL_WORDS = frozenset(_COUNTED.split())
"""Before a number these make a label of it (``"class_3"``), where others count persons or takes."""

_OTHER_MEANINGS = frozenset([*_NEGATIONS.split(), *_ADVERBS.split()])
"""Beside an emotion, these mean another one, or two (Du et al. 2014: "happily surprised")."""


def find_splits(names: Iterable[str]) -> dict[str, str]:
    """Map those of sibling names that mean a split to it.

    ``"val_set"`` and ``"images-test"`` do by themselves. ``"ABC_train"`` does beside
    ``"ABC_test"``, not alone: it may be a label of its own.
    """
    found = {name: find_split(name) for name in names}
    meant = {name: split for name, (split, _) in found.items() if split}
    rests = {name: found[name][1] for name in meant}
    shared = Counter(rest for rest, _ in {(rests[name], meant[name]) for name in meant})
    return {
        name: split for name, split in meant.items() if not rests[name] or shared[rests[name]] > 1
    }


def find_emotions(names: Collection[str], above: Collection[str] = ()) -> dict[str, str]:
    """Map those of sibling names that mean an emotion to it.

    A number, a word like `images`, a word that all the names share, and a word of the folders
    `above` may stand beside the emotion (``"0_neutral"``, ``"aia_anger"`` in ``"aia"``). Any other
    word, another emotion and a "not" make it a label of its own: ``"happily_surprised"`` is not
    ``"surprise"``, even where all the names are surprised.
    """
    words = {name: split_words(name) for name in names}
    shared = set.intersection(*map(set, words.values())) if len(names) > 1 else set()
    beside = shared | CONTAINER_WORDS | {word for name in above for word in split_words(name)}
    beside = {
        word
        for word in beside
        if word not in _OTHER_MEANINGS and canonical_emotion(word) not in EMOTIONS
    }
    found = {}
    for name in names:
        emotion = canonical_emotion(name)
        if emotion not in EMOTIONS:
            left = [word for word in words[name] if not word.isdigit() and word not in beside]
            emotion = canonical_emotion("".join(left))
        if emotion in EMOTIONS:
            found[name] = emotion
    return found


def find_emotion_word(name: str) -> str | None:
    """Return the one emotion that a word of a file's name means.

    Two words that mean the same emotion count as one. None for none, several, compounds of two, and
    a "not" among the words.
    """
    words = split_words(name)
    emotions = {canonical_emotion(word) for word in words} & set(EMOTIONS)
    if len(emotions) != 1 or _OTHER_MEANINGS & set(words):
        return None
    return emotions.pop()


def are_series(names: Collection[str]) -> bool:
    """Return whether names only count something, such as persons: ``"S001"``, ``"subject 2"``.

    Whole numbers from 0 or 1 on without gaps and leading zeros may be labels; so may words like
    `class` with a number.
    """
    if all(re.fullmatch(r"\d+", name) for name in names):
        numbers = sorted(map(int, names))
        gapless = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        return not (
            gapless and numbers[0] in (0, 1) and all(str(int(name)) == name for name in names)
        )
    counting = [name for name in names if re.search(r"\d", name)]
    if len(counting) < 0.8 * len(names):
        return False
    patterns = Counter(re.sub(r"\d+", "#", name) for name in counting)
    if all(_LABEL_WORDS & set(split_words(name)) for name in counting):
        return False
    # Codes such as AF01 and BM22 are persons even where no two begin alike.
    codes = all(re.fullmatch(r"[A-Za-z]{1,3}[ _-]?\d+", name) for name in counting)
    return codes or len(patterns) <= max(1, len(counting) // 2)
