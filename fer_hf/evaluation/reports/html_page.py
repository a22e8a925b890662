"""The report of a checkpoint as one page: a self-contained file to read, to send and to print.

A pure function of the report and of pictures already encoded, so that it can be written again
whenever its looks change.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from fer_hf.evaluation.metrics.evaluation import Evaluation
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.metrics.slices import Slice
from fer_hf.evaluation.reports.checkpoint_report import CheckpointReport, list_confused_pairs
from fer_hf.evaluation.reports.checkpoint_table import (
    FLIP_NOTE,
    Table,
    build_headline,
    build_labels,
    build_panels,
    describe_labels,
    describe_not_sure,
    describe_people,
    describe_seen,
    render_interval,
    render_worth,
)
from fer_hf.evaluation.robustness.measuring import Robustness

_TEMPLATE = Path(__file__).with_name("html_page.html")
_MOST_PAIRS = 10


@dataclass(frozen=True)
class Cell:
    """A cell of a heat map: what it says, and how deep its shade is, 0–1."""

    text: str
    shade: float


def render_page(
    report: CheckpointReport,
    plots: Mapping[str, bytes] | None = None,
    mistakes: Sequence[bytes] = (),
) -> str:
    """Write the report as HTML without a script, and without any request to elsewhere.

    Args:
        report: What was measured.
        plots: PNG files: `reliability`, and `curves` if the checkpoint has a history of training.
        mistakes: The pictures of `report.mistakes` as PNG files, in the same order.

    Raises:
        ValueError: Pictures of another number than the report's mistakes.
    """
    if len(mistakes) != len(report.mistakes):
        raise ValueError(
            f"Found {len(mistakes)} pictures for {len(report.mistakes)} mistakes, expected one for "
            "each. Take them from the report's rows."
        )
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        tiles=_list_tiles(report),
        headline=build_headline(report),
        flip_note=FLIP_NOTE,
        label_notes=describe_labels(report),
        seen=describe_seen(report),
        people=describe_people(report.crowd) if report.crowd else [],
        panels=build_panels(report),
        recalls=build_labels(report),
        labels=_build_label_figures(report.evaluation),
        matrix=_build_matrix(report.evaluation),
        pairs=_build_pairs(report.evaluation),
        not_sure=describe_not_sure(report.not_sure) if report.not_sure else None,
        slices=_build_slices(report.slices),
        robustness=_build_robustness(report.robustness) if report.robustness else None,
        show_estimate=_show,
        plots={name: _to_uri(content) for name, content in (plots or {}).items()},
        mistakes=list(zip(map(_to_uri, mistakes), report.mistakes, strict=True)),
    )


def _list_tiles(report: CheckpointReport) -> list[tuple[str, str, list[str]]]:
    """Return what comes first: a name, a figure, and what stands below it."""
    evaluation, crowd = report.evaluation, report.crowd
    accuracy = crowd.tagger.accuracy if crowd else None
    balanced = crowd.tagger.balanced_accuracy if crowd else None
    tiles: list[tuple[str, str, list[str]]] = []
    for name, estimate, tagger in (
        ("accuracy", evaluation.accuracy, accuracy),
        ("balanced accuracy", evaluation.balanced_accuracy, balanced),
        ("macro-F1", evaluation.f1_macro, None),
        ("calibration error (ECE)", evaluation.ece, None),
    ):
        value, low, high = estimate.value, estimate.low, estimate.high
        if value is None or low is None or high is None:
            tiles.append((name, "–", []))
            continue
        notes = [f"95 %: {100 * low:.1f} – {100 * high:.1f}"]
        notes += [] if tagger is None else [f"one person: {100 * tagger:.1f} %"]
        tiles.append((name, f"{100 * value:.1f} %", notes))
    if crowd and crowd.panels:
        worth, _, interval = render_worth(crowd.panels.worth.accuracy, crowd.panels).partition(" ")
        tiles.append(("worth in taggers, by accuracy", worth, [f"95 %: {interval.strip('()')}"]))
    return tiles


def _build_label_figures(evaluation: Evaluation) -> Table:
    columns = {
        "recall": evaluation.recall_per_label,
        "precision": evaluation.precision_per_label,
        "F1": evaluation.f1_per_label,
        "ROC-AUC": evaluation.roc_auc_per_label,
    }
    rows = [
        [
            name,
            f"{evaluation.support[name]:,}",
            *(_show(column[name]) for column in columns.values()),
        ]
        for name in evaluation.label_names
    ]
    return Table(["label", "pictures", *columns], rows)


def _build_matrix(evaluation: Evaluation) -> list[tuple[str, int, list[Cell]]]:
    """Return for each true label its name, its number of pictures, and a cell for each answer."""
    rows = []
    for name, counts in zip(evaluation.label_names, evaluation.confusion_matrix, strict=True):
        total = evaluation.support[name]
        shares = [count / total if total else 0.0 for count in counts]
        cells = [
            Cell(f"{count:,} ({100 * share:.0f} %)" if count else "·", share)
            for count, share in zip(counts, shares, strict=True)
        ]
        rows.append((name, total, cells))
    return rows


def _build_pairs(evaluation: Evaluation) -> Table:
    rows = [
        [f"{pair.label} → {pair.answer}", f"{pair.count:,}", _show(pair.share)]
        for pair in list_confused_pairs(evaluation, _MOST_PAIRS)
    ]
    return Table(["label → answer", "pictures", "share of the label"], rows)


def _build_slices(slices: Mapping[str, Sequence[Slice]]) -> Table:
    rows = [
        [
            f"{name} {part.low:,.0f} – {part.high:,.0f}",
            f"{part.num_pictures:,}",
            _show(part.accuracy),
        ]
        for name, parts in slices.items()
        for part in parts
    ]
    return Table(["slice", "pictures", "accuracy"], rows)


def _build_robustness(robustness: Robustness) -> list[tuple[str, list[Cell], str]]:
    """Return for each corruption, the costliest first, its name, its cells and its mean.

    The deepest shade is the clean accuracy, the lightest 50 points less, as in the heat map.
    """
    clean = robustness.clean_accuracy.value or 0.0
    ordered = sorted(robustness.per_corruption.items(), key=lambda item: np.mean(item[1].accuracy))
    return [
        (
            name,
            [
                Cell(f"{100 * value:.0f} %", float(np.clip(1 - 2 * (clean - value), 0, 1)))
                for value in figures.accuracy
            ],
            _show(figures.mean_accuracy),
        )
        for name, figures in ordered
    ]


def _show(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    return f"{estimate.value:.3f} ({render_interval(estimate)})"


def _to_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
