"""YuNet's outputs become faces as they do in OpenCV; other files are refused in one line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_files import write_network
from PIL import Image

from fer_hf.faces.yunet import PATH_VARIABLE, YuNetDetector

SIDE = 96
"""Of the frames that the network of these tests takes: 12, 6 and 3 cells a side."""


def write_yunet(path, cells, **sides):
    """A network with YuNet's outputs, 0 but where `cells` says: {(output, row): values}."""
    outputs, tensors = [], []
    for stride in (8, 16, 32):
        for name, depth in {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}.items():
            values = np.zeros((1, (SIDE // stride) ** 2, depth), np.float32)
            for (output, row), numbers in cells.items():
                if output == f"{name}_{stride}":
                    values[0, row] = numbers
            outputs.append((f"{name}_{stride}", values.shape))
            tensors.append(numpy_helper.from_array(values, f"{name}_{stride}_values"))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("input", [1, 3, sides.get("height"), sides.get("width")]), *outputs)
    ]
    nodes = [helper.make_node("Identity", [f"{name}_values"], [name]) for name, _ in outputs]
    graph = helper.make_graph(nodes, "yunet", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return str(path)


def open_photo(photos_dir, row=0):
    return Image.open(sorted(photos_dir.glob("happy/*.jpg"))[row]).convert("RGB").resize((256, 256))


def test_a_cell_becomes_a_box_in_pixels_of_the_picture(tmp_path):
    # Row 14 of 12 cells a row: the third column of the second row, from (16, 8) on.
    cells = {
        ("cls_8", 14): 0.9,
        ("obj_8", 14): 1.6,  # as 1
        ("bbox_8", 14): (0.5, 1.5, np.log(2), np.log(4)),
        ("kps_8", 14): (0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1),
    }
    detector = YuNetDetector(write_yunet(tmp_path / "a.onnx", cells))
    [[face]] = detector([Image.new("RGB", (SIDE, SIDE))])
    assert face.score == pytest.approx(0.9**0.5)
    assert face.box == pytest.approx((12, 4, 28, 36))
    assert np.ravel(face.landmarks) == pytest.approx([16, 8, 24, 8, 20, 12, 16, 16, 24, 16])
    # A picture that is searched at 640 × 1, in a frame whose rows have 80 cells.
    [[wide]] = detector([Image.new("RGB", (1920, 3))])
    assert wide.box[0] == pytest.approx(3 * (14.5 * 8 - 8))


def test_of_cells_with_the_same_face_the_surest_counts_and_unsure_ones_do_not(tmp_path):
    def add(name, row, score, x):
        return {
            (f"cls_{name}", row): score,
            (f"obj_{name}", row): score,
            (f"bbox_{name}", row): (x, 0, np.log(2), np.log(2)),
        }

    cells = add(16, 8, 0.7, 0) | add(16, 9, 0.8, -0.9) | add(32, 8, 0.61, 0) | add(32, 0, 0.59, 0)
    [faces] = YuNetDetector(write_yunet(tmp_path / "a.onnx", cells))(
        [Image.new("RGB", (SIDE,) * 2)]
    )
    assert [round(face.score, 2) for face in faces] == [0.8, 0.61]
    assert [face.box[2] - face.box[0] for face in faces] == pytest.approx([32, 64])


def test_a_network_of_frames_of_one_size_gets_these(tmp_path):
    cells = {("cls_32", 8): 0.9, ("obj_32", 8): 0.9}
    path = write_yunet(tmp_path / "a.onnx", cells, height=SIDE, width=SIDE)
    small, large = (YuNetDetector(path)([Image.new("RGB", size)]) for size in ((90, 20), (960, 9)))
    assert small[0][0].box == pytest.approx((48, 48, 80, 80))
    assert large[0][0].box[::2] == pytest.approx((480, 800))


def test_a_file_that_is_no_network_is_refused(tmp_path):
    (broken := tmp_path / "yunet.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"yunet.onnx' cannot be read .*Download it again"):
        YuNetDetector(str(broken))


def test_another_network_is_refused(tmp_path):
    write_network(tmp_path / "mean.onnx")
    with pytest.raises(ValueError, match=r"another network \(outputs logits\), expected .*cls_8"):
        YuNetDetector(str(tmp_path / "mean.onnx"))


def test_a_missing_file_names_the_detector_that_is_included(tmp_path, monkeypatch):
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "gone.onnx"))
    with pytest.raises(FileNotFoundError, match=r"gone.onnx', expected YuNet.*'finder', which is"):
        YuNetDetector()


def test_offline_it_says_what_to_do(monkeypatch):
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    with pytest.raises(ConnectionError, match=r"YuNet cannot be downloaded .*detector 'finder'"):
        YuNetDetector()


@pytest.mark.realdata
def test_a_file_that_was_cut_off_is_refused(tmp_path, yunet_path):
    whole, cut = Path(yunet_path).read_bytes(), tmp_path / "cut.onnx"
    for length in range(0, len(whole), len(whole) // 9):
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut.onnx' cannot be read"):
            YuNetDetector(str(cut))


@pytest.mark.realdata
def test_its_faces_are_those_that_opencv_gives(photos_dir, yunet_path):
    # By cv2.FaceDetectorYN of OpenCV 4.14, for a photograph in a frame of 256 by 256.
    [[face]] = YuNetDetector(yunet_path)([open_photo(photos_dir)])
    assert face.box == pytest.approx((17.3, 2.2, 247.9, 262.0), abs=0.5)
    landmarks = [90.7, 97.7, 195.2, 100.1, 149.1, 156.4, 96.2, 196.4, 185.8, 198.0]
    assert np.ravel(face.landmarks) == pytest.approx(landmarks, abs=0.5)
    assert face.score == pytest.approx(0.937, abs=0.01)


@pytest.mark.realdata
def test_the_eyes_are_from_left_to_right_within_the_face(photos_dir, yunet_path):
    ((face,),) = YuNetDetector(yunet_path)([open_photo(photos_dir)])
    (left, left_y), (right, right_y) = face.eyes
    assert face.box[0] < left < right < face.box[2]
    assert face.box[1] < min(left_y, right_y) < (face.box[1] + face.box[3]) / 2


@pytest.mark.realdata
@pytest.mark.parametrize("size", [(1, 1), (1, 400), (16, 16), (33, 20), (17, 3000), (3000, 17)])
def test_small_and_narrow_pictures_are_searched(yunet_path, size):
    noise = Image.effect_noise(size, 90).convert("RGB")
    assert YuNetDetector(yunet_path)([Image.new("RGB", size), noise]) == [[], []]
