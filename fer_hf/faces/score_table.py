"""A table of scores on disk that grows picture by picture, and goes on after anything stopped it.

What was scored is appended to a journal beside the table, a line a picture, whole or not at all:
the journal is the truth, and the table is written from it in one step. So every format can go on
after a kill, and a table is never seen half written.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from fer_hf.data.extras import naming_missing_extra
from fer_hf.faces.reader import NO_FACE, FaceReader, FaceReading, FileReadings
from fer_hf.inference.reading import SCORE_PREFIX

CROWD_PREFIX = "crowd_"
"""As `SCORE_PREFIX`, for how people's votes would spread."""

_BATCH_ROWS = 10_000
_SIDES = ("left", "top", "right", "bottom")

Row = Sequence[Any]
Columns = Mapping[str, type]
"""The columns of a table by name; what is of type `list` is a list of words."""


class ScoreTable:
    """Scores of pictures in a file: a row a picture, or with a detector a row a face.

    Columns: `picture`; with a detector `face`, from 1 on from the left, and its `left`, `top`,
    `right` and `bottom` in pixels; `score_` and each label; where asked for, `crowd_` and each
    label; `prediction`, the label with the highest score; `sure` and `set`, the labels that cannot
    be ruled out, where the model says so; and `error`, why there are no scores.

    A picture is `in` the table when it has scores, or no face was found in it. One that could not
    be read has a row, and is not `in` it: whoever repairs it expects the next call to read it.

    Args:
        path: The file, ending in one of `FORMATS`; beside it lies its `.journal`.
        reader: What scores the pictures.
        with_crowd: Whether there are columns for how people's votes would spread.

    Attributes:
        errors: Of each picture in the table why it has no scores; None if it has.

    Raises:
        ValueError: The file ends otherwise, or was made in another way.
        FileExistsError: The file is there without its journal, or that is something else.

    Example:
        >>> from fer_hf import FaceReader
        >>> reader = FaceReader(detector=None)
        >>> with ScoreTable("scores.csv", reader) as table:
        ...     for result in reader.score_files(["face.jpg"]):
        ...         table.add(result)
        >>> "face.jpg" in table
        True
    """

    def __init__(self, path: str | Path, reader: FaceReader, *, with_crowd: bool = False) -> None:
        self.path = check_table_path(path)
        self.journal = self.path.with_name(f"{self.path.name}.journal")
        self._has_faces, self._with_crowd = reader.detector is not None, with_crowd
        self._columns = _list_columns(
            reader.label_names, has_faces=self._has_faces, with_crowd=with_crowd
        )
        self._settings = {
            "model": reader.classifier.model_name_or_path,
            "fingerprint": reader.classifier.compute_fingerprint(),
            "faces": f"found by {reader.detector.name}" if reader.detector else "not looked for",
            "crowd": with_crowd,
        }
        self.errors: dict[str, str | None] = {}
        self._is_new = not self.journal.exists() or not self.journal.stat().st_size
        if not self._is_new:
            self._resume()
        elif self.path.exists():
            raise FileExistsError(
                f"{str(self.path)!r} exists without its journal {self.journal.name!r}, expected "
                "both or neither. Choose another name, or delete it."
            )

    def __contains__(self, picture: str) -> bool:
        """Whether a picture is done."""
        return self.errors.get(picture, "") in (None, NO_FACE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Write the table, also of what was scored before an error or Ctrl-C."""
        if not self._is_new:
            self.save()

    def add(self, result: FileReadings) -> None:
        """Append what was read of a picture to the journal."""
        rows = [self._build_row(reading) for reading in result.readings]
        # `picture` stands before the rows, and `error` is the last column.
        rows = rows or [[None] * (len(self._columns) - 2) + [result.error]]
        lines = [*([self._settings] if self._is_new else []), [result.file, *rows]]
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what was added is there whatever happens to the process.
        with self.journal.open("ab", buffering=0) as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in lines).encode())
        self._is_new = False
        self.errors[result.file] = result.error

    def save(self) -> None:
        """Write the table from the journal, in one step."""
        with TemporaryDirectory(dir=self.path.parent, prefix=".unfinished-") as folder:
            whole = Path(folder, self.path.name)
            FORMATS[self.path.suffix.lower()](whole, self._columns, self._read_rows())
            whole.replace(self.path)

    def _build_row(self, reading: FaceReading) -> Row:
        row: list[Any] = [reading.number, *map(_round, reading.face.box)] if self._has_faces else []
        row += map(_round, reading.scores.values())
        if self._with_crowd:
            row += map(_round, (reading.crowd_scores or {}).values())
        return [*row, reading.top_label, reading.sure, reading.prediction_set, None]

    def _resume(self) -> None:
        """Take in what is done, and cut off a line that a kill left unfinished."""
        with self.journal.open("rb") as file:
            try:
                found = {**json.loads(file.readline())}
            except (ValueError, TypeError):
                raise FileExistsError(
                    f"{str(self.journal)!r} is no journal of scores, expected one or none beside "
                    f"{self.path.name!r}. Choose another name, or delete it."
                ) from None
        # The fingerprint tells models apart; the same one may have another name.
        if found | {"model": None} != self._settings | {"model": None}:
            raise ValueError(
                f"{str(self.path)!r} was made with {_describe(found)}, expected as in this call "
                f"{_describe(self._settings)}. Choose another name, or call it as before."
            )
        whole = 0
        for end, (picture, *rows) in self._read_journal():
            self.errors[picture], whole = rows[0][-1], end
        with self.journal.open("rb+") as file:
            file.truncate(whole or len(file.readline()))

    def _read_journal(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield the whole lines, each with the position where it ends; after a torn one, none."""
        with self.journal.open("rb") as file:
            end = len(file.readline())
            for line in file:
                try:
                    content = json.loads(line)
                except ValueError:
                    return
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield end, content

    def _read_rows(self) -> Iterator[Row]:
        """Yield the rows of the table; of a picture that was read again, the last ones."""
        last = {line[0]: end for end, line in self._read_journal()}
        for end, (picture, *rows) in self._read_journal():
            if last[picture] == end:
                # Names of files may be no text, which no format here could hold.
                name = picture.encode(errors="surrogateescape").decode(errors="replace")
                yield from ([name, *row] for row in rows)


def check_table_path(path: str | Path) -> Path:
    """Return the path.

    Raises:
        ValueError: It ends in none of `FORMATS`.
        ModuleNotFoundError: It is Parquet, and pyarrow is not installed.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise ValueError(
            f"The output is {str(path)!r}, expected a file ending in one of {list(FORMATS)}. "
            "Choose one of these."
        )
    if Path(path).suffix.lower() == ".parquet":
        with naming_missing_extra():  # before minutes of scoring
            import pyarrow.parquet  # noqa: F401
    return Path(path)


def _list_columns(label_names: Sequence[str], *, has_faces: bool, with_crowd: bool) -> Columns:
    faces = {"face": int} | dict.fromkeys(_SIDES, float) if has_faces else {}
    prefixes = [SCORE_PREFIX, CROWD_PREFIX] if with_crowd else [SCORE_PREFIX]
    scores = {prefix + name: float for prefix in prefixes for name in label_names}
    verdict = {"prediction": str, "sure": bool, "set": list}
    return {"picture": str, **faces, **scores, **verdict, "error": str}


def _round(score: float) -> float:
    return float(f"{score:.6g}")


def _describe(settings: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}` {value!r}" for name, value in settings.items())


def _write_csv(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow("; ".join(cell) if isinstance(cell, list) else cell for cell in row)


def _write_jsonl(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            line = dict(zip(columns, row, strict=True))
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    # Most of what a table costs to import, and to install.
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        bool: pa.bool_(),
        float: pa.float64(),
        int: pa.int64(),
        list: pa.list_(pa.string()),
        str: pa.string(),
    }
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns.items()])
    remaining = iter(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(remaining, _BATCH_ROWS)):
            values = zip(zip(*batch, strict=True), schema.types, strict=True)
            arrays = [pa.array(column, kind) for column, kind in values]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


FORMATS: dict[str, Callable[[Path, Columns, Iterable[Row]], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}
"""What writes each format, by the ending of its files."""
