"""Composed scenes: faces are where their targets say, and each number is one scene."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.training.finder.pasting import paste_face
from fer_hf.training.finder.portraits import Portrait
from fer_hf.training.finder.scenes import MAX_FACES, SceneDataset

pytestmark = pytest.mark.train

BOX = np.array([8.0, 8, 56, 72])


def make_portrait(level=250):
    """A bright face with black landmarks, on black."""
    pixels = np.zeros((80, 64), np.uint8)
    pixels[8:72, 8:56] = level
    points = np.array([(20, 30), (44, 30), (32, 42), (22, 56), (42, 56)], float)
    return Portrait(Image.fromarray(pixels), BOX, points, 300.0)


@pytest.fixture(scope="module")
def scenes():
    rooms = [Image.new("L", (120, 90), level) for level in (20, 40)]
    return SceneDataset([(1.0, [make_portrait()])], rooms, num=200, side=128, seed=3)


def test_a_number_is_one_scene_whatever_was_composed_before(scenes):
    first = scenes[7]
    scenes[8]
    again = scenes[7]
    assert all((first[key].numpy() == again[key].numpy()).all() for key in ("pixel_values",))
    assert np.array_equal(first["boxes"].numpy(), again["boxes"].numpy(), equal_nan=True)
    assert not (first["pixel_values"] == scenes[8]["pixel_values"]).all()


def test_targets_are_padded_and_in_bytes(scenes):
    item = scenes[0]
    assert item["pixel_values"].shape == (1, 128, 128)
    assert str(item["pixel_values"].dtype) == "torch.uint8"
    assert item["boxes"].shape == (MAX_FACES, 4)
    assert item["landmarks"].shape == (MAX_FACES, 5, 2)
    known = ~item["boxes"].isnan().any(dim=1)
    assert not item["counts"][~known].any()


def test_there_are_scenes_without_a_face_with_one_and_with_many(scenes):
    counts = [len(scenes.compose(index)[1]) for index in range(120)]
    assert min(counts) == 0
    assert counts.count(1) > 20
    assert max(counts) > 6


def test_landmarks_lie_in_their_boxes(scenes):
    for index in range(60):
        for target in scenes.compose(index)[1]:
            middle, half = (
                (target.box[:2] + target.box[2:]) / 2,
                np.diff(target.box.reshape(2, 2), axis=0) / 2,
            )
            assert (np.abs(target.landmarks - middle) <= 1.2 * half).all()


def test_a_pasted_face_is_where_its_box_says():
    scene = Image.new("L", (100, 100), 10)
    portrait = make_portrait()
    middle = (BOX[:2] + BOX[2:]) / 2

    def to_scene(points):
        return (points - middle) * 0.5 + (60, 40)

    rng = np.random.default_rng(0)
    paste_face(scene, portrait.picture, to_scene, np.eye(2) * 2, BOX, rng)
    pixels = np.asarray(scene)
    rows, columns = np.nonzero(pixels > 200)
    assert abs(columns.mean() - 60) < 1
    assert abs(rows.mean() - 40) < 2
    assert pixels[40, 60] == 250
    # Twice as small as in the portrait: 24 by 32 pixels.
    assert pixels[40, 60 - 16] == pixels[40, 60 + 16] == pixels[40 - 20, 60] == 10


def test_what_a_finder_took_for_a_face_becomes_surroundings():
    mistakes = [Image.new("L", (64, 64), 255)]
    rooms = [Image.new("L", (64, 64), 0)]
    scenes = SceneDataset(
        [(1.0, [make_portrait(0)])], rooms, num=99, side=64, seed=0, mistakes=mistakes
    )
    rng = np.random.default_rng(0)
    shown = [np.asarray(scenes._choose_surroundings(rng)).min() for _ in range(200)]
    assert 0.1 < np.mean(np.array(shown) == 255) < 0.35
