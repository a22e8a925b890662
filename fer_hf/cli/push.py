"""`fer-hf push`: publish a run on the Hub, and the demo of it as a Space."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

_EPILOG = """\
Log in first with `hf auth login`, or set HF_TOKEN. Everything goes into one commit, and there is no
other one while nothing changes. Published are the weights, the settings of the preprocessing, the
card, the report, plots, hashes of the training pictures (see the card), and what was exported.

example: fer-hf push runs/my_faces/resnetv2 you/your-fer
example: fer-hf push runs/my_faces/resnetv2 you/your-fer --data_license cc-by-4.0 --space
"""


def main(args: Sequence[str]) -> None:
    """Push, and say where it is and how to open it."""
    from huggingface_hub.utils import logging as hub_logging

    from fer_hf.publishing.hub import find_app, push_model, push_space

    hub_logging.set_verbosity_error()  # it says twice that nothing has changed
    parser = argparse.ArgumentParser(
        prog="fer-hf push",
        description="Publish a run as a model on the Hub.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="output folder of a finished run")
    parser.add_argument("repo_id", metavar="REPO_ID", help="such as you/your-fer")
    parser.add_argument("--private", action="store_true", help="for your eyes only")
    parser.add_argument("--revision", help="branch to push to (default: main)")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead")
    parser.add_argument(
        "--license", help="of the weights (default: what their pictures and backbone allow)"
    )
    parser.add_argument(
        "--data_license", help="of the pictures, where it is not known; your own: as you like"
    )
    parser.add_argument("--space", action="store_true", help="push the demo, too, as a Space")
    parser.add_argument("--app", metavar="FOLDER", help="the demo (default: app/)")
    given = parser.parse_args(args)
    if given.space and (given.revision or given.create_pr):
        raise ValueError(
            "A Space opens the model on `main`. Give --space without --revision and --create_pr."
        )
    app = find_app(given.app) if given.space else None
    try:
        model = push_model(
            _find_run(given.run),
            given.repo_id,
            private=given.private,
            revision=given.revision,
            create_pr=given.create_pr,
            license_name=given.license,
            data_license=given.data_license,
        )
        _show(model.url, model.is_new)
        if app:
            space = push_space(app, given.repo_id, given.repo_id, private=given.private)
            _show(space.url, space.is_new)
    except FileNotFoundError:
        raise
    except OSError as error:
        command = shlex.join(["fer-hf", "push", *args])
        raise OSError(f"{error} The run is as it was. Try again: {command}") from error
    if app and given.private:
        print("To open a private model, the Space needs a token: its settings, secret HF_TOKEN.")
    revision = f', revision="{given.revision}"' if given.revision else ""
    print(f'\n  pipeline("image-classification", model="{given.repo_id}"{revision})')


def _find_run(name: str) -> Path:
    """Return the folder of a run; the model in the box is one, by its name."""
    if Path(name).is_dir():
        return Path(name)
    from fer_hf.models.bundled import BUNDLED_MODEL, DEFAULT_MODEL

    return Path(DEFAULT_MODEL if name == BUNDLED_MODEL else name)


def _show(url: str, is_new: bool) -> None:
    print(f"{'published' if is_new else 'nothing has changed'}: {url}")
