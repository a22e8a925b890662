"""Tables of boxes are read strictly, and written by whatever detector finds faces."""

import json

import numpy as np
import pytest
from PIL import Image

from fer_hf.data.drawn.faces import draw_numbered_face, locate_numbered_face
from fer_hf.faces import Face
from fer_hf.training.finder.portraits import (
    Portrait,
    draw_portraits,
    label_portraits,
    label_small_faces,
    load_portraits,
)

pytestmark = pytest.mark.train

POINTS = ((30, 40), (50, 40), (40, 50), (32, 60), (48, 60))


class Finder:
    """Finds the same face in every picture that is not black."""

    name = "stub"

    def __call__(self, pictures):
        """Return the faces of each picture."""
        found = [Face((20, 20, 60, 70), 0.9, POINTS), Face((0, 0, 9, 9), 0.3)]
        return [found if picture.getbbox() else [] for picture in pictures]


@pytest.fixture
def folder(tmp_path):
    for name, level in {"a.png": 90, "b.png": 120, "black.png": 0}.items():
        Image.new("RGB", (80, 80), (level,) * 3).save(tmp_path / name)
    return tmp_path


def test_a_detector_writes_the_table_that_is_read(folder):
    label_portraits(folder, Finder(), folder / "boxes.csv")
    one, two = load_portraits(folder / "boxes.csv")
    assert (one.picture.mode, one.picture.getpixel((0, 0)), two.picture.getpixel((0, 0))) == (
        *("L", 90, 120),
    )
    assert one.box.tolist() == [20, 20, 60, 70]
    assert one.landmarks.tolist() == [list(point) for point in POINTS]


def test_a_table_without_landmarks_will_do(folder):
    table = folder / "boxes.csv"
    table.write_text("file,left,top,right,bottom\na.png,1,2,30,40.5\n")
    [portrait] = load_portraits(table)
    assert portrait.box.tolist() == [1, 2, 30, 40.5]
    assert np.isnan(portrait.landmarks).all()


def test_a_coco_file_is_read_with_its_keypoints(folder):
    keypoints = [value for x, y in POINTS[:-1] for value in (x, y, 2)] + [0, 0, 0]
    rows = [
        {"image_id": 7, "bbox": [20, 20, 40, 50], "keypoints": keypoints},
        {"image_id": 8, "bbox": [1, 2, 3, 4]},
    ]
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}]
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": rows}))
    one, two = load_portraits(folder / "coco.json")
    assert one.box.tolist() == [20, 20, 60, 70]
    assert one.landmarks[:4].tolist() == [list(point) for point in POINTS[:-1]]
    assert np.isnan(one.landmarks[4]).all()
    assert two.box.tolist() == [1, 2, 4, 6]


def test_what_is_no_table_of_boxes_is_refused_by_its_line(folder):
    table = folder / "boxes.csv"
    table.write_text("picture,left,top,right,bottom\n")
    with pytest.raises(ValueError, match=r"boxes.csv' has the columns .* lacks \['file'\]"):
        load_portraits(table)
    table.write_text("file,left,top,right,bottom\na.png,1,2,3,4\na.png,1,2,x,4\n")
    with pytest.raises(ValueError, match=r"Line 3 of .* holds a value that is no number"):
        load_portraits(table)
    table.write_text("file,left,top,right,bottom\na.png,10,2,3,4\n")
    with pytest.raises(ValueError, match=r"Line 2 of .* is \[10.0, .* expected a face of a pixel"):
        load_portraits(table)
    table.write_text("file,left,top,right,bottom\ngone.png,1,2,3,4\n")
    with pytest.raises(FileNotFoundError, match=r"gone.png' cannot be read \(no such file\)"):
        load_portraits(table)
    (folder / "coco.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"coco.json' is not a COCO file"):
        load_portraits(folder / "coco.json")


def test_large_portraits_are_reduced_with_their_boxes():
    points = np.full((5, 2), 96.0)
    portrait = Portrait.build(Image.new("RGB", (384, 768)), (96, 192, 288, 576), points)
    assert portrait.picture.size == (96, 192)
    assert portrait.box.tolist() == [24, 48, 72, 144]
    assert portrait.landmarks.tolist() == [[24, 24]] * 5
    assert portrait.longest == 3 * 96


def test_small_faces_are_located_in_their_own_pixels():
    # The detector sees it four times as large, within a border of 48 pixels.
    black, grey = Image.new("L", (48, 48)), Image.new("L", (48, 48), 90)
    [portrait] = label_small_faces([black, grey], Finder())
    assert portrait.box.tolist() == [-7, -7, 3, 5.5]
    assert portrait.landmarks[0].tolist() == [-4.5, -2]
    assert portrait.picture.size == (48, 48)


def test_drawn_faces_are_where_they_are_said_to_be():
    [portrait] = draw_portraits(1, seed=5)
    assert portrait.picture == draw_numbered_face(0, size=192, seed=5).convert("L")
    left, top, right, bottom = portrait.box
    assert 0 < left < right < 192
    assert 0 < top < bottom < 192
    assert ((portrait.landmarks > (left, top)) & (portrait.landmarks < (right, bottom))).all()


@pytest.mark.realdata
def test_a_detector_sees_drawn_faces_where_they_are(yunet_path):
    from fer_hf.faces import load_detector
    from fer_hf.faces.tracking import compute_iou

    detector = load_detector(yunet_path)
    overlaps, eye_errors = [], []
    for index in range(12):
        box, landmarks = locate_numbered_face(index, size=192)
        faces = detector([draw_numbered_face(index, size=192)])[0]
        if faces:
            overlaps.append(compute_iou([box], [faces[0].box])[0, 0])
            eye_errors.append(np.abs(landmarks[:2] - faces[0].eyes).mean())
    assert len(overlaps) >= 10
    assert np.mean(overlaps) > 0.8
    assert np.median(eye_errors) < 6  # of about 50 pixels from one to the other
