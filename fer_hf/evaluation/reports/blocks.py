"""Tables and sentences of a report, and how they look in a terminal, in Markdown and on a page.

A report is a list of blocks: sentences, tables, pictures, and sections of these. Each of the three
renderings walks the same list, so that a figure is worded and rounded in one place.
"""

import base64
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fer_hf.evaluation.metrics.evaluation import METRICS
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.metrics.metric import Metric

WIDTH = 90
MISSING = "–"


@dataclass(frozen=True)
class Table:
    """A table in words.

    Attributes:
        headers: One for each column; a line break says where a narrow one may break.
        rows: As many cells each; the first names the row. What ends a cell in brackets, such as an
            interval, moves to a line of its own where the table would be too wide for a terminal.
        caption: One line about the table.
        shades: For a heat map, how deep the shade of each cell after the first is on a page, 0–1;
            None leaves it plain.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    shades: Sequence[Sequence[float | None]] = ()

    @classmethod
    def from_columns(cls, columns: Mapping[str, Iterable[str]], caption: str = "") -> "Table":
        """Build a table from header to cells; all columns are of one length."""
        return cls(list(columns), list(zip(*columns.values(), strict=True)), caption)

    def to_text(self, width: int = WIDTH) -> str:
        """Render for a terminal, in `width` columns if the cells can be broken to fit."""
        text = self._tabulate(self.rows)
        if max(map(len, text.splitlines())) > width:
            text = self._tabulate(
                [[re.sub(r" \(([^()]*)\)$", r"\n\1", cell) for cell in row] for row in self.rows]
            )
        return f"{_fill(self.caption, width)}\n\n{text}" if self.caption else text

    def to_markdown(self) -> str:
        """Render with one line for each row, and without the caption."""
        headers = [header.replace("\n", " ") for header in self.headers]
        # As wide as `tabulate` makes them, without it.
        columns = zip(*([f"{header}  " for header in headers], *self.rows), strict=True)
        widths = [max(map(len, cells)) for cells in columns]
        lines = [headers, ["-" * width for width in widths], *self.rows]
        texts = [map(str.ljust, line, widths) for line in lines]
        first, rule, *rows = [f"| {' | '.join(text)} |" for text in texts]
        return "\n".join([first, rule.replace(" ", "-"), *rows])

    def _tabulate(self, rows: Sequence[Sequence[str]]) -> str:
        from tabulate import tabulate  # a page or a card has no need of it

        return tabulate(
            rows,
            self.headers,
            "simple",
            colalign=["left", *["right"] * (len(self.headers) - 1)] if rows else None,
            disable_numparse=True,
        )


@dataclass(frozen=True)
class Picture:
    """A picture on a page; a terminal and Markdown leave it out.

    Attributes:
        png: The file.
        alt: What it shows, for whoever cannot see it.
        caption: Below the picture; a line break stays one.
    """

    png: bytes
    alt: str
    caption: str = ""

    @property
    def uri(self) -> str:
        """The picture as an address that needs no file."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading.

    Attributes:
        title: The heading.
        blocks: What follows it.
    """

    title: str
    blocks: Sequence["Block"]

    @property
    def anchor(self) -> str:
        """What a link on the same page leads to."""
        return self.title.lower().replace(" ", "-")


Gallery = tuple[Picture, ...]
Block = str | Table | Picture | Gallery | Section


def render(
    blocks: Sequence[Block],
    layout: Literal["terminal", "markdown"] = "terminal",
    width: int = WIDTH,
) -> str:
    """Render blocks without their pictures.

    Args:
        blocks: What to render.
        layout: "terminal", in `width` columns, or "markdown", with a line for each row.
        width: Of the terminal.

    Raises:
        ValueError: An unknown layout.
    """
    if layout not in ("terminal", "markdown"):
        raise ValueError(
            f"Found layout {layout!r}, expected 'terminal' or 'markdown'. Choose one of them."
        )
    is_terminal = layout == "terminal"
    parts = []
    for block in blocks:
        if isinstance(block, str):
            parts.append(_fill(block, width) if is_terminal else block)
        elif isinstance(block, Table):
            parts.append(block.to_text(width) if is_terminal else block.to_markdown())
        elif isinstance(block, Section):
            heading = block.title.upper() if is_terminal else f"## {block.title}"
            parts.append(f"{heading}\n\n{render(block.blocks, layout, width).rstrip()}")
    return "\n\n".join(parts) + "\n"


def _fill(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_on_hyphens=False)


def render_html(blocks: Sequence[Block]) -> str:
    """Render as HTML without a script or a style, as a notebook shows it."""
    return render_template("blocks.html", blocks=blocks)


class Shown:
    """A result that a terminal, Markdown and a notebook show alike."""

    width = WIDTH

    def list_blocks(self) -> Sequence[Block]:
        """List what is shown."""
        raise NotImplementedError

    def render(self, layout: Literal["terminal", "markdown"] = "terminal") -> str:
        """Render the blocks without their pictures.

        Raises:
            ValueError: An unknown layout.
        """
        return render(self.list_blocks(), layout, self.width)

    def _repr_html_(self) -> str:
        return render_html(self.list_blocks())


def render_template(name: str, **values: Any) -> str:
    """Fill a template of this folder; values are escaped, and none may be missing."""
    import jinja2  # whoever only reads a report need not wait for it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name).render(**values)


def render_estimate(
    estimate: Estimate | None, *, is_share: bool = True, is_difference: bool = False
) -> str:
    """Write a figure with its interval, such as `85.3 % (84.1–86.5)`; a dash where it is undefined.

    Args:
        estimate: A figure; None is undefined, too.
        is_share: Whether it is a share, shown in per cent; else three decimals are shown.
        is_difference: Whether it has a sign and an interval that may cross 0; a difference of
            shares is in points.
    """
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return MISSING
    scale, digits = (100, 1) if is_share else (1, 3)
    unit = " %" if is_share and not is_difference else ""
    sign, to = ("+", " to ") if is_difference else ("", "–")
    # z: no minus before a zero.
    low, high = (f"{scale * bound:z.{digits}f}" for bound in (estimate.low, estimate.high))
    return f"{scale * estimate.value:{sign}z.{digits}f}{unit} ({low}{to}{high})"


def list_main_metrics() -> list[Metric]:
    """List what every table of models has a column for, in this order."""
    return [metric for metric in METRICS if not metric.is_secondary]


def render_figures(
    figures: Mapping[str, Estimate], metrics: Sequence[Metric], *, is_difference: bool = False
) -> list[str]:
    """Write a figure for each metric, as `render_estimate` does."""
    return [
        render_estimate(figures.get(one.name), is_share=one.is_share, is_difference=is_difference)
        for one in metrics
    ]


def render_value(figure: float | None, *, is_share: bool = True) -> str:
    """Write a figure without an interval, as `render_estimate` does."""
    if figure is None:
        return MISSING
    return f"{100 * figure:.1f} %" if is_share else f"{figure:.3f}"


def render_p_value(p_value: float) -> str:
    """Write a p value in three decimals."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def render_gaps(accuracy_gap: float | None, loss_gap: float | None) -> str:
    """Write the gaps of a run to its training pictures: points of accuracy, and (nats)."""
    if accuracy_gap is None or loss_gap is None:
        return MISSING
    return f"{100 * accuracy_gap:+z.1f} ({loss_gap:+z.2f})"
