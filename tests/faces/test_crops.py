"""Crops of turned faces are upright; those of upright ones are their pixels."""

import math

import numpy as np
import pytest
from PIL import Image

from fer_hf.faces import Face, crop_face
from fer_hf.faces.face import LEVEL, measure_turn, scale_face


def make_face(middle, side, turn=None):
    """A square face, its eyes turned clockwise by so many degrees about the middle."""
    (x, y), half = middle, side / 2
    box = (x - half, y - half, x + half, y + half)
    if turn is None:
        return Face(box, 1.0)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    offsets = [(-0.2, -0.15), (0.2, -0.15), (0, 0.05), (-0.15, 0.25), (0.15, 0.25)]
    points = [(x + side * (u * cos - v * sin), y + side * (u * sin + v * cos)) for u, v in offsets]
    return Face(box, 1.0, tuple(points))


def paint(turn=0.0, *, size=(300, 260), middle=(150.0, 130.0)):
    """A smooth pattern that is nowhere symmetric, turned clockwise about the middle."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    x, y = np.meshgrid(np.arange(size[0]) + 0.5 - middle[0], np.arange(size[1]) + 0.5 - middle[1])
    u, v = x * cos + y * sin, y * cos - x * sin
    planes = [100 * np.sin(u / 19) + 40, 100 * np.cos(v / 23 + 1), 80 * np.sin((u + 2 * v) / 41)]
    return Image.fromarray(np.clip(np.stack(planes, -1) + 128, 0, 255).astype(np.uint8))


def test_a_turn_is_measured_clockwise_in_degrees_and_without_eyes_it_is_none():
    turns = [-170, -90, -15, 0, 15, 45, 90, 179]
    assert [measure_turn(make_face((9, 9), 8, turn)) for turn in turns] == pytest.approx(turns)
    assert measure_turn(make_face((9, 9), 8)) == 0
    assert measure_turn(Face((0, 0, 9, 9), 1.0, ((4, 4),) * 5)) == 0


@pytest.mark.parametrize("turn", [-150, -90, -45, -12, 15, 30, 45, 90, 135, 180])
@pytest.mark.parametrize("side", [80, 81])
def test_a_turned_face_is_cut_out_as_if_it_were_upright(turn, side):
    middle = (150.0, 130.0) if side % 2 == 0 else (150.5, 130.5)
    upright = crop_face(paint(middle=middle), make_face(middle, side), margin=0)
    turned = crop_face(paint(turn, middle=middle), make_face(middle, side, turn), margin=0)
    assert turned.size == upright.size == (side, side)
    difference = np.abs(np.asarray(turned).astype(int) - np.asarray(upright))
    assert difference.max() <= 4, "bilinear, and rounded once more"


def test_a_quarter_turn_moves_pixels_without_mixing_them():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    crop = crop_face(Image.fromarray(pixels), make_face((30, 30), 40, 90), margin=0)
    # What is turned clockwise is turned back counterclockwise.
    np.testing.assert_allclose(crop, np.rot90(pixels[10:50, 10:50]).astype(int), atol=1)


@pytest.mark.parametrize("middle", [(150, 130), (3, 2), (299, 131), (150, -40), (900, 900)])
def test_below_the_limit_the_pixels_are_those_without_landmarks(middle):
    picture = paint()
    plain = crop_face(picture, make_face(middle, 70))
    assert crop_face(picture, make_face(middle, 70, LEVEL - 0.1)) == plain
    assert crop_face(picture, make_face(middle, 70, 0.1 - LEVEL)) == plain
    assert crop_face(picture, make_face((150, 130), 70, LEVEL + 0.1)) != plain


def test_within_the_picture_the_crop_is_what_the_repeated_edge_gives_too():
    picture = paint()
    wide = Image.fromarray(np.pad(picture, ((9, 9), (9, 9), (0, 0)), mode="edge"))
    for middle in ((36, 36), (20, 40), (290, 250)):
        moved = (middle[0] + 9, middle[1] + 9)
        for turn in (None, 33):
            face = make_face(middle, 60, turn)
            assert crop_face(picture, face) == crop_face(wide, make_face(moved, 60, turn))


def test_beyond_the_edge_a_turned_crop_repeats_it():
    picture = Image.new("RGB", (40, 40), (10, 20, 30))
    for middle in ((2, 20), (38, 39), (-200, 90)):
        crop = np.asarray(crop_face(picture, make_face(middle, 50, 40)))
        assert (crop == (10, 20, 30)).all()


@pytest.mark.parametrize("turn", [None, 45])
def test_a_huge_face_is_cut_from_a_smaller_copy_whose_part_is_bounded(monkeypatch, turn):
    monkeypatch.setattr("fer_hf.faces.face.MOST_SIDE", 100)
    crop = crop_face(paint(turn or 0), make_face((150, 130), 190, turn), margin=0)
    assert max(crop.size) <= 100
    upright = crop_face(paint(), make_face((150, 130), 190), margin=0).resize(crop.size)
    assert np.abs(np.asarray(crop).astype(int) - np.asarray(upright)).mean() < 6


def test_a_turned_box_without_area_gives_one_pixel():
    eyes = ((2, 1), (2, 3))
    assert crop_face(paint(), Face((2, 2, 2, 2), 1.0, (*eyes, *[(2, 2)] * 3))).size == (1, 1)


def test_a_crop_carries_no_exif_that_would_turn_it_once_more():
    picture = paint()
    picture.info["exif"] = b"Exif\0\0"
    for turn in (None, 30):
        assert crop_face(picture, make_face((150, 130), 70, turn)).info == {}
    assert picture.info["exif"]


def test_a_face_of_a_part_of_a_picture_is_placed_in_the_picture():
    face = Face((1, 2, 11, 22), 0.7, ((3, 4), (9, 4), (6, 8), (4, 12), (8, 12)))
    scaled = scale_face(face, 2, origin=(100, 50))
    assert (scaled.box, scaled.score) == ((102, 54, 122, 94), 0.7)
    assert scaled.landmarks == ((106, 58), (118, 58), (112, 66), (108, 74), (116, 74))
    assert scale_face(Face((0, 0, 2, 2), 1.0), 0.5).landmarks is None
