"""Whole ways of small videos; the face is a bright square, which a reader made for that finds."""

import csv
import sys
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.faces import Face
from fer_hf.faces.overlay import draw_readings
from fer_hf.faces.reader import FaceReading
from fer_hf.video import analyse_video
from fer_hf.video.frames import VideoLimits, open_video, turn_yuv
from fer_hf.video.outputs import format_time, plot_most_seen_face, render_annotation

LABELS = ["happy", "sad"]
RATE = 15


class SquareReader:
    """Finds one bright square in a picture: a red one is happy, a white one sad."""

    label_names = LABELS

    def __init__(self, threshold=0.5):
        self.classifier = SimpleNamespace(not_sure=NotSure(0.8, threshold, 0.3))
        self.sizes, self.followed = [], []

    def __call__(self, pictures):  # noqa: D102
        return [self._read(np.asarray(picture)) for picture in pictures]

    def detector(self, pictures):
        """Find the square in each part of a frame."""
        self.followed += [picture.size for picture in pictures]
        return [[one.face for one in self._find(np.asarray(picture))] for picture in pictures]

    def _read(self, pixels):
        self.sizes.append(pixels.shape[1::-1])
        return self._find(pixels)

    def _find(self, pixels):
        rows, columns = np.nonzero(pixels[..., 0] > 180)
        if not len(rows):
            return []
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        blue = pixels[rows, columns, 2].mean()
        happy = 0.9 if blue < 100 else 0.1
        scores = {"happy": happy, "sad": 1 - happy}
        label = "happy" if happy > 0.5 else "sad"
        return [FaceReading(scores, label, scores, face=Face(tuple(map(float, box)), 0.75))]


def paint(left=None, *, size=(160, 120), ground=40, color=(255, 255, 255)):
    """A grey picture with a square of 40 pixels whose top is at 30; none for None."""
    picture = Image.new("RGB", size, (ground,) * 3)
    if left is not None:
        picture.paste(color, (left, 30, left + 40, 70))
    return picture


def write(path, pictures, *, times=None, codec="libx264", pix_fmt="yuv420p", rotation=0, sar=None):
    """Write a video; `times` are seconds for each frame."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = pix_fmt
        if rotation:
            stream.set_display_rotation(rotation)
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        # A key frame every few frames, so that what follows damage can be read again.
        stream.codec_context.gop_size = 5
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            frame = VideoFrame.from_image(picture)
            if times:
                frame.pts, frame.time_base = round(1000 * times[number]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_frames(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


_KINDS = {"frame": int, "face": int, "label": str}


def read_rows(result):
    with result.csv.open(newline="") as file:
        return [
            {name: _KINDS.get(name, float)(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Two seconds of a square that walks to the right, one pixel with each frame."""
    folder = tmp_path_factory.mktemp("walk")
    return write(folder / "walk.mp4", [paint(20 + number) for number in range(2 * RATE)])


def test_a_face_is_followed_through_a_video(walk, tmp_path):
    shares = []
    result = analyse_video(walk, SquareReader(), output_dir=tmp_path, progress=shares.append)
    assert (result.num_frames, result.num_detections, result.num_faces) == (30, 10, 1)
    assert (result.num_cuts, result.note) == (0, None)
    assert result.seconds == pytest.approx(29 / RATE)
    rows = read_rows(result)
    assert [row["frame"] for row in rows] == [*range(0, 30, 3)]
    assert [row["time_seconds"] for row in rows] == pytest.approx([n / 5 for n in range(10)])
    assert [row["left"] for row in rows] == pytest.approx([20 + 3 * n for n in range(10)], abs=1)
    assert {(row["face"], row["label"], row["detection_score"]) for row in rows} == {
        (1, "sad", 0.75)
    }
    assert rows[-1]["score_sad"] == pytest.approx(0.9)
    assert len(shares) == 10
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.8 / 2)


@pytest.mark.train
def test_csv_and_parquet_hold_the_same(walk, tmp_path):
    import pyarrow.parquet as pq

    result = analyse_video(walk, SquareReader(), output_dir=tmp_path)
    rows = pq.read_table(result.parquet).to_pylist()
    assert len(rows) == 10
    assert rows == read_rows(result)


