"""Blocks of a report look alike in a terminal, in Markdown and on a page."""

import pytest

from fer_hf.evaluation.metrics.intervals import UNDEFINED, Estimate
from fer_hf.evaluation.reports.blocks import (
    Picture,
    Section,
    Table,
    render,
    render_estimate,
    render_html,
    render_value,
)

TABLE = Table(["model", "held-out\naccuracy"], [["<b>", "50.0 % (41.2–58.8)"]], "Of 120 pictures")
BLOCKS = ["A sentence.", Section("Not sure", [TABLE, Picture(b"png", "a plot", "seen\nhere")])]


def test_a_terminal_breaks_cells_only_where_the_table_would_be_too_wide():
    wide = TABLE.to_text().splitlines()
    assert wide[0] == "Of 120 pictures"
    assert wide[-1].split("  ")[-1] == "50.0 % (41.2–58.8)"
    narrow = TABLE.to_text(width=20).splitlines()
    assert [line.split() for line in narrow[-2:]] == [["<b>", "50.0", "%"], ["41.2–58.8"]]


def test_markdown_has_one_line_for_a_row():
    header, _, row = TABLE.to_markdown().splitlines()
    assert header.split("|")[2].strip() == "held-out accuracy"
    assert row.split("|")[2].strip() == "50.0 % (41.2–58.8)"


def test_a_terminal_and_markdown_show_the_same_blocks_without_pictures():
    assert render(BLOCKS).startswith("A sentence.\n\nNOT SURE\n\nOf 120 pictures\n\nmodel")
    assert render(BLOCKS, "markdown").startswith("A sentence.\n\n## Not sure\n\n| model")
    assert "png" not in render(BLOCKS) + render(BLOCKS, "markdown")


def test_a_page_escapes_texts_and_needs_no_file_for_its_pictures():
    html = render_html(BLOCKS)
    assert '<section id="not-sure">' in html
    assert "<caption><span>Of 120 pictures</span></caption>" in html
    assert '<th scope="row">&lt;b&gt;</th>' in html
    assert '<img src="data:image/png;base64,cG5n" alt="a plot">' in html
    assert "seen<br>here" in html


def test_only_cells_with_a_shade_are_shaded():
    html = render_html([Table(["row", "a", "b"], [["x", "1", "2"]], shades=[[0.8, None]])])
    assert '<td class="shade deep" style="--shade: 80%">1</td>' in html
    assert "<td>2</td>" in html


@pytest.mark.parametrize(
    ("estimate", "settings", "text"),
    [
        (Estimate(0.853, 0.841, 0.865), {}, "85.3 % (84.1–86.5)"),
        (Estimate(0.412, 0.391, 0.433), {"is_share": False}, "0.412 (0.391–0.433)"),
        (Estimate(0.003, -0.0004, 0.008), {"is_difference": True}, "+0.3 (0.0 to 0.8)"),
        (Estimate(-0.1, -0.2, 0.1), {"is_share": False, "is_difference": True},
         "-0.100 (-0.200 to 0.100)"),
        (UNDEFINED, {}, "–"),
        (None, {}, "–"),
    ],
)  # fmt: skip
def test_an_estimate_is_written_with_its_interval(estimate, settings, text):
    assert render_estimate(estimate, **settings) == text


def test_a_value_alone_is_written_alike():
    assert render_value(0.5) == "50.0 %"
    assert render_value(0.5, is_share=False) == "0.500"
    assert render_value(None) == "–"
