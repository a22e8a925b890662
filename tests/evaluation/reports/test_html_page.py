"""The page of a report: one file that asks nobody for anything, and says what the report says."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from fer_hf.data.drawn.faces import draw_face
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.evaluation.metrics.probabilities import compute_reliability
from fer_hf.evaluation.metrics.slices import Slice
from fer_hf.evaluation.reports.checkpoint_figures import (
    compare_with_crowd,
    list_surest_mistakes,
    measure_not_sure,
)
from fer_hf.evaluation.reports.checkpoint_report import CheckpointReport
from fer_hf.evaluation.reports.html_page import render_page
from fer_hf.evaluation.robustness.measuring import CorruptedAccuracy, Robustness

NAMES = ["anger", "happy", "<b>sad</b>"]
LABELS = np.repeat([0, 1, 2], 20)


def encode(picture):
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


FACE = encode(draw_face("happy", seed=1, size=48))


class Outline(HTMLParser):
    """Collect what a page is made of, and whether its elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):  # noqa: D102
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):  # noqa: D102
        assert self.open.pop() == tag

    def handle_data(self, data):  # noqa: D102
        self.text.append(data)

    def find(self, name):  # noqa: D102
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture(scope="module")
def report():
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], size=60)
    evaluation = evaluate_scores(scores, LABELS, NAMES)
    votes = np.ones((60, 3))
    votes[np.arange(60), LABELS] = 6
    share = Estimate(0.5, 0.4, 0.6)
    corrupted = CorruptedAccuracy([0.625, 0.25], [0.6, 0.3], share, share)
    return CheckpointReport(
        model="mine",
        data="faces",
        split="test",
        label_match={name: name for name in NAMES},
        evaluation=evaluation,
        with_flip_averaging=evaluation,
        crowd=compare_with_crowd(evaluation, LABELS, votes, 0, scores, votes),
        versions={"torch": "2.15.0"},
        num_seen=7,
        reliability=compute_reliability(scores, LABELS),
        not_sure=measure_not_sure(scores, LABELS, NAMES, NotSure(0.9, 0.5, 0.2)),
        slices={"brightness": [Slice(3, 99, 30, share), Slice(99, 210, 30, share)], "size": []},
        robustness=Robustness(60, [1, 2], share, share, share, share, {"fog": corrupted}, ["grey"]),
        mistakes=list_surest_mistakes(scores, LABELS, NAMES, most=3),
        command="fer-hf evaluate mine --data faces",
    )


@pytest.fixture(scope="module")
def page(report):
    return render_page(report, {"reliability": FACE, "curves": FACE}, [FACE] * 3)


def test_the_page_asks_nobody_for_anything(page):
    outline = Outline(page)
    assert outline.open == []
    assert not outline.find("script")
    assert not outline.find("link")
    assert not outline.find("iframe")
    assert "url(" not in page
    assert "@import" not in page
    assert "://" not in re.sub(r"data:image/png;base64,[\w+/=]+", "", page)
    assert all(image["src"].startswith("data:image/png;base64,") for image in outline.find("img"))
    assert all(link["href"].startswith("#") for link in outline.find("a"))


def test_every_link_has_its_section_with_a_heading(page):
    outline = Outline(page)
    targets = [link["href"][1:] for link in outline.find("a")]
    sections = [section["id"] for section in outline.find("section")]
    assert targets == sections
    assert len(sections) == 11
    assert len(outline.find("h1")) == 1
    assert len(outline.find("h2")) == len(sections)


def test_pictures_have_texts_and_tables_have_captions(report, page):
    outline = Outline(page)
    assert all(image["alt"] for image in outline.find("img"))
    assert len(outline.find("img")) == 2 + 3
    assert len(outline.find("caption")) == len(outline.find("table"))
    first = report.mistakes[0]
    assert f"Row {first.row}, labelled" in page
    for query in ("prefers-color-scheme: dark", "@media print", "width=device-width"):
        assert query in page


def test_the_page_says_what_the_report_says(report, page):
    text = " ".join("".join(Outline(page).text).split())
    accuracy = report.evaluation.accuracy
    assert f"{100 * accuracy.value:.1f} % 95 %: {100 * accuracy.low:.1f}" in text.replace(
        "%95", "% 95"
    )
    assert f"one person: {100 * 6 / 8:.1f} %" in text
    assert "Seen in training: 7 of these 60 pictures, to the pixel." in text
    assert "worth in taggers, by accuracy" in text
    assert "It was fitted to answer 90 % of pictures" in text
    assert "brightness 99 – 210" in text
    assert "Left out, since it changes none of these pictures: grey." in text
    assert "fer-hf evaluate mine --data faces" in text
    assert "torch 2.15.0" in text
    for name in ("precision", "F1", "ROC-AUC"):
        assert name in text
    row = report.evaluation.confusion_matrix[0]
    assert f"{row[0]} ({5 * row[0]} %)" in text  # of 20 pictures


def test_shades_are_never_the_only_sign(page):
    cells = re.findall(r'<td class="shade[^"]*" style="--shade: (\d+)%">([^<]*)</td>', page)
    assert len(cells) == 9 + 2
    assert all(text for _, text in cells)
    # Of a clean accuracy of 0.5, 0.625 is the full shade, 0.25 half of it.
    assert cells[-2:] == [("100", "62.5 %"), ("50", "25.0 %")]


def test_a_label_is_text_whatever_is_in_it(page):
    assert "<b>" not in page
    assert "&lt;b&gt;sad&lt;/b&gt;" in page


def test_what_was_not_measured_has_no_section(report):
    bare = replace(
        report,
        crowd=None,
        not_sure=None,
        num_seen=None,
        reliability=None,
        slices={},
        robustness=None,
        mistakes=[],
        command="",
    )
    page = render_page(bare)
    outline = Outline(page)
    assert [section["id"] for section in outline.find("section")] == [
        "figures",
        "labels",
        "confusions",
        "about",
    ]
    assert not outline.find("img")
    for word in ("person", "None", "nan", "Command:"):
        assert word not in "".join(outline.text)
    assert "is not known" in page


def test_a_mistake_without_its_picture_is_refused(report):
    with pytest.raises(ValueError, match="Found 2 pictures for 3 mistakes, expected one for each"):
        render_page(report, {}, [FACE] * 2)
