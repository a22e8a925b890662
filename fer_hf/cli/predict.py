"""Score face pictures with a trained model. The face should fill the picture.

Up to three pictures are shown with a bar for each label; more of them as a table, one row each.
The whole picture is taken to be the face, so even a picture without one gets an answer. With
--faces, faces are found first and scored one by one.
A calibrated model says when it is not sure, and which labels it cannot rule out: its 90 % set holds
the true label for 90 % of pictures like those it was calibrated on.

Examples:
  fer-hf predict face.jpg
  fer-hf predict holiday/ 'more/*.png' --json > scores.jsonl       every score of every picture
  fer-hf predict face.jpg --model runs/drawn/drawn-resnetv2        a model of your own
  fer-hf predict face.jpg --crowd                                  how people would vote
  fer-hf predict party.jpg --faces                                 everybody in the picture
  fer-hf predict face.jpg --model served --backend onnx            what `fer-hf export` wrote
"""

import argparse
import io
import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer_hf.cli.parsing import add_shared, build_parser, parse

if TYPE_CHECKING:
    from fer_hf.faces.reader import FaceReading


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
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="file, folder or glob")
    add_shared(parser, "--model")
    add_shared(parser, "--backend", "--batch_size")
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
        "--allow_url",
        action="store_true",
        help="download pictures given as http or https addresses, up to 20 MB each",
    )
    return parse(parser, args)


def _predict(given: argparse.Namespace) -> None:
    from tqdm.auto import tqdm

    from fer_hf.faces.reader import FaceReader
    from fer_hf.inference.classifier import ExpressionClassifier
    from fer_hf.inference.files import find_pictures

    files = find_pictures(given.pictures, allow_url=given.allow_url)
    classifier = ExpressionClassifier(given.model, backend=given.backend)
    if given.crowd and not classifier.knows_crowd:
        raise ValueError(
            "--crowd needs a model that was calibrated on people's votes (`crowd_temperature` in "
            "its config), and this one was not. Leave --crowd out, or use the bundled model."
        )
    reader = FaceReader(classifier, given.detector if given.faces else None)
    results = reader.score_files(files, batch_size=given.batch_size, allow_url=given.allow_url)
    names = {file: _printable(file) for file in files}
    longest = max(map(len, names.values())) + (len(" face 1") if given.faces else 0)
    layout = _Layout(
        as_blocks=len(files) <= _MOST_BLOCKS,
        name_width=max(len("picture"), min(longest, _WIDEST_NAME)),
        label_names=classifier.label_names,
        set_name=f"{100 * classifier.not_sure.coverage:g} % set" if classifier.not_sure else "",
        shows_crowd=given.crowd,
    )
    num_unreadable = 0
    with tqdm(total=len(files), unit=" pictures", disable=None, leave=False) as bar:
        if not (given.json or layout.as_blocks):
            bar.write(layout.render_header())
        for result in results:
            bar.update()
            if result.error is not None:
                num_unreadable += 1
                error = _printable(" ".join(result.error.split()))
                bar.write(f"fer-hf: no scores for {names[result.file]}: {error}", file=sys.stderr)
            for number, reading in enumerate(result.readings, 1):
                if given.json:
                    bar.write(_render_json(result.file, reading, given))
                    continue
                name = names[result.file] + (f" face {number}" if given.faces else "")
                bar.write(layout.render(name, reading))
            sys.stdout.flush()
    if num_unreadable:
        raise OSError(f"{num_unreadable} of {len(files)} pictures have no scores; see above.")


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


def _printable(text: str) -> str:
    """Replace what would break a line or steer a terminal: names of files may hold it."""
    return "".join("?" if unicodedata.category(c).startswith("C") else c for c in text)
