"""`fer-hf compare`: compare the reports of runs on the same splits, and choose."""

import argparse
from collections.abc import Sequence


def main(args: Sequence[str]) -> None:
    """Print the comparison, and write it where asked."""
    from fer_hf.evaluation.comparison import compare_runs
    from fer_hf.evaluation.comparison_table import render_comparison, save_comparison
    from fer_hf.evaluation.report import load_report

    parser = argparse.ArgumentParser(
        prog="fer-hf compare",
        description="Compare the reports of runs that were trained on the same splits, and choose.",
        epilog="example: fer-hf compare runs/drawn/*/ --output_dir runs/drawn",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="output folder of a run")
    parser.add_argument("--output_dir", help="also write comparison.json, .md and .png here")
    given = parser.parse_args(args)
    comparison = compare_runs({run: load_report(run) for run in given.runs})
    print(render_comparison(comparison))
    if given.output_dir:
        save_comparison(comparison, given.output_dir)
