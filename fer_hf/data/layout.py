"""What a layout is: how to recognise a source that has it, and what its reader hands over.

Labels come up front because they are small; pictures come in batches because they are not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fer_hf.data.labels import check_label_names
from fer_hf.data.splits import divide_rows
from fer_hf.data.stored_pictures import read_paths


@dataclass(kw_only=True)
class LoadOptions:
    r"""What may be said about a source beside its layout; each layout looks at what concerns it.

    Attributes:
        layout: Its name, where the user says it instead of having it recognised.
        label_pattern: A regular expression with a group `label`, and perhaps one `split`, that is
            searched in each picture's path below the source (with `/`): the text found there is
            its label, as in ``r"KA\.(?P<label>[A-Z]{2})"``.
        image_column: The column with the pictures or their paths, for `table` and `hub`.
        label_column: The column with the labels, for `table` and `hub`.
        label_names: All labels there may be; for labels that are numbers, their names from 0 on.
            Or ``"CODE=name"`` for each code that the source has for a label.
        votes_file: FER+'s `fer2013new.csv`, if it is not in the folder of `fer2013.csv`.
        vote_rule: Which rows of FER+ to keep: ``"majority"``, those that most people agree on, as
            in its official code (in train, those where an emotion has the most votes); ``"all"``,
            each with a vote for an emotion, labelled with the one that has the most.
        num_drawn: How many faces to draw.
        drawn_size: Their height and width in pixels.
        revision: Branch, tag or commit of the data set on the Hub.
        skip_unreadable: Leave out pictures that cannot be read, and log their names.
        seed: Decides which rows go into a split that has to be made, and the drawn faces.
    """

    layout: str | None = None
    label_pattern: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    label_names: Sequence[str] | None = None
    votes_file: str | Path | None = None
    vote_rule: str = "majority"
    num_drawn: int = 1200
    drawn_size: int = 128
    revision: str | None = None
    skip_unreadable: bool = False
    seed: int = 0

    codes: Mapping[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Divide codes from names; refuse a text, no names, and a name or a code that comes twice.

        Raises:
            ValueError: `label_names` cannot be used.
        """
        if isinstance(self.label_names, str):
            raise ValueError(f"`label_names` is the text {self.label_names!r}. Pass a list.")
        if self.label_names is None:
            return
        given = [str(name).partition("=") for name in self.label_names]
        if any(equals for _, equals, _ in given):
            if not all(code.strip() and name.strip() for code, _, name in given):
                raise ValueError(
                    f"`label_names` is {list(self.label_names)!r}. Expected either a name or "
                    "CODE=name for every label: write all of them in one way."
                )
            check_label_names([code for code, _, _ in given], "`label_names`, before the `=`,")
            self.codes = {code.strip(): name.strip() for code, _, name in given}
            self.label_names = None
        else:
            self.label_names = check_label_names(self.label_names, "`label_names`")


@dataclass(frozen=True)
class Part:
    """Labelled pictures of a source, usually one of its splits.

    Attributes:
        labels: The label of each of the N rows as the source has it, a name or a number.
        read: Takes ascending row numbers, yields the encoded pictures of those rows in that order,
            in batches as the readers of `stored_pictures` do.
        where: What holds the labels, for messages.
        name: Takes a row number, returns where that picture is, for messages.
        label_names: All labels the source declares, by number; None if it does not say.
        codes: What labels are called that the source has codes for; None for a code that means no
            emotion, of which the rows are left out. A label that is not among them stays as it is.
        votes: How many people chose each label, shape (N,), by its name; empty without votes.
        other_votes: Votes (N,) for none of these labels, such as `unknown`; None if not known.
        is_checked: Whether the pictures are certain to be readable, because `read` encodes them.
    """

    labels: Sequence[Any]
    read: Callable[[np.ndarray], Iterator[pa.StructArray]]
    where: str
    name: Callable[[int], str]
    label_names: Sequence[str] | None = None
    codes: Mapping[str, str | None] = field(default_factory=dict)
    votes: Mapping[str, np.ndarray] = field(default_factory=dict)
    other_votes: np.ndarray | None = None
    is_checked: bool = False

    def select(self, index: np.ndarray) -> "Part":
        """Return a part of the rows `index`, in ascending order."""
        return replace(
            self,
            labels=[self.labels[row] for row in index],
            read=lambda rows: self.read(index[rows]),
            name=lambda row: self.name(index[row]),
            votes={name: counts[index] for name, counts in self.votes.items()},
            other_votes=None if self.other_votes is None else self.other_votes[index],
        )

    def divide(self, splits: Sequence[str]) -> "dict[str, Part]":
        """Return a part for each split, named in any spelling by `splits`, one for each row.

        Raises:
            ValueError: If a value means no split, or two values mean the same one.
        """
        rows = divide_rows(splits, self.where)
        return {split: self.select(index) for split, index in rows.items()}

    def order_votes(self, label_names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return `votes` (N, labels), in the order of `label_names`, and `other_votes`, if known.

        Labels that nobody could vote for get zeros.
        """
        columns = {}
        if self.votes:
            nobody = np.zeros(len(self.labels))
            ordered = [self.votes.get(name, nobody) for name in label_names]
            columns["votes"] = np.stack(ordered, axis=1).astype(np.float32)
        if self.other_votes is not None:
            columns["other_votes"] = self.other_votes.astype(np.float32)
        return columns


@dataclass(frozen=True)
class Source:
    """A recognised source: cheap to make, it reads the pictures only when asked.

    Attributes:
        identity: What the content depends on beside the options: paths, each of which counts with
            its size and its time of change, or texts.
        read: Returns a part for each split found.
        labels_from: Where the labels come from, in a few words for people.
        notes: What else to know of how it was understood, such as pictures that are left out.
    """

    identity: Sequence[Path | str]
    read: Callable[[], dict[str, Part]]
    labels_from: str
    notes: Sequence[str] = ()


def source_of_files(
    pictures: Mapping[str, Sequence[tuple[str, Path]]],
    labels_from: str,
    codes: Mapping[str, str | None] | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """Describe pictures that are files of their own: a label and a path each, by split.

    `codes` is as in `Part`, `notes` as in `Source`.
    """

    def describe(labelled: Sequence[tuple[str, Path]]) -> Part:
        paths = [str(file) for _, file in labelled]
        return Part(
            [label for label, _ in labelled],
            read=lambda rows: read_paths(paths, rows),
            where=labels_from,
            name=lambda row: f"'{paths[row]}'",
            codes=codes or {},
        )

    parts = {split: describe(labelled) for split, labelled in pictures.items()}
    files = [file for labelled in pictures.values() for _, file in labelled]
    return Source(files, lambda: parts, labels_from, notes)


@dataclass(frozen=True)
class Layout:
    """A form in which sources come.

    Attributes:
        name: What it is called in `load_splits` and `--layout`.
        looks_like: How its files are arranged, in a line for people.
        recognise: Whether an existing file or folder has this layout, by names and headers only.
        locate: Finds the labels and pictures of a source; raises a ValueError, which says what was
            found and what to do, if it does not have this layout or something is missing.
        recognise_text: Whether a source that is not a file or folder here, such as an id, has this
            layout. Layouts without it need files.
        vote_rules: The values of `LoadOptions.vote_rule` that it can follow.
    """

    name: str
    looks_like: str
    recognise: Callable[[Path, LoadOptions], bool]
    locate: Callable[[Path, LoadOptions], Source]
    recognise_text: Callable[[str], bool] | None = None
    vote_rules: Sequence[str] = ("majority",)
