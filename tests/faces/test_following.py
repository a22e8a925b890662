"""Faces found again around where they were, by a detector that sees bright squares."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.faces import Face
from fer_hf.faces.following import FACE_SIDE, MOST_FACES, find_again
from fer_hf.faces.tracking import compute_iou

SIZE = (640, 480)


class Squares:
    """Finds squares by their levels, each of which is one face's; keeps what it was given."""

    name = "squares"

    def __init__(self):
        self.sizes = []

    def __call__(self, pictures):  # noqa: D102
        self.sizes += [picture.size for picture in pictures]
        return [self._find(np.asarray(picture)[..., 0]) for picture in pictures]

    def _find(self, pixels):
        faces = []
        for level in (100, 150, 200, 250):
            rows, columns = np.nonzero(abs(pixels.astype(int) - level) < 3)
            if len(rows) > 9:
                ends = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                points = [(float(ends[0]), float(ends[1]))] * 5
                faces.append(Face(tuple(map(float, ends)), level / 250, tuple(points)))
        return faces


def draw(*squares):
    """Draw squares, each given as level, left, top and side."""
    picture = Image.new("RGB", SIZE)
    for level, left, top, side in squares:
        picture.paste((level,) * 3, (left, top, left + side, top + side))
    return picture


def expect(left, top, side):
    return Face((left, top, left + side, top + side), 1.0)


def find(picture, *expected, detector=None):
    regions = []

    def cut(region):
        regions.append(region)
        return picture.crop(region)

    again = find_again(expected, detector or Squares(), picture.size, cut)
    assert all(side % 2 == 0 for region in regions for side in region)
    assert all(0 <= r[0] < r[2] <= SIZE[0] and 0 <= r[1] < r[3] <= SIZE[1] for r in regions)
    return again


@pytest.mark.parametrize("side", [20, 64, 100, 300])
def test_a_face_that_moved_is_found_in_pixels_of_the_picture(side):
    detector = Squares()
    (face,) = find(draw((200, 131, 91, side)), expect(121, 85, side), detector=detector)
    assert face.score == 0.8
    assert face.box == pytest.approx((131, 91, 131 + side, 91 + side), abs=max(1, side / 30))
    assert face.landmarks[0] == face.box[:2]
    ((width, height),) = detector.sizes
    assert max(width, height) <= 2 * 1.5 * FACE_SIDE + 2


def test_faces_side_by_side_are_not_mixed_up_and_one_that_is_gone_takes_no_other():
    picture = draw((150, 200, 100, 50), (250, 255, 100, 50))
    first, second = find(picture, expect(195, 100, 50), expect(250, 100, 50))
    assert (first.box[0], second.box[0]) == (200, 255)
    second, gone = find(draw((250, 255, 100, 50)), expect(250, 100, 50), expect(225, 100, 50))
    assert (second.box[0], gone) == (255, None)


def test_at_the_edge_and_outside_the_picture():
    picture = draw((200, 0, 450, 30))
    (face,) = find(picture, expect(-5, 452, 40))
    assert compute_iou([face.box], [(0, 450, 30, 480)])[0, 0] > 0.9
    assert find(picture, expect(-500, 0, 40), expect(700, 0, 40), expect(0, 600, 40)) == [None] * 3


def test_without_faces_the_detector_is_not_asked():
    detector = Squares()
    assert find(draw(), detector=detector) == []
    assert find(draw(), expect(9000, 0, 5), detector=detector) == [None]
    assert detector.sizes == []


def test_in_a_crowd_the_largest_are_followed():
    detector = Squares()
    sides = [10 + (7 * number) % 12 for number in range(12)]
    crowd = [expect(50 * number, 100, side) for number, side in enumerate(sides)]
    find(draw(), *crowd, detector=detector)
    searched = [width / 2 for width, _ in detector.sizes]
    assert len(searched) == MOST_FACES
    assert min(searched) >= sorted(sides)[-MOST_FACES] - 1
