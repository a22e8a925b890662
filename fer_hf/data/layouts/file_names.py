"""The `file-names` layout: the label is in each picture's name, or where a pattern finds it."""

import re
from collections.abc import Mapping
from pathlib import Path

from fer_hf.data.layout import Layout, LoadOptions, Source, source_of_files
from fer_hf.data.layouts.path_words import find_emotion_word
from fer_hf.data.layouts.picture_tree import FEWEST_CODES, find_emotion_folders, read_tree
from fer_hf.data.splits import split_name
from fer_hf.data.words import split_words
from fer_hf.emotions import find_emotion_codes

_NEARLY_ALL = 0.9
"""The share of pictures whose names must say a label before names are taken to say labels."""

Found = dict[Path, str]


def _locate(root: Path, options: LoadOptions) -> Source:
    """Read labels from the names of pictures, splits from folders above them.

    Raises:
        ValueError: If names say no labels, or the pattern cannot be used.
    """
    folders = read_tree(root) if root.is_dir() else []
    files = [file for folder in folders for file in folder.files]
    splits = {file: folder.split for folder in folders for file in folder.files}
    if options.label_pattern is not None:
        labels, found_splits = _search(root, files, options.label_pattern)
        splits |= found_splits
        where = f"the pattern {options.label_pattern!r} in the paths"
    else:
        found = _find_words(files) or _find_codes(files)
        if found is None:
            raise ValueError(
                f"'{root}' has no pictures whose names all say an emotion. Expected names such as "
                "'happy_01.jpg', or a `label_pattern` that says where in a path the label is."
            )
        labels, where = found
    codes: Mapping[str, str] = {}
    if not options.codes and not set(labels.values()) <= set(options.label_names or ()):
        codes = find_emotion_codes(set(labels.values()), options.label_names) or {}
    has_splits = any(splits[file] for file in labels)
    pictures: dict[str, list[tuple[str, Path]]] = {}
    for file, label in labels.items():
        if splits[file] or not has_splits:
            pictures.setdefault(splits[file] or "train", []).append((label, file))
    left_out = [file for file in files if file not in labels or (has_splits and not splits[file])]
    notes = []
    if left_out:
        example = left_out[0].relative_to(root).as_posix()
        notes = [f"left out {len(left_out):,} pictures without a label, such as '{example}'"]
    return source_of_files(pictures, where, codes, notes)


def _search(root: Path, files: list[Path], text: str) -> tuple[Found, dict[Path, str]]:
    """Return the label of each picture that the pattern finds, and the splits it finds."""
    pattern = compile_label_pattern(text)
    labels, splits = {}, {}
    start = len(root.as_posix().rstrip("/")) + 1
    for file in files:
        path = file.as_posix()[start:]
        match = pattern.search(path)
        if match is None or not match["label"]:
            continue
        labels[file] = match["label"]
        if "split" in pattern.groupindex and match["split"]:
            split = split_name(match["split"])
            if split is None:
                raise ValueError(
                    f"`label_pattern` finds the split {match['split']!r} in '{path}', which is "
                    "none of train, validation and test. Change its group `split`."
                )
            splits[file] = split
    if not labels:
        example = files[0].relative_to(root).as_posix() if files else "no picture"
        raise ValueError(
            f"`label_pattern` {text!r} is found in none of {len(files):,} paths below '{root}', "
            f"such as '{example}'. Try it on that path."
        )
    return labels, splits


def compile_label_pattern(text: str) -> re.Pattern[str]:
    """Compile a `label_pattern`.

    Raises:
        ValueError: If it is no regular expression, or has no group `label`.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(
            f"`label_pattern` {text!r} is not a regular expression ({error}). Mend it."
        ) from None
    if "label" not in pattern.groupindex:
        raise ValueError(
            f"`label_pattern` {text!r} has no group `label`. Write (?P<label>…) around what is the "
            "label."
        )
    return pattern


def _find_words(files: list[Path]) -> tuple[Found, str] | None:
    """Find one word in each name that is an emotion, in nearly all names."""
    words = {file: word for file in files if (word := find_emotion_word(file.stem)) is not None}
    if len(set(words.values())) < 2 or len(words) < _NEARLY_ALL * len(files):
        return None
    return words, "a word in each picture's name"


def _find_codes(files: list[Path]) -> tuple[Found, str] | None:
    """Find the one place in all names where each has a short form of an emotion."""
    words = {file: split_words(file.stem) for file in files}
    shortest = min(map(len, words.values()), default=0)
    places = []
    for place in range(shortest):
        distinct = {parts[place] for parts in words.values()}
        if len(distinct) >= FEWEST_CODES and find_emotion_codes(distinct):
            places.append(place)
    if len(places) != 1:
        return None
    codes = {file: parts[places[0]] for file, parts in words.items()}
    return codes, f"the code in place {places[0] + 1} of each picture's name"


def _recognise(path: Path, options: LoadOptions) -> bool:
    if not path.is_dir():
        return False
    folders = read_tree(path)
    files = [file for folder in folders for file in folder.files]
    if not files or find_emotion_folders(folders):
        return False
    return bool(_find_words(files) or _find_codes(files))


FILE_NAMES = Layout(
    "file-names",
    "happy_01.jpg, KA.AN1.39.tiff: the label in the name, or where `label_pattern` finds it",
    _recognise,
    _locate,
)
