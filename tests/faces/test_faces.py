"""Face finding and cropping, on pictures drawn here; the real detectors on photographs."""

import threading

import numpy as np
import pytest
from PIL import Image

from fer_hf.faces import Face, crop_face, load_detector
from fer_hf.faces.face import keep_best, sort_faces
from fer_hf.faces.yunet import PATH_VARIABLE

PLACES = [(130, 200, 570, 700), (1230, 200, 1670, 700)]
"""About where the two faces of the scene are."""


@pytest.fixture(scope="module")
def finder():
    return load_detector("finder")


def open_photo(photos_dir, row=0):
    return Image.open(sorted(photos_dir.glob("happy/*.jpg"))[row]).convert("RGB").resize((256, 256))


def compute_iou(one, other):
    left, top = max(one[0], other[0]), max(one[1], other[1])
    shared = max(min(one[2], other[2]) - left, 0) * max(min(one[3], other[3]) - top, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def test_a_crop_is_the_square_of_the_longer_side_with_margins_on_each():
    picture = Image.fromarray(np.arange(100, dtype=np.uint8).repeat(300).reshape(100, 100, 3))
    face = Face((40, 30, 60, 70), 1.0)
    assert crop_face(picture, face, margin=0).size == (40, 40)
    assert crop_face(picture, face).size == (36, 36)
    assert crop_face(picture, face, margin=0.25).size == (60, 60)
    assert crop_face(picture, face, margin=-0.25).size == (20, 20)
    assert np.asarray(crop_face(picture, face, margin=0))[[0, -1], 0, 0].tolist() == [30, 69]


def test_outside_the_picture_a_crop_repeats_its_edge():
    levels = np.zeros((10, 10, 3), np.uint8)
    levels[:, 0] = 200
    crop = np.asarray(crop_face(Image.fromarray(levels), Face((-4, 0, 6, 10), 1.0), margin=0))
    assert crop.shape == (10, 10, 3)
    assert (crop[:, :5] == 200).all()
    assert (crop[:, 5:] == 0).all()


def test_a_crop_wholly_outside_the_picture_is_its_corner():
    levels = np.zeros((10, 10, 3), np.uint8)
    levels[9, 9] = 90
    crop = crop_face(Image.fromarray(levels), Face((40, 40, 43, 43), 1.0), margin=0)
    assert np.asarray(crop).tolist() == [[[90] * 3] * 3] * 3


def test_a_crop_of_a_box_without_area_is_one_pixel():
    assert crop_face(Image.new("RGB", (5, 5)), Face((2, 2, 2, 2), 1.0)).size == (1, 1)


def test_a_margin_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match=r"`margin` is -0.5, expected more than -0.5"):
        crop_face(Image.new("RGB", (5, 5)), Face((0, 0, 5, 5), 1.0), margin=-0.5)


def test_faces_are_sorted_by_their_middle():
    wide, narrow = Face((0, 0, 100, 100), 1.0), Face((10, 0, 30, 20), 1.0)
    assert sort_faces([wide, narrow]) == [narrow, wide]


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 2), (15, 15), (3000, 20)])
def test_pictures_of_every_size_are_searched(finder, size):
    assert finder([Image.new("RGB", size, "grey")]) == [[]]


def test_noise_and_stripes_hold_no_face(finder):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    stripes = np.tile(np.uint8([0, 0, 0, 255, 255, 255]), (120, 27))[:, :160]
    pictures = [Image.fromarray(noise), Image.fromarray(stripes).convert("RGB")]
    assert finder(pictures) == [[], []]


def test_no_pictures_have_no_faces(finder):
    assert finder([]) == []


def test_what_is_loaded_without_a_name_is_the_finder(monkeypatch, tmp_path):
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "gone.onnx"))
    assert load_detector().name == load_detector("auto").name == "finder"


def test_the_variable_names_the_file_of_yunet(monkeypatch, tmp_path):
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "gone.onnx"))
    with pytest.raises(FileNotFoundError, match=r"no file '.*gone.onnx', expected YuNet"):
        load_detector("yunet")


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no face detector 'mtcnn', expected one of \('auto'"):
        load_detector("mtcnn")


@pytest.mark.realdata
def test_both_detectors_find_faces_from_left_to_right_in_original_pixels(
    photos_dir, yunet_path, finder
):
    scene = Image.new("RGB", (1800, 900), "grey")
    for row, left in enumerate((1200, 100)):
        scene.paste(open_photo(photos_dir, row).resize((500, 500)), (left, 200))
    for detector in (finder, load_detector(yunet_path)):
        (faces,) = detector([scene])
        assert [compute_iou(f.box, b) > 0.4 for f, b in zip(faces, PLACES, strict=True)] == [
            True
        ] * 2
        assert all(0 < face.score <= 1 for face in faces)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["finder", "yunet"])
def test_threads_share_a_detector(photos_dir, yunet_path, name):
    detector = load_detector(yunet_path if name == "yunet" else name)
    pictures = [open_photo(photos_dir, row).resize((200 + 9 * row,) * 2) for row in range(4)]
    alone = detector(pictures)
    together = [None] * 4

    def find(row):
        together[row] = [detector([pictures[row]])[0] for _ in range(3)]

    threads = [threading.Thread(target=find, args=[row]) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [[faces] * 3 for faces in alone]


def test_a_huge_face_is_cropped_from_a_smaller_copy(monkeypatch):
    monkeypatch.setattr("fer_hf.faces.face.MOST_SIDE", 100)
    picture = Image.new("RGB", (600, 500), (10, 20, 30))
    crop = crop_face(picture, Face((50, 50, 350, 350), 1.0), margin=0)
    assert crop.size == (100, 100)
    assert crop.getpixel((50, 50)) == (10, 20, 30)


def test_of_boxes_that_overlap_the_one_with_the_highest_score_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [0, 5, 10, 15]], float)
    # The second shares 9/11 of the first; the last 1/3 of the first, 45/155 of the second.
    assert keep_best(boxes, np.array([0.6, 0.9, 0.5, 0.4]), max_iou=0.5) == [1, 2, 3]
    assert keep_best(boxes, np.array([0.6, 0.9, 0.5, 0.4]), max_iou=0.25) == [1, 2]
    assert keep_best(np.zeros((0, 4)), np.zeros(0), max_iou=0.5) == []
