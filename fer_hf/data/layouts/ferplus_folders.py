"""FER+ as its official code writes it: `FER2013Train`, `FER2013Valid`, `FER2013Test`.

Each has its pictures and a `label.csv` without a header: the picture's name, in some copies the box
of the face, and the ten counts of votes.
"""

import csv
from pathlib import Path

import numpy as np

_FOLDERS = {"train": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
_LABELS = "label.csv"
NUM_VOTES = 10


def find_vote_folders(root: Path) -> dict[str, Path]:
    """Map each split to its folder, in `root` or in one folder of it; empty if there are none."""
    if not root.is_dir():
        return {}
    for folder in (root, *sorted(child for child in root.iterdir() if child.is_dir())):
        found = {split: folder / name for split, name in _FOLDERS.items()}
        found = {split: path for split, path in found.items() if (path / _LABELS).is_file()}
        if found:
            return found
    return {}


def read_vote_folder(folder: Path) -> tuple[list[str], np.ndarray]:
    """Return the paths (N) of a folder's pictures, and their votes (N, 10) as uint8.

    Raises:
        ValueError: If a row does not hold a name and ten counts from 0 to 255.
    """
    file = folder / _LABELS
    paths, votes = [], []
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for number, row in enumerate(csv.reader(stream), 1):
            counts = row[-NUM_VOTES:]
            if len(row) not in (NUM_VOTES + 1, NUM_VOTES + 2) or not all(
                count.strip().isdigit() and int(count) < 256 for count in counts
            ):
                raise ValueError(
                    f"Line {number} of '{file}' is {row}. Expected a picture's name, perhaps a "
                    "box, and ten counts of votes: write the file again with FER+'s code."
                )
            # Pictures that are no face have no name.
            if row[0].strip():
                paths.append(str(folder / row[0].strip()))
                votes.append([int(count) for count in counts])
    if not paths:
        raise ValueError(f"'{file}' has no rows. Write it again with FER+'s code.")
    return paths, np.array(votes, np.uint8)
