"""A webcam is read like a video, until something ends it; what was read is the result."""

import cv2
import numpy as np
import pytest

from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading
from fer_hf.video import analyse_video
from fer_hf.video.webcam import open_webcam


class Capture:
    """OpenCV's camera: grey frames, the left half red; one every tenth of a second."""

    num_frames = 5
    clock = 0.0

    def __init__(self, number):
        self.number, self.left, self.is_open = number, self.num_frames, True
        type(self).last = self

    def read(self):
        """Return the next frame, or that there is none."""
        if self.number > 0 or not self.left:
            return False, None
        self.left -= 1
        type(self).clock += 0.1
        pixels = np.full((720, 2560, 3), 128, np.uint8)
        pixels[:, :1280] = (30, 60, 200)  # blue, green, red
        return True, pixels

    def get(self, _):
        """Return the frame rate, which this one does not know."""
        return 0.0

    def release(self):
        """Close it."""
        self.is_open = False


class Reader:
    """Finds one face."""

    label_names, detector = ("happy", "sad"), None

    class classifier:  # noqa: N801, D106
        not_sure = None

    def __call__(self, pictures):  # noqa: D102
        self.picture = pictures[0]
        return [[FaceReading({"happy": 0.9, "sad": 0.1}, "happy", face=Face((9, 9, 99, 99), 1.0))]]


@pytest.fixture(autouse=True)
def capture(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    monkeypatch.setattr(Capture, "clock", 0.0)
    monkeypatch.setattr("fer_hf.video.webcam.time.monotonic", lambda: Capture.clock)
    return Capture


def test_frames_have_the_times_at_which_they_came_and_their_colours(capture):
    with open_webcam(0) as webcam:
        frames = list(webcam)
        assert (webcam.size, webcam.frame_rate) == ((1280, 360), 30)
        assert webcam.note == "The webcam stopped after 0.4 seconds."
    assert [frame.seconds for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert not capture.last.is_open
    picture = np.asarray(frames[0].to_picture()).astype(int)
    assert picture.shape == (360, 1280, 3)
    assert np.abs(picture[100, 100] - (200, 60, 30)).max() <= 4
    assert np.abs(picture[100, 900] - 128).max() <= 2


def test_a_webcam_that_stops_gives_what_was_read(tmp_path):
    result = analyse_video(0, Reader(), output_dir=tmp_path)
    assert (result.num_frames, result.num_faces, result.labels) == (5, 1, {"happy": 3})
    assert result.note == "The webcam stopped after 0.4 seconds."
    times = [float(line.split(",")[0]) for line in result.csv.read_text().splitlines()[1:]]
    assert times == pytest.approx([0, 0.2, 0.4])


def test_seconds_and_stop_end_it(tmp_path, monkeypatch, capture):
    monkeypatch.setattr(capture, "num_frames", 10**6)
    shares = []
    result = analyse_video(0, Reader(), output_dir=tmp_path, seconds=1.0, progress=shares.append)
    assert result.seconds == pytest.approx(1.0, abs=0.11)
    assert shares[:3] == pytest.approx([0, 0.2, 0.4])
    assert result.note is None
    answers = iter([False, False, True])
    result = analyse_video(0, Reader(), output_dir=tmp_path, stop=lambda: next(answers))
    assert result.num_frames == 3
    assert not capture.last.is_open


def test_a_webcam_that_is_not_there_is_refused(tmp_path, capture):
    with pytest.raises(OSError, match=r"Webcam 7 gives no pictures, expected one that is plugged"):
        analyse_video(7, Reader(), output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert not capture.last.is_open
