"""What names of folders and files say: a split, an emotion, a person, or only "pictures inside".

Every layout that reads labels from paths asks here, so that one name means one thing everywhere.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable

from fer_hf.data.splits import split_name
from fer_hf.emotions import EMOTIONS, canonical_emotion

_CONTAINERS = """
align aligned annotated annotation annotations archive archives automatically basic bmp clean crop
cropped crops data database databases dataset datasets db emotion emotions expression expressions
extracted face faces facial fer file files folder frame frames full gray grayscale grey image images
img imgs input inputs jpeg jpg label labels manually original originals output photo photos pic pics
picture pictures png processed raw release resized rgb sample samples set sets tif tiff unzipped
webp x bild bilder foto fotos imagen imagenes
"""
_COUNTED = "category class cls emo emotion expr expression label"
_NEGATIONS = "kein keine no non not ohne pas sans sin without"
_ADVERBS = "angrily appalled awed disgustedly fearfully happily hatred sadly surprisedly"

_CONTAINER_WORDS = frozenset(_CONTAINERS.split())
"""Words of folders' names that say only that pictures, or files about them, are inside."""

_LABEL_WORDS = frozenset(_COUNTED.split())
"""Before a number these make a label of it (``"class_3"``), where others count persons or takes."""

_OTHER_MEANINGS = frozenset([*_NEGATIONS.split(), *_ADVERBS.split()])
"""Beside an emotion, these mean another one, or two (Du et al. 2014: "happily surprised")."""


def split_words(name: str) -> list[str]:
    """Split a name where letters, digits and other characters meet, and before inner capitals.

    ``"FER2013Train_set"`` becomes ``["fer", "2013", "train", "set"]``.
    """
    words: list[str] = []
    previous = ""
    for character in unicodedata.normalize("NFC", name):
        if character.isalnum():
            joins = (
                previous.isalnum()
                and previous.isdigit() == character.isdigit()
                and not (previous.islower() and character.isupper())
            )
            words[-1:] = [words[-1] + character] if joins else [*words[-1:], character]
        previous = character
    return [word.lower() for word in words]


def is_container(name: str) -> bool:
    """Return whether a folder's name says only that pictures are inside: ``"aligned_images"``."""
    words = split_words(name)
    return (
        bool(words)
        and all(word in _CONTAINER_WORDS or word.isdigit() for word in words)
        and (not all(word.isdigit() for word in words))
    )


def find_splits(names: Iterable[str]) -> dict[str, str]:
    """Map those of sibling names that mean a split to it.

    ``"val_set"`` and ``"images-test"`` do by themselves. ``"ABC_train"`` does beside
    ``"ABC_test"``, not alone: it may be a label of its own.
    """
    found, rests = {}, {}
    for name in names:
        split, rest = _divide_split(name)
        if split is not None:
            found[name], rests[name] = split, rest
    common = Counter(rest for rest, _ in {(rests[name], found[name]) for name in found})
    return {
        name: split for name, split in found.items() if not rests[name] or common[rests[name]] > 1
    }


def _divide_split(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the split that a name means, and its other words but for numbers and containers."""
    words = split_words(name)
    if split := split_name("".join(words)):
        return split, ()
    rest, splits = [], set()
    for word in words:
        split = split_name(word) or next(
            (split_name(word.removesuffix(end)) for end in ("set", "data") if word.endswith(end)),
            None,
        )
        if split:
            splits.add(split)
        elif not (word.isdigit() or word in _CONTAINER_WORDS):
            rest.append(word)
    return (splits.pop(), tuple(rest)) if len(splits) == 1 else (None, ())


def find_emotions(names: Collection[str], above: Collection[str] = ()) -> dict[str, str]:
    """Map those of sibling names that mean an emotion to it.

    A number, a word like `images`, a word that all the names share, and a word of the folders
    `above` may stand beside the emotion (``"0_neutral"``, ``"aia_anger"`` in ``"aia"``). Any other
    word makes it a label of its own: ``"happily_surprised"`` is not ``"surprise"``.
    """
    words = {name: split_words(name) for name in names}
    shared = set.intersection(*map(set, words.values())) if len(names) > 1 else set()
    beside = shared | _CONTAINER_WORDS | {word for name in above for word in split_words(name)}
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
