"""Boxes and tags are legible on any picture, and colour is never their only sign."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageColor

from fer_hf.emotions import EMOTIONS
from fer_hf.faces import Face
from fer_hf.faces.face import intersect_boxes
from fer_hf.faces.overlay import (
    _find_place,
    _measure_distances,
    _render_tag,
    draw_readings,
)
from fer_hf.faces.reader import FaceReading
from fer_hf.inference.reading import COLORS, format_percent, get_label_color

DARK = ImageColor.getrgb("#111827")


def read(box, label="happy", score=0.9, sure=True):
    scores = {**dict.fromkeys(EMOTIONS, (1 - score) / 7), label: score}
    shown = None if sure is False else label
    kept = None if sure is None else [label]
    return FaceReading(scores, shown, scores, kept, face=Face(box, 1.0))


def compute_contrast(one, other):
    """The contrast ratio of WCAG 2.2, 1–21."""

    def measure(color):
        levels = np.array(ImageColor.getrgb(color)) / 255
        linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        return linear @ (0.2126, 0.7152, 0.0722)

    dark, light = sorted((measure(one), measure(other)))
    return (light + 0.05) / (dark + 0.05)


def count_strokes(picture, row, color, tolerance=30):
    """How often a row of a picture enters pixels of about that colour."""
    pixels = np.asarray(picture, int)[row]
    hits = np.abs(pixels - ImageColor.getrgb(color)).sum(axis=1) < tolerance
    return int((np.diff(hits.astype(int)) == 1).sum())


def test_the_argument_stays_as_it_is_and_the_copy_is_rgb():
    for mode in ("RGB", "L", "RGBA"):
        picture = Image.new(mode, (200, 150))
        before = picture.copy()
        drawn = draw_readings(picture, [read((50, 50, 120, 120))])
        assert (drawn.mode, drawn.size) == ("RGB", (200, 150))
        assert ImageChops.difference(picture, before).getbbox() is None
        assert drawn is not picture
        assert ImageChops.difference(drawn, before.convert("RGB")).getbbox() is not None


def test_without_faces_the_picture_stays():
    picture = Image.effect_noise((60, 40), 50).convert("RGB")
    drawn = draw_readings(picture, [])
    assert drawn is not picture
    assert ImageChops.difference(drawn, picture).getbbox() is None


@pytest.mark.parametrize("ground", ["black", "white", "#808080"])
@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_box_shows_in_its_colour_on_any_ground(ground, emotion):
    picture = Image.new("RGB", (640, 480), ground)
    color = get_label_color(emotion, EMOTIONS)
    drawn = draw_readings(picture, [read((200, 200, 400, 400), emotion)])
    # Left and right side; on both sides of each a dark rim, for grounds of the box's own colour.
    assert count_strokes(drawn, 300, color) == 2
    assert ground == "black" or count_strokes(drawn, 300, "#111827", 130) == 4


def test_a_box_is_dashed_where_the_model_is_not_sure():
    picture = Image.new("RGB", (640, 480), "#404040")
    sure = draw_readings(picture, [read((100, 100, 500, 400))])
    not_sure = draw_readings(picture, [read((100, 100, 500, 400), sure=False)])
    assert count_strokes(sure, 399, get_label_color("happy", EMOTIONS)) == 1
    assert count_strokes(not_sure, 399, "#ffffff") > 5


@pytest.mark.parametrize("sure", [True, False])
@pytest.mark.parametrize("box", [(60.2, 80.7, 280.4, 400.1), (60, 80, 75, 400), (60, 80, 300, 99)])
def test_the_parts_of_an_outline_fit_together(monkeypatch, box, sure):
    picture = Image.new("RGB", (400, 480), "#404040")
    drawn = draw_readings(picture, [read(box, sure=sure)])
    whole = tuple(round(at) for at in np.add(box, (-9, -9, 9, 9)))
    monkeypatch.setattr("fer_hf.faces.overlay._split_frame", lambda *_: [whole])
    assert (
        ImageChops.difference(drawn, draw_readings(picture, [read(box, sure=sure)])).getbbox()
        is None
    )


def test_dashes_and_gaps_are_as_long_all_around():
    far = _measure_distances((0, 0, 400, 400), (50, 50, 350, 350), 20, 21)
    path = _measure_distances((0, 0, 400, 400), (50, 50, 350, 350), 20, None) < 0.6
    assert (far[path] < 0.6).mean() == pytest.approx(0.5, abs=0.03)
    for part in (np.s_[:, :200], np.s_[:, 200:], np.s_[:200], np.s_[200:]):
        assert (far[part][path[part]] < 0.6).mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "box", [(0, 0, 300, 200), (-50, -40, 900, 700), (290, 190, 400, 300), (500, 500, 600, 600)]
)
def test_boxes_beyond_the_picture_are_drawn_within_it(box):
    picture = Image.new("RGB", (300, 200), "#404040")
    drawn = draw_readings(picture, [read(box)])
    found = np.abs(np.asarray(drawn, int) - DARK).sum(axis=2) < 10
    assert found.sum() > 500  # the tag, whole


def test_the_whole_picture_as_a_face_has_a_box_on_all_sides():
    picture = Image.new("RGB", (300, 200), "#404040")
    drawn = np.asarray(draw_readings(picture, [read((0, 0, 300, 200))]), int)
    near = np.abs(drawn - ImageColor.getrgb(get_label_color("happy", EMOTIONS))).sum(axis=2) < 60
    assert near[100, :8].any()
    assert near[100, -8:].any()
    assert near[:8, 200].any()
    assert near[-8:, 150].any()


@pytest.mark.parametrize("size", [(1, 1), (48, 48), (9, 400), (2000, 1500)])
def test_pictures_of_any_size_can_be_drawn_on(size):
    box = (0.2 * size[0], 0.2 * size[1], 0.8 * size[0], 0.8 * size[1])
    assert draw_readings(Image.new("RGB", size), [read(box)]).size == size


def test_lines_and_words_grow_with_the_picture():
    shares = []
    for width in (640, 2560):
        picture = Image.new("RGB", (width, width), "white")
        face = read((0.3 * width, 0.3 * width, 0.7 * width, 0.7 * width))
        drawn = draw_readings(picture, [face])
        shares.append((np.asarray(drawn) < 128).any(axis=2).mean())
    assert shares[0] == pytest.approx(shares[1], rel=0.4)


def test_a_tag_is_never_wider_than_the_picture():
    assert _render_tag("1 happy 92 %", "#ffffff", 12, 1000).width > 48
    assert 30 < _render_tag("1 happy 92 %", "#ffffff", 12, 48).width <= 48
    assert _render_tag("1 happy 92 %", "#ffffff", 12, 1).height == 2


def test_tags_keep_clear_of_each_other_and_of_faces():
    size, whole = (110, 24), (640, 480)
    boxes = [(x, 200, x + 60, 270) for x in range(20, 500, 80)]
    taken = []
    for box in boxes:
        taken.append(_find_place(size, box, whole, taken, boxes))
    assert not np.triu(intersect_boxes(taken, taken), k=1).any()
    assert not intersect_boxes(taken, boxes).any()


@pytest.mark.parametrize("box", [(600, 5, 640, 40), (0, 440, 30, 480), (0, 0, 640, 480)])
def test_a_tag_lies_within_the_picture(box):
    left, top, right, bottom = _find_place((110, 24), box, (640, 480), [], [box])
    assert left >= 0
    assert top >= 0
    assert right <= 640
    assert bottom <= 480


def test_a_tracked_face_shows_its_label_whatever_leads():
    picture, box = Image.new("RGB", (300, 200)), (50, 80, 120, 150)
    happy, sad, nothing = (
        draw_readings(picture, [replace(read(box, "sad"), label=label)], with_scores=False)
        for label in ("happy", "sad", None)
    )
    assert ImageChops.difference(happy, sad).getbbox() is not None
    not_sure = draw_readings(picture, [read(box, sure=False)])
    assert ImageChops.difference(nothing, not_sure).getbbox() is None


def test_a_reading_is_named_after_its_top_score_or_not_sure():
    assert read((0, 0, 1, 1), "sad").name == "sad"
    assert read((0, 0, 1, 1), "sad", sure=None).name == "sad"
    assert read((0, 0, 1, 1), "sad", sure=False).name == "not sure"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "<1 %"),
        (0.004, "<1 %"),
        (0.005, "<1 %"),
        (0.006, "1 %"),
        (0.921, "92 %"),
        (0.994, "99 %"),
        (0.996, ">99 %"),
        (1, ">99 %"),
    ],
)
def test_shares_are_whole_per_cents_that_claim_no_certainty(share, text):
    assert format_percent(share) == text


def test_each_emotion_has_a_colour_of_its_own_that_a_dark_tag_shows():
    assert len(set(COLORS)) == len(EMOTIONS)
    assert min(compute_contrast(color, "#111827") for color in COLORS) >= 3
    assert compute_contrast("#ffffff", "#111827") >= 7
    for names in (EMOTIONS, ("sad", "happy"), ("bored", "happy", "sad")):
        assert get_label_color("happy", names) == COLORS[EMOTIONS.index("happy")]


def test_other_labels_take_the_colours_that_are_left():
    names = ["bored", "happy", "tired", "sad"]
    assert len({get_label_color(name, names) for name in names}) == 4
    many = [f"mood {number}" for number in range(10)]
    assert get_label_color("mood 8", many) == get_label_color("mood 0", many)
    assert get_label_color("bored", [*EMOTIONS, "bored"]) in COLORS


def test_a_colour_of_an_unknown_label_is_refused():
    with pytest.raises(ValueError, match=r"`label` is 'joy', expected one of \['sad'\]"):
        get_label_color("joy", ["sad"])
