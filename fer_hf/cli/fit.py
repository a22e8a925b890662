"""Learn labels from a few pictures each, on the frozen bundled model.

Give a folder with one folder of pictures per label, whatever the labels are. The model learns from
all the pictures; the figures are cross-validated: each picture is scored by a head that has not
seen it.

example: fer-hf fit my_faces --output_dir runs/mine
"""

from collections.abc import Sequence
from pathlib import Path

from fer_hf.cli.parsing import add_shared, build_parser, parse


def main(args: Sequence[str]) -> None:
    """Fit, print the cross-validated figures, and say how to use the checkpoint."""
    parser = build_parser(__name__, __doc__, reads_pictures=True)
    add_shared(parser, "source", "--output_dir")
    add_shared(parser, "--model", help="backbone (default: the bundled model)")
    parser.add_argument(
        "--feature_views",
        type=int,
        default=2,
        help="views of each picture: as it is, mirrored, then augmented ones (default: 2)",
    )
    given = parse(parser, args)

    from fer_hf.evaluation.reports.blocks import Table, render_estimate, render_value
    from fer_hf.evaluation.reports.provenance import name_source
    from fer_hf.training.frozen.fitting import fit
    from fer_hf.training.run_folder import choose_folder, claim_output_dir

    pictures = given.pictures.load_split("all")
    folder = Path(given.output_dir or choose_folder(f"{name_source(given.source)}-fit"))
    claim_output_dir(folder, resume=False, overwrite=False)
    report = fit(
        pictures,
        given.source,
        folder,
        model_name_or_path=given.model,
        num_views=given.feature_views,
    )
    measured = report.evaluations["validation"]
    constant = report.yardsticks[0]
    rows = [
        [label, f"{measured.support[label]:,}", render_estimate(recall)]
        for label, recall in measured.recall_per_label.items()
    ]
    print(Table(["label", "pictures", "recall"], rows).to_text())
    print(
        f"\ncross-validated in {report.settings['num_folds']} folds: accuracy "
        f"{render_estimate(measured.accuracy)}, balanced accuracy "
        f"{render_estimate(measured.balanced_accuracy)}; {constant.name}: accuracy "
        f"{render_value(constant.accuracy)}"
    )
    print(f"\n{report.train_seconds:.0f} s. Try it: fer-hf predict PICTURE --model {folder}")