def test_without_pyarrow_there_is_no_parquet(walk, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("fer_hf.video.outputs.find_spec", lambda _: None)
    result = analyse_video(walk, SquareReader(), output_dir=tmp_path)
    assert result.parquet is None
    assert {file.name for file in tmp_path.iterdir()} == {"annotated.mp4", "faces.csv", "plot.png"}


def test_the_annotated_video_plays_anywhere_and_shows_the_box(walk, tmp_path):
    result = analyse_video(walk, SquareReader(), output_dir=tmp_path)
    with av.open(str(result.annotated)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == RATE
    content = result.annotated.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "a browser would wait for the end"
    # Between detections the box is there, too.
    before, after = read_frames(walk), read_frames(result.annotated)
    assert len(after) == 30
    for number in (0, 1, 29):
        change = np.abs(
            before[number].to_ndarray(format="gray").astype(int)
            - after[number].to_ndarray(format="gray")
        )
        assert change[:30].max() > 100, "no label above the face"
        assert np.median(change) <= 2, "the rest of the frame has changed"


@pytest.fixture
def drawn(monkeypatch):
    """The boxes of each annotation that is drawn."""
    boxes = []

    def render(readings, size):
        boxes.append([one.face.box for one in readings])
        return render_annotation(readings, size)

    monkeypatch.setattr("fer_hf.video.analysis.render_annotation", render)
    return boxes


def test_between_detections_boxes_follow_and_expressions_stay(tmp_path, drawn):
    pictures = [paint(10 + 4 * number) for number in range(RATE)]
    source, reader = write(tmp_path / "run.mp4", pictures), SquareReader()
    result = analyse_video(source, reader, output_dir=tmp_path / "out")
    assert [row["frame"] for row in read_rows(result)] == [0, 3, 6, 9, 12]
    assert reader.sizes == [(160, 120)] * 5, "an expression was read between detections"
    assert len(reader.followed) == 10
    assert max(map(max, reader.followed)) <= 84, "more than the surroundings was searched"
    lefts = [box[0] for ((box),) in drawn]
    assert lefts == pytest.approx([10 + 4 * number for number in range(RATE)], abs=1.5)


def test_a_box_that_stays_is_not_drawn_anew_between_detections(tmp_path, drawn):
    source, reader = write(tmp_path / "still.mp4", [paint(20)] * RATE), SquareReader()
    analyse_video(source, reader, output_dir=tmp_path / "out")
    assert (len(drawn), len(reader.followed)) == (5, 10)


@pytest.mark.parametrize(("rate", "num"), [(0, 0), (5, 0), (7.5, 5)])
def test_how_often_boxes_follow_is_a_setting(walk, tmp_path, rate, num):
    reader = SquareReader()
    analyse_video(walk, reader, output_dir=tmp_path, seconds=0.9, boxes_per_second=rate)
    assert len(reader.followed) == num
    assert len(reader.sizes) == 5


def test_without_a_detector_the_frame_is_the_face_and_stays(walk, tmp_path, drawn):
    reader = SquareReader()
    reader.detector = None
    analyse_video(walk, reader, output_dir=tmp_path)
    assert len(drawn) == 10


def test_a_notebook_shows_what_was_found_and_how_to_open_it(walk, tmp_path):
    result = analyse_video(walk, SquareReader(), output_dir=tmp_path / "<out>")
    page = ElementTree.fromstring(result._repr_html_())
    rows = {row.find("th").text: row.find("td").text for row in page.iter("tr")}
    assert rows["Duration"] == "1.9 seconds, 30 frames"
    assert rows["Faces followed"] == "1, found in 10 detections"
    for name, path in (("Annotated video", result.annotated), ("Plot", result.plot)):
        assert rows[name].startswith(str(path))
        assert "IPython.display" in rows[name]


def test_times_are_written_as_minutes_and_seconds():
    assert [format_time(t) for t in (0, 7, 75.5, 119.96)] == ["0:00", "0:07", "1:15.5", "2:00"]


def test_a_plot_is_written(walk, tmp_path):
    with Image.open(analyse_video(walk, SquareReader(), output_dir=tmp_path).plot) as plot:
        assert plot.format == "PNG"
        assert plot.width > 800


def test_a_video_without_faces_gives_a_copy_an_empty_table_and_a_plot_that_says_so(tmp_path):
    source = write(tmp_path / "empty.mp4", [paint()] * RATE)
    result = analyse_video(source, SquareReader(), output_dir=tmp_path / "out")
    assert (result.num_faces, result.num_detections) == (0, 5)
    assert read_rows(result) == []
    assert result.csv.read_text().splitlines() == [
        "time_seconds,frame,face,left,top,right,bottom,detection_score,label,score_happy,score_sad"
    ]
    for before, after in zip(read_frames(source), read_frames(result.annotated), strict=True):
        np.testing.assert_allclose(before.to_ndarray(), after.to_ndarray(), atol=3)
    figure = plot_most_seen_face(read_rows(result), 1.0, 5.0)
    assert figure.get_suptitle() == "No face was found in this video"


def test_the_plot_shows_the_face_that_is_seen_most(tmp_path):
    pictures = [paint(20)] * 8 + [paint()] * 2 * RATE + [paint(20, color=(255, 0, 0))] * 2 * RATE
    source = write(tmp_path / "two.mp4", pictures)
    result = analyse_video(source, SquareReader(), output_dir=tmp_path)
    figure = plot_most_seen_face(read_rows(result), 5.0, 5.0)
    assert figure.get_suptitle().startswith("Face 2, the most seen of 2")
    assert [axes.get_ylabel() for axes in figure.axes] == LABELS


def test_a_face_that_leaves_loses_its_box(tmp_path):
    source = write(tmp_path / "leaves.mp4", [paint(20)] * RATE + [paint()] * RATE)
    result = analyse_video(source, SquareReader(), output_dir=tmp_path)
    assert [row["frame"] for row in read_rows(result)] == [0, 3, 6, 9, 12]
    last = read_frames(result.annotated)[-1].to_ndarray(format="gray")
    assert np.ptp(last.astype(int)) < 12


def test_a_cut_ends_the_tracks_and_takes_the_boxes_away_at_once(tmp_path):
    # The cut falls between two detections, and the next face stands where the last one stood.
    pictures = [paint(20)] * 16 + [paint(20, ground=150)] * 14
    result = analyse_video(
        write(tmp_path / "cut.mp4", pictures), SquareReader(), output_dir=tmp_path
    )
    assert (result.num_cuts, result.num_faces) == (1, 2)
    assert [row["face"] for row in read_rows(result)] == [1] * 6 + [2] * 4
    frames = [frame.to_ndarray(format="gray") for frame in read_frames(result.annotated)]
    chip = (slice(0, 28), slice(20, 100))
    assert [np.ptp(frames[n][chip].astype(int)) > 60 for n in (15, 16, 17, 18)] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("ground", "num_cuts"), [(132, 0), (138, 1)])
def test_a_mean_change_of_more_than_30_is_a_cut(tmp_path, ground, num_cuts):
    # Of the limited range's brightness: 27.5 and 32.6.
    pictures = [paint(ground=100)] * 5 + [paint(ground=ground)] * 5
    source = write(tmp_path / "step.mkv", pictures, codec="ffv1")
    result = analyse_video(source, SquareReader(), output_dir=tmp_path / "out")
    assert result.num_cuts == num_cuts


def test_a_new_expression_shows_smoothly_and_below_the_threshold_not_at_all(tmp_path):
    pictures = [paint(60)] * RATE + [paint(60, color=(255, 0, 0))] * RATE
    source = write(tmp_path / "mood.mp4", pictures)
    result = analyse_video(source, SquareReader(threshold=0.85), output_dir=tmp_path)
    rows = read_rows(result)
    happy = [row["score_happy"] for row in rows]
    assert happy[:5] == pytest.approx([0.1] * 5)
    assert all(0 < after - before < 0.5 for before, after in pairwise(happy[4:]))
    labels = [row["label"] for row in rows]
    assert labels[:5] == ["sad"] * 5
    assert labels[6] == "not sure"


def test_a_video_of_a_phone_held_upright_is_turned(tmp_path):
    # The sensor lies on its side: the square at the left is at the top of the upright video.
    source = write(tmp_path / "phone.mp4", [paint(10)] * RATE, rotation=-90)
    reader = SquareReader()
    result = analyse_video(source, reader, output_dir=tmp_path)
    assert set(reader.sizes) == {(120, 160)}
    row = read_rows(result)[0]
    assert [row[side] for side in ("left", "top", "right", "bottom")] == pytest.approx(
        [120 - 70, 10, 120 - 30, 50], abs=2
    )
    frame = read_frames(result.annotated)[0]
    assert (frame.width, frame.height, frame.rotation) == (120, 160, 0)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_frame_is_turned_as_its_picture_is(quarter_turns):
    picture = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    picture.paste((200, 30, 30), (0, 0, 20, 10))
    yuv = VideoFrame.from_image(picture).reformat(format="yuv420p").to_ndarray()
    turned = VideoFrame.from_ndarray(turn_yuv(yuv, quarter_turns), format="yuv420p").to_image()
    straight = VideoFrame.from_ndarray(yuv, format="yuv420p").to_image()
    np.testing.assert_allclose(turned, np.rot90(straight, quarter_turns), atol=12)


def test_uneven_frame_times_are_kept(tmp_path):
    times = [0.0, 0.01, 0.5, 0.51, 2.0, 2.3]
    source = write(tmp_path / "vfr.mkv", [paint(20)] * 6, times=times)
    result = analyse_video(source, SquareReader(), output_dir=tmp_path)
    assert [row["frame"] for row in read_rows(result)] == [0, 2, 4, 5]
    written = [frame.time for frame in read_frames(result.annotated)]
    assert written == pytest.approx(times, abs=0.002)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1920, 1080), (1280, 720)), ((1080, 1920), (720, 1280)), ((75, 51), (74, 50))],
)
def test_frames_become_even_and_no_larger_than_720p(tmp_path, size, expected):
    source = write(
        tmp_path / "large.mkv", [paint(20, size=size)] * 2, codec="ffv1", pix_fmt="yuv444p"
    )
    reader = SquareReader()
    result = analyse_video(source, reader, output_dir=tmp_path)
    frame = read_frames(result.annotated)[0]
    assert (frame.width, frame.height) == reader.sizes[0] == expected


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    source = write(tmp_path / "sar.mkv", [paint(20)] * 2, sar=Fraction(2, 1))
    reader = SquareReader()
    analyse_video(source, reader, output_dir=tmp_path)
    assert reader.sizes == [(320, 120)]


