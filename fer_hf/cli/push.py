"""Publish a run as a model on the Hub.

Log in first with `hf auth login`, or set HF_TOKEN. Everything goes into one commit; where nothing
has changed, no new one is made. Published are the weights, the preprocessing settings, the card,
the report, plots, hashes of the training pictures (see the card), and exported networks.

example: fer-hf push runs/my_faces/resnetv2 you/your-fer
example: fer-hf push runs/my_faces/resnetv2 you/your-fer --data_license cc-by-4.0 --space
"""

from collections.abc import Sequence
from pathlib import Path

from fer_hf.cli.parsing import add_shared, build_parser, parse, suggest_retry


def main(args: Sequence[str]) -> None:
    """Push, and say where it is and how to open it."""
    parser = build_parser(__name__, __doc__)
    parser.add_argument("run", metavar="RUN", help="output folder of a finished run")
    add_shared(parser, "repo_id", "--private", "--revision", "--create_pr")
    parser.add_argument(
        "--license", help="of the weights (default: what the pictures and the backbone allow)"
    )
    parser.add_argument(
        "--data_license",
        help="of the pictures, where it is not known; for your own pictures, any you choose",
    )
    parser.add_argument("--space", action="store_true", help="also push the demo as a Space")
    parser.add_argument("--app", metavar="FOLDER", help="the demo (default: app/)")
    given = parse(parser, args)
    if given.space and (given.revision or given.create_pr):
        raise ValueError(
            "A Space opens the model on `main`. Give --space without --revision and --create_pr."
        )

    from fer_hf.inference.graph_network import GRAPH_FILE
    from fer_hf.publishing.hub import find_app, push_model, push_space

    app, run = find_app(given.app) if given.space else None, _find_run(given.run)
    with suggest_retry("push", args, "The run is unchanged. "):
        pushed = push_model(
            run,
            given.repo_id,
            private=given.private,
            revision=given.revision,
            create_pr=given.create_pr,
            license_name=given.license,
            data_license=given.data_license,
        )
        print(pushed)
        if app:
            pushed = push_space(
                app,
                given.repo_id,
                given.repo_id,
                private=given.private,
                with_torch=not (run / GRAPH_FILE).is_file(),
            )
            print(pushed)
    if app and given.private:
        print("To open a private model, the Space needs a token: its settings, secret HF_TOKEN.")
    revision = f', revision="{given.revision}"' if given.revision else ""
    print(f'\n  pipeline("image-classification", model="{given.repo_id}"{revision})')


def _find_run(name: str) -> Path:
    """Return the folder of a run; the bundled model is one, by its name."""
    from fer_hf.models.bundled import locate_model

    return Path(locate_model(name))
