"""Published sets that come with a list of pictures: `raf-db`, `expw`, `affectnet-csv`.

Their lists have no header, or codes that only their papers explain.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_hf.data.layout import Layout, LoadOptions, Part, Source
from fer_hf.data.layouts.folder_listing import recall
from fer_hf.data.layouts.list_files import find_list_files, read_rows
from fer_hf.data.layouts.picture_index import PictureIndex
from fer_hf.data.layouts.published import RAF_DB_CODES
from fer_hf.data.layouts.sidecars import AFFECTNET_CODES
from fer_hf.data.splits import split_name
from fer_hf.data.stored_pictures import read_crops, read_paths

EXPW_CODES: Mapping[str, str | None] = {
    **{"0": "anger", "1": "disgust", "2": "fear", "3": "happy", "4": "sad", "5": "surprise"},
    "6": "neutral",
}
"""ExpW's codes (Zhang et al. 2018)."""

RAF_DB_COMPOUND_CODES: Mapping[str, str | None] = {
    **{"1": "happily surprised", "2": "happily disgusted", "3": "sadly fearful"},
    **{"4": "sadly angry", "5": "sadly surprised", "6": "sadly disgusted"},
    **{"7": "fearfully angry", "8": "fearfully surprised", "9": "angrily surprised"},
    **{"10": "angrily disgusted", "11": "disgustedly surprised"},
}
"""RAF-DB's compound emotions: a list of the same name, in which the numbers mean others."""

_DEPTH = 4


@dataclass(frozen=True)
class _Listed:
    """What a list says of its N faces.

    Attributes:
        names: The picture of each.
        labels: The code of each.
        codes: As in `Part`.
        boxes: Left, top, right and bottom in pixels, shape (N, 4), or None for whole pictures.
        splits: The split of each, or None.
    """

    file: Path
    names: list[str]
    labels: list[str]
    codes: Mapping[str, str | None]
    boxes: np.ndarray | None = None
    splits: list[str] | None = None


def _read_expw(file: Path) -> _Listed | None:
    """Read ``name face_id top left right bottom confidence label``; a row comes more than once."""
    if file.name.lower() != "label.lst":
        return None
    rows = list(dict.fromkeys(tuple(row) for row in read_rows(file, " ")))
    if not rows or any(len(row) != 8 or row[7] not in EXPW_CODES for row in rows):
        return None
    numbers = [_read_numbers(row[2:6], f"The row {row} of '{file}'") for row in rows]
    boxes = np.array(numbers)[:, [1, 0, 2, 3]]
    return _Listed(file, [row[0] for row in rows], [row[7] for row in rows], EXPW_CODES, boxes)


def _read_numbers(texts: Sequence[str], where: str) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise ValueError(
            f"{where} has the box {list(texts)}. Expected four numbers: unpack the list again."
        ) from error


def _read_raf_db(file: Path) -> _Listed | None:
    """Read ``train_00001.jpg 5``; the split is in the name."""
    if file.name.lower() not in ("list_patition_label.txt", "list_partition_label.txt"):
        return None
    rows = list(read_rows(file, " "))
    is_compound = "compound" in str(file.parent).lower() or any(len(row[-1]) > 1 for row in rows)
    codes = RAF_DB_COMPOUND_CODES if is_compound else RAF_DB_CODES
    for number, row in enumerate(rows, 1):
        if len(row) != 2 or row[1] not in codes or not split_name(row[0].partition("_")[0]):
            raise ValueError(
                f"Line {number} of '{file}' is {row}. Expected RAF-DB's 'train_00001.jpg 5', with "
                f"a number from 1 to {len(codes)}: unpack the list again."
            )
    splits = [row[0].partition("_")[0] for row in rows]
    return _Listed(file, [row[0] for row in rows], [row[1] for row in rows], codes, None, splits)