def test_full_range_video_keeps_black_and_white(tmp_path):
    source = write(tmp_path / "full.mkv", [paint(20, ground=0)] * 2, pix_fmt="yuvj420p")
    with open_video(source, VideoLimits(9, 10**6, 99)) as video:
        frame = next(iter(video))
    assert (frame.luma.min(), frame.luma.max()) == (16, 235)


def test_an_annotation_is_what_drawing_on_the_frame_itself_gives():
    ramp = np.linspace(0, 255, 320).astype(np.uint8)
    picture = Image.fromarray(np.tile(ramp, (240, 1))).convert("RGB")
    scores = {"happy": 1.0, "sad": 0.0}
    face = FaceReading(scores, "happy", face=Face((100, 80, 200, 180), 1.0), number=3)
    drawn = draw_readings(picture, [face], with_scores=False)
    yuv = VideoFrame.from_image(picture).reformat(format="yuv420p").to_ndarray()
    render_annotation([face], picture.size)(yuv)
    expected = VideoFrame.from_image(drawn).reformat(format="yuv420p").to_ndarray()
    assert np.abs(yuv[:240].astype(int) - expected[:240]).max() <= 3
    assert np.abs(yuv.astype(int) - expected).mean() < 0.2
    before = yuv.copy()
    render_annotation([], picture.size)(yuv)
    np.testing.assert_array_equal(yuv, before)


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 99, (120, 160, 3), dtype=np.uint8)) for _ in range(60)]
    content = write(tmp_path / "whole.mp4", noise).read_bytes()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content[: len(content) // 2])
    result = analyse_video(broken, SquareReader(), output_dir=tmp_path / "out")
    assert 20 < result.num_frames < 40
    assert (
        result.note == f"The video breaks off: {result.seconds:.1f} of 4.0 seconds could be read."
    )
    assert len(read_frames(result.annotated)) == result.num_frames


def test_damage_in_the_middle_is_noted_and_what_follows_is_read(tmp_path):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 99, (120, 160, 3), dtype=np.uint8)) for _ in range(60)]
    content = bytearray(write(tmp_path / "whole.mp4", noise).read_bytes())
    half = len(content) // 2
    content[half : half + len(content) // 10] = bytes(len(content) // 10)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    result = analyse_video(broken, SquareReader(), output_dir=tmp_path / "out")
    assert result.note == "Parts of the video are damaged and left out."
    assert result.seconds == pytest.approx(59 / RATE, abs=0.2)


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"no video at all, but text\n" * 99])
def test_what_is_no_video_is_refused(tmp_path, content):
    file = tmp_path / "some.mp4"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"'some.mp4' cannot be opened as a video, expected one"):
        analyse_video(file, SquareReader(), output_dir=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_playlist_cannot_make_the_server_read_another_file(tmp_path):
    write(tmp_path / "other.ts", [paint(20)] * RATE)
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    assert len(read_frames(playlist)) == RATE, "PyAV itself would read it"
    with pytest.raises(ValueError, match=r"'list\.m3u8' cannot be opened"):
        analyse_video(playlist, SquareReader(), output_dir=tmp_path / "out")


def test_a_path_is_never_taken_for_an_address(walk, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file 'concat:.*', expected a video"):
        analyse_video(f"concat:{walk}", SquareReader(), output_dir=tmp_path)


def test_sound_without_pictures_is_refused(tmp_path):
    file = tmp_path / "sound.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"'sound\.mp4' has no pictures, expected a video"):
        analyse_video(file, SquareReader(), output_dir=tmp_path / "out")


def test_a_file_none_of_whose_frames_can_be_decoded_is_refused(walk, tmp_path):
    content = bytearray(walk.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    file = tmp_path / "hollow.mp4"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"No frame of 'hollow\.mp4' can be decoded"):
        analyse_video(file, SquareReader(), output_dir=tmp_path / "out")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_seconds": 1.5}, r"'walk\.mp4' lasts 2\.0 seconds or longer, expected at most 1\.5"),
        ({"max_frames": 20}, r"'walk\.mp4' has 30 frames or more, expected at most 20"),
        (
            {"max_pixels": 9999},
            r"'walk\.mp4' has frames of 160 × 120 pixels, expected at most 9,999",
        ),
        ({"detections_per_second": 0}, r"`detections_per_second` is 0, expected above 0"),
        ({"boxes_per_second": -1}, r"`boxes_per_second` is -1, expected 0 or more. Pass 15"),
        ({"seconds": 0}, r"`seconds` is 0, expected above 0"),
    ],
)
def test_what_is_beyond_a_limit_is_refused(walk, tmp_path, limit, message):
    with pytest.raises(ValueError, match=message):
        analyse_video(walk, SquareReader(), output_dir=tmp_path, **limit)
    assert list(tmp_path.iterdir()) == []


def test_limits_hold_for_what_a_file_does_not_announce(tmp_path):
    # A stream without a header, as a webcam records it, says nothing of its length.
    source = write(tmp_path / "raw.ts", [paint(20)] * RATE)
    with av.open(str(source)) as container:
        assert container.streams.video[0].frames == 0
    with pytest.raises(ValueError, match=r"'raw\.ts' has 11 frames or more, expected at most 10"):
        analyse_video(source, SquareReader(), output_dir=tmp_path / "out", max_frames=10)
    assert list((tmp_path / "out").iterdir()) == []


def test_only_the_beginning_is_read_on_request(walk, tmp_path):
    shares = []
    result = analyse_video(
        walk, SquareReader(), output_dir=tmp_path, seconds=1.0, progress=shares.append
    )
    assert result.num_frames == len(read_frames(result.annotated)) == 16
    assert result.labels == {"sad": 6}
    assert shares == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


def test_what_progress_raises_ends_the_analysis_and_leaves_nothing_behind(walk, tmp_path):
    def stop(share):
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyse_video(walk, SquareReader(), output_dir=tmp_path, progress=stop)
    assert list(tmp_path.iterdir()) == []
