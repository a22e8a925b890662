"""The command line: each command in a few lines, its errors as one line, its help as a lesson.

The imports stand inside the commands: torch and transformers take seconds, `--help` must not.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset

_EPILOG = """\
a first tour, with no data of your own and no network:
  fer-hf data drawn --contact_sheet drawn.png    look at the faces this project draws
  fer-hf train                                   train three models on them, and compare
  fer-hf train --data my_faces                   the same with a folder of pictures per label
  fer-hf compare runs/my_faces/*/                the comparison again, from the saved reports
  fer-hf predict face.jpg --model runs/drawn/drawn-resnetv2      what one of them says

`accelerate launch train.py` takes the same flags as `fer-hf train`, and several processes or GPUs.
"""

# Read when torch is imported. On a busy machine its threads would otherwise burn each other's time
# by waiting in loops: a step then takes fifty times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Wrong calls end with 2, failed runs with 1, as argparse and most commands have it.
_WRONG_CALL = (ValueError, FileExistsError, FileNotFoundError)


def main(args: Sequence[str] | None = None) -> int:
    """Run `fer-hf`; return its exit status."""
    commands = {"train": train, "data": show_data, "compare": compare, "predict": predict}
    args = list(sys.argv[1:] if args is None else args)
    if args and args[0] in commands:
        return commands[args[0]](args[1:])
    parser = argparse.ArgumentParser(
        prog="fer-hf",
        description="Facial-expression classifiers: look at data, train, compare, predict.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listed = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listed.add_parser("train", help="train models and compare them")
    listed.add_parser("data", help="show what is in a source of pictures")
    listed.add_parser("compare", help="compare runs on the same pictures")
    listed.add_parser("predict", help="score pictures with a trained model")
    parser.parse_args(args)  # only ever prints the help, or refuses
    return 2


def train(args: Sequence[str]) -> int:
    """Run `train.py`: train the models of one or more recipes, and compare them."""
    return _run(_train, args)


def show_data(args: Sequence[str]) -> int:
    """Run `fer-hf data`: load a source of pictures and show what was found."""
    return _run(_show_data, args)


def compare(args: Sequence[str]) -> int:
    """Run `fer-hf compare`: compare the reports of runs on the same splits, and choose."""
    return _run(_compare, args)


def predict(args: Sequence[str]) -> int:
    """Run `fer-hf predict`: score pictures with a trained model."""
    return _run(_predict, args)


def _train(args: Sequence[str]) -> None:
    from accelerate import PartialState
    from transformers.utils import logging as transformers_logging

    from fer_hf.evaluation.comparison_table import render_comparison
    from fer_hf.parsing import parse_runs
    from fer_hf.training import fine_tune_all

    # Bars of loading a few tensors drown what people want to see; those of training stay.
    transformers_logging.disable_progress_bar()
    runs = parse_runs(args)
    folder, reports, comparison = fine_tune_all(runs)
    if not PartialState().is_main_process:
        return
    print()
    best = str(folder)
    if comparison is None:
        (report,) = reports
        for split, evaluation in report.evaluations.items():
            shown = evaluation.accuracy
            print(
                f"{split:<10}  accuracy {shown.value:.3f} ({shown.low:.3f}–{shown.high:.3f})  "
                f"balanced {evaluation.balanced_accuracy.value:.3f}  "
                f"macro-F1 {evaluation.f1_macro.value:.3f}  NLL {evaluation.nll.value:.3f}"
            )
    else:
        best = comparison.best
        print(render_comparison(comparison))
    for yardstick in reports[0].yardsticks:
        print(
            f"for comparison, on test: {yardstick.name} has accuracy {yardstick.accuracy:.3f}, "
            f"balanced {yardstick.balanced_accuracy:.3f}"
        )
    print(f"\nEverything is in {folder}. Use the model with\n\n  {_usage_line(best)}\n")


def _usage_line(run: str) -> str:
    """Return the one line of Python that opens the checkpoint of a run."""
    config = json.loads((Path(run) / "config.json").read_text(encoding="utf-8"))
    needs_us = config["model_type"].startswith("fer_")
    call = (
        f'from transformers import pipeline; fer = pipeline("image-classification", model="{run}")'
    )
    return f"import fer_hf; {call}" if needs_us else call


def _show_data(args: Sequence[str]) -> None:
    from collections import Counter

    from tabulate import tabulate

    from fer_hf.arguments import DataArguments, StrictParser

    parser = StrictParser(
        DataArguments,
        prog="fer-hf data",
        description="Load a source of labelled pictures and show what was found.",
        epilog="example: fer-hf data ../faces --contact_sheet faces.png",
    )
    parser.add_argument("source", help="what to look at, as for --data")
    parser.add_argument(
        "--contact_sheet", metavar="PNG", help="write a sheet with some pictures of each label"
    )
    data, given = parser.parse_strictly(args)
    data.data = given.source
    splits = data.load()
    names = splits["train"].features["label"].names
    counts = {name: Counter(split["label"][:]) for name, split in splits.items()}
    rows = [
        [label, *(counts[name][index] for name in splits), sum(c[index] for c in counts.values())]
        for index, label in enumerate(names)
    ]
    totals = [len(split) for split in splits.values()]
    rows.append(["total", *totals, sum(totals)])
    print(tabulate(rows, headers=["label", *splits, "all"], tablefmt="simple"))
    sizes = Counter(
        picture.size for picture in splits["train"].select(range(min(200, totals[0])))["image"]
    )
    shown = ", ".join(f"{w}×{h}" for (w, h), _ in sizes.most_common(3))
    more = f" and {len(sizes) - 3} other sizes" if len(sizes) > 3 else ""
    print(f"\npictures: {shown}{more} pixels; columns: {', '.join(splits['train'].column_names)}")
    if given.contact_sheet:
        _save_contact_sheet(splits["train"], names, Path(given.contact_sheet))


def _save_contact_sheet(split: "Dataset", names: Sequence[str], path: Path) -> None:
    import numpy as np

    from fer_hf.data.contact_sheet import render_contact_sheet
    from fer_hf.data.pictures import to_rgb

    labels = np.asarray(split["label"][:])
    columns = 10
    chosen = [
        row for label in range(len(names)) for row in np.flatnonzero(labels == label)[:columns]
    ]
    pictures = [to_rgb(picture) for picture in split.select(chosen)["image"]]
    captions = [names[labels[row]] for row in chosen]
    render_contact_sheet(pictures, captions, columns=columns).save(path)
    print(f"contact sheet: {path}")


def _compare(args: Sequence[str]) -> None:
    from fer_hf.evaluation.comparison import compare_runs
    from fer_hf.evaluation.comparison_table import render_comparison, save_comparison
    from fer_hf.evaluation.report import load_report

    parser = argparse.ArgumentParser(
        prog="fer-hf compare",
        description="Compare the reports of runs that were trained on the same splits, and choose.",
        epilog="example: fer-hf compare runs/drawn/*/ --output_dir runs/drawn",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folder of a run")
    parser.add_argument("--output_dir", help="also write comparison.json, .md and .png here")
    given = parser.parse_args(args)
    comparison = compare_runs({run: load_report(run) for run in given.runs})
    print(render_comparison(comparison))
    if given.output_dir:
        save_comparison(comparison, given.output_dir)


