"""Faces are found, cut out and scored as the classifier alone would score their crops."""

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

from fer_hf.faces import Face, crop_face
from fer_hf.faces.reading import NO_FACE, FaceReader, score_faces
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import load_model
from fer_hf.models.bundled import DEFAULT_MODEL

LEFT, RIGHT = Face((10, 20, 60, 70), 0.9), Face((80, 10, 140, 70), 0.8)


class TwoFaces:
    """A detector's stand-in: two faces in every picture that is wide enough."""

    name = "two"

    def __call__(self, pictures):  # noqa: D102
        return [[LEFT, RIGHT] if picture.width >= 140 else [] for picture in pictures]


@pytest.fixture(scope="module")
def reader():
    return FaceReader(ExpressionClassifier(DEFAULT_MODEL), TwoFaces())


def make_picture(width=160):
    rng = np.random.default_rng(width)
    return Image.fromarray(rng.integers(0, 256, (90, width, 3), np.uint8))


def test_each_face_gets_the_scores_that_pipeline_gives_its_crop(reader):
    picture = make_picture()
    [found] = reader([picture])
    assert [reading.face for reading in found] == [LEFT, RIGHT]
    fer = pipeline("image-classification", model=DEFAULT_MODEL)
    for reading in found:
        expected = {
            one["label"]: one["score"] for one in fer(crop_face(picture, reading.face), top_k=8)
        }
        scores = dict(zip(reader.label_names, reading.scores, strict=True))
        assert scores == pytest.approx(expected, abs=1e-4)


def test_pictures_keep_their_own_faces_in_a_batch(reader):
    wide, narrow = make_picture(160), make_picture(50)
    assert [len(found) for found in reader([narrow, wide, narrow])] == [0, 2, 0]
    [[first, _]] = reader([wide])
    _, [again, _] = reader([narrow, wide])
    np.testing.assert_allclose(again.scores, first.scores, atol=1e-5)
    assert reader([]) == []


def test_a_whole_picture_is_scored_as_the_classifier_does(reader):
    picture = make_picture(50).convert("L")
    [[reading]] = reader([picture], whole_picture=True)
    assert reading.face.box == (0, 0, 50, 90)
    np.testing.assert_allclose(reading.scores, reader.classifier([picture])[0], atol=1e-6)


def test_a_reading_says_whether_the_model_is_sure_and_how_people_would_vote(reader):
    [[reading, _]] = reader([make_picture()])
    not_sure = reader.classifier.not_sure
    assert reading.sure == (reading.scores.max() >= not_sure.threshold)
    assert len(reading.prediction_set) == (reading.scores >= not_sure.conformal_threshold).sum()
    assert reading.crowd_scores.sum() == pytest.approx(1)
    assert reading.crowd_scores.max() < reading.scores.max()  # softened


def test_a_model_that_does_not_say_when_it_is_sure_gives_scores_alone(tmp_path):
    loaded = load_model("baseline", ["calm", "cross"], input_size=32)
    loaded.model.save_pretrained(tmp_path)
    loaded.image_processor.save_pretrained(tmp_path)
    reader = FaceReader(ExpressionClassifier(str(tmp_path)), TwoFaces())
    [[reading, _]] = reader([make_picture()])
    assert reading.sure is None
    assert reading.prediction_set is None
    np.testing.assert_array_equal(reading.crowd_scores, reading.scores)


def test_files_give_a_result_for_each_face_or_say_why_there_is_none(reader, tmp_path):
    make_picture().save(tmp_path / "two.png")
    make_picture(50).save(tmp_path / "none.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    files = [str(tmp_path / name) for name in ("two.png", "none.png", "broken.png")]
    first, second, none, broken = score_faces(reader, files)
    assert [(one.file, one.face, one.box) for one in (first, second)] == [
        (files[0], 1, LEFT.box),
        (files[0], 2, RIGHT.box),
    ]
    assert sum(first.scores.values()) == pytest.approx(1, abs=1e-5)
    assert first.crowd_scores.keys() == first.scores.keys()
    assert (none.scores, none.error) == (None, NO_FACE)
    assert (broken.scores, broken.error) == (None, "not a picture")