def _read_affectnet(file: Path) -> _Listed | None:
    """Read the columns of `training.csv` and `validation.csv`; rows without a face are left out."""
    if file.suffix.lower() != ".csv":
        return None
    rows = read_rows(file, ",")
    try:
        header = [name.strip().lower() for name in next(rows, [])]
    except ValueError:
        return None  # another list, whose cells something else separates
    wanted = ("subdirectory_filepath", "face_x", "face_y", "face_width", "face_height")
    if not {*wanted, "expression"} <= set(header):
        return None
    path, x, y, width, height = (header.index(name) for name in wanted)
    expression = header.index("expression")
    names, labels, boxes = [], [], []
    for number, row in enumerate(rows, 2):
        where = f"Line {number} of '{file}'"
        if len(row) != len(header) or row[expression].strip() not in AFFECTNET_CODES:
            raise ValueError(
                f"{where} is {row}. Expected AffectNet's {len(header)} columns, with an "
                f"`expression` from 0 to {len(AFFECTNET_CODES) - 1}: unpack the list again."
            )
        names.append(row[path])
        labels.append(row[expression].strip())
        # Rows without a face say NULL, or a negative size.
        has_face = AFFECTNET_CODES[labels[-1]] is not None
        box = [row[i] for i in (x, y, width, height)] if has_face else ["0", "0", "1", "1"]
        left, top, wide, high = _read_numbers(box, where)
        boxes.append((left, top, left + wide, top + high))
    split = split_name(file.stem) or "train"
    return _Listed(
        file, names, labels, AFFECTNET_CODES, np.array(boxes).reshape(-1, 4), [split] * len(names)
    )


def _find_listed(root: Path, read: Callable[[Path], _Listed | None]) -> list[_Listed]:
    if root.is_file():
        return [listed for listed in [read(root)] if listed]
    return [listed for file in find_list_files(root, _DEPTH) if (listed := read(file))]


def _find_pictures(listed: _Listed, index: PictureIndex) -> list[str]:
    """Return the path of each face's picture, aligned where there is such a version."""
    folder = listed.file.parent
    names = listed.names
    if listed.splits and listed.boxes is None:
        aligned = [f"{Path(name).stem}_aligned{Path(name).suffix}" for name in names]
        known = {Path(file).name for file in index.files}
        names = [a if a in known else name for a, name in zip(aligned, names, strict=True)]
    found = index.find(names, folder)
    if found.unclear:
        row, files = min(found.unclear.items())
        raise ValueError(
            f"'{listed.file}' names {names[row]!r}, which may be '{index.show(files[0])}' or "
            f"'{index.show(files[1])}'. Pass the folder of one of the two versions."
        )
    return [path or str(folder / name) for path, name in zip(found.paths, names, strict=True)]


def _build_part(listed: _Listed, paths: Sequence[str]) -> Part:
    where, boxes = f"'{listed.file}'", listed.boxes
    return Part(
        listed.labels,
        read=(lambda rows: read_paths(paths, rows))
        if boxes is None
        else lambda rows: read_crops(paths, boxes, rows, where),
        where=where,
        name=lambda row: f"{paths[row]!r} in {where}",
        codes=listed.codes,
    )


def _refuse_two_lists(root: Path, lists: Sequence[_Listed]) -> None:
    first: dict[str | None, _Listed] = {}
    for listed in lists:
        for split in {split_name(split) for split in listed.splits or ["train"]}:
            other = first.setdefault(split, listed)
            if other is not listed:
                raise ValueError(
                    f"'{other.file}' and '{listed.file}' both say labels for the split `{split}`. "
                    "Pass the folder of one of them, or the file."
                )


def _build_layout(name: str, looks_like: str, read: Callable[[Path], _Listed | None]) -> Layout:
    def find(root: Path) -> list[_Listed]:
        return _find_listed(root, read)

    def recognise(root: Path, options: LoadOptions) -> bool:
        try:
            return bool(recall(find, root))
        except ValueError:
            return True  # it is the list of this set, and damaged: reading it says where

    def locate(root: Path, options: LoadOptions) -> Source:
        lists = recall(find, root)
        if not lists:
            raise ValueError(f"'{root}' has no list of the layout `{name}`. Expected {looks_like}.")
        _refuse_two_lists(root, lists)
        by_split: dict[str, Part] = {}
        index = PictureIndex(root if root.is_dir() else root.parent)
        identity: list[Path | str] = []
        for listed in lists:
            paths = _find_pictures(listed, index)
            identity += [listed.file, *sorted(map(Path, set(paths)))]
            part = _build_part(listed, paths)
            by_split |= part.divide(listed.splits) if listed.splits else {"train": part}
        where = ", ".join(f"'{listed.file.name}'" for listed in lists)
        return Source(identity, lambda: by_split, f"the list {where}")

    return Layout(name, looks_like, recognise, locate)


RAF_DB = _build_layout(
    "raf-db",
    "EmoLabel/list_patition_label.txt and Image/aligned/train_00001_aligned.jpg",
    _read_raf_db,
)

EXPW = _build_layout(
    "expw",
    "label/label.lst and image/origin/….jpg",
    _read_expw,
)

AFFECTNET_CSV = _build_layout(
    "affectnet-csv",
    "training.csv, validation.csv and Manually_Annotated_Images/1/….jpg",
    _read_affectnet,
)
