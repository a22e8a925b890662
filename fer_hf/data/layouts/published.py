"""Published sets that say the label by a code in each picture's path; a layout for each of them.

Codes are as the sets' own documents have them. What a set numbers by itself is known by the names
of its pictures, because the same number means another emotion in the next set.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_hf.data.layout import Layout, LoadOptions, Source, source_of_files
from fer_hf.data.layouts.fer2013 import FER2013_LABELS
from fer_hf.data.layouts.picture_tree import read_tree

_NEARLY_ALL = 0.9
"""The share of pictures that must be named as the set names them: releases have odd files."""


@dataclass(frozen=True)
class PublishedSet:
    """How a set names its pictures.

    Attributes:
        name: The layout's name.
        looks_like: A picture's path, and what it is the code of.
        pattern: Searched in the path below the source, whatever its case; the group `label` is the
            code, and a group `split`, if there is one, the split.
        where: What the code is, in words.
        codes: As in `layout.Part`, in lower case.
    """

    name: str
    looks_like: str
    pattern: str
    where: str
    codes: Mapping[str, str | None]


_TWO_LETTERS: Mapping[str, str | None] = {
    **{"an": "anger", "di": "disgust", "fe": "fear", "ha": "happy", "ne": "neutral"},
    **{"sa": "sad", "su": "surprise"},
}

_THREE_LETTERS: Mapping[str, str | None] = {
    **{"ang": "anger", "dis": "disgust", "fea": "fear", "hap": "happy", "neu": "neutral"},
    "sad": "sad",
}

RAF_DB_CODES: Mapping[str, str | None] = {
    **{"1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "anger"},
    "7": "neutral",
}
"""RAF-DB's basic emotions (Li et al. 2017)."""

