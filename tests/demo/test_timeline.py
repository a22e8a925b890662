"""The timeline keeps the scores of the last minute, whatever the frame rate."""

from fer_hf.demo.timeline import Timeline
from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading


def show(number, happy=0.5):
    scores = {"happy": happy, "neutral": 1 - happy, "sad": 0.0}
    return FaceReading(scores, None, face=Face((0, 0, 100, 100), 1.0), number=number)


def test_a_timeline_gives_a_row_for_each_moment_face_and_label():
    timeline = Timeline()
    timeline.add(10.0, [show(1, 0.25)])
    timeline.add(12.0, [show(1), show(7)])
    rows = timeline.to_rows()
    assert rows[0] == {"time": -2.0, "face": 1, "label": "happy", "score": 0.25}
    assert [(row["time"], row["face"]) for row in rows[3::3]] == [(0.0, 1), (0.0, 7)]
    assert Timeline().to_rows() == []


def test_a_timeline_forgets_what_is_older_than_it_reaches():
    timeline = Timeline(seconds=60)
    for second in range(200):
        timeline.add(float(second), [show(1)])
    assert sorted({row["time"] for row in timeline.to_rows()}) == list(range(-60, 1))


def test_a_timeline_stays_small_whatever_the_frame_rate():
    timeline = Timeline(seconds=60, points=120)
    for frame in range(6000):
        timeline.add(frame / 100, [show(1)])
    times = {row["time"] for row in timeline.to_rows()}
    assert len(times) == 120
    assert min(times) < -59
