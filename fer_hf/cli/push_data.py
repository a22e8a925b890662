"""`fer-hf push_data`: publish labelled pictures on the Hub as a data set."""

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_hf.training.arguments import DataArguments

_EPILOG = """\
Log in first with `hf auth login`, or set HF_TOKEN. The splits go into one commit, as Parquet files
with a card. Pictures are published as they are, without their file names: see to it that the people
in them agree, and that what a camera wrote into them, such as the place, may be public.

example: fer-hf push_data my_faces you/your-faces --license cc-by-4.0 --private
"""


def main(args: Sequence[str]) -> None:
    """Push the splits of a source, and say how to load them."""
    from fer_hf.training.arguments import DataArguments, StrictParser

    parser = StrictParser(
        DataArguments,
        prog="fer-hf push_data",
        description="Publish a source of labelled pictures as a data set on the Hub.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="the pictures, as for --data")
    parser.add_argument("repo_id", metavar="REPO_ID", help="such as you/your-faces")
    parser.add_argument("--license", help="of the pictures, such as cc-by-4.0; there is no default")
    parser.add_argument("--private", action="store_true", help="for your eyes only")
    parser.add_argument("--revision", help="branch to push to (default: main)")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead")
    data, given = parser.parse_strictly(args)
    data.data = given.source
    license_name = _check_license(data, given.license)

    from huggingface_hub.utils import logging as hub_logging

    from fer_hf.publishing.hub import push_dataset

    hub_logging.set_verbosity_error()  # it says twice that nothing has changed
    splits = data.load()
    try:
        pushed = push_dataset(
            splits,
            given.repo_id,
            license_name,
            private=given.private,
            revision=given.revision,
            create_pr=given.create_pr,
        )
    except OSError as error:
        command = shlex.join(["fer-hf", "push_data", *args])
        raise OSError(f"{error} Try again: {command}") from error
    print(f"{'published' if pushed.is_new else 'nothing has changed'}: {pushed.url}")
    print(f"\n  fer-hf train --data {given.repo_id}")


def _check_license(data: "DataArguments", wanted: str | None) -> str:
    """Return the licence to publish under.

    Raises:
        ValueError: None was given, or not that of data everybody knows.
    """
    from fer_hf.data.sources import recognise_layout
    from fer_hf.publishing.licensing import KNOWN_DATA, Ingredient, derive_license

    if wanted is None:
        raise ValueError(
            "Found no --license, expected that of the pictures: there is no default. Give one, "
            "such as cc-by-4.0, or the name of terms of your own."
        )
    facts = KNOWN_DATA.get(data.layout or recognise_layout(data.data, data.votes_file))
    if facts is None:
        return wanted
    return derive_license([Ingredient(facts.name, "dataset", None, facts.license)], wanted)
