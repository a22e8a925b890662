"""The bundled face finder: what it finds, at which sizes, and what it refuses."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.data.drawn.faces import draw_numbered_face, locate_numbered_face
from fer_hf.faces import load_detector
from fer_hf.faces.finder import BUNDLED_FINDER, FaceFinder
from fer_hf.faces.tracking import compute_iou


@pytest.fixture(scope="module")
def finder():
    return load_detector()


def place_faces(size, faces):
    """A grey frame with drawn faces of these sides at these corners, and their boxes."""
    frame, boxes = Image.new("RGB", size, (90, 90, 90)), []
    for number, (side, corner) in enumerate(faces):
        drawn = draw_numbered_face(number, size=192)
        frame.paste(drawn.resize((side, side), Image.Resampling.LANCZOS), corner)
        box, _ = locate_numbered_face(number, size=192)
        boxes.append(tuple((box * side / 192 + [*corner, *corner]).tolist()))
    return frame, boxes


def test_it_is_small():
    assert BUNDLED_FINDER.stat().st_size <= 600_000


def test_drawn_faces_are_found_with_their_landmarks(finder):
    found = 0
    for number in range(40):
        box, landmarks = locate_numbered_face(number, size=192)
        faces = finder([draw_numbered_face(number, size=192)])[0]
        assert len(faces) <= 1
        for face in faces:
            found += compute_iou([face.box], [tuple(box)])[0, 0] > 0.5
            assert 0.5 <= face.score <= 1
            assert np.abs(np.array(face.eyes) - landmarks[:2]).max() < 20
    assert found >= 39


def test_several_faces_come_from_left_to_right_in_pixels_of_the_picture(finder):
    frame, boxes = place_faces((1000, 600), [(300, (20, 100)), (120, (420, 60)), (60, (800, 300))])
    faces = finder([frame])[0]
    assert len(faces) == 3
    assert all(
        compute_iou([face.box], [box])[0, 0] > 0.5 for face, box in zip(faces, boxes, strict=True)
    )


def test_a_batch_gives_what_its_pictures_give_alone(finder):
    frames = [place_faces((400, 300), [(150, (60 + 9 * n, 50))])[0] for n in range(3)]
    frames.append(Image.new("RGB", (50, 700)))
    assert finder(frames) == [finder([frame])[0] for frame in frames]
    assert finder([]) == []


def test_a_face_that_fills_a_large_photograph_is_found(finder):
    frame, [box] = place_faces((2400, 2000), [(1900, (200, 50))])
    [face] = finder([frame])[0]
    assert compute_iou([face.box], [box])[0, 0] > 0.5


def test_small_faces_that_do_not_matter_are_not_looked_for():
    frame, boxes = place_faces((640, 480), [(400, (10, 40)), (72, (500, 200))])
    assert len(load_detector()([frame])[0]) == 2
    [face] = load_detector("finder", min_face=150)([frame])[0]
    assert compute_iou([face.box], [boxes[0]])[0, 0] > 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (31, 33), (16000, 9000)])
def test_frames_of_any_size_are_searched(finder, size):
    assert finder([Image.new("RGB", size, "grey")]) == [[]]


@pytest.mark.realdata
def test_photographs_hold_one_face_each(finder, photos_dir, yunet_path):
    yunet = load_detector(yunet_path)
    photos = [Image.open(file).convert("RGB") for file in sorted(photos_dir.glob("*/*.jpg"))[::20]]
    overlaps, extra = [], 0
    for photo in photos:
        [truth] = yunet([photo])[0][:1]
        found = compute_iou([face.box for face in finder([photo])[0]], [truth.box])[:, 0]
        overlaps.append(max(found, default=0))
        extra += (found < 0.1).sum()
    assert np.mean(np.array(overlaps) > 0.4) > 0.97
    assert np.mean(overlaps) > 0.75
    assert extra <= 1


@pytest.mark.realdata
def test_turned_and_dark_faces_are_found(finder, photos_dir):
    photos = [Image.open(file).convert("RGB") for file in sorted(photos_dir.glob("*/*.jpg"))[::40]]
    for angle in (-45, 30):
        frames = []
        for photo in photos:
            frame = Image.new("RGB", (400, 400), (80, 80, 80))
            head = photo.resize((180, 180)).convert("RGBA").rotate(angle, expand=True)
            frame.paste(head, (90, 90), head)
            frames.append(frame)
        assert np.mean([len(faces) == 1 for faces in finder(frames)]) > 0.9
        dark = [frame.point(lambda level: round(0.15 * level)) for frame in frames]
        assert np.mean([len(faces) == 1 for faces in finder(dark)]) > 0.8


def test_settings_and_files_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`min_face` is 0, expected above 0 pixels"):
        FaceFinder(min_face=0)
    with pytest.raises(FileNotFoundError, match=r"no file '.*gone.onnx', expected a face finder"):
        FaceFinder(str(tmp_path / "gone.onnx"))
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(BUNDLED_FINDER.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"cut.onnx' cannot be read \(damaged"):
        FaceFinder(str(cut))


@pytest.mark.realdata
def test_another_network_is_refused(yunet_path):
    with pytest.raises(ValueError, match=r"holds another network .* expected a face finder"):
        FaceFinder(yunet_path)