PUBLISHED_SETS = (
    PublishedSet(
        "kdef",
        "KDEF/AF01/AF01ANFL.JPG: AN is angry",
        r"(?:^|/)[ab][fm]\d\d(?P<label>af|an|di|ha|ne|sa|su)(?:fl|hl|s|hr|fr)\.",
        "letters 5 and 6 of each picture's name",
        {**{k: v for k, v in _TWO_LETTERS.items() if k != "fe"}, "af": "fear"},
    ),
    PublishedSet(
        "jaffe",
        "KA.AN1.39.tiff: AN is angry",
        r"(?:^|/)[a-z]{2}[.-]+(?P<label>an|di|fe|ha|ne|sa|su)\d[.-]+\d+\.",
        "the letters after each picture's first dot",
        _TWO_LETTERS,
    ),
    PublishedSet(
        "nimstim",
        "01F_AN_C.BMP: AN is angry",
        r"(?:^|/)\d\d[fm]_(?P<label>an|ca|di|fe|ha|ne|sa|sp)_[cox]\.",
        "the letters between the underscores of each picture's name",
        {**{k: v for k, v in _TWO_LETTERS.items() if k != "su"}, "sp": "surprise", "ca": "calm"},
    ),
    PublishedSet(
        "bu-3dfe",
        "F0001/F0001_AN01WH_F2D.bmp: AN is angry",
        r"(?:^|/)[fm]\d{4}_(?P<label>an|di|fe|ha|ne|sa|su)\d\d[a-z]{2}_?f[23]d",
        "the letters after each picture's first underscore",
        _TWO_LETTERS,
    ),
    PublishedSet(
        "kmu-fed",
        "01_AN_mr_005.jpg: AN is angry",
        r"(?:^|/)\d{1,2}_(?P<label>an|di|fe|ha|ne|sa|su)_[a-z]+\d*_\d+\.",
        "the letters after each picture's first underscore",
        _TWO_LETTERS,
    ),
    PublishedSet(
        "faces",
        "004_o_m_a_a.jpg: the fourth field, a, is anger",
        r"(?:^|/)\d{3}_[ymo]_[fm]_(?P<label>[adfhns])_[ab]\.",
        "the fourth field of each picture's name",
        {
            **{"a": "anger", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral"},
            "s": "sad",
        },
    ),
    PublishedSet(
        "cfd",
        "CFD-WF-001-003-N.jpg: N is neutral",
        r"(?:^|/)cfd-[a-z]{2}-\d{3}-\d{3}-(?P<label>n|a|hc|ho|f)\.",
        "the letters at the end of each picture's name",
        {"n": "neutral", "a": "anger", "hc": "happy", "ho": "happy", "f": "fear"},
    ),
    PublishedSet(
        "bosphorus",
        "bs000/bs000_E_ANGER_0.png; N_N is neutral",
        r"(?:^|/)bs\d{3}_(?:e_(?P<label>anger|disgust|fear|happy|sadness|surprise)"
        r"|n_(?P<neutral>n))_\d+\.",
        "the letters after E_ in each picture's name, and N_N",
        {"n": "neutral"},
    ),
    PublishedSet(
        "adfes",
        "F01-Anger-Apex.jpg: the second field",
        r"(?:^|/)[fm]\d\d-(?P<label>[a-z]+)-(?:apex|face|turn|high|med|low)",
        "the second field of each picture's name",
        {"joy": "happy"},
    ),
    PublishedSet(
        "yale",
        "subject01.happy.gif: the second field; normal is neutral, and glasses or lights are none",
        r"(?:^|/)subject\d\d\.(?P<label>happy|normal|sad|sleepy|surprised|wink"
        r"|(?:center|left|right)light|(?:no)?glasses)\.",
        "the second field of each picture's name",
        {
            **{"normal": "neutral", "sleepy": None, "wink": None, "glasses": None},
            **dict.fromkeys(("noglasses", "centerlight", "leftlight", "rightlight")),
        },
    ),
    PublishedSet(
        "crema-d",
        "1001_DFA_ANG_XX/1.jpg: ANG is anger",
        r"(?:^|/)1\d{3}_[a-z]{3}_(?P<label>ang|dis|fea|hap|neu|sad)_(?:xx|lo|md|hi|x)",
        "the third field of each recording's name",
        _THREE_LETTERS,
    ),
    PublishedSet(
        "ravdess",
        "01-01-05-01-02-01-12/1.jpg: the third field, 05, is angry",
        r"(?:^|/)0[123]-0[12]-(?P<label>0[1-8])-0[12]-0[12]-0[12]-\d\d",
        "the third field of each recording's name",
        {
            **{"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "anger"},
            **{"06": "fear", "07": "disgust", "08": "surprise"},
        },
    ),
    PublishedSet(
        "fer2013-folders",
        "train/3/Training_3908.jpg: 3 is happy",
        r"(?:^|/)(?P<label>[0-6])/(?:training|publictest|privatetest)_\d+\.",
        "the number of each picture's folder",
        {str(number): name for number, name in enumerate(FER2013_LABELS)},
    ),
    PublishedSet(
        "raf-db-folders",
        "DATASET/train/5/train_00001_aligned.jpg: 5 is sad",
        r"(?:^|/)(?P<label>[1-7])/(?P<split>train|test)_\d{4,5}(?:_aligned)?\.",
        "the number of each picture's folder",
        RAF_DB_CODES,
    ),
)


def find_labels(
    root: Path, published: PublishedSet
) -> tuple[dict[str, list[tuple[str, Path]]], list[Path]]:
    """Return label and path of the pictures named as the set names them, by split; and the others.

    Without splits in the pattern, folders say them.
    """
    pattern = re.compile(published.pattern, re.IGNORECASE)
    found: list[tuple[str | None, str, Path]] = []
    others = []
    for folder in read_tree(root):
        above = "".join(f"{part}/" for part in folder.parts)
        for file in folder.files:
            match = pattern.search(above + file.name)
            if match is None:
                others.append(file)
                continue
            groups = match.groupdict()
            label = groups["label"] or groups["neutral"]
            found.append((groups.get("split") or folder.split, label.lower(), file))
    has_splits = any(split for split, _, _ in found)
    pictures: dict[str, list[tuple[str, Path]]] = {}
    for split, label, file in found:
        if split or not has_splits:
            pictures.setdefault(split.lower() if split else "train", []).append((label, file))
        else:
            others.append(file)
    return pictures, others


def _build_layout(published: PublishedSet) -> Layout:
    def recognise(root: Path, options: LoadOptions) -> bool:
        if not root.is_dir():
            return False
        pictures, others = find_labels(root, published)
        labels = [label for labelled in pictures.values() for label, _ in labelled]
        return len(set(labels)) > 1 and len(labels) >= _NEARLY_ALL * (len(labels) + len(others))

    def locate(root: Path, options: LoadOptions) -> Source:
        pictures, others = find_labels(root, published) if root.is_dir() else ({}, [])
        if not pictures:
            raise ValueError(
                f"'{root}' has no pictures named as those of `{published.name}`. Expected "
                f"{published.looks_like}."
            )
        notes = []
        if others:
            example = others[0].relative_to(root).as_posix()
            notes = [f"left out {len(others):,} pictures with other names, such as '{example}'"]
        return source_of_files(pictures, published.where, published.codes, notes)

    return Layout(published.name, published.looks_like, recognise, locate)


PUBLISHED = tuple(_build_layout(published) for published in PUBLISHED_SETS)
"""A layout for each of the `PUBLISHED_SETS`."""
