"""The parsers of the commands, and the arguments that several of them take: one spelling for each.

Light by itself: only a command that reads pictures imports transformers for its parser.
"""

import argparse
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from fer_hf.models.bundled import BUNDLED_MODEL

if TYPE_CHECKING:
    from fer_hf.training.arguments import StrictParser

_SHARED: dict[str, dict[str, Any]] = {
    "source": {"help": "the pictures, as for --data"},
    "repo_id": {"metavar": "REPO_ID", "help": "such as you/your-fer"},
    "--model": {
        "default": BUNDLED_MODEL,
        "help": "checkpoint folder, Hub id, or 'tiny' (default: the bundled model)",
    },
    "--backend": {
        "default": "auto",
        "metavar": "NAME",
        "help": "torch; onnx, the graph beside the weights or else what `fer-hf export` wrote; or "
        "onnx-int8, which only that writes (default: onnx where there is a graph, or else torch)",
    },
    "--detector": {"default": "auto", "metavar": "NAME"},
    "--split": {
        "metavar": "{train,validation,test,all}",
        "help": "which pictures (default: test; all, where no test split was given and no model "
        "has seen any of the pictures in training)",
    },
    "--output_dir": {
        "metavar": "FOLDER",
        "help": "where the results go (default: the next free folder in runs/)",
    },
    "--batch_size": {"type": int, "default": 32, "help": "pictures at a time (default: 32)"},
    "--private": {"action": "store_true", "help": "make the repository private"},
    "--revision": {"help": "branch to push to (default: main)"},
    "--create_pr": {"action": "store_true", "help": "open a pull request instead"},
}


class LightParser(argparse.ArgumentParser):
    """A parser whose refusals are errors like any other: one line, and exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Refuse in one line; the caller decides how to end.

        Raises:
            ValueError: Always.
        """
        raise ValueError(message)

    def parse_strictly(self, args: Sequence[str]) -> tuple[argparse.Namespace]:
        """Return the arguments, as `StrictParser` returns them after its dataclasses."""
        return (self.parse_args(args),)


def build_parser(
    module: str, doc: str | None, *, reads_pictures: bool = False
) -> "LightParser | StrictParser":
    """Build the parser of a command; its help is the docstring of its module.

    Args:
        module: The module's `__name__`, which ends in that of the command.
        doc: The module's `__doc__`: what the command does, in a sentence; what else to know; and
            examples.
        reads_pictures: Add a flag for each field of `DataArguments`.
    """
    description, _, epilog = (doc or "").partition("\n\n")
    settings: dict[str, Any] = {
        "prog": f"fer-hf {module.rpartition('.')[2]}",
        "description": description,
        "epilog": epilog,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
    if not reads_pictures:
        return LightParser(allow_abbrev=False, **settings)
    from fer_hf.training.arguments import DataArguments, StrictParser

    return StrictParser(DataArguments, **settings)


def add_shared(parser: "LightParser | StrictParser", *names: str, **changes: Any) -> None:
    """Add arguments that other commands take as well, with what differs in this one."""
    for name in names:
        settings = _SHARED[name] | changes
        if name == "--split":
            from fer_hf.data.splits import SPLITS, split_name

            settings["type"] = lambda given: split_name(given) or given
            settings["choices"] = [*SPLITS, "all"]
        if name == "--detector":
            from fer_hf.faces.detectors import DETECTORS

            settings["help"] = (
                f"{', '.join(DETECTORS)}, or the path of an .onnx file (default: finder, which is "
                "bundled)"
            )
        parser.add_argument(name, **settings)


def parse(parser: "LightParser | StrictParser", args: Sequence[str]) -> argparse.Namespace:
    """Parse a call; where the command reads pictures, `.pictures` are their `DataArguments`.

    Raises:
        ValueError: A flag that does not exist, or a value that cannot be.
    """
    *found, given = parser.parse_strictly(args)
    if found:
        (given.pictures,) = found
        if "source" in given:
            given.pictures.data = given.source
    return given


@contextmanager
def suggest_retry(command: str, args: Sequence[str], note: str = "") -> Iterator[None]:
    """End the error of a Hub that could not be reached, or refused, with the call to repeat."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        call = shlex.join(["fer-hf", command, *args])
        raise OSError(f"{error} {note}Try again: {call}") from error
