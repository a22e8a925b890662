"""A lesson: what it takes and refuses, what it leaves, and that nothing outlives it."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from fer_hf.demo.batch_reading import PictureFile
from fer_hf.demo.limits import Limits
from fer_hf.demo.teaching import CHECKPOINT_NAME, Lesson, cut_face, describe_figures
from fer_hf.evaluation.people.human import Yardstick
from fer_hf.faces import Face
from fer_hf.models.bundled import DEFAULT_MODEL

BOX = (8.0, 8.0, 40.0, 40.0)


def build_detector(num_faces=1):
    """A detector's stand-in that finds that many faces, the second one smaller."""
    faces = [Face(BOX, 1.0), Face((50.0, 0.0, 60.0, 10.0), 1.0)][:num_faces]
    return lambda pictures: [faces for _ in pictures]


def write_picture(path, colour, seed=0):
    noise = np.random.default_rng(seed).normal(0, 12, (64, 64, 3))
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
    return PictureFile(path.name, path)


def write_pictures(folder, colour, number, start=0):
    return [
        write_picture(folder / f"{colour[0]}-{seed}.png", colour, seed)
        for seed in range(start, start + number)
    ]


def build_lesson(model="unused", num_faces=1, **limits):
    return Lesson(model, build_detector(num_faces), Limits(**limits))


def test_labels_keep_their_first_spelling_and_count_their_pictures(tmp_path):
    lesson = build_lesson()
    assert lesson.add(" Pleased ", write_pictures(tmp_path, (200, 0, 0), 2)) == []
    assert lesson.add("pleased", write_pictures(tmp_path, (150, 0, 0), 1)) == []
    assert lesson.counts == {"Pleased": 3}


def test_the_largest_face_is_learnt_or_else_the_whole_picture_and_both_are_said(tmp_path):
    files = write_pictures(tmp_path, (200, 0, 0), 1)
    (note,) = build_lesson(num_faces=0).add("a", files)
    assert note == "200-0.png: no face found, so the whole picture is learnt"
    (note,) = build_lesson(num_faces=2).add("a", files)
    assert note == "200-0.png: 2 faces, of which the largest is learnt"
    picture = Image.new("RGB", (64, 64))
    assert cut_face(picture, build_detector(2))[0].size < (64, 64)
    assert cut_face(picture, build_detector(0)) == (
        picture,
        "no face found, so the whole picture is learnt",
    )


def test_broken_pictures_and_copies_are_left_out_by_name(tmp_path):
    lesson = build_lesson()
    (tmp_path / "cut.png").write_bytes(b"no picture")
    good = write_pictures(tmp_path, (200, 0, 0), 1)
    (note,) = lesson.add("a", [*good, PictureFile("cut.png", tmp_path / "cut.png")])
    assert note.startswith("cut.png: left out: ")
    (note,) = lesson.add("b", good)
    assert note == "200-0.png: left out: it is among the pictures of 'a'"
    assert lesson.counts == {"a": 1}


@pytest.mark.parametrize("label", ["", "  ", "-x", "a\nb", "<b>", "=1+1", "x" * 31, "a/b", "a: b"])
def test_a_label_that_is_no_plain_name_is_refused(label):
    with pytest.raises(ValueError, match="expected 1–30 letters"):
        build_lesson().add(label, [])


def test_too_many_labels_and_pictures_are_refused(tmp_path):
    lesson = build_lesson(taught_pictures=9)
    for number in range(8):
        lesson.add(f"label {number}", [write_picture(tmp_path / "x.png", (25 * number, 0, 0))])
    with pytest.raises(ValueError, match="'ninth' would be label 9, expected at most 8"):
        lesson.add("ninth", [])
    with pytest.raises(ValueError, match="2 pictures more, expected at most 1"):
        lesson.add("label 0", write_pictures(tmp_path, (0, 0, 200), 2))


def test_too_few_labels_and_pictures_are_refused_and_nothing_is_written(tmp_path):
    lesson = build_lesson()
    parent = tmp_path / "parent"
    lesson.add("many", write_pictures(tmp_path, (200, 0, 0), 2))
    with pytest.raises(ValueError, match="The number of labels is 1, expected 2 to 8"):
        lesson.teach(parent)
    lesson.add("few", write_pictures(tmp_path, (0, 200, 0), 1))
    with pytest.raises(ValueError, match="Label 'few' has one picture, expected 2"):
        lesson.teach(parent)
    assert not parent.exists()


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """A lesson on the bundled model that was taught light from dark."""
    folder = tmp_path_factory.mktemp("pictures")
    lesson = Lesson(DEFAULT_MODEL, build_detector(), Limits())
    lesson.add("light", write_pictures(folder, (220, 210, 200), 6))
    lesson.add("dark", write_pictures(folder, (30, 20, 10), 6))
    lesson.teach(tmp_path_factory.mktemp("served"))
    yield lesson
    lesson.forget()


def test_what_was_taught_reads_pictures_and_says_how_good_it_is(lesson, tmp_path):
    taught = lesson.taught
    assert taught.reader.label_names == ["light", "dark"]
    assert taught.report.evaluations["validation"].num_pictures == 12
    (new,) = write_pictures(tmp_path, (30, 20, 10), 1, start=50)
    ((reading,),) = taught.reader([new.load(Limits())])
    assert reading.face.box == BOX
    assert reading.top_label == "dark"
    text = describe_figures(taught.report)
    assert "of 12 pictures**" in text
    assert "95 % interval" in text
    assert "“always" in text


def test_figures_that_a_guess_may_reach_are_called_so(lesson):
    report = lesson.taught.report
    told = "not clearly better than guessing"
    assert told not in describe_figures(report)
    yardsticks, report.yardsticks[:] = report.yardsticks[:], [Yardstick("always light", 0.99, 0.5)]
    assert told in describe_figures(report)
    report.yardsticks[:] = yardsticks


@pytest.mark.train
def test_the_zip_is_a_checkpoint_without_a_path_of_this_machine(lesson, tmp_path):
    from transformers import pipeline

    archive = lesson.taught.archive
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path)
    checkpoint = tmp_path / CHECKPOINT_NAME
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]
    classify = pipeline("image-classification", model=str(checkpoint))
    content = io.BytesIO()
    Image.new("RGB", (32, 32), (30, 20, 10)).save(content, "png")
    assert classify(Image.open(content))[0]["label"] == "dark"
    places = [str(archive.parent.parent), archive.parent.name, DEFAULT_MODEL]
    for path in checkpoint.iterdir():
        content = path.read_bytes()
        assert not [place for place in places if place.encode() in content], path.name
    assert json.loads((checkpoint / "report.json").read_text())["data"] == (
        "pictures given in the demo"
    )


def test_teaching_again_replaces_and_forgetting_deletes_all(tmp_path):
    lesson = Lesson(DEFAULT_MODEL, build_detector(), Limits())
    for label, colour in (("light", (220, 210, 200)), ("dark", (30, 20, 10))):
        lesson.add(label, write_pictures(tmp_path, colour, 2))
    parent = tmp_path / "served"
    first = lesson.teach(parent).archive
    second = lesson.teach(parent).archive
    assert not first.exists()
    assert list(parent.iterdir()) == [second.parent]
    lesson.forget()
    assert list(parent.iterdir()) == []
    assert (lesson.taught, lesson.counts) == (None, {})
