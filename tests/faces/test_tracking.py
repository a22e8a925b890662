"""Following faces, smoothing scores and showing labels, on readings made by hand."""

import copy

import numpy as np
import pytest

from fer_hf.faces import Face
from fer_hf.faces.reader import FaceReading
from fer_hf.faces.tracking import FaceTracker, compute_iou, match_boxes

LABELS = ["happy", "neutral", "sad"]
LEFT, RIGHT = (0, 0, 100, 100), (300, 0, 400, 100)


def read(box=LEFT, scores=(0.8, 0.1, 0.1)):
    named = dict(zip(LABELS, scores, strict=True))
    thirds = dict.fromkeys(LABELS, 1 / 3)
    return FaceReading(named, LABELS[np.argmax(scores)], thirds, face=Face(box, 0.9))


def values(scores):
    return list(scores.values())


def lean(happy):
    """A face between happy and neutral."""
    return read(scores=(happy, 1 - happy, 0.0))


def follow(tracker, times, readings):
    return [tracker.update(time, [one])[0] for time, one in zip(times, readings, strict=True)]


def test_overlap_is_intersection_over_union():
    found = compute_iou([(0, 0, 2, 2)], [(1, 0, 3, 2), (5, 5, 6, 6), (0, 0, 2, 2), (1, 1, 1, 1)])
    np.testing.assert_allclose(found, [[1 / 3, 0, 1, 0]])


def test_boxes_are_matched_for_the_largest_overlap_in_all():
    # The best pair alone (0 with 1) would leave its partners too little overlap.
    old = [(0, 0, 10, 10), (6, 0, 16, 10)]
    new = [(3, 0, 13, 10), (2, 0, 12, 10)]
    assert sorted(match_boxes(old, new, min_iou=0.2)) == [(0, 1), (1, 0)]
    assert match_boxes(old, [(100, 0, 110, 10)], min_iou=0.2) == []
    assert match_boxes([], new, min_iou=0.2) == []


def test_faces_keep_their_numbers_while_they_move_and_others_come_and_go():
    tracker = FaceTracker()
    assert [f.number for f in tracker.update(0.0, [read(LEFT), read(RIGHT)])] == [1, 2]
    moved = read((30, 0, 130, 100))
    assert [
        f.number for f in tracker.update(0.2, [moved, read((150, 0, 250, 100)), read(RIGHT)])
    ] == [
        1,
        3,
        2,
    ]
    assert [f.number for f in tracker.update(0.4, [read(RIGHT)])] == [2]


def test_a_face_is_the_same_after_a_short_gap_and_a_new_one_after_a_long_gap():
    tracker = FaceTracker(max_gap=1.0)
    tracker.update(0.0, [read()])
    tracker.update(0.5, [])
    assert tracker.update(1.0, [read()])[0].number == 1
    assert tracker.update(2.1, [read()])[0].number == 2


def place(x, side=100):
    return read((x, 0, x + side, side))


@pytest.mark.parametrize("speed", [0, 60, 120, 250])  # pixels a second; the face has 100
def test_a_face_hidden_for_most_of_a_second_keeps_its_number_also_while_it_moves(speed):
    tracker, other = FaceTracker(), read((900, 0, 1000, 100))
    numbers = []
    for turn in range(15):
        now = turn / 5
        is_hidden = 1.2 <= now < 2.0
        faces = [*([] if is_hidden else [place(speed * now)]), other]
        numbers.append([face.number for face in tracker.update(now, faces)])
    assert numbers == [[1, 2]] * 6 + [[2]] * 4 + [[1, 2]] * 5


def test_a_face_that_stops_while_it_is_hidden_keeps_its_number():
    tracker = FaceTracker()
    follow(tracker, np.arange(5) / 5, [place(250 * turn / 5) for turn in range(5)])
    assert tracker.update(1.6, [place(220)])[0].number == 1


def test_a_face_that_comes_far_from_a_hidden_one_or_is_of_another_size_is_new():
    for newcomer in (place(150), place(30, side=30), place(0, side=250)):
        tracker = FaceTracker()
        tracker.update(0.0, [read()])
        assert tracker.update(0.8, [newcomer])[0].number == 2


def test_a_hidden_face_takes_no_number_from_one_that_is_seen():
    tracker = FaceTracker()
    tracker.update(0.0, [place(0), place(110)])
    # The right one stays and the left one is hidden, then they stand a step to the left.
    assert [face.number for face in tracker.update(0.2, [place(110)])] == [2]
    assert [face.number for face in tracker.update(0.4, [place(-40), place(60)])] == [1, 2]


def test_a_face_is_moved_between_updates_with_its_scores_and_its_label():
    tracker = FaceTracker()
    (before, _) = tracker.update(0.0, [place(0), read(RIGHT)])
    moved, other = tracker.move(0.1, {1: place(20).face})
    assert (moved.face.box, moved.scores, moved.label) == (
        (20, 0, 120, 100),
        before.scores,
        "happy",
    )
    assert other.face.box == RIGHT
    tracker.move(0.2, {1: place(40).face})
    # Far from where the update before found it.
    assert [face.number for face in tracker.update(0.9, [place(180)])] == [1]


