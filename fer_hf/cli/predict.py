"""Score face pictures with a trained model. The face should fill the picture.

Up to three pictures are shown with a bar for each label; more of them as a table, one row each.
The whole picture is taken to be the face, so even a picture without one gets an answer. With
--faces, faces are found first and scored one by one.
With --output, every score goes into a table. The same call again does only what is missing, after
Ctrl-C or a crash too, and more pictures are added; beside the table lies its journal, which knows
what is done. A picture without scores has a row that says why; one that could not be read is tried
again. The names of columns: picture, score_LABEL, prediction, sure, set (what cannot be ruled out)
and error; with --faces also face, left, top, right and bottom.
A calibrated model says when it is not sure, and which labels it cannot rule out: its 90 % set holds
the true label for 90 % of pictures like those it was calibrated on.

Examples:
  fer-hf predict face.jpg
  fer-hf predict holiday/ 'more/*.png' --json                      every score of every picture
  fer-hf predict holiday/ --output scores.csv                      a table; go on where it stopped
  fer-hf predict ferplus/test.parquet --output scores.parquet      what `fer-hf data` reads
  fer-hf predict face.jpg --model runs/drawn/drawn-resnetv2        a model of your own
  fer-hf predict face.jpg --crowd                                  how people would vote
  fer-hf predict party.jpg --faces                                 everybody in the picture
  fer-hf predict face.jpg --model served --backend onnx            what `fer-hf export` wrote
"""

import argparse
import io
import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fer_hf.cli import printable
from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from tqdm.auto import tqdm

    from fer_hf.faces.reader import FaceReader, FaceReading, FileReadings
    from fer_hf.inference.files import FoundPictures, StoredPicture

_MOST_BLOCKS = 3
_MOST_BARS = 10
_BAR_WIDTH = 40
_RANKS = ("highest", "second", "third")
_WIDEST_NAME = 50
_MOST_IN_SET = 3


