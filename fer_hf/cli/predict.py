"""`fer-hf predict`: what a model says about pictures, for people to read or as JSON lines."""

import argparse
import io
import json
import os
import sys
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_hf.inference.classifier import ExpressionClassifier
    from fer_hf.inference.reading import Reading

_EPILOG = """\
Up to three pictures are shown with a bar for each label, more as a table with a row each.
The whole picture is taken for the face, and even one without a face gets an answer. With --faces,
faces are found first, and each is scored by itself.
Where the model was calibrated, it says when it is not sure, and which labels it cannot rule out: in
its 90 % set is the true label of 90 % of pictures like those it was calibrated on.

examples:
  fer-hf predict face.jpg
  fer-hf predict holiday/ 'more/*.png' --json > scores.jsonl       every score of every picture
  fer-hf predict face.jpg --model runs/drawn/drawn-resnetv2        a model of your own
  fer-hf predict face.jpg --crowd                                  how people would vote
  fer-hf predict party.jpg --faces                                 everybody in the picture
  fer-hf predict face.jpg --model served --backend onnx            what `fer-hf export` wrote
"""

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
    parser = argparse.ArgumentParser(
        prog="fer-hf predict",
        description="Score face pictures with a trained model. The face should fill the picture.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="file, folder or glob")
    parser.add_argument(
        "--model", help="checkpoint folder or Hub id (default: the model in the box)"
    )
    parser.add_argument(
        "--backend",
        default="auto",
        metavar="NAME",
        help="torch, onnx or onnx-int8; the latter two run what `fer-hf export` wrote, without "
        "torch (default: torch where it is installed)",
    )
    parser.add_argument("--batch_size", type=int, default=32, help="pictures at a time")
    parser.add_argument(
        "--faces", action="store_true", help="find the faces first, and score each by itself"
    )
    parser.add_argument(
        "--detector",
        default="auto",
        metavar="NAME",
        help="with --faces: haar, yunet, or the file of YuNet (default: YuNet if it was fetched "
        "before)",
    )
    parser.add_argument(
        "--crowd",
        action="store_true",
        help="show how the votes of many people would spread, instead of how likely a label is "
        "theirs in the end",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--allow_url",
        action="store_true",
        help="fetch pictures whose http or https address is given, up to 20 MB each",
    )
    return parser.parse_args(args)


def _predict(given: argparse.Namespace) -> None:
    from tqdm import tqdm

    from fer_hf.inference.files import find_pictures, score_files
    from fer_hf.models.bundled import BUNDLED_MODEL

    # What is wrong with a picture is said in one line, which these would drown.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    files = find_pictures(given.pictures, allow_url=given.allow_url)
    classifier = _open_classifier(given.model or BUNDLED_MODEL, given.backend)
    not_sure = classifier.not_sure
    if given.crowd and not classifier.knows_crowd:
        raise ValueError(
            "--crowd needs a model that was calibrated on people's votes (`crowd_temperature` in "
            "its config), and this one was not. Leave --crowd out, or use the model in the box."
        )
    set_name = "" if not_sure is None else f"{100 * not_sure.coverage:g} % set"
    if given.faces:
        from fer_hf.faces.reading import FaceReader, score_faces

        reader = FaceReader(classifier, given.detector)
        results = score_faces(reader, files, allow_url=given.allow_url)
    else:
        results = score_files(
            classifier, files, batch_size=given.batch_size, allow_url=given.allow_url
        )
    names = {file: _printable(file) for file in files}
    longest = max(map(len, names.values())) + (len(" face 1") if given.faces else 0)
    file_width = max(len("picture"), min(longest, _WIDEST_NAME))
    label_width = max(map(len, classifier.label_names))
    as_blocks = len(files) <= _MOST_BLOCKS
    num_unreadable = 0
    with tqdm(total=len(files), unit=" pictures", disable=None, leave=False) as bar:
        if not given.json and not as_blocks:
            num_labels = len(classifier.label_names)
            bar.write(_render_header(file_width, label_width, num_labels, set_name))
        for result in results:
            bar.update()
            if result.error is not None:
                num_unreadable += 1
                error = _printable(" ".join(result.error.split()))
                bar.write(f"fer-hf: no scores for {names[result.file]}: {error}", file=sys.stderr)
            for number, reading in enumerate(result.readings, 1):
                name = names[result.file] + (f" face {number}" if given.faces else "")
                if given.json:
                    bar.write(_render_json(result.file, reading, given.crowd))
                    continue
                scores = (reading.crowd_scores if given.crowd else None) or reading.scores
                verdict = _render_verdict(reading)
                if as_blocks:
                    last = f"  {set_name}: {verdict}" if verdict else ""
                    bar.write(_render_block(name, scores, label_width, last))
                else:
                    bar.write(_render_row(name, scores, file_width, label_width, verdict))
            sys.stdout.flush()
    if num_unreadable:
        raise OSError(f"{num_unreadable} of {len(files)} pictures have no scores; see above.")


def _open_classifier(model: str, backend: str) -> "ExpressionClassifier":
    """Open a checkpoint or the model in the box; transformers is imported for torch only."""
    from fer_hf.inference.classifier import ExpressionClassifier
    from fer_hf.inference.networks import choose_backend

    if choose_backend(model, backend) == "torch":
        from transformers.utils import logging as transformers_logging

        # What is wrong with a checkpoint is said in one line, too.
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
    return ExpressionClassifier(model, backend=backend)


def _render_json(file: str, result: "Reading", crowd: bool) -> str:
    from fer_hf.faces.reading import FaceReading

    shown: dict[str, object] = {"picture": file, "scores": result.scores}
    if isinstance(result, FaceReading):
        shown |= {"face": result.number, "box": result.face.box}
    if result.sure is not None:
        shown |= {"sure": result.sure, "prediction_set": result.prediction_set}
    if crowd:
        shown["crowd_scores"] = result.crowd_scores
    return json.dumps(shown)


def _render_verdict(result: "Reading") -> str:
    """Return the labels that cannot be ruled out, and whether the model is not sure."""
    if result.prediction_set is None:
        return ""
    num_more = len(result.prediction_set) - _MOST_IN_SET
    labels = ", ".join(result.prediction_set[:_MOST_IN_SET]) or "no label"
    more = f" and {num_more} more" if num_more > 0 else ""
    return labels + more + ("" if result.sure else " (not sure)")


def _render_block(name: str, scores: Mapping[str, float], label_width: int, last: str) -> str:
    """Return a picture's name, a bar for each label from the highest score on, and the verdict."""
    ranked = _rank(scores)
    lines = [name]
    for label, score in ranked[:_MOST_BARS]:
        bar = round(score * _BAR_WIDTH) * _bar_character()
        lines.append(f"  {_render_score(label, score, label_width)}  {bar}".rstrip())
    if len(ranked) > _MOST_BARS:
        lines.append(f"  and {len(ranked) - _MOST_BARS} more; --json has them all")
    return "\n".join([*lines, *([last] if last else []), ""])


def _render_header(file_width: int, label_width: int, num_labels: int, last: str) -> str:
    width = len(_render_score("", 1, label_width))
    ranks = (f"{rank:<{width}}" for rank in _RANKS[:num_labels])
    return "  ".join([f"{'picture':<{file_width}}", *ranks, last]).rstrip()


def _render_row(
    name: str, scores: Mapping[str, float], file_width: int, label_width: int, last: str
) -> str:
    best = _rank(scores)[: len(_RANKS)]
    shown = (_render_score(label, score, label_width) for label, score in best)
    return "  ".join([f"{name:<{file_width}}", *shown, last]).rstrip()


def _render_score(label: str, score: float, label_width: int) -> str:
    return f"{label:<{label_width}} {100 * score:5.1f} %"


def _rank(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])


def _bar_character() -> str:
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"


def _printable(text: str) -> str:
    """Replace what would break a line or steer a terminal: names of files may hold it."""
    return "".join("?" if unicodedata.category(c).startswith("C") else c for c in text)
