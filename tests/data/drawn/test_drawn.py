"""The drawn faces: the same for the same seed, balanced, and telling."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_score

from fer_hf.data import LoadOptions, load_splits
from fer_hf.data.drawn.canvas import Pose, curve, mix
from fer_hf.data.drawn.faces import EMOTION_ACTION_UNITS, draw_face, draw_numbered_face
from fer_hf.data.layouts import drawn_faces
from fer_hf.data.layouts.drawn_faces import DRAWN
from fer_hf.emotions import EMOTIONS

# The share of the picture, from the top, in which brows and eyes lie, and the mouth.
BROWS, MOUTH = slice(38, 66), slice(66, 104)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=float)


def load_drawn(num_pictures=1200, *, size=128, seed=0):
    """The drawn faces undivided: stored pictures, pictures and label ids."""
    options = LoadOptions(num_drawn=num_pictures, drawn_size=size, seed=seed)
    part = DRAWN.locate(Path("drawn"), options).read()["train"]
    batches = list(part.read(np.arange(len(part.labels))))
    stored = [picture["bytes"] for batch in batches for picture in batch.to_pylist()]
    return {
        "stored": stored,
        "image": [Image.open(io.BytesIO(content)) for content in stored],
        "label": [EMOTIONS.index(label) for label in part.labels],
    }


@pytest.fixture(scope="module")
def drawn():
    return load_drawn(40, size=32)


def test_the_table_names_the_projects_emotions_in_its_order():
    assert tuple(EMOTION_ACTION_UNITS) == EMOTIONS


@pytest.mark.parametrize("size", [32, 33, 128, 300])
def test_a_face_is_an_rgb_picture_of_the_size_asked_for(size):
    picture = draw_face("happy", size=size)
    assert (picture.mode, picture.size) == ("RGB", (size, size))


def test_the_same_seed_draws_the_same_face():
    assert draw_face("fear", seed=3) == draw_face("fear", seed=3)


def test_another_seed_draws_another_face():
    assert np.abs(pixels(draw_face("fear", seed=3)) - pixels(draw_face("fear", seed=4))).mean() > 10


def test_drawing_leaves_numpys_global_generator_alone():
    before = np.random.get_state()[1].copy()
    draw_face("sad")
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("emotion", [emotion for emotion in EMOTIONS if emotion != "neutral"])
def test_an_emotion_moves_brows_or_mouth_and_nothing_else(emotion):
    difference = np.zeros((128, 128))
    for seed in range(8):
        moved, still = draw_face(emotion, seed=seed), draw_face("neutral", seed=seed)
        difference += np.abs(pixels(moved) - pixels(still)).mean(axis=2) / 8
    features = max(difference[BROWS, 32:96].mean(), difference[MOUTH, 32:96].mean())
    background = difference[:20, :16].mean()
    assert features > 1
    assert background == 0


def test_contempt_lifts_one_corner_of_the_mouth_and_happiness_both():
    def unevenness(emotion: str) -> float:
        shares = []
        for seed in range(30):
            moved, still = draw_face(emotion, seed=seed), draw_face("neutral", seed=seed)
            change = np.abs(pixels(moved) - pixels(still))[MOUTH].sum(axis=(0, 2))
            left, right = change[:64].sum(), change[64:].sum()
            shares.append(abs(left - right) / (left + right + 1e-9))
        return float(np.mean(shares))

    assert unevenness("contempt") > unevenness("happy") + 0.1


def test_labels_are_balanced_and_mixed():
    labels = load_drawn(21, size=32)["label"]
    counts = np.bincount(labels, minlength=8)
    assert counts.max() - counts.min() <= 1
    assert list(labels[:8]) != sorted(labels[:8])


def test_a_larger_set_begins_with_the_smaller_one(drawn):
    smaller = load_drawn(10, size=32)
    assert list(smaller["label"]) == list(drawn["label"][:10])
    assert all(smaller["image"][i] == drawn["image"][i] for i in range(10))


def test_columns_are_image_and_label_with_the_emotions_as_names():
    features = load_splits("drawn", num_drawn=40, drawn_size=32)["train"].features
    assert set(features) == {"image", "label"}
    assert tuple(features["label"].names) == EMOTIONS


def test_pictures_are_stored_without_loss(drawn):
    assert all(picture.format == "PNG" for picture in drawn["image"])
    assert drawn["image"][3].convert("RGB") == draw_numbered_face(3, size=32)


def test_a_second_call_reads_the_cache(monkeypatch):
    first = load_splits("drawn", num_drawn=41, drawn_size=32)
    monkeypatch.setattr(drawn_faces, "draw_numbered_face", None)  # must not be called
    again = load_splits("drawn", num_drawn=41, drawn_size=32)
    assert [data.cache_files for data in first.values()] == [
        data.cache_files for data in again.values()
    ]


def edge_directions(picture: Image.Image) -> np.ndarray:
    """How much edge there is in each of nine directions, in each of 8 × 8 cells (HOG)."""
    grey = pixels(picture.convert("L").resize((64, 64)))
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    direction = (np.arctan2(down, right) % np.pi / np.pi * 9).astype(int) % 9
    edges = strength[..., None] * (direction[..., None] == np.arange(9))
    cells = edges.reshape(8, 8, 8, 8, 9).sum(axis=(1, 3))
    return np.log1p(cells / (cells.mean() + 1)).ravel()


def test_a_linear_model_on_edges_learns_emotions_but_does_not_solve_them():
    faces = load_drawn(480, size=64)
    features = np.stack([edge_directions(picture) for picture in faces["image"]])
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5)
    accuracy = cross_val_score(model, features, np.array(faces["label"]), cv=3).mean()
    assert 0.35 < accuracy < 0.85  # chance is 0.125


def test_an_unknown_emotion_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'joy', expected one of \['anger', "):
        draw_face("joy")


def test_a_size_below_32_is_refused():
    with pytest.raises(ValueError, match="size=31, expected at least 32"):
        draw_face("happy", size=31)
    with pytest.raises(ValueError, match="size=31, expected at least 32"):
        load_drawn(size=31)


def test_fewer_pictures_than_emotions_are_refused():
    with pytest.raises(ValueError, match="num_drawn=7, expected at least 8"):
        load_drawn(7)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed=-1, expected 0 or more"):
        draw_face("happy", seed=-1)


def test_a_curve_passes_through_its_points():
    points = [(0, 0), (1, 2), (3, 1)]
    np.testing.assert_allclose(curve(points)[::6], points)
    np.testing.assert_allclose(curve(points, closed=True)[::6], points)


def test_an_upright_pose_only_scales_and_shifts():
    pose = Pose(yaw=0, pitch=0, roll=0, scale=10, centre=(50, 60))
    np.testing.assert_allclose(pose.place([(0, 0), (1, -1)]), [(50, 60), (60, 50)])


def test_turning_right_moves_the_nose_right_and_looking_up_moves_it_up():
    turned = Pose(yaw=0.3, pitch=0, roll=0, scale=1, centre=(0, 0)).place([(0, 0)])[0]
    raised = Pose(yaw=0, pitch=0.3, roll=0, scale=1, centre=(0, 0)).place([(0, 0)])[0]
    np.testing.assert_allclose(turned, (0.8 * np.sin(0.3), 0))
    np.testing.assert_allclose(raised, (0, -0.8 * np.sin(0.3)))


def test_a_quarter_roll_tips_the_head_clockwise():
    tipped = Pose(yaw=0, pitch=0, roll=np.pi / 2, scale=1, centre=(0, 0)).place([(0, -1)], depth=0)
    np.testing.assert_allclose(tipped, [(1, 0)], atol=1e-12)


def test_mixing_stays_between_the_two_colours():
    black = np.zeros(3)
    np.testing.assert_allclose(mix(black, (10, 20, 30), 0.5), (5, 10, 15))
    np.testing.assert_allclose(mix(black, (10, 20, 30), 7), (10, 20, 30))
