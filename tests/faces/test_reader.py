"""Faces are found, cut out and scored as the classifier alone would score their crops."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fer_hf.faces import Face, crop_face
from fer_hf.faces.reader import NO_FACE, FaceReader
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.reading import Reading
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


@pytest.mark.train
def test_each_face_gets_the_scores_that_pipeline_gives_its_crop(reader):
    from transformers import pipeline

    picture = make_picture()
    [found] = reader([picture])
    assert [reading.face for reading in found] == [LEFT, RIGHT]
    fer = pipeline("image-classification", model=DEFAULT_MODEL)
    for reading in found:
        expected = {
            one["label"]: one["score"] for one in fer(crop_face(picture, reading.face), top_k=8)
        }
        assert reading.scores == pytest.approx(expected, abs=1e-4)


def test_a_face_is_read_alike_whichever_way_it_is_turned(reader):
    # Eyes, nose and corners of the mouth in a picture of 90 × 90, and turned with it.
    points = np.array([(35, 35), (55, 35), (45, 47), (38, 58), (52, 58)], float)
    pictures, faces = [make_picture(90)], [points]
    for _ in range(3):
        pictures.append(pictures[-1].transpose(Image.Transpose.ROTATE_270))
        faces.append(np.stack([90 - faces[-1][:, 1], faces[-1][:, 0]], axis=1))
    found = [Face((20, 20, 70, 70), 0.9, tuple(map(tuple, row.tolist()))) for row in faces]
    readings = FaceReader(reader.classifier, lambda _: [[face] for face in found])(pictures)
    assert [reading.face for (reading,) in readings] == found
    for (reading,) in readings[1:]:
        assert reading.scores == pytest.approx(readings[0][0].scores, abs=0.02)
    assert len({tuple(reader.classifier([picture])[0].round(3)) for picture in pictures}) > 1


def test_pictures_keep_their_own_faces_in_a_batch(reader):
    wide, narrow = make_picture(160), make_picture(50)
    assert [len(found) for found in reader([narrow, wide, narrow])] == [0, 2, 0]
    [[first, _]] = reader([wide])
    _, [again, _] = reader([narrow, wide])
    assert again.scores == pytest.approx(first.scores, abs=1e-5)
    assert reader([]) == []


def test_a_whole_picture_is_scored_as_the_classifier_does(reader):
    picture = make_picture(50).convert("L")
    [[reading]] = reader([picture], whole_picture=True)
    assert reading.face.box == (0, 0, 50, 90)
    expected = reader.classifier([picture])[0]
    np.testing.assert_allclose(list(reading.scores.values()), expected, atol=1e-6)


def test_a_reading_says_whether_the_model_is_sure_and_how_people_would_vote(reader):
    [[reading, _]] = reader([make_picture()])
    not_sure = reader.classifier.not_sure
    scores, crowd_scores = list(reading.scores.values()), list(reading.crowd_scores.values())
    assert reading.sure == (max(scores) >= not_sure.threshold)
    assert len(reading.prediction_set) == not_sure.build_prediction_sets(scores).sum()
    assert sum(crowd_scores) == pytest.approx(1)
    assert max(crowd_scores) < max(scores)  # softened


@pytest.mark.train
def test_a_model_that_does_not_say_when_it_is_sure_gives_scores_alone(tmp_path):
    from fer_hf.models import load_model

    loaded = load_model("baseline", ["calm", "cross"], input_size=32)
    loaded.model.save_pretrained(tmp_path)
    loaded.image_processor.save_pretrained(tmp_path)
    reader = FaceReader(ExpressionClassifier(str(tmp_path)), TwoFaces())
    [[reading, _]] = reader([make_picture()])
    assert reading.sure is None
    assert reading.prediction_set is None
    assert reading.crowd_scores is None
    assert reading.label == reading.top_label


def test_files_give_a_result_for_each_face_or_say_why_there_is_none(reader, tmp_path):
    make_picture().save(tmp_path / "two.png")
    make_picture(50).save(tmp_path / "none.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    files = [str(tmp_path / name) for name in ("two.png", "none.png", "broken.png")]
    two, none, broken = reader.score_files(files)
    assert [one.file for one in (two, none, broken)] == files
    first, second = two.readings
    assert [(one.number, one.face) for one in (first, second)] == [(1, LEFT), (2, RIGHT)]
    assert sum(first.scores.values()) == pytest.approx(1, abs=1e-5)
    assert first.crowd_scores.keys() == first.scores.keys()
    assert two.error is None
    assert (none.readings, none.error) == ([], NO_FACE)
    assert (broken.readings, broken.error) == ([], "not a picture")


def parse(html):
    """An element of what a notebook shows; what is not closed or not escaped does not parse."""
    return ElementTree.fromstring(f"<body>{html}</body>")


def test_a_notebook_shows_a_table_of_bars_for_each_face(reader):
    [found] = reader([make_picture()])
    page = parse(found._repr_html_())
    assert [one.text for one in page.iter("caption")] == [f"Face {one.caption}" for one in found]
    assert [row.text for row in page.iter("th")] == reader.label_names * 2
    widths = [div.get("style").split(";")[0] for div in page.iter("div")]
    assert widths[:8] == [f"width: {share:.1%}" for share in found[0].crowd_scores.values()]
    assert parse(reader([make_picture(50)])[0]._repr_html_()).find("p").text == NO_FACE


def test_a_notebook_shows_a_reading_of_a_whole_picture_and_trusts_no_label(reader):
    [reading] = reader.classifier.read([make_picture()])
    assert parse(reading._repr_html_()).find("table/caption").text == reading.name
    page = parse(Reading({"<b>": 1.0, "a & b": 0.0}, "<b>")._repr_html_())
    assert [row.text for row in page.iter("th")] == ["<b>", "a & b"]
    assert [row.text for row in page.iter("td") if row.text] == [">99 %", "<1 %"]


def test_a_reader_needs_no_settings():
    reader = FaceReader()
    assert reader.classifier.model_name_or_path == "resnetv2-ferplus"
    assert reader.detector.name == "finder"
    assert reader.read(np.full((64, 64), 128, np.uint8)) == []


def test_without_a_detector_a_picture_is_one_face(reader):
    whole = FaceReader(reader.classifier, None)
    picture = make_picture(50)
    assert whole.read(picture) == reader([picture], whole_picture=True)[0]