def _predict(args: Sequence[str]) -> None:
    from tqdm import tqdm
    from transformers.utils import logging as transformers_logging

    from fer_hf.inference import ExpressionClassifier, find_pictures, score_files

    parser = argparse.ArgumentParser(
        prog="fer-hf predict",
        description="Score face pictures with a trained model. The face should fill the picture.",
        epilog="example: fer-hf predict holiday/ 'more/*.png' --model runs/drawn/drawn-resnetv2",
        allow_abbrev=False,
    )
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="file, folder or glob")
    parser.add_argument("--model", required=True, help="checkpoint folder or Hub id")
    parser.add_argument("--batch_size", type=int, default=32, help="pictures at a time")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    given = parser.parse_args(args)
    files = find_pictures(given.pictures)
    transformers_logging.disable_progress_bar()
    classifier = ExpressionClassifier(given.model)
    width = max(len(file) for file in files)
    unreadable = []
    with tqdm(total=len(files), disable=None, leave=False) as bar:
        for result in score_files(classifier, files, batch_size=given.batch_size):
            bar.update()
            if result.scores is None:
                unreadable.append(result)
                bar.write(f"fer-hf: cannot read {result.file}: {result.error}", file=sys.stderr)
            elif given.json:
                bar.write(json.dumps({"picture": result.file, "scores": result.scores}))
            else:
                best = sorted(result.scores.items(), key=lambda item: -item[1])[:3]
                shown = "  ".join(f"{label:<9} {100 * score:5.1f} %" for label, score in best)
                bar.write(f"{result.file:<{width}}  {shown}")
    if unreadable:
        raise OSError(f"{len(unreadable)} of {len(files)} pictures could not be read; see above.")


def _run(command: Callable[[Sequence[str]], None], args: Sequence[str]) -> int:
    """Run a command; turn what goes wrong into one line and an exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("fer_hf").setLevel(logging.INFO)
    try:
        command([arg for arg in args if arg != "--debug"])
    except KeyboardInterrupt:
        print("fer-hf: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if "--debug" in args:
            raise
        # By name, because importing the class would import torch.
        was_stopped = type(error).__name__ == "InterruptedRunError"
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"fer-hf: {'' if was_stopped else 'error: '}{message}", file=sys.stderr)
        return 130 if was_stopped else 2 if isinstance(error, _WRONG_CALL) else 1
    return 0
