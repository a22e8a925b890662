"""What augmentation does to a picture, measured range by range."""

import math

import numpy as np
import pytest
import torch

from fer_hf.training.augmentation import Augmentation, augment

NOTHING = Augmentation(**dict.fromkeys(vars(Augmentation()), 0.0))


def only(**ranges):
    return Augmentation(**{**vars(NOTHING), **ranges})


@pytest.fixture
def pictures():
    return torch.rand(4, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


def seeds(count=4, epoch=0):
    return [(0, epoch, row) for row in range(count)]


def test_ranges_of_zero_change_nothing(pictures):
    torch.testing.assert_close(augment(pictures, NOTHING, seeds()), pictures, atol=1e-5, rtol=0)


def test_augmentation_keeps_shape_and_type_and_stays_finite(pictures):
    result = augment(pictures, Augmentation(), seeds())
    assert result.shape == pictures.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()


def test_sharpness_takes_fine_detail_away_or_adds_it_and_keeps_the_light():
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 0.5
    pictures = board.expand(40, 3, 32, 32).contiguous()
    changed = augment(pictures, only(sharpness=1.0), seeds(count=40))
    inner = changed[:, 0, 4:-4, 4:-4]
    contrast = inner.amax(dim=(1, 2)) - inner.amin(dim=(1, 2))
    assert contrast.min() < 0.2  # 0.5 before
    assert contrast.max() > 0.8
    torch.testing.assert_close(inner.mean(dim=(1, 2)), torch.full((40,), 0.25), atol=0.01, rtol=0)


def test_augmentation_leaves_its_input_alone(pictures):
    before = pictures.clone()
    augment(pictures, Augmentation(erase=1), seeds())
    assert torch.equal(pictures, before)


def test_a_flip_mirrors_left_and_right(pictures):
    result = augment(pictures, only(flip=1), seeds())
    torch.testing.assert_close(result, pictures.flip(-1), atol=1e-5, rtol=0)


def test_half_of_the_pictures_are_flipped():
    ramp = torch.linspace(-1, 1, 8).expand(400, 3, 8, 8)
    result = augment(ramp, only(flip=0.5), seeds(400))
    assert (result[:, 0, 0, 0] > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_a_rotation_turns_by_its_degrees_at_most():
    picture = torch.full((64, 3, 65, 65), -1.0)
    picture[:, :, 8, 32] = 1  # 24 pixels above the centre
    result = augment(picture, only(rotation=12), seeds(64))[:, 0] + 1
    rows, columns = torch.meshgrid(torch.arange(65.0), torch.arange(65.0), indexing="ij")
    mass = result.sum(dim=(1, 2))
    x = (result * columns).sum(dim=(1, 2)) / mass - 32
    y = (result * rows).sum(dim=(1, 2)) / mass - 32
    degrees = torch.rad2deg(torch.atan2(x, -y))
    assert degrees.abs().max() <= 12.5
    assert degrees.max() > 6
    assert degrees.min() < -6
    assert torch.hypot(x, y).sub(24).abs().max() < 0.5


def test_a_shift_moves_by_its_share_of_the_side_at_most():
    picture = torch.full((64, 3, 51, 51), -1.0)
    picture[:, :, 25, 25] = 1
    result = augment(picture, only(shift=0.1), seeds(64))[:, 0] + 1
    rows, columns = torch.meshgrid(torch.arange(51.0), torch.arange(51.0), indexing="ij")
    mass = result.sum(dim=(1, 2))
    for axis in (rows, columns):
        moved = (result * axis).sum(dim=(1, 2)) / mass - 25
        assert 2.5 < moved.max() <= 5.2
        assert -5.2 <= moved.min() < -2.5


def test_a_zoom_scales_by_its_range_at_most():
    picture = torch.full((64, 3, 64, 64), -1.0)
    picture[:, :, 16:48, 16:48] = 1  # a quarter of the picture
    result = augment(picture, only(zoom=0.12), seeds(64))[:, 0] + 1
    sides = (result.sum(dim=(1, 2)) / 2).sqrt()
    assert sides.max() <= 32 * 1.13
    assert sides.min() >= 32 * 0.87
    assert sides.max() > 33
    assert sides.min() < 31


def test_brightness_shifts_the_mean_and_contrast_scales_around_it(pictures):
    means = pictures.mean(dim=(1, 2, 3))
    brighter = augment(pictures, only(brightness=0.3), seeds())
    shift = brighter.mean(dim=(1, 2, 3)) - means
    assert shift.abs().max() <= 0.3
    torch.testing.assert_close(brighter - shift[:, None, None, None], pictures, atol=1e-5, rtol=0)
    stronger = augment(pictures, only(contrast=0.25), seeds())
    torch.testing.assert_close(stronger.mean(dim=(1, 2, 3)), means, atol=1e-5, rtol=0)
    factors = stronger.std(dim=(1, 2, 3)) / pictures.std(dim=(1, 2, 3))
    assert (factors >= 0.75).all()
    assert (factors <= 1.25).all()
    assert factors.std() > 0


def test_erasing_fills_one_small_rectangle_with_the_mean_colour():
    ones = torch.ones(200, 3, 40, 40)
    result = augment(ones, only(erase=1, erase_side=0.35), seeds(200))
    assert set(result.unique().tolist()) == {0.0, 1.0}
    for picture in result:
        rows, columns = torch.nonzero(picture[0] == 0, as_tuple=True)
        if len(rows):
            height, width = np.ptp(rows.numpy()) + 1, np.ptp(columns.numpy()) + 1
            assert height <= 14
            assert width <= 14
            assert len(rows) == height * width
    assert torch.equal(augment(ones, only(erase=0, erase_side=0.35), seeds(200)), ones)


def test_a_quarter_of_the_pictures_is_erased():
    ones = torch.ones(400, 3, 40, 40)
    result = augment(ones, only(erase=0.25, erase_side=0.35), seeds(400))
    share = (result.amin(dim=(1, 2, 3)) == 0).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.07)


def test_the_default_never_turns_far_and_never_crops_much():
    ranges = Augmentation()
    assert ranges.rotation <= 20
    assert math.cos(math.radians(ranges.rotation)) > 0.9
    assert ranges.shift <= 0.15
    assert ranges.zoom <= 0.25
