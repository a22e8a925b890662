"""The report of a checkpoint as one page: a self-contained file to read, to send and to print."""

from collections.abc import Mapping, Sequence

from fer_hf.evaluation.reports.blocks import (
    Section,
    list_main_metrics,
    render_figures,
    render_template,
    render_value,
)
from fer_hf.evaluation.reports.checkpoint_report import (
    CheckpointReport,
    build_sections,
    describe_labels,
    describe_seen,
)
from fer_hf.evaluation.reports.checkpoint_sections import render_worth


def render_page(
    report: CheckpointReport,
    plots: Mapping[str, bytes] | None = None,
    mistakes: Sequence[bytes] = (),
) -> str:
    """Write the report as HTML without a script, and without any request to elsewhere.

    Args:
        report: What was measured.
        plots: As `build_sections` takes them.
        mistakes: The pictures of `report.mistakes` as PNG files, in the same order.

    Raises:
        ValueError: There are not as many pictures as mistakes in the report.
    """
    if len(mistakes) != len(report.mistakes):
        raise ValueError(
            f"Found {len(mistakes)} pictures for {len(report.mistakes)} mistakes, expected one for "
            "each. Take them from the report's rows."
        )
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    about = [
        "Intervals of 95 % are over the choice of pictures; they cover no other seed or data set.",
        f"Versions: {versions}.",
        *([f"Command: {report.command}"] if report.command else []),
    ]
    return render_template(
        "html_page.html",
        title=report.title,
        num_pictures=report.num_pictures,
        tiles=_list_tiles(report),
        seen=describe_seen(report),
        num_seen=report.num_seen,
        label_notes=describe_labels(report),
        sections=[*build_sections(report, plots, mistakes), Section("About", about)],
    )


def _list_tiles(report: CheckpointReport) -> list[tuple[str, str, str]]:
    """Return what comes first: a name, a figure with its interval, and that of one person."""
    crowd = report.crowd
    people = vars(crowd.tagger) if crowd else {}
    shown = render_figures(report.evaluation.figures, list_main_metrics())
    tiles = [
        (one.title, figure, render_value(people[one.name]) if one.name in people else "")
        for one, figure in zip(list_main_metrics(), shown, strict=True)
    ]
    if crowd and crowd.panels:
        worth = render_worth(crowd.panels.worth.accuracy, crowd.panels)
        tiles.append(("worth in taggers, by accuracy", worth, ""))
    return tiles
