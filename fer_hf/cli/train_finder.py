"""Train the face finder on scenes composed of portraits and surroundings.

The portraits of --boxes are cut out and pasted into --rooms: turned, small, dark, half covered. A
table of boxes has the columns file, left, top, right and bottom, in pixels, and perhaps those of
five landmarks; a COCO file will do, too. Where there is neither, --teacher looks for the faces of
--portraits.

Examples:
  fer-hf train_finder --portraits FACES --rooms ROOMS --teacher yunet.onnx
  torchrun --nproc_per_node 2 -m fer_hf train_finder --boxes boxes.csv --rooms ROOMS    on two cores
  fer-hf train_finder --boxes boxes.csv --rooms ROOMS --resume    go on with an interrupted run
  fer-hf train_finder --boxes boxes.csv --rooms ROOMS --start_from bundled   fine-tune ours
  fer-hf predict party.jpg --faces --detector runs/finder/finder.onnx
"""

import argparse
from collections.abc import Sequence


def main(args: Sequence[str]) -> None:
    """Train, and say how to use the finder."""
    from fer_hf.training.arguments import StrictParser
    from fer_hf.training.finder.finder_run import (
        FinderTrainingArguments,
        SceneArguments,
        train_finder,
    )

    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = StrictParser(
        (SceneArguments, FinderTrainingArguments),
        prog="fer-hf train_finder",
        usage="%(prog)s --boxes TABLE --rooms FOLDER [--setting VALUE ...]",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scenes, training = parser.parse_strictly(args)
    file = train_finder(scenes, training)
    if training.should_save:
        print(f"\nUse the finder with\n\n  fer-hf predict party.jpg --faces --detector {file}\n")