def main(args: Sequence[str]) -> None:
    """Print what the model says about each picture."""
    given = _parse(args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file may have any name
    try:
        _predict(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads this, such as `head`, has seen enough. Python would flush once more.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _parse(args: Sequence[str]) -> argparse.Namespace:
    parser = build_parser(__name__, __doc__)
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="file, folder, glob, or a source as for `fer-hf data`",
    )
    add_shared(parser, "--model", "--backend", "--batch_size")
    parser.add_argument(
        "--faces", action="store_true", help="find the faces first, and score each one by itself"
    )
    add_shared(parser, "--detector")
    parser.add_argument(
        "--crowd",
        action="store_true",
        help="show how many people's votes would be spread, instead of how likely each label is "
        "to win the vote",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write a table that ends in .csv, .parquet or .jsonl, or go on with it",
    )
    parser.add_argument(
        "--allow_url",
        action="store_true",
        help="download pictures given as http or https addresses, up to 20 MB each",
    )
    return parse(parser, args)


def _predict(given: argparse.Namespace) -> None:
    from fer_hf.faces.reader import FaceReader
    from fer_hf.inference.classifier import ExpressionClassifier
    from fer_hf.inference.files import find_pictures, is_video

    if given.output:
        _check_output(given)
    pictures = find_pictures(given.pictures, allow_url=given.allow_url)
    if len(pictures) and all(map(is_video, given.pictures)):
        call = shlex.join(["fer-hf", "video", *given.pictures])
        raise ValueError(f"Found {', '.join(given.pictures)}, expected pictures. Say: {call}")
    classifier = ExpressionClassifier(given.model, backend=given.backend)
    if given.crowd and not classifier.knows_crowd:
        raise ValueError(
            "--crowd needs a model that was calibrated on people's votes (`crowd_temperature` in "
            "its config), and this one was not. Leave --crowd out, or use the bundled model."
        )
    reader = FaceReader(classifier, given.detector if given.faces else None)
    (_save if given.output else _print)(given, reader, pictures)


def _check_output(given: argparse.Namespace) -> None:
    from fer_hf.faces.score_table import check_table_path

    check_table_path(given.output)
    if given.json:
        raise ValueError("Found --json and --output, expected one of them. --output x.jsonl is it.")


def _save(given: argparse.Namespace, reader: "FaceReader", pictures: "FoundPictures") -> None:
    """Add to the table what it lacks.

    Raises:
        OSError: Pictures in it have no scores.
    """
    from fer_hf.faces.score_table import ScoreTable
    from fer_hf.inference.files import name_picture

    table = ScoreTable(given.output, reader, with_crowd=given.crowd)
    num_before = len(table.errors)

    def list_missing(bar: "tqdm | _NoBar") -> "Iterator[str | StoredPicture]":
        for picture in pictures:
            if name_picture(picture) in table:
                bar.update()
            else:
                yield picture

    with table, _open_bar(pictures) as bar:
        for result in _score(given, reader, list_missing(bar), bar):
            table.add(result)
    num, num_failed = len(table.errors), sum(map(bool, table.errors.values()))
    print(f"{given.output}: {num:,} pictures, {num - num_before:,} of them new")
    if num_failed:
        raise OSError(
            f"{num_failed} of {num} pictures in {given.output!r} have no scores; its column "
            "`error` says why."
        )


def _print(given: argparse.Namespace, reader: "FaceReader", pictures: "FoundPictures") -> None:
    """Print what is read of each picture.

    Raises:
        OSError: Pictures have no scores.
    """
    not_sure = reader.classifier.not_sure
    # Of a labelled source the names are not known before it is read.
    longest = max((len(printable(file)) for file in pictures.files), default=_WIDEST_NAME)
    layout = _Layout(
        as_blocks=len(pictures) <= _MOST_BLOCKS,
        name_width=max(len("picture"), min(longest + len(" face 1") * given.faces, _WIDEST_NAME)),
        label_names=reader.label_names,
        set_name=f"{100 * not_sure.coverage:g} % set" if not_sure else "",
        shows_crowd=given.crowd,
    )
    num_failed = 0
    with _open_bar(pictures) as bar:
        if not (given.json or layout.as_blocks):
            bar.write(layout.render_header())
        for result in _score(given, reader, pictures, bar):
            num_failed += result.error is not None
            for number, reading in enumerate(result.readings, 1):
                if given.json:
                    bar.write(_render_json(result.file, reading, given))
                    continue
                name = printable(result.file) + (f" face {number}" if given.faces else "")
                bar.write(layout.render(name, reading))
            sys.stdout.flush()
    if num_failed:
        raise OSError(f"{num_failed} of {len(pictures)} pictures have no scores; see above.")


def _open_bar(pictures: "FoundPictures") -> "tqdm | _NoBar":
    if len(pictures) <= _MOST_BLOCKS:
        return _NoBar()
    from tqdm.auto import tqdm

    return tqdm(total=len(pictures), unit=" pictures", disable=None, leave=False)


class _NoBar(AbstractContextManager["_NoBar"]):
    """In place of a bar for a few pictures, because tqdm takes as long to import as they take."""

    def __exit__(self, *_: object) -> None: ...

    def update(self) -> None: ...

    def write(self, text: str, file: TextIO | None = None) -> None:
        print(text, file=file)


def _score(
    given: argparse.Namespace,
    reader: "FaceReader",
    pictures: "Iterable[str | StoredPicture]",
    bar: "tqdm | _NoBar",
) -> "Iterator[FileReadings]":
    """Read pictures, and say at once which have no scores."""
    settings = {"batch_size": given.batch_size, "allow_url": given.allow_url}
    for result in reader.score_files(pictures, **settings):
        bar.update()
        if result.error is not None:
            name, error = printable(result.file), printable(" ".join(result.error.split()))
            bar.write(f"fer-hf: no scores for {name}: {error}", file=sys.stderr)
        yield result


@dataclass(frozen=True)
class _Layout:
    """How a call shows its results to people: as a block with bars each, or as a row each."""

    as_blocks: bool
    name_width: int
    label_names: Sequence[str]
    set_name: str
    shows_crowd: bool

    def render_header(self) -> str:
        """Return the heads of the columns, above rows."""
        width = len(self._render_score("", 1))
        ranks = (f"{rank:<{width}}" for rank in _RANKS[: len(self.label_names)])
        return "  ".join([f"{'picture':<{self.name_width}}", *ranks, self.set_name]).rstrip()

    def render(self, name: str, result: "FaceReading") -> str:
        """Return what the model says about a picture or a face, the highest score first."""
        scores = (result.crowd_scores if self.shows_crowd else None) or result.scores
        ranked = sorted(scores.items(), key=lambda item: -item[1])
        if self.as_blocks:
            return self._render_block(name, ranked, _render_verdict(result))
        shown = (self._render_score(label, score) for label, score in ranked[: len(_RANKS)])
        return "  ".join([f"{name:<{self.name_width}}", *shown, _render_verdict(result)]).rstrip()

    def _render_block(self, name: str, ranked: Sequence[tuple[str, float]], verdict: str) -> str:
        lines = [name]
        for label, score in ranked[:_MOST_BARS]:
            bar = round(score * _BAR_WIDTH) * _bar_character()
            lines.append(f"  {self._render_score(label, score)}  {bar}".rstrip())
        if len(ranked) > _MOST_BARS:
            lines.append(f"  and {len(ranked) - _MOST_BARS} more; --json has them all")
        if verdict:
            lines.append(f"  {self.set_name}: {verdict}")
        return "\n".join([*lines, ""])

    def _render_score(self, label: str, score: float) -> str:
        width = max(map(len, self.label_names))
        return f"{label:<{width}} {100 * score:5.1f} %"


def _render_json(file: str, result: "FaceReading", given: argparse.Namespace) -> str:
    shown: dict[str, object] = {"picture": file, "scores": result.scores}
    if given.faces:
        shown |= {"face": result.number, "box": result.face.box}
    if result.sure is not None:
        shown |= {"sure": result.sure, "prediction_set": result.prediction_set}
    if given.crowd:
        shown["crowd_scores"] = result.crowd_scores
    return json.dumps(shown)


def _render_verdict(result: "FaceReading") -> str:
    """Return the labels that cannot be ruled out, and whether the model is not sure."""
    if result.prediction_set is None:
        return ""
    num_more = len(result.prediction_set) - _MOST_IN_SET
    labels = ", ".join(result.prediction_set[:_MOST_IN_SET]) or "no label"
    more = f" and {num_more} more" if num_more > 0 else ""
    return labels + more + ("" if result.sure else " (not sure)")


def _bar_character() -> str:
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"