def test_a_face_is_expected_where_its_motion_takes_it():
    tracker = FaceTracker()
    follow(tracker, np.arange(10) / 5, [place(20 * turn) for turn in range(10)])
    (expected,) = tracker.predict(2.0)
    assert expected.face.box == pytest.approx((200, 0, 300, 100), abs=3)
    tracker.update(2.0, [])
    assert tracker.predict(2.1) == []


def test_a_reset_forgets_faces_and_time_but_gives_no_number_twice():
    tracker = FaceTracker(time_constant=10.0)
    tracker.update(5.0, [lean(1.0)])
    tracker.reset()
    (face,) = tracker.update(0.0, [lean(0.0)])
    assert face.number == 2
    np.testing.assert_allclose(values(face.scores), [0, 1, 0])


def test_smoothing_does_not_depend_on_the_frame_rate():
    ends = []
    for rate in (5, 50):
        tracker = FaceTracker(time_constant=0.4)
        tracker.update(0.0, [lean(1.0)])
        times = np.arange(1, rate + 1) / rate
        ends.append(follow(tracker, times, [lean(0.0)] * rate)[-1])
    for end in ends:
        np.testing.assert_allclose(values(end.scores), [np.exp(-2.5), 1 - np.exp(-2.5), 0])
        np.testing.assert_allclose(values(end.crowd_scores), 1 / 3)


def test_without_a_time_constant_scores_are_as_they_were_read():
    tracker = FaceTracker(time_constant=0)
    follow(tracker, [0.0, 0.2], [lean(1.0), lean(0.3)])
    np.testing.assert_allclose(values(tracker.update(0.2, [lean(0.6)])[0].scores), [0.6, 0.4, 0])


def test_the_readings_that_were_given_stay_as_they_were():
    tracker, given = FaceTracker(), lean(1.0)
    follow(tracker, [0.0, 0.2], [given, lean(0.0)])
    np.testing.assert_array_equal(values(given.scores), [1, 0, 0])


def test_a_label_does_not_flicker_between_two_that_are_level():
    tracker = FaceTracker(time_constant=0, margin=0.15, patience=0.6)
    level = [lean(0.52 if turn % 2 else 0.48) for turn in range(20)]
    shown = {face.label for face in follow(tracker, np.arange(20) / 5, level)}
    assert shown == {"neutral"}


def test_a_rival_replaces_the_label_at_once_by_a_clear_lead():
    tracker = FaceTracker(time_constant=0, margin=0.15)
    faces = follow(tracker, [0.0, 0.2, 0.4], [lean(0.9), lean(0.45), lean(0.4)])
    assert [face.label for face in faces] == ["happy", "happy", "neutral"]


def test_a_rival_replaces_the_label_after_a_while_by_a_small_lead():
    tracker = FaceTracker(time_constant=0, margin=0.15, patience=0.6)
    faces = follow(tracker, [0.0, 0.3, 0.5, 0.7], [lean(0.9)] + [lean(0.45)] * 3)
    assert [face.label for face in faces] == ["happy", "happy", "happy", "neutral"]


def test_not_sure_begins_and_ends_at_different_scores():
    tracker = FaceTracker(threshold=0.7, exit_margin=0.1, time_constant=0)
    faces = follow(tracker, np.arange(5) / 5, map(lean, (0.65, 0.7, 0.65, 0.59, 0.65)))
    assert [face.label for face in faces] == [None, "happy", "happy", None, None]


def test_without_a_threshold_the_top_label_is_shown():
    assert FaceTracker().update(0.0, [read(scores=(0.3, 0.3, 0.4))])[0].label == "sad"


def test_two_copies_of_a_tracker_go_their_own_ways():
    tracker = FaceTracker(time_constant=1.0)
    tracker.update(0.0, [lean(1.0)])
    other = copy.deepcopy(tracker)
    other.update(0.5, [lean(0.0), read(RIGHT)])
    (face,) = tracker.update(0.5, [lean(1.0)])
    np.testing.assert_allclose(values(face.scores), [1, 0, 0])


def test_time_that_goes_back_is_refused():
    tracker = FaceTracker()
    tracker.update(2.0, [])
    with pytest.raises(ValueError, match=r"1\.0 after 2\.0, expected a later time. Call `reset`"):
        tracker.update(1.0, [])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("min_iou", 0), ("min_iou", 2), ("max_gap", -1), ("margin", float("nan"))],
)
def test_settings_out_of_range_are_refused(setting, value):
    with pytest.raises(ValueError, match=f"`{setting}` is {value}, expected"):
        FaceTracker(**{setting: value})
