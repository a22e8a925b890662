"""Publish a source of labelled pictures as a data set on the Hub.

Log in first with `hf auth login`, or set HF_TOKEN. The splits go into one commit, as Parquet files
with a card. Pictures are published unchanged but without their file names: make sure that the
people in them agree, and that whatever a camera wrote into them, such as the place, may be public.

example: fer-hf push_data my_faces you/your-faces --license cc-by-4.0 --private
"""

from collections.abc import Sequence

from fer_hf.cli.parsing import add_shared, build_parser, parse, suggest_retry


def main(args: Sequence[str]) -> None:
    """Push the splits of a source, and say how to load them.

    Raises:
        ValueError: No licence was given, or not that of data whose licence is known.
    """
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    add_shared(parser, "source")
    add_shared(parser, "repo_id", help="such as you/your-faces")
    parser.add_argument("--license", help="of the pictures, such as cc-by-4.0; there is no default")
    add_shared(parser, "--private", "--revision", "--create_pr")
    given = parse(parser, args)
    if given.license is None:
        raise ValueError(
            "Found no --license, expected that of the pictures: there is no default. Give one, "
            "such as cc-by-4.0, or the name of terms of your own."
        )

    from fer_hf.publishing.hub import push_dataset
    from fer_hf.publishing.licensing import derive_license, describe_pictures

    pictures = describe_pictures(given.pictures.find_layout(), given.source, given.license)
    license_name = derive_license([pictures], given.license)
    splits = given.pictures.load()
    with suggest_retry("push_data", args):
        pushed = push_dataset(
            splits,
            given.repo_id,
            license_name,
            private=given.private,
            revision=given.revision,
            create_pr=given.create_pr,
        )
    print(pushed)
    print(f"\n  fer-hf train --data {given.repo_id}")
