"""The page's panels say what a face looks like, in words, and trust no label name."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from fer_hf.demo.theme import STYLE_FILE
from fer_hf.demo.views import render_no_face, render_readings, render_verdict
from fer_hf.emotions import EMOTIONS
from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading
from fer_hf.inference.reading import get_label_color


def parse(html):
    """The panels as a tree; what is not closed, or not escaped, does not parse."""
    return ElementTree.fromstring(f"<body>{html}</body>")


def read(page, tag):
    return [element.text for element in page.iter(tag) if element.text]


def build(scores, *, sure=True, prediction_set=("happy",), crowd=None, names=EMOTIONS, number=1):
    named = dict(zip(names, scores, strict=True))
    votes = None if crowd is None else dict(zip(names, crowd, strict=True))
    kept = None if prediction_set is None else list(prediction_set)
    label = None if sure is False else max(named, key=named.get)
    return FaceReading(named, label, votes, kept, face=Face((0, 0, 9, 9), 1.0), number=number)


HAPPY = build(
    [0, 0, 0, 0, 0.92, 0.08, 0, 0], crowd=[0.003, 0.017, 0.01, 0.02, 0.71, 0.2, 0.03, 0.01]
)
NOT_SURE = build(
    [0, 0, 0, 0.2, 0, 0.5, 0.3, 0], sure=False, prediction_set=["neutral", "sad", "fear"], number=2
)


def test_each_face_has_a_panel_with_its_number_and_verdict():
    page = parse(render_readings([HAPPY, NOT_SURE]))
    assert read(page, "h3") == ["Face 1", "Face 2"]
    assert [section.get("aria-label") for section in page.iter("section")] == ["Face 1", "Face 2"]
    assert read(page, "p") == [
        "Most people would say: happy (92 %)",
        "Not sure: could be neutral, sad or fear",
    ]


def test_faces_can_keep_the_numbers_that_the_picture_shows():
    page = parse(render_readings([replace(HAPPY, number=7), replace(NOT_SURE, number=3)]))
    assert read(page, "h3") == ["Face 7", "Face 3"]


def test_each_label_has_a_bar_its_name_and_its_share_in_words():
    page = parse(render_readings([HAPPY]))
    assert read(page, "th") == list(EMOTIONS)
    assert read(page, "td") == ["<1 %", "2 %", "1 %", "2 %", "71 %", "20 %", "3 %", "1 %"]
    styles = [div.get("style") for div in page.iter("div") if div.get("style")]
    assert styles[4] == f"width: 71.0%; background: {get_label_color('happy', EMOTIONS)}"
    assert len(styles) == len(EMOTIONS)


def test_bars_are_hidden_from_screen_readers_and_rows_have_headers():
    page = parse(render_readings([HAPPY]))
    hidden = [cell for cell in page.iter("td") if cell.get("aria-hidden") == "true"]
    assert len(hidden) == len(EMOTIONS)
    assert [header.get("scope") for header in page.iter("th")] == ["row"] * len(EMOTIONS)


def test_the_highest_share_alone_stands_out():
    rows = list(parse(render_readings([HAPPY])).iter("tr"))
    assert [row.get("class") for row in rows].index("fer-top") == EMOTIONS.index("happy")
    assert sum("class" in row.attrib for row in rows) == 1


def test_the_caption_speaks_of_votes_only_where_the_model_knows_of_them():
    (votes,) = read(parse(render_readings([HAPPY])), "caption")
    (scores,) = read(parse(render_readings([NOT_SURE])), "caption")
    assert votes == "How people’s votes would spread"
    assert scores == "How likely each is"


@pytest.mark.parametrize(
    ("sure", "prediction_set", "verdict"),
    [
        (True, ["a", "b"], "Most people would say: a (60 %)"),
        (None, None, "Most likely: a (60 %)"),
        (False, ["a", "b", "c"], "Not sure: could be a, b or c"),
        (False, ["b", "a"], "Not sure: could be b or a"),
        (False, ["a"], "Not sure; if anything, a"),
        (False, [], "Not sure: unlike the faces the model has learnt from"),
    ],
)
def test_the_verdict_says_how_sure_the_model_is(sure, prediction_set, verdict):
    reading = build([0.6, 0.3, 0.1], sure=sure, prediction_set=prediction_set, names="abc")
    assert render_verdict(reading) == verdict


def test_not_sure_differs_by_more_than_its_words():
    panels = parse(render_readings([HAPPY, NOT_SURE])).iter("section")
    assert [panel.get("class") for panel in panels] == ["fer-face", "fer-face fer-not-sure"]


def test_names_of_labels_cannot_bring_markup_with_them():
    names = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b"]
    readings = [
        build([0.6, 0.3, 0.1], prediction_set=names, names=names),
        build([0.3, 0.6, 0.1], sure=False, prediction_set=names, names=names),
        build([0.3, 0.6, 0.1], sure=None, prediction_set=None, names=names),
    ]
    page = parse(render_readings(readings))
    assert read(page, "th") == names * 3
    assert not list(page.iter("script"))
    assert not list(page.iter("img"))


def test_without_faces_there_are_no_panels():
    assert not list(parse(render_readings([])).iter("section"))


def test_no_face_says_what_to_do():
    page = parse(render_no_face())
    assert read(page, "h3") == ["No face found"]
    (advice,) = read(page, "p")
    for hint in ("closer", "face the camera", "treat the whole picture as a face"):
        assert hint in advice


def test_the_style_takes_its_colours_from_the_page_and_moves_nothing():
    style = STYLE_FILE.read_text()
    for name in ("--body-text-color", "--block-background-fill", "--border-color-primary"):
        assert f"var({name})" in style
    for word in ("#", "rgb(", "animation", "transition", "http"):
        assert word not in style
    assert style.count("{") == style.count("}")
