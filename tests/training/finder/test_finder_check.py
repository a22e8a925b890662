"""The score from which on a finder is believed is chosen on scenes, and said with what it costs."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.faces import Face

pytest.importorskip("torch")

from fer_hf.training.finder.finder_check import check_finder, draw_scenes
from fer_hf.training.finder.scenes import Target


class Scenes:
    """A hundred scenes with a face of 20 pixels each; a fourth has one that need not be found."""

    def __len__(self):
        return 100

    def compose(self, index):
        """Return a scene and its targets."""
        targets = [Target(np.array([10.0, 10, 26, 30]), np.full((5, 2), 15.0), counts=True)]
        if index % 4 == 0:
            targets.append(Target(np.array([60.0, 60, 80, 80]), np.full((5, 2), np.nan), False))
        return Image.new("L", (96, 96), index), targets


def find(extra_scores):
    """A finder that sees every face, the hundredth only with 0.55, and some that are none."""

    def finder(pictures):
        found = []
        for picture in pictures:
            number = picture.getpixel((0, 0))[0]
            faces = [Face((11, 10, 27, 30), 0.55 if number == 99 else 0.9)]
            faces.append(Face((60, 60, 80, 80), 0.9))  # extra, but where it may be found or not
            faces = faces if number % 4 == 0 else faces[:1]
            if number in extra_scores:
                faces.append(Face((40, 70, 50, 80), extra_scores[number]))
            found.append(faces)
        return found

    return finder


def test_the_least_score_with_few_boxes_too_many_is_chosen():
    # Three in a hundred scenes are few, four are not.
    check = check_finder(find({3: 0.623, 5: 0.7, 6: 0.8, 7: 0.8, 9: 0.51}), Scenes())
    assert check.min_score == 0.63
    assert (check.num_extra, check.num_scenes) == (3, 100)
    assert check.recall == {16: 0.99}
    assert "from score 0.63 on: 3 boxes too many; found from 16 px 99.0 %" in check.render()


def test_without_boxes_too_many_every_face_counts():
    check = check_finder(find({}), Scenes())
    assert (check.min_score, check.recall) == (0.5, {16: 1.0})


def test_the_sheet_shows_what_counts_and_what_does_not(tmp_path):
    draw_scenes(Scenes(), tmp_path / "scenes.png")
    with Image.open(tmp_path / "scenes.png") as sheet:
        assert sheet.size == (6 * 96, 4 * 96)
        assert sheet.getpixel((10, 10)) == (255, 176, 0)
        assert sheet.getpixel((60, 60)) == (100, 143, 255)
        assert sheet.getpixel((15, 15)) == (255, 255, 255)
