"""Contact sheets: every picture whole, in its place, with its caption."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from fer_hf.data.audit.contact_sheet import _shorten, render_contact_sheet

RED = (200, 0, 0)


def pictures(count: int, size: tuple[int, int] = (50, 50)) -> list[Image.Image]:
    return [Image.new("RGB", size, RED) for _ in range(count)]


def red_box(sheet: Image.Image) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is red."""
    y, x = np.nonzero((np.asarray(sheet) == RED).all(axis=2))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_the_grid_has_as_many_rows_as_needed():
    # Seven pictures in rows of three: 3 columns and 3 rows of 96 pixels, with margins of 8.
    assert render_contact_sheet(pictures(7), columns=3).size == (8 + 3 * 104, 8 + 3 * 104)


def test_few_pictures_make_a_narrow_sheet():
    assert render_contact_sheet(pictures(2)).size == (8 + 2 * 104, 8 + 104)


def test_small_and_large_pictures_both_fill_their_cell():
    for side in (10, 500):
        assert red_box(render_contact_sheet(pictures(1, (side, side)))) == (8, 8, 104, 104)


def test_an_oblong_picture_keeps_its_proportions_and_is_centred():
    assert red_box(render_contact_sheet(pictures(1, (100, 50)))) == (8, 32, 104, 80)


def test_the_margins_are_white():
    sheet = np.asarray(render_contact_sheet(pictures(3)))
    assert (sheet[:8] == 255).all()
    assert (sheet[:, -8:] == 255).all()


def test_what_is_transparent_becomes_white():
    sheet = render_contact_sheet([Image.new("RGBA", (50, 50))])
    assert sheet.getextrema() == ((255, 255),) * 3


def test_a_caption_is_written_under_its_picture():
    plain = np.asarray(render_contact_sheet(pictures(2), ["", ""]))
    captioned = np.asarray(render_contact_sheet(pictures(2), ["", "happy"]))
    y, x = np.nonzero((plain != captioned).any(axis=2))
    assert y.min() >= 104
    assert x.min() >= 112
    assert x.max() < 208


def test_a_long_caption_is_shortened_to_its_cell():
    font = ImageFont.load_default(size=12)
    short = _shorten("a caption that is far longer than any cell could hold", font, 96)
    assert short.startswith("a cap")
    assert short.endswith("…")
    assert font.getlength(short) <= 96


def test_a_caption_of_several_lines_becomes_one():
    assert _shorten("happy\n0.98", ImageFont.load_default(size=12), 200) == "happy 0.98"


def test_a_title_makes_room_for_itself():
    plain, titled = (render_contact_sheet(pictures(4), title=title) for title in (None, "Faces"))
    assert titled.width == plain.width
    assert red_box(titled)[1] > red_box(plain)[1]
    assert titled.height - plain.height == red_box(titled)[1] - red_box(plain)[1]


def test_the_pictures_are_left_as_they_are():
    given = pictures(1)
    render_contact_sheet(given)
    assert given[0] == pictures(1)[0]


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="no pictures"):
        render_contact_sheet([])


def test_captions_of_another_number_are_refused():
    with pytest.raises(ValueError, match="1 `captions` for 2 `pictures`"):
        render_contact_sheet(pictures(2), ["happy"])


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"cell": 8}])
def test_an_impossible_grid_is_refused(wrong):
    with pytest.raises(ValueError, match="expected columns >= 1 and cell >= 16"):
        render_contact_sheet(pictures(1), **wrong)
