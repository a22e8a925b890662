"""Write the model card of a run from its report, and from evaluations of it.

example: fer-hf card runs/my_faces --evaluations measured/ferplus measured/photos
"""

from collections.abc import Sequence
from pathlib import Path

from fer_hf.cli.parsing import build_parser, parse


def main(args: Sequence[str]) -> None:
    """Write README.md into the run's folder."""
    parser = build_parser(__name__, __doc__)
    parser.add_argument("run", metavar="RUN", help="output folder of a run")
    parser.add_argument(
        "--evaluations",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="folders that `fer-hf evaluate RUN --output_dir FOLDER` wrote",
    )
    parser.add_argument("--name", help="model that the snippet opens, such as you/your-fer")
    given = parse(parser, args)

    from fer_hf.evaluation.reports.checkpoint_report import load_checkpoint_report
    from fer_hf.evaluation.reports.report_files import write_text_atomically
    from fer_hf.evaluation.reports.run_report import load_report
    from fer_hf.publishing.model_card import CARD_NAME, leave_out_missing, render_model_card

    report = load_report(given.run)
    evaluations = [load_checkpoint_report(folder) for folder in given.evaluations]
    card = render_model_card(report, evaluations, name=given.name)
    card = leave_out_missing(card, {path.name for path in Path(given.run).iterdir()})
    print(f"written: {write_text_atomically(Path(given.run) / CARD_NAME, card)}")
