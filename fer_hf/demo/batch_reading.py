"""Many pictures at once: the files a visitor uploads, read face by face into a table.

A zip is not unpacked: its pictures are read into memory one at a time, so that no name in it can
reach the disk, and its size is limited before and while it is read.
"""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TextIO

from PIL import Image

from fer_hf.data.pictures import PICTURE_ENDINGS
from fer_hf.demo.limits import Limits, open_picture
from fer_hf.faces.reader import FaceReader, FaceReading

TABLE_COLUMNS = ("file", "face", "label", "score", "left", "top", "right", "bottom", "note")
"""Columns of the table; the CSV has a column for each label's score, too."""

Cell = str | int | float | None

# Only these two are unpacked a piece at a time: 64 KiB of bzip2 or LZMA can be gigabytes at once.
_BOUNDED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PIECE_BYTES = 1 << 16
# Some 10,000 entries; the directory of a zip is the one part that is read as a whole.
_MOST_DIRECTORY_BYTES = 1 << 20
_ENCRYPTED = 0x1  # a bit of the flags
# A zip in a zip is not a picture, but is named with its fault.
_NAMED_ENDINGS = PICTURE_ENDINGS | {".zip"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class PictureFile:
    """A file that may hold a picture.

    Attributes:
        name: As the visitor knows it, for one in a zip behind the zip's name.
        path: The file, or the zip that it is in.
        member: Which one of the zip; None for a file of its own.
        fault: Why it is not read; None if nothing is known to be wrong with it.
    """

    name: str
    path: Path
    member: zipfile.ZipInfo | None = None
    fault: str | None = None

    def load(self, limits: Limits) -> Image.Image:
        """Decode the picture into memory, as upright RGB.

        Raises:
            ValueError: It was refused, is damaged, is not a picture, or has too many pixels.
        """
        if self.fault is not None:
            raise ValueError(self.fault)
        try:
            content = self._read()
        # Of a damaged zip, whatever goes wrong first.
        except Exception as error:
            raise ValueError(f"damaged in the zip ({error})") from error
        return open_picture(content, limits)

    def _read(self) -> bytes:
        if self.member is None:
            return self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            # Never more than the member declares: `zipfile` stops there.
            return b"".join(iter(partial(file.read, _PIECE_BYTES), b""))


@dataclass(frozen=True)
class BatchRow:
    """One face of a file, or why the file has none.

    Attributes:
        file: Its name.
        face: Number of the face in the picture, from left to right, from 1 on.
        reading: What was read from the face.
        note: Why there is no reading.
    """

    file: str
    face: int | None = None
    reading: FaceReading | None = None
    note: str = ""


class _CautiousFile(io.FileIO):
    """A zip that is not opened if its directory would fill the memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"{size:,} bytes of file names")
        return super().read(size)


def list_pictures_of(
    files: Sequence[str | Path], limits: Limits
) -> tuple[list[PictureFile], list[str]]:
    """List the pictures among files and in zips, without reading any.

    Args:
        files: Picture files, whatever their ending, and zips, by their ending.
        limits: How many pictures, and how large those of zips may be together.

    Returns:
        The pictures, and the names of files in zips that do not claim to be one. A zip that cannot
        be opened, and any file in it that is not read, is among the pictures with its fault.

    Raises:
        ValueError: No files, or more than the limits allow.
    """
    if not files:
        raise ValueError("There are no files, expected pictures or a zip of them. Choose some.")
    pictures: list[PictureFile] = []
    others: list[PictureFile] = []
    for path in map(Path, files):
        if path.suffix.lower() != ".zip":
            pictures.append(PictureFile(path.name, path))
            continue
        for file in _list_zip(path):
            is_named = PurePosixPath(file.name).suffix.lower() in _NAMED_ENDINGS
            (pictures if is_named else others).append(file)
    if len(pictures) > limits.batch_pictures:
        raise ValueError(
            f"There are {len(pictures):,} pictures, expected at most {limits.batch_pictures:,} at "
            "once. Send fewer."
        )
    unpacked = sum(file.member.file_size for file in pictures if file.member and not file.fault)
    if unpacked > limits.unpacked_bytes:
        raise ValueError(
            f"The zips unpack to {unpacked:,} bytes, expected at most {limits.unpacked_bytes:,}. "
            "Send fewer or smaller pictures."
        )
    return pictures, [file.name for file in others]


def _list_zip(path: Path) -> list[PictureFile]:
    try:
        with closing(_CautiousFile(path)) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    # Of a damaged zip, whatever goes wrong first.
    except Exception as error:
        return [PictureFile(path.name, path, fault=f"not a zip that can be opened ({error})")]
    return [
        PictureFile(f"{path.name}/{member.filename}", path, member, _find_fault(member))
        for member in members
        if not member.is_dir() and not _is_hidden(member.filename)
    ]


def _is_hidden(name: str) -> bool:
    """Return whether it is not one of the visitor's own files, such as what macOS adds to zips."""
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or parts[-1].startswith(".") if parts else True


def _find_fault(member: zipfile.ZipInfo) -> str | None:
    if member.filename.lower().endswith(".zip"):
        return "a zip inside of a zip is not opened"
    if member.flag_bits & _ENCRYPTED:
        return "encrypted: make a zip without a password"
    if member.compress_type not in _BOUNDED_METHODS:
        return "packed in an unusual way: make an ordinary zip (deflate)"
    return None


def read_pictures(
    pictures: Sequence[PictureFile], reader: FaceReader, limits: Limits
) -> Iterator[list[BatchRow]]:
    """Read one picture after the other; one that cannot be read does not stop the others.

    Yields:
        For each picture a row for each of its faces, or one row that says why there is none.
    """
    for file in pictures:
        try:
            picture = file.load(limits)
        except ValueError as error:
            yield [BatchRow(file.name, note=str(error))]
            continue
        (readings,) = reader([picture])
        faces = [BatchRow(file.name, number, face) for number, face in enumerate(readings, 1)]
        yield faces or [BatchRow(file.name, note="no face found")]


def build_table(rows: Sequence[BatchRow]) -> list[list[Cell]]:
    """Return a line of `TABLE_COLUMNS` for each row; scores are 0–1, boxes in pixels."""
    return [_build_line(row) for row in rows]


def _build_line(row: BatchRow) -> list[Cell]:
    if row.reading is None:
        return [row.file, None, None, None, None, None, None, None, row.note]
    label, score = row.reading.name, max(row.reading.scores.values())
    box = [round(float(edge)) for edge in row.reading.face.box]
    return [row.file, row.face, label, round(score, 4), *box, row.note]


def write_csv(rows: Sequence[BatchRow], label_names: Sequence[str], file: TextIO) -> None:
    """Write the table and the score of each label, with no cell that a spreadsheet would run.

    Source: OWASP, "CSV Injection": text that begins like a formula gets an apostrophe before it.
    """
    writer = csv.writer(file)
    writer.writerow([_neutralise(name) for name in (*TABLE_COLUMNS, *label_names)])
    for row, line in zip(rows, build_table(rows), strict=True):
        scores = [""] * len(label_names) if row.reading is None else row.reading.scores.values()
        writer.writerow([_neutralise(cell) for cell in (*line, *scores)])


def _neutralise(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell
