"""Near-duplicates: what was done to a copy does not hide it, and other pictures are others."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer_hf.data.audit.near_duplicates import (
    MIN_CORRELATION,
    THUMBNAIL_SIDE,
    find_near_duplicates,
    make_thumbnail,
)

RNG = np.random.default_rng(0)


def draw(count=1, side=64):
    """Smooth pictures: coarse noise, enlarged."""
    return [
        Image.fromarray(RNG.integers(0, 256, (9, 9, 3), np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for _ in range(count)
    ]


def find(*pictures, **options):
    pairs, correlations = find_near_duplicates(
        np.stack([make_thumbnail(picture) for picture in pictures]), **options
    )
    return [tuple(pair) for pair in pairs.tolist()], correlations


def encode(picture):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=30)
    return Image.open(stream)


def move(picture, right, down):
    matrix = (1, 0, -right, 0, 1, -down)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


@pytest.mark.parametrize(
    "change",
    [
        encode,
        lambda picture: picture.resize((32, 32)),
        lambda picture: picture.resize((150, 110)),
        ImageOps.mirror,
        lambda picture: move(picture, 2, 2),
        lambda picture: move(picture, -1, 2),
        lambda picture: encode(move(ImageOps.mirror(picture), -2, -1)),
        lambda picture: picture.convert("L"),
        lambda picture: picture.point(lambda level: 40 + level // 2),
    ],
    ids=["jpeg", "half", "stretched", "mirror", "move", "move", "all", "grey", "pale"],
)
def test_a_copy_is_found_whatever_was_done_to_it(change):
    picture, *others = draw(6)
    pairs, correlations = find(picture, *others, change(picture))
    assert pairs == [(0, 6)]
    assert MIN_CORRELATION <= correlations[0] <= 1 + 1e-5


def test_the_same_picture_correlates_perfectly_and_each_pair_is_named_once():
    first, second = draw(2)
    pairs, correlations = find(first, second, first, second, first)
    assert pairs == [(0, 2), (0, 4), (1, 3), (2, 4)]
    assert correlations == pytest.approx(1, abs=1e-5)


def test_what_was_moved_further_or_turned_is_another_picture():
    (picture,) = draw()
    assert find(picture, move(picture, 12, 0), ImageOps.flip(picture))[0] == []


def test_a_stricter_threshold_leaves_out_what_a_looser_one_finds():
    (picture,) = draw()
    other = Image.blend(picture, draw()[0], 0.2)
    (correlation,) = find(picture, other, min_correlation=0.85)[1]
    assert find(picture, other, min_correlation=correlation + 0.001)[0] == []


def test_plain_pictures_are_no_copies_of_each_other():
    plain = [Image.new("RGB", (64, 64), colour) for colour in ("white", "grey", "grey", "black")]
    assert find(*plain)[0] == []


def test_one_picture_has_no_copy():
    assert find(*draw())[0] == []


def test_more_pictures_than_fit_into_a_block_are_all_compared(monkeypatch):
    monkeypatch.setattr("fer_hf.data.audit.near_duplicates._BLOCK_ROWS", 3)
    pictures = draw(7)
    copies = [ImageOps.mirror(picture) for picture in pictures]
    pairs, _ = find(*pictures, *copies)
    assert pairs == [(row, row + 7) for row in range(7)]


def test_a_thumbnail_is_grey_and_mirrors_with_its_picture():
    (picture,) = draw(side=100)
    thumbnail = make_thumbnail(picture)
    assert (thumbnail.shape, thumbnail.dtype) == ((THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    mirrored = make_thumbnail(ImageOps.mirror(picture))
    assert np.abs(mirrored[:, ::-1].astype(int) - thumbnail).max() <= 1


def test_thumbnails_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 32, 32\), expected \(N, 48, 48\)"):
        find_near_duplicates(np.zeros((2, 32, 32), np.uint8))
