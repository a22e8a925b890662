"""The command line: each command in a module, its errors as one line, its help as a lesson.

The commands import what they need when they run: torch and transformers take seconds, `--help`
must not.
"""

import argparse
import importlib
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

from fer_hf.data.extras import naming_missing_extra
from fer_hf.data.import_hooks import call_after_import, quieten_transformers
from fer_hf.training.signals import handling_signals, interrupted_by_signals

_EPILOG = """\
a first tour, with no data of your own and no network:
  fer-hf data drawn --contact_sheet drawn.png    look at the faces this project draws
  fer-hf train                                   train three models on them, and compare
  fer-hf train --data my_faces                   the same with one folder of pictures per label
  fer-hf compare runs/my_faces/*/                the comparison again, from the saved reports
  fer-hf evaluate runs/drawn/drawn-resnetv2      how good one of them is, label by label
  fer-hf predict face.jpg                        what the bundled model says about a picture
  fer-hf video party.mp4                         whose face says what, and when
  fer-hf demo                                    try it in a browser, with your webcam too

`accelerate launch train.py` takes the same flags as `fer-hf train`, and several processes or GPUs.
"""

# Read when torch is imported. On a busy machine its threads would otherwise burn each other's time
# by waiting in loops: a step then takes fifty times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Wrong calls end with 2, failed runs with 1, as argparse and most commands have it.
_WRONG_CALL = (ValueError, FileExistsError, FileNotFoundError)

_COMMANDS = {
    "train": "train models and compare them",
    "fit": "learn from a handful of pictures, in seconds",
    "train_finder": "train the network that finds faces",
    "sweep": "try a hundred heads on a frozen backbone",
    "data": "show what is in a source of pictures",
    "audit": "find duplicates, unusable pictures and label issues",
    "compare": "compare models on the same pictures, or runs by their reports",
    "evaluate": "measure a trained model on labelled pictures",
    "predict": "score pictures with a trained model",
    "video": "follow the faces of videos or of a webcam: annotated copy, table and plot",
    "demo": "open a page to try a model with pictures, a webcam and videos",
    "export": "write a model as ONNX, and as a page for browsers",
    "card": "rewrite the model card of a run",
    "push": "publish a run on the Hub, with a demo if you like",
    "push_data": "publish labelled pictures on the Hub",
}


def main(args: Sequence[str] | None = None) -> int:
    """Run `fer-hf`; return its exit status."""
    args = list(sys.argv[1:] if args is None else args)
    if args and args[0] in _COMMANDS:
        return run(args[0], args[1:])
    parser = argparse.ArgumentParser(
        prog="fer-hf",
        description="Facial-expression classifiers: train, compare, measure and use them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    listed = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_line in _COMMANDS.items():
        listed.add_parser(name, help=help_line)
    parser.parse_args(args)  # only ever prints the help, or refuses
    return 2


def run(command: str, args: Sequence[str]) -> int:
    """Run the command of a module beside this one; return its exit status.

    What goes wrong becomes one line, or with `--debug` a traceback.
    """
    with handling_signals(lambda: None):  # those that come while the last line is written
        return _run(command, args)


def _run(command: str, args: Sequence[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("fer_hf").setLevel(logging.INFO)
    if "--debug" not in args:
        _quieten_libraries()
    try:
        with interrupted_by_signals(), naming_missing_extra():
            module = importlib.import_module(f"fer_hf.cli.{command}")
            module.main([arg for arg in args if arg != "--debug"])
    except KeyboardInterrupt:
        print("fer-hf: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if "--debug" in args:
            raise
        if isinstance(error, ModuleNotFoundError) and {"-h", "--help"} & {*args}:
            print(module.__doc__)  # what its extra would be good for
        # By name, because importing the class would import torch.
        was_stopped = type(error).__name__ == "InterruptedRunError"
        message = printable(" ".join(str(error).split())) or type(error).__name__
        # All processes of a run are stopped together, and the first one speaks for them.
        if not was_stopped or os.environ.get("RANK", "0") == "0":
            print(f"fer-hf: {'' if was_stopped else 'error: '}{message}", file=sys.stderr)
        return 130 if was_stopped else 2 if isinstance(error, _WRONG_CALL) else 1
    return 0


def printable(text: str) -> str:
    """Replace what would break a line or steer a terminal: names of files may hold it."""
    return "".join("?" if unicodedata.category(c).startswith("C") else c for c in text)


def _quieten_libraries() -> None:
    """Silence warnings that nobody can act on, also of libraries that are not imported yet."""

    def quieten_hub(hub_logging: Any) -> None:
        hub_logging.set_verbosity_error()  # it warns twice that nothing has changed

    call_after_import("huggingface_hub.utils.logging", quieten_hub)
    quieten_transformers()
    # What is wrong with a picture is said in one line, which Pillow's words would drown.
    warnings.filterwarnings("ignore", module=r"PIL\.")
