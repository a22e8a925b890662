"""A detector is one new file and one line; faces are found with one call."""

import json

import numpy as np
import pytest
from PIL import Image

from fer_hf import cli, find_faces
from fer_hf.faces import Face, FaceReader, load_detector
from fer_hf.faces.detectors import DETECTORS

# As CONTRIBUTING.md shows it: the whole file of a new detector.
CENTRE = '''
"""Takes the middle of every picture for a face."""

from fer_hf.faces.face import Face


class CentreDetector:
    name = "centre"

    def __call__(self, pictures):
        sizes = (picture.size for picture in pictures)
        return [[Face((w / 4, h / 4, 3 * w / 4, 3 * h / 4), score=1.0)] for w, h in sizes]
'''


@pytest.fixture
def centre(tmp_path, monkeypatch):
    """The name of a detector that was added as CONTRIBUTING.md says."""
    (tmp_path / "fer_hf_centre.py").write_text(CENTRE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(DETECTORS, "centre", "fer_hf_centre:CentreDetector")
    return "centre"


@pytest.fixture
def face_file(tmp_path):
    path = tmp_path / "face.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (80, 40, 3), np.uint8)).save(path)
    return path


def test_a_detector_that_was_added_loads_by_its_name_and_reads_faces(centre, face_file):
    assert load_detector(centre).name == "centre"
    [reading] = FaceReader(detector=centre).read(face_file)
    assert reading.face == Face((10, 20, 30, 60), 1.0)
    assert sum(reading.scores.values()) == pytest.approx(1, abs=1e-5)


def test_a_detector_that_was_added_works_on_the_command_line(centre, face_file, capsys):
    assert cli.main(["predict", str(face_file), "--faces", "--detector", centre, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["face"], shown["box"]) == (1, [10, 20, 30, 60])


@pytest.mark.parametrize("command", ["predict", "demo"])
def test_help_lists_every_detector(centre, capsys, command):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert "finder, yunet, centre" in " ".join(capsys.readouterr().out.split())


def test_a_refusal_lists_every_detector(centre):
    with pytest.raises(ValueError, match=r"\('auto', 'finder', 'yunet', 'centre'\)"):
        load_detector("mtcnn")


def test_faces_of_a_path_a_picture_and_an_array_are_the_same(centre, face_file):
    with Image.open(face_file) as picture:
        sources = [face_file, str(face_file), picture.copy(), np.asarray(picture)]
    for source in [*sources, sources[-1][..., 0]]:
        assert find_faces(source, centre) == [Face((10, 20, 30, 60), 1.0)]
    assert find_faces(face_file, load_detector(centre)) == find_faces(face_file, centre)


def test_boxes_are_those_of_the_upright_picture(centre, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40)).save(tmp_path / "phone.jpg", exif=exif)
    assert find_faces(tmp_path / "phone.jpg", centre) == [Face((10, 20, 30, 60), 1.0)]


def test_without_a_detector_named_the_finder_is_used():
    assert find_faces(Image.new("RGB", (64, 64), "grey")) == []


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.jpg' cannot be read \(no such file\)"):
        find_faces(tmp_path / "gone.jpg", "finder")
    (tmp_path / "text.jpg").write_text("words")
    with pytest.raises(ValueError, match=r"\(not a picture\), expected a picture such as JPEG"):
        find_faces(tmp_path / "text.jpg", "finder")


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8, 7), (2, 2, 2, 2)])
def test_an_array_that_is_no_picture_is_refused(shape):
    with pytest.raises(ValueError, match=r"Found an array of shape .* expected \(H, W\) or"):
        find_faces(np.full(shape, np.nan, np.float32))


@pytest.mark.parametrize("level", [np.nan, np.inf, 1e30])
def test_a_frame_of_what_is_no_number_has_no_face(level):
    assert find_faces(np.full((64, 64), level)) == []
