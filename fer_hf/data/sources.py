"""From a source of any layout to the three splits, checked, named and kept in the cache."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from fer_hf.data import arrow_cache
from fer_hf.data.cache_folder import compute_key, explaining_full_disk, find_or_write
from fer_hf.data.labels import collect_label_names, name_labels, spell_label
from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.recognition import locate_source
from fer_hf.data.splits import SPLITS, split_rows
from fer_hf.data.stored_pictures import find_unreadable
from fer_hf.emotions import EMOTIONS

logger = logging.getLogger(__name__)

_ABOUT = "about.json"
_MOST_SHOWN = 16


class UnreadablePicturesError(ValueError):
    """Pictures of a source cannot be read.

    Attributes:
        pictures: What is wrong with which one, in words.
    """

    def __init__(self, pictures: Sequence[str]) -> None:
        self.pictures = list(pictures)
        more = f"; and {len(pictures) - 10} more" if pictures[10:] else ""
        super().__init__(
            f"{len(pictures)} pictures cannot be read: {'; '.join(pictures[:10])}{more}. "
            "Repair or remove them, or pass `skip_unreadable=True` to leave them out."
        )


def load_splits(
    source: str | Path, *, layout: str | None = None, **options: Any
) -> datasets.DatasetDict:
    """Load pictures and labels from any of the `LAYOUTS` as the splits train, validation and test.

    Every picture is decoded once, to make sure that it can be. The result stays in the `datasets`
    cache until the files change, so that loading again takes no time. Splits that the source lacks
    are cut out of its `train`; see `splits.split_rows`.

    Args:
        source: A path, a data set's id on the Hub, or the word ``"drawn"``.
        layout: One of `LAYOUTS`; by default it is recognised.
        **options: `label_pattern`, `image_column`, `label_column`, `label_names`, `votes_file`,
            `vote_rule`, `num_drawn`, `drawn_size`, `revision`, `skip_unreadable` and `seed`, as
            `LoadOptions` describes them.

    Returns:
        Exactly `train`, `validation` and `test`, with the columns `image` (`Image`), `label`
        (`ClassLabel`, names as `emotions.order_labels` orders them) and, if the source has votes,
        `votes`: float32 counts, one for each label in the order of the ids, and `other_votes`, the
        count of votes for none of them, where the source says so. How the source was understood is
        a line in the `info.description` of each split, and is logged; `info.splits` has the splits
        of the source itself, see `splits.is_cut`.

    Raises:
        ValueError: If the source is not understood, or its content cannot be used; the message says
            what was found and what to do. If pictures cannot be read it is an
            `UnreadablePicturesError`, which lists them all.
        FileNotFoundError: If there is no such source.
        ConnectionError: If the Hub cannot be reached.
        OSError: If the disk is full.

    Example:
        >>> splits = load_splits("my_faces")
        >>> splits["train"].features["label"].names
        ['cross', 'pleased']
        >>> splits["train"][0]["image"].size
        (48, 48)
    """
    chosen = LoadOptions(layout=layout, **options)
    with explaining_full_disk():
        kind, found = locate_source(source, chosen)
        described = {"source": str(source), **asdict(chosen), "layout": kind.name}
        key = compute_key(found.identity, described)
        entry = find_or_write(key, lambda folder: _write(folder, kind, found, chosen))
    about = json.loads((entry / _ABOUT).read_text(encoding="utf-8"))
    understood, own_splits = about["understood"], about["own_splits"]
    level = logging.WARNING if about["notes"] else logging.INFO
    logger.log(level, "Read '%s' as %s", source, understood)
    if skipped := about["skipped"]:
        logger.warning("Left out %d unreadable pictures: %s", len(skipped), "; ".join(skipped))
    return datasets.DatasetDict(
        {
            split: arrow_cache.load_split(entry / f"{split}.arrow", understood, own_splits)
            for split in SPLITS
        }
    )


def _write(folder: Path, kind: Layout, source: Source, options: LoadOptions) -> None:
    """Write the three splits of a source into the folder of a cache entry."""
    located, notes = _leave_out_codes(source.read(), options)
    parts, skipped = _check_pictures(located, options)
    labels, declared = {}, options.label_names
    for split, part in parts.items():
        given = part.label_names or options.label_names
        codes = {**part.codes, **options.codes}
        labels[split] = name_labels(part.labels, given, part.where, part.name, codes)
        declared = declared or given
    names = collect_label_names(labels, declared)
    label_ids = {split: np.array([names.index(name) for name in labels[split]]) for split in labels}
    cut = split_rows(label_ids["train"], set(parts), options.seed)
    for split in SPLITS:
        # A split that the source lacks comes out of its `train`.
        origin = split if split in parts else "train"
        rows = cut.get(split, np.arange(len(label_ids[origin])))
        part = parts[origin].select(rows)
        columns = {"label": label_ids[origin][rows], **part.order_votes(names)}
        pictures = part.read(np.arange(len(rows)))
        arrow_cache.write_split(folder / f"{split}.arrow", pictures, columns, names)
    notes = [*source.notes, *notes]
    notes += _find_merged(parts, labels)
    if all(name.isdigit() for name in names):
        notes.append("the labels are numbers without names: pass `label_names` to name them")
    elif not set(names) & set(EMOTIONS):
        notes.append(
            "none of the labels is a known emotion: if they are persons or the like, the labels "
            "are elsewhere (see `label_pattern` and `layout`)"
        )
    about = {
        "understood": _describe(kind, source, parts, labels, names, notes),
        "own_splits": {split: len(part.labels) for split, part in parts.items()},
        "notes": notes,
        "skipped": skipped,
    }
    (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")


def _find_merged(parts: dict[str, Part], labels: dict[str, list[str]]) -> list[str]:
    """Say which labels of one split became one label, because they are spellings of an emotion."""
    merged: dict[str, set[str]] = {}
    for split, part in parts.items():
        spelled: dict[str, set[str]] = {}
        for value, name in zip(part.labels, labels[split], strict=True):
            spelled.setdefault(name, set()).add(spell_label(value))
        merged |= {name: texts for name, texts in spelled.items() if len(texts) > 1}
    return [f"{', '.join(sorted(texts))} are all {name!r}" for name, texts in merged.items()]


def _leave_out_codes(
    parts: dict[str, Part], options: LoadOptions
) -> tuple[dict[str, Part], list[str]]:
    """Return the parts without the rows whose code means no emotion, and how many those are."""
    kept, left_out = dict(parts), Counter[str]()
    for split, part in parts.items():
        none = {code for code, name in part.codes.items() if name is None} - set(options.codes)
        texts = [spell_label(label) for label in part.labels]
        left_out.update(text for text in texts if text in none)
        if none & set(texts):
            rows = np.flatnonzero([text not in none for text in texts])
            kept[split] = part.select(rows)
    notes = [f"left out {count:,} labelled {code!r}" for code, count in sorted(left_out.items())]
    return kept, [f"{note}, which means no emotion" for note in notes]


def _describe(
    kind: Layout,
    source: Source,
    parts: dict[str, Part],
    labels: dict[str, list[str]],
    names: list[str],
    notes: Sequence[str],
) -> str:
    """Say in one line how a source was understood."""
    spelled = {
        (spell_label(value), name)
        for split, part in parts.items()
        for value, name in zip(part.labels, labels[split], strict=True)
    }
    shown = [
        name if value == name else f"{value} → {name}"
        for value, name in sorted(spelled, key=lambda pair: (names.index(pair[1]), pair[0]))
    ]
    more = f", and {len(shown) - _MOST_SHOWN} more" if shown[_MOST_SHOWN:] else ""
    cut = [split for split in SPLITS if split not in parts]
    splits = f"its own splits {', '.join(split for split in SPLITS if split in parts)}"
    if len(parts) == 1:
        splits = "no splits of its own"
    if cut:
        splits += f" ({' and '.join(cut)} cut out of train)"
    labelled = f"labels from {source.labels_from} ({', '.join(shown[:_MOST_SHOWN])}{more})"
    return "; ".join([f"`{kind.name}`", labelled, splits, *notes])


def _check_pictures(
    parts: dict[str, Part], options: LoadOptions
) -> tuple[dict[str, Part], list[str]]:
    """Return the parts with the pictures that can be read, and the names of those that cannot.

    Raises:
        UnreadablePicturesError: If pictures cannot be read, and `skip_unreadable` is not set.
    """
    checked, unreadable = dict(parts), []
    for split, part in parts.items():
        if part.is_checked:
            continue
        rows = np.arange(len(part.labels))
        faults = find_unreadable(part.read(rows), len(rows))
        checked[split] = part.select(np.delete(rows, list(faults)))
        unreadable += [f"`{split}` {part.name(row)}: {why}" for row, why in faults.items()]
    if unreadable and not options.skip_unreadable:
        raise UnreadablePicturesError(unreadable)
    return checked, unreadable
