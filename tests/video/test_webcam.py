"""A webcam is read like a video, until something ends it; what was read is the result."""

import sys
from types import SimpleNamespace

import av
import numpy as np
import pytest

from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading
from fer_hf.video import analyse_video
from fer_hf.video import webcam as module
from fer_hf.video.webcam import _decode, _Device, _find_device, open_webcam

CAMERA = "color=gray:size=2560x720:rate=10,drawbox=w=1280:h=720:color=0xC83C1E:t=fill"
"""Pictures that FFmpeg makes up: grey, the left half red; one every tenth of a second."""

WAIT = av.BlockingIOError(11, "Resource temporarily unavailable")


class Reader:
    """Finds one face."""

    label_names, detector = ("happy", "sad"), None

    class classifier:  # noqa: N801, D106
        not_sure = None

    def __call__(self, pictures):  # noqa: D102
        self.picture = pictures[0]
        return [[FaceReading({"happy": 0.9, "sad": 0.1}, "happy", face=Face((9, 9, 99, 99), 1.0))]]


@pytest.fixture
def plug_in(monkeypatch):
    """`plug_in(name, format, **options)` makes something that FFmpeg can open webcam 0."""

    def plug(name, kind="lavfi", **options):
        device = _Device(name, kind, options)
        monkeypatch.setattr(module, "_find_device", lambda number: device)

    return plug


def test_frames_have_the_times_at_which_they_were_taken_and_their_colours(plug_in):
    plug_in(CAMERA + ",trim=duration=0.5")
    with open_webcam(0) as webcam:
        frames = list(webcam)
        assert (webcam.size, webcam.frame_rate) == ((1280, 360), 10)
        assert webcam.note == "The webcam stopped after 0.4 seconds."
    assert [frame.seconds for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    picture = np.asarray(frames[0].to_picture()).astype(int)
    assert picture.shape == (360, 1280, 3)
    assert np.abs(picture[100, 100] - (200, 60, 30)).max() <= 4
    assert np.abs(picture[100, 900] - 128).max() <= 2


# As webcams send them: RGB, packed YUV, and JPEGs with the full range of brightness.
@pytest.mark.parametrize(
    "form", ["format=rgb24", "format=yuyv422", "scale=out_range=full,format=yuvj422p"]
)
def test_every_format_has_the_same_colours(plug_in, form):
    plug_in(f"{CAMERA},{form}")
    with open_webcam(0) as webcam:
        picture = np.asarray(next(iter(webcam)).to_picture()).astype(int)
    assert np.abs(picture[100, 100] - (200, 60, 30)).max() <= 4
    assert np.abs(picture[100, 900] - 128).max() <= 2


def test_without_a_clock_of_its_own_frames_have_the_times_at_which_they_came(plug_in, monkeypatch):
    # A stream of pictures without times.
    def decode(container):
        for frame in _decode(container):
            frame.pts = None
            yield frame

    clock = iter(np.arange(100) / 4)
    monkeypatch.setattr(module, "_decode", decode)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    plug_in(CAMERA + ",trim=end_frame=4")
    with open_webcam(0) as webcam:
        seconds = [frame.seconds for frame in webcam]
    assert seconds[0] == 0
    assert min(np.diff(seconds)) >= 0.25


def test_a_webcam_that_stops_gives_what_was_read(tmp_path, plug_in):
    plug_in(CAMERA + ",trim=duration=0.5")
    result = analyse_video(0, Reader(), output_dir=tmp_path)
    assert (result.num_frames, result.num_faces, result.labels) == (5, 1, {"happy": 3})
    assert result.note == "The webcam stopped after 0.4 seconds."
    times = [float(line.split(",")[0]) for line in result.csv.read_text().splitlines()[1:]]
    assert times == pytest.approx([0, 0.2, 0.4])


def test_seconds_and_stop_end_it(tmp_path, plug_in):
    plug_in(CAMERA)
    shares = []
    result = analyse_video(0, Reader(), output_dir=tmp_path, seconds=1.0, progress=shares.append)
    assert result.seconds == pytest.approx(1.0, abs=0.11)
    assert shares[:3] == pytest.approx([0, 0.2, 0.4])
    assert result.note is None
    answers = iter([False, False, True])
    result = analyse_video(0, Reader(), output_dir=tmp_path, stop=lambda: next(answers))
    assert result.num_frames == 3


def test_a_webcam_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"Webcam 77 gives no pictures \(.+\), expected one that is"):
        analyse_video(77, Reader(), output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_webcam_without_pictures_is_refused(plug_in):
    plug_in(CAMERA + ",trim=end_frame=0")
    with pytest.raises(OSError, match=r"Webcam 0 gives no pictures \(none came\)"), open_webcam(0):
        pass


def test_an_ffmpeg_without_webcams_is_refused(plug_in):
    plug_in("0", "webcams")
    with (
        pytest.raises(OSError, match=r"no pictures \(no container format 'webcams'"),
        open_webcam(0),
    ):
        pass


def test_devices_have_the_names_that_each_system_gives_them(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert _find_device(1)[:2] == ("/dev/video1", "v4l2")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _find_device(1)[:2] == ("1:none", "avfoundation")
    monkeypatch.setattr(sys, "platform", "win32")
    found = [
        SimpleNamespace(name=f"@{kind}", description=f"{kind} 1", media_types=[kind])
        for kind in ("audio", "video")
    ]
    monkeypatch.setattr(av, "enumerate_input_devices", {"dshow": found}.get)
    assert _find_device(0)[:2] == ("video=@video", "dshow")
    with pytest.raises(LookupError, match="those there are, from 0 on: video 1"):
        _find_device(1)


def send(*items):
    """A container whose packets are some of these; where one is an error, it is raised."""
    left = list(items)

    def demux(video):
        while left:
            item = left.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item

    return SimpleNamespace(demux=demux)


@pytest.fixture
def pictures(tmp_path):
    """The packets of a video of three JPEGs, and one that holds no JPEG."""
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with av.open(str(tmp_path / "a.avi")) as container:
        packets = [packet for packet in container.demux() if packet.size]
        (damaged := av.Packet(b"junk")).stream = packets[0].stream
        yield *packets, damaged


def test_a_webcam_that_has_no_picture_yet_is_asked_again(pictures):
    one, two, three, _ = pictures
    assert len(list(_decode(send(WAIT, one, two, WAIT, WAIT, three)))) == 3


def test_damaged_and_empty_pictures_are_left_out(pictures):
    one, two, three, damaged = pictures
    packets = damaged, one, av.Packet(0), two, damaged, damaged, three
    assert len(list(_decode(send(*packets)))) == 3


def test_a_webcam_that_is_unplugged_has_ended(pictures):
    one, two, _, _ = pictures
    assert len(list(_decode(send(one, av.OSError(19, "No such device"), two)))) == 1


def test_a_webcam_that_sends_nothing_any_more_has_ended(monkeypatch):
    def demux(video):
        raise WAIT

    monkeypatch.setattr(module, "PATIENCE", 0.05)
    assert list(_decode(SimpleNamespace(demux=demux))) == []
