"""`fer-hf predict`: score pictures with a trained model."""

import argparse
import json
import sys
from collections.abc import Sequence


def main(args: Sequence[str]) -> None:
    """Print what the model says about each picture."""
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
