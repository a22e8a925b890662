"""Corruptions: the same for the same picture, as strong as their strength, and in their place."""

import numpy as np
import pytest
from PIL import Image, ImageStat

from fer_hf.data.drawn.faces import draw_face
from fer_hf.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS, corrupt

EDGE = Image.new("L", (60, 60), 40)
EDGE.paste(200, (30, 0, 60, 60))


@pytest.fixture(scope="module")
def face():
    return draw_face("happy", size=64, seed=5)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=float)


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(pixels(one) - pixels(other)).mean())


def changed_box(name: str, strength: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what differs from a white picture, as shares of its sides."""
    white = Image.new("L", (200, 100), 255)
    y, x = np.nonzero(pixels(corrupt(white, name, strength)) < 250)
    return x.min() / 200, y.min() / 100, (x.max() + 1) / 200, (y.max() + 1) / 100


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_picture_keeps_its_size_and_whether_it_is_grey(name):
    for size in ((64, 64), (50, 70), (33, 21), (1, 1)):
        for mode, expected in (("L", "L"), ("RGB", "RGB"), ("P", "RGB"), ("RGBA", "RGB")):
            result = corrupt(Image.new(mode, size), name, 5)
            assert (result.size, result.mode) == (size, expected)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_strength_takes_a_picture_further_away(name, face):
    distances = [distance(corrupt(face, name, strength), face) for strength in STRENGTHS]
    assert distances[0] > 0
    assert distances == sorted(set(distances))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_picture_is_corrupted_alike_and_left_as_it_was(name, face):
    copy = face.copy()
    first = corrupt(face, name, 4)
    np.random.seed(1)
    corrupt(EDGE, name, 4)
    assert corrupt(copy, name, 4) == first
    assert face == copy


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_grey_stored_as_colour_is_the_same_picture(name, face):
    grey = face.convert("L")
    assert corrupt(grey.convert("RGB"), name, 3).convert("L") == corrupt(grey, name, 3)


def test_other_pictures_are_turned_and_shifted_elsewhere():
    faces = [draw_face("sad", size=32, seed=seed) for seed in range(8)]
    flat = [Image.new("L", (32, 32), 10 * seed) for seed in range(8)]
    for name in ("rotation", "shift", "motion blur"):
        assert all(corrupt(one, name, 5) == one for one in flat)
        assert all(corrupt(one, name, 5) != one for one in faces)


def test_grey_leaves_grey_pictures_as_they_are_and_takes_all_colour_in_the_end(face):
    grey = face.convert("L")
    for strength in STRENGTHS:
        assert corrupt(grey, "grey", strength) == grey
        assert corrupt(grey.convert("RGB"), "grey", strength) == grey.convert("RGB")
    assert corrupt(face, "grey", 5) == grey.convert("RGB")


def test_low_resolution_leaves_small_pictures_as_they_are(face):
    small = face.resize((14, 20))
    assert corrupt(small, "low resolution", 5) == small
    assert corrupt(small, "low resolution", 4) == small
    assert corrupt(face.resize((15, 20)), "low resolution", 5) != face.resize((15, 20))


def test_dark_and_bright_multiply_and_clip():
    levels = Image.fromarray(np.array([[0, 50, 100, 200]], np.uint8))
    assert pixels(corrupt(levels, "dark", 2)).tolist() == [[0, 31, 62, 124]]
    assert pixels(corrupt(levels, "bright", 5)).tolist() == [[0, 100, 200, 255]]


def test_low_contrast_pulls_levels_towards_their_mean():
    levels = Image.fromarray(np.array([[0, 50, 100, 250]], np.uint8))
    # The mean is 100, and strength 1 leaves 0.8 of each distance to it.
    assert pixels(corrupt(levels, "low contrast", 1)).tolist() == [[20, 60, 100, 220]]


def test_noise_has_the_spread_of_its_strength_and_no_colour():
    noisy = pixels(corrupt(Image.new("RGB", (200, 200), (100, 128, 150)), "gaussian noise", 3))
    noise = noisy - (100, 128, 150)
    assert noise.std() == pytest.approx(14, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert (noise == noise[:, :, :1]).all()


def test_blur_grows_with_the_picture():
    large = EDGE.resize((240, 240), Image.Resampling.NEAREST)
    slopes = [
        np.abs(np.diff(pixels(corrupt(edge, "gaussian blur", 5))[0])).max()
        for edge in (EDGE, large)
    ]
    # An edge of height h under a Gaussian has a slope of at most h / (sigma · √(2π)).
    for slope, side in zip(slopes, (60, 240), strict=True):
        assert slope == pytest.approx(160 / (0.038 * side * np.sqrt(2 * np.pi)), rel=0.1)


def test_motion_blur_smears_along_one_line():
    dot = Image.new("L", (101, 101))
    dot.paste(255, (48, 48, 53, 53))
    smear = pixels(corrupt(dot, "motion blur", 5))
    y, x = np.nonzero(smear > 10)
    spread = np.linalg.eigvalsh(np.cov(np.stack([x, y])))
    assert np.sqrt(spread[1]) > 2.2 * np.sqrt(spread[0])
    assert smear.sum() == pytest.approx(255 * 25, rel=0.05)
    assert (x.mean(), y.mean()) == pytest.approx((50, 50), abs=1)


def test_eyes_and_mouth_are_covered_where_a_face_that_fills_the_picture_has_them():
    left, top, right, bottom = changed_box("eyes covered", 5)
    assert top < 0.27 < 0.45 < bottom < 0.6
    assert left < 0.15 < 0.85 < right
    left, top, right, bottom = changed_box("mouth covered", 5)
    assert 0.6 < top < 0.68 < 0.88 < bottom
    assert left < 0.3 < 0.7 < right


def test_dark_glasses_are_two_lenses_that_darken():
    grey = Image.new("L", (100, 100), 200)
    lens = [pixels(corrupt(grey, "dark glasses", strength))[38, 32] for strength in STRENGTHS]
    assert lens == sorted(lens, reverse=True)
    assert lens[-1] < 20 < 150 < lens[0]
    worn = pixels(corrupt(grey, "dark glasses", 5))
    assert worn[38, 68] < 20
    assert worn[45, 50] == 200  # the nose between them
    assert worn[60:].min() == 200


def test_a_face_mask_is_pulled_up_to_the_nose_and_is_blue():
    tops = [changed_box("face mask", strength)[1] for strength in STRENGTHS]
    assert tops == pytest.approx([0.92, 0.84, 0.75, 0.64, 0.52], abs=0.02)
    red, _, blue = corrupt(Image.new("RGB", (100, 100)), "face mask", 5).getpixel((50, 78))
    assert blue > red > 150


def test_a_rotation_turns_about_the_middle_by_its_angle():
    for seed in range(3):
        line = Image.new("L", (101, 101), seed)
        line.paste(255, (0, 48, 101, 53))
        turned = pixels(corrupt(line, "rotation", 5))
        assert turned[50, 50] > 200
        y, x = np.nonzero(turned[30:71, 30:71] > 128)
        slope = np.polyfit(x, y, 1)[0]
        assert abs(np.degrees(np.arctan(slope))) == pytest.approx(38, abs=3)


def test_a_shift_moves_by_its_share_of_the_side():
    dot = Image.new("L", (100, 100))
    dot.paste(255, (48, 48, 52, 52))
    shifted = pixels(corrupt(dot, "shift", 5))
    y, x = np.indices(shifted.shape)
    moved = np.array([(x * shifted).sum(), (y * shifted).sum()]) / shifted.sum() - 49.5
    assert np.hypot(*moved) == pytest.approx(25, abs=0.5)


@pytest.mark.parametrize(("name", "side"), [("tighter crop", 0.61), ("looser crop", 1.8)])
def test_a_crop_scales_about_the_middle(name, side):
    square = Image.new("L", (100, 100))
    square.paste(255, (30, 30, 70, 70))
    cropped = pixels(corrupt(square, name, 5)) > 128
    assert np.sqrt(cropped.sum()) == pytest.approx(40 / side, abs=1.2)
    y, x = np.nonzero(cropped)
    assert (x.mean(), y.mean()) == pytest.approx((49.5, 49.5), abs=0.6)


def test_beyond_its_edges_a_picture_goes_on_with_its_edge_pixels():
    # A looser crop shows 0.4 of a side more on either side of the edge's two halves.
    looser = pixels(corrupt(EDGE, "looser crop", 5))
    assert looser[:, :25].max() == 40
    assert looser[:, 35:].min() == 200


def test_a_picture_lying_on_its_side_is_covered_upright(face):
    turned = face.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # orientation: to be turned by a quarter to the right
    assert corrupt(turned, "eyes covered", 5) == corrupt(face, "eyes covered", 5)


def test_jpeg_loses_detail_but_not_the_mean_level(face):
    grey = face.convert("L")
    worse = corrupt(grey, "jpeg", 5)
    assert distance(worse, grey) > 3
    assert ImageStat.Stat(worse).mean[0] == pytest.approx(ImageStat.Stat(grey).mean[0], abs=3)


def test_what_is_unknown_is_refused(face):
    with pytest.raises(ValueError, match=r"'fog', expected one of .*'gaussian blur'"):
        corrupt(face, "fog", 1)
    for strength in (0, 6):
        with pytest.raises(ValueError, match=f"strength {strength}, expected 1, 2, 3, 4 or 5"):
            corrupt(face, "dark", strength)
