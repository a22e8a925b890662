"""Slices: what they are cut by, where they are cut, and what is right in each."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from fer_hf.evaluation.metrics.slices import compute_slices, measure_pictures
from fer_hf.evaluation.reports.checkpoint_sections import build_slices


def test_fifths_have_their_range_their_count_and_their_accuracy():
    values = np.arange(10)[::-1]
    slices = compute_slices(values >= 5, values)
    assert [(part.low, part.high) for part in slices] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert [part.num_pictures for part in slices] == [2] * 5
    assert [part.accuracy.value for part in slices] == [0, 0, 0.5, 1, 1]


def test_intervals_are_wilsons():
    # One of two: centre 1/2, half-width z/(1 + z²/2) · √(1/8 + z²/16) with z = 1.959964.
    part = compute_slices([0, 1] * 5, np.arange(10))[0]
    assert (part.accuracy.low, part.accuracy.high) == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_equal_values_stay_together():
    slices = compute_slices([1] * 10, [48] * 9 + [300])
    assert [(part.low, part.high, part.num_pictures) for part in slices] == [
        (48, 48, 9),
        (300, 300, 1),
    ]


def test_every_picture_is_in_one_slice():
    values = np.random.default_rng(0).integers(0, 7, 101)
    slices = compute_slices(values % 2, values)
    assert sum(part.num_pictures for part in slices) == 101
    assert all(one.high < next_one.low for one, next_one in pairwise(slices))


def test_there_are_no_slices_by_what_is_the_same_everywhere():
    assert compute_slices([0, 1, 1], [48, 48, 48]) == []
    assert compute_slices([1], [7]) == []


def test_pictures_are_measured():
    stripes = Image.new("L", (96, 96))
    stripes.paste(200, (0, 0, 48, 96))
    values = measure_pictures([Image.new("RGB", (50, 70), (90, 90, 90)), stripes])
    assert values["brightness"] == [90, 100]
    assert values["size"] == [50, 96]
    # Along the edge the Laplacian is −200 in one column and 200 in the next, 0 elsewhere.
    assert values["sharpness"] == pytest.approx([0, 2 * 200**2 / 96])


def test_sharpness_falls_with_blur_and_not_with_size():
    noise = Image.effect_noise((24, 24), 60)
    nearest = Image.Resampling.NEAREST
    sharp, same_but_larger = noise.resize((96, 96), nearest), noise.resize((192, 192), nearest)
    blurred = noise.resize((96, 96), Image.Resampling.BICUBIC)
    values = measure_pictures([sharp, same_but_larger, blurred])["sharpness"]
    assert values[0] > 3 * values[2]
    assert values[1] > 2 * values[2]


def test_the_table_names_what_was_not_sliced():
    slices = {
        "brightness": compute_slices([0, 1], [10, 250]),
        "size": compute_slices([0, 1], [1] * 2),
    }
    table, note = build_slices(slices)
    assert table.rows[0][:3] == ["brightness", "10 – 10", "1"]
    assert table.rows[0][3].startswith("0.0 % (")
    assert table.rows[1][:3] == ["brightness", "250 – 250", "1"]
    assert note == "The same in all pictures, so not sliced by: size."
    assert build_slices({"size": []}) == [note]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"`right` of shape \(2,\) and `values` of shape \(1,\)"):
        compute_slices([0, 1], [1])
    with pytest.raises(ValueError, match="for one or more pictures"):
        compute_slices([], [])
    with pytest.raises(ValueError, match="nan among `values`, expected finite"):
        compute_slices([0, 1], [1, np.nan])
