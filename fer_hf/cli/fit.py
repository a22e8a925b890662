"""`fer-hf fit`: learn labels of one's own from a handful of pictures, in seconds."""

from collections.abc import Sequence
from pathlib import Path

_EPILOG = """\
A folder with a folder of pictures for each label, whatever the labels are. All pictures are learnt;
the figures are cross-validated: each picture is scored by a head that had not seen it.

example: fer-hf fit my_faces --output_dir runs/mine
"""


def main(args: Sequence[str]) -> None:
    """Fit, print the cross-validated figures, and say how to use the checkpoint."""
    import argparse

    from tabulate import tabulate
    from transformers.utils import logging as transformers_logging

    from fer_hf.evaluation.reports.provenance import name_source
    from fer_hf.models.bundled import BUNDLED_MODEL
    from fer_hf.training.arguments import DataArguments, StrictParser
    from fer_hf.training.frozen.fitting import fit
    from fer_hf.training.run_folder import choose_folder, claim_output_dir

    parser = StrictParser(
        DataArguments,
        prog="fer-hf fit",
        description="Learn labels from a few pictures each, on the frozen model in the box.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="the pictures, as for --data")
    parser.add_argument("--output_dir", metavar="FOLDER", help="default: the next free in runs/")
    parser.add_argument(
        "--model", default=BUNDLED_MODEL, help="backbone (default: the model in the box)"
    )
    parser.add_argument(
        "--feature_views",
        type=int,
        default=2,
        help="the picture, mirrored, augmented … (default 2)",
    )
    data, given = parser.parse_strictly(args)
    data.data = given.source
    transformers_logging.disable_progress_bar()
    pictures = data.load_split("all")
    name = f"{name_source(given.source)}-fit"
    folder = Path(given.output_dir) if given.output_dir else choose_folder(name)
    claim_output_dir(folder, resume=False, overwrite=False)
    report = fit(
        pictures,
        given.source,
        folder,
        model_name_or_path=given.model,
        num_views=given.feature_views,
    )
    measured = report.evaluations["validation"]
    accuracy, constant = measured.accuracy, report.yardsticks[0]
    rows = [
        [label, measured.support[label], f"{100 * recall.value:.0f} %"]
        for label, recall in measured.recall_per_label.items()
        if recall.value is not None
    ]
    print(tabulate(rows, ["label", "pictures", "found"], "simple", colalign=("left", "right")))
    print(
        f"\ncross-validated in {report.settings['num_folds']} folds: accuracy "
        f"{accuracy.value:.3f} ({accuracy.low:.3f}–{accuracy.high:.3f}), balanced "
        f"{measured.balanced_accuracy.value:.3f}; {constant.name}: {constant.accuracy:.3f}"
    )
    print(f"\n{report.train_seconds:.0f} s. Try it: fer-hf predict PICTURE --model {folder}")
