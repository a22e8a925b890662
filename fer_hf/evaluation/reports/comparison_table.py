"""How a comparison looks: a table for the terminal or Markdown, and its files."""

import json
import os
import textwrap
from pathlib import Path
from typing import Literal

from tabulate import tabulate

from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.reports.comparison import Comparison, ComparisonRow, require_figure
from fer_hf.evaluation.reports.plots import plot_comparison
from fer_hf.evaluation.reports.run_report import write_text_atomically

FIGURES = (
    "params", "train\nacc.", "validation\nacc.", "test\nacc.", "bal.\nacc.", "F1", "NLL", "ECE",
    "acc.\ngap", "loss\ngap", "time",
)  # fmt: skip
NOTE = (
    "Figures in percent, ± half of the 95 % interval; bal. acc., macro F1, NLL, ECE: validation.\n"
    "Params: those trained. Gaps: train − validation accuracy in points, validation − train NLL."
)


def render_comparison(
    comparison: Comparison, layout: Literal["terminal", "markdown"] = "terminal"
) -> str:
    """Render the table, the chosen run marked with `*`, and the reason below it.

    Accuracies, F1, ECE and the accuracy gap are in percent or points; ± is half of the 95 %
    interval. Balanced accuracy, F1, NLL and ECE are those of the validation split.

    Raises:
        ValueError: If `layout` is neither "terminal" (about 120 columns) nor "markdown".
    """
    if layout not in ("terminal", "markdown"):
        raise ValueError(
            f"Found layout {layout!r}, expected 'terminal' or 'markdown'. Choose one of them."
        )
    if layout == "markdown":
        headers = ["model", "pretrained", "fine-tuned", *FIGURES, "run"]
        table = tabulate(
            [
                [
                    _mark(row, comparison),
                    row.pretrained_on,
                    row.fine_tuned,
                    *_render_figures(row),
                    f"`{row.run}`",
                ]
                for row in comparison.rows
            ],
            headers=[header.replace("\n", " ") for header in headers],
            tablefmt="github",
            disable_numparse=True,
        )
        return f"{table}\n\n{NOTE}\n\n\\* **{comparison.reason}**\n"
    table = tabulate(
        [
            [
                f"{_mark(row, comparison)}\n  {_describe(row)}",
                *_render_figures(row),
            ]
            for row in comparison.rows
        ],
        headers=["model\npretrained; fine-tuned", *FIGURES],
        tablefmt="simple",
        colalign=["left"] + ["right"] * len(FIGURES),
        disable_numparse=True,
        preserve_whitespace=True,
    )
    reason = textwrap.fill(
        f"* {comparison.reason} ({comparison.best})", 110, break_on_hyphens=False
    )
    return f"{table}\n\n{NOTE}\n\n{reason}\n"


def save_comparison(comparison: Comparison, output_dir: str | os.PathLike[str]) -> Path:
    """Write `comparison.json`, `comparison.md` and `comparison.png` into `output_dir`.

    Returns:
        The path of `comparison.json`, which is written last.
    """
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    plot_comparison(
        names=[f"{row.display_name}\n{_describe(row)}" for row in comparison.rows],
        accuracies=[row.validation_accuracy for row in comparison.rows],
        accuracy_gaps=[row.accuracy_gap for row in comparison.rows],
        chosen=0,
        title="Models compared",
    ).savefig(folder / "comparison.png")
    write_text_atomically(folder / "comparison.md", render_comparison(comparison, "markdown"))
    text = json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    return write_text_atomically(folder / "comparison.json", text + "\n")


def _mark(row: ComparisonRow, comparison: Comparison) -> str:
    return f"* {row.display_name}" if row.run == comparison.best else row.display_name


def _describe(row: ComparisonRow) -> str:
    """Return what was pretrained and fine-tuned; of a long name, such as a path, only its end."""
    source = row.pretrained_on
    return f"{source if len(source) <= 16 else '…' + source[-15:]}; {row.fine_tuned}"


def _render_figures(row: ComparisonRow) -> list[str]:
    """Return the cells below `FIGURES`."""
    seconds = row.train_seconds
    return [
        _render_count(row.num_trainable_parameters),
        f"{100 * row.train_accuracy:.1f}",
        _render_estimate(row.validation_accuracy),
        "–" if row.test_accuracy is None else _render_estimate(row.test_accuracy),
        f"{100 * row.balanced_accuracy:.1f}",
        f"{100 * row.f1_macro:.1f}",
        f"{row.nll:.3f}",
        f"{100 * row.ece:.1f}",
        f"{100 * row.accuracy_gap:+.1f}",
        f"{row.loss_gap:+.2f}",
        f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min",
    ]


def _render_estimate(estimate: Estimate) -> str:
    half = (require_figure(estimate.high) - require_figure(estimate.low)) / 2
    return f"{100 * require_figure(estimate.value):.1f} ±{100 * half:.1f}"


def _render_count(count: int) -> str:
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= unit:
            return f"{count / unit:.3g}{letter}"
    return str(count)
