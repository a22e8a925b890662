"""A checkpoint scores pictures of every kind, and what cannot be scored is named."""

import io
import json
import math
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps

from fer_hf.evaluation.metrics.not_sure import NotSure
from fer_hf.faces.reader import FaceReader
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.files import find_pictures, open_picture
from fer_hf.inference.preprocessing import read_preprocessing
from fer_hf.models.bundled import DEFAULT_MODEL


@pytest.fixture(scope="module")
def classifier():
    return ExpressionClassifier()


def score_files(classifier, files, **settings):
    """Score whole pictures, without looking for faces."""
    return FaceReader(classifier, None).score_files(files, **settings)


@pytest.fixture
def pictures(tmp_path):
    """A folder with pictures of many kinds, one of them below, and one that is no picture."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8))
    for mode, name in (
        ("RGB", "a.png"),
        ("L", "b.jpg"),
        ("CMYK", "c.jpg"),
        ("RGBA", "d.png"),
        ("P", "e.gif"),
        ("1", "f.png"),
    ):
        colour.convert(mode).save(tmp_path / name)
    (tmp_path / "below").mkdir()
    colour.resize((1, 1)).save(tmp_path / "below" / "tiny.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    return tmp_path


@pytest.mark.train
def test_scores_are_those_of_pipeline_for_every_kind_of_picture(classifier, pictures):
    from transformers import pipeline

    reference = pipeline("image-classification", model=DEFAULT_MODEL)
    files = [file for file in find_pictures([str(pictures)]).files if "broken" not in file]
    assert len(files) == 7
    for result in score_files(classifier, files, batch_size=3):
        expected = {row["label"]: row["score"] for row in reference(result.file, top_k=8)}
        [reading] = result.readings
        assert reading.scores == pytest.approx(expected, abs=1e-4)
        assert sum(reading.scores.values()) == pytest.approx(1, abs=1e-5)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(classifier, pictures):
    files = find_pictures([str(pictures)]).files
    results = list(score_files(classifier, files, batch_size=4))
    assert [result.file for result in results] == files
    (broken,) = [result for result in results if not result.readings]
    assert broken.file.endswith("broken.png")
    assert broken.error == "not a picture"


def score(classifier, path):
    """Scores of one file as an array, in the order of the labels."""
    (result,) = score_files(classifier, [str(path)])
    assert result.error is None
    [reading] = result.readings
    return np.array(list(reading.scores.values()))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8000, 6000), (3000, 1)])
def test_pictures_of_any_size_are_scored(classifier, tmp_path, width, height):
    # Of one colour, so that the size changes nothing once it is squeezed into the network's input.
    for name, size in (("usual", (48, 48)), ("odd", (width, height))):
        Image.new("L", size, 200).save(tmp_path / f"{name}.png")
    expected = score(classifier, tmp_path / "usual.png")
    np.testing.assert_allclose(score(classifier, tmp_path / "odd.png"), expected, atol=1e-5)


def make_levels():
    """Grey of 8 bits, smooth enough for JPEG, with a bright upper half."""
    levels = np.linspace(250, 20, 64)[:, None] * np.linspace(0.6, 1, 48)[None, :]
    return levels.round().astype(np.uint8)


@pytest.mark.parametrize(
    ("mode", "ending", "tolerance"),
    [("L", "png", 0), ("I;16", "png", 1e-5), ("I;16", "tiff", 1e-5), ("CMYK", "jpg", 0.02)],
)
def test_a_grey_face_scores_the_same_in_every_mode(classifier, tmp_path, mode, ending, tolerance):
    grey = Image.fromarray(make_levels())
    grey.convert("RGB").save(tmp_path / "colour.png")
    deep = Image.fromarray(make_levels().astype(np.uint16) * 257)
    picture = deep if mode == "I;16" else grey.convert(mode)
    picture.save(tmp_path / f"other.{ending}")
    np.testing.assert_allclose(
        score(classifier, tmp_path / f"other.{ending}"),
        score(classifier, tmp_path / "colour.png"),
        atol=tolerance,
    )


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_an_opaque_alpha_changes_nothing(classifier, tmp_path, mode):
    grey = Image.fromarray(make_levels())
    grey.save(tmp_path / "plain.png")
    if mode == "P":
        # Every colour of the palette has its own transparency; Pillow warns about such files.
        grey.convert("P").save(tmp_path / "alpha.png", transparency=bytes([255] * 256))
    else:
        grey.convert(mode).save(tmp_path / "alpha.png")
    with Image.open(tmp_path / "alpha.png") as picture:
        assert picture.mode == mode
    np.testing.assert_allclose(
        score(classifier, tmp_path / "alpha.png"), score(classifier, tmp_path / "plain.png")
    )


def test_a_photograph_that_its_exif_turns_scores_as_if_it_were_upright(classifier, tmp_path):
    lying = Image.fromarray(make_levels()).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    lying.save(tmp_path / "phone.jpg", exif=exif)
    lying.save(tmp_path / "lying.jpg")
    with Image.open(tmp_path / "phone.jpg") as picture:
        ImageOps.exif_transpose(picture).save(tmp_path / "upright.png")
    scores = score(classifier, tmp_path / "phone.jpg")
    np.testing.assert_array_equal(scores, score(classifier, tmp_path / "upright.png"))
    assert not np.allclose(scores, score(classifier, tmp_path / "lying.jpg"))


def write_unreadable(path):
    """Write a file that cannot be read in the way its name says."""
    stream = io.BytesIO()
    Image.fromarray(make_levels()).resize((256, 256)).save(stream, "JPEG")
    content = {
        "truncated": stream.getvalue()[: len(stream.getvalue()) // 2],
        "text": b"These are words.",
        "empty": b"",
    }
    path.write_bytes(content[path.stem])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("truncated.jpg", "truncated"),
        ("text.jpg", "not a picture"),
        ("empty.jpg", "empty file"),
    ],
)
def test_what_is_no_picture_is_named_with_the_reason(classifier, tmp_path, name, reason):
    write_unreadable(tmp_path / name)
    (result,) = score_files(classifier, [str(tmp_path / name)])
    assert not result.readings
    assert reason in result.error


def test_a_file_that_is_gone_by_now_is_named(classifier, tmp_path):
    (result,) = score_files(classifier, [str(tmp_path / "gone.jpg")])
    assert result.error == "no such file"


def test_pictures_are_prepared_one_at_a_time(classifier, pictures, monkeypatch):
    # A batch of photographs at their full size would not fit into a small machine.
    asked = []
    preprocess = ExpressionClassifier.preprocess

    def count(self, batch):
        asked.append(len(batch))
        return preprocess(self, batch)

    monkeypatch.setattr(ExpressionClassifier, "preprocess", count)
    files = find_pictures([str(pictures / "?.png")]).files
    assert len(list(score_files(classifier, files))) == 3
    assert asked == [1, 1, 1]


@pytest.mark.train
def test_files_folders_and_globs_are_found(pictures):
    assert len(find_pictures([str(pictures)]).files) == 8
    assert find_pictures([str(pictures / "?.png")]).files == [
        str(pictures / name) for name in ("a.png", "d.png", "f.png")
    ]
    # A folder that a glob finds counts with all below it.
    assert len(find_pictures([str(pictures / "*")]).files) == 9
    # Named by hand, even a text file is tried.
    assert find_pictures([str(pictures / "notes.txt")]).files == [str(pictures / "notes.txt")]


def test_a_picture_that_is_named_twice_is_found_once(pictures):
    picture = str(pictures / "a.png")
    assert find_pictures([picture, str(pictures), picture]).files[0] == picture
    assert len(find_pictures([picture, str(pictures), picture]).files) == 8


def test_hidden_files_are_found_only_if_they_are_named(pictures):
    hidden = pictures / "._a.png"  # what macOS leaves on foreign discs
    hidden.write_bytes(b"no picture")
    (pictures / ".thumbnails").mkdir()
    shutil.copy(pictures / "a.png", pictures / ".thumbnails")
    assert len(find_pictures([str(pictures)]).files) == 8
    assert len(find_pictures([str(pictures / "**" / "*.png")]).files) == 5
    assert find_pictures([str(hidden)]).files == [str(hidden)]


def test_a_file_with_the_signs_of_a_glob_in_its_name_is_that_file(pictures):
    named = pictures / "a[1].png"
    shutil.copy(pictures / "a.png", named)
    assert find_pictures([str(named)]).files == [str(named)]


@pytest.mark.train
def test_places_without_pictures_and_addresses_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no picture at .*, expected a file"):
        find_pictures([str(tmp_path)])
    with pytest.raises(FileNotFoundError, match=r"There is no picture at .*gone.jpg"):
        find_pictures([str(tmp_path / "gone.jpg")])
    for address in ("https://example.org/face.jpg", "HTTP://EXAMPLE.ORG/FACE.JPG"):
        with pytest.raises(ValueError, match=r"is an address, expected a file.* --allow_url"):
            find_pictures([address])
        assert find_pictures([address], allow_url=True).files == [address]


def test_addresses_are_not_fetched_unless_that_is_allowed(classifier):
    (result,) = score_files(classifier, ["http://127.0.0.1:1/face.jpg"])
    assert result.error == "no such file"


def test_batches_below_one_are_refused(classifier, pictures):
    with pytest.raises(ValueError, match="`batch_size` is 0, expected 1 or more"):
        list(score_files(classifier, [str(pictures / "a.png")], batch_size=0))


def test_no_picture_gives_no_scores(classifier):
    assert classifier([]).shape == (0, 8)


@pytest.mark.train
def test_checkpoints_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no `config.json`"):
        ExpressionClassifier(str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"There is no folder .*gone', and it is not a Hub id"
    ):
        ExpressionClassifier(str(tmp_path / "gone"))
    with pytest.raises(OSError, match="Could not load model 'nobody/nothing'"):
        ExpressionClassifier("nobody/nothing")


@pytest.fixture
def checkpoint(tmp_path, baseline_run):
    """A copy of a checkpoint that a test may damage."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        shutil.copy(baseline_run / name, folder)
    return folder


@pytest.mark.parametrize(
    ("config", "reason"),
    [({"model_type": "bert"}, "BertConfig"), ({"model_type": "no-such"}, "no-such"), ({}, "type")],
)
def test_checkpoints_of_another_kind_are_refused_in_one_line(checkpoint, config, reason):
    (checkpoint / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf"not an image classifier.*{reason}") as raised:
        ExpressionClassifier(str(checkpoint))
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


def test_a_checkpoint_without_weights_is_refused(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"holds no `model\.safetensors`"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.train
def test_weights_that_would_have_to_be_unpickled_are_refused(checkpoint):
    import safetensors.torch
    import torch

    weights = safetensors.torch.load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"holds no `model\.safetensors`"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.parametrize("kept", [0, 5, 5000])
def test_damaged_weights_are_refused(checkpoint, kept):
    content = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").write_bytes(content[:kept])
    with pytest.raises(
        OSError, match=r"weights .*checkpoint/model\.safetensors' are damaged or incomplete"
    ):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.train
@pytest.mark.parametrize("num_biases", [None, 5])
def test_a_checkpoint_whose_head_is_missing_does_not_answer_at_random(checkpoint, num_biases):
    import safetensors.torch
    import torch

    weights = safetensors.torch.load_file(checkpoint / "model.safetensors")
    del weights["classifier.bias"]
    if num_biases is not None:
        weights["classifier.bias"] = torch.zeros(num_biases)
    safetensors.torch.save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks 1 tensors .*'classifier.bias'.*random"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.train
def test_labels_are_named_by_their_number_wherever_they_stand(checkpoint, pictures):
    from transformers import pipeline

    config = json.loads((checkpoint / "config.json").read_text())
    names = [f"mood {number}" for number in range(8)]
    config["id2label"] = {str(number): names[number] for number in (3, 1, 0, 2, 7, 6, 5, 4)}
    (checkpoint / "config.json").write_text(json.dumps(config))
    classifier = ExpressionClassifier(str(checkpoint))
    assert classifier.label_names == names
    reference = pipeline("image-classification", model=str(checkpoint))
    (result,) = score_files(classifier, [str(pictures / "a.png")])
    expected = {row["label"]: row["score"] for row in reference(result.file, top_k=8)}
    assert result.readings[0].scores == pytest.approx(expected, abs=1e-4)


@pytest.mark.train
def test_a_split_is_scored_as_it_is_and_mirrored(classifier, faces):
    from fer_hf.evaluation.scoring import score_split

    split = faces["test"]
    scores = score_split(classifier, split, batch_size=3)
    assert scores.shape == (2, len(split), 8)
    mirrored = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in split["image"]]
    for found, pictures in zip(scores, (split["image"], mirrored), strict=True):
        assert found == pytest.approx(classifier(list(pictures)), abs=1e-5)
    assert abs(scores[0] - scores[1]).max() > 1e-4
    with pytest.raises(ValueError, match="`batch_size` is 0, expected 1 or more"):
        score_split(classifier, split, batch_size=0)


# Not sure


def say(checkpoint, not_sure):
    """Write into a checkpoint's config when it is not sure."""
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "not_sure": not_sure}))


SETTINGS = {"coverage": 0.9, "threshold": 0.5, "conformal_threshold": 0.2}
SCORES = np.array([[0.1, 0.6, 0.3, 0, 0, 0, 0, 0], [0.3, 0.1, 0.1, 0.45, 0.05, 0, 0, 0]])


def test_a_checkpoint_says_when_it_is_not_sure_and_what_it_cannot_rule_out(checkpoint):
    offsets = [float(np.log(4)), *[0.0] * 7]
    say(checkpoint, {**SETTINGS, "crowd_temperature": 2.0, "crowd_offsets": offsets})
    classifier = ExpressionClassifier(str(checkpoint))
    assert classifier.not_sure == NotSure(0.9, 0.5, 0.2, 2.0, offsets)
    readings = classifier.describe(SCORES)
    assert [reading.sure for reading in readings] == [True, False]
    anger, contempt, disgust, fear = classifier.label_names[:4]
    assert [(one.label, one.top_label) for one in readings] == [(contempt, contempt), (None, fear)]
    assert [one.prediction_set for one in readings] == [[contempt, disgust], [fear, anger]]
    assert [list(one.scores.values()) for one in readings] == SCORES.tolist()
    roots = np.sqrt(SCORES * [4, 1, 1, 1, 1, 1, 1, 1])
    expected = roots / roots.sum(axis=1, keepdims=True)
    assert classifier.compute_crowd_scores(SCORES) == pytest.approx(expected, abs=1e-6)
    for reading, row in zip(readings, expected, strict=True):
        assert list(reading.crowd_scores.values()) == pytest.approx(row, abs=1e-6)


def test_a_label_with_a_threshold_of_its_own_is_in_the_set_from_there_on(checkpoint):
    say(checkpoint, {**SETTINGS, "conformal_thresholds": [0.1, 0.7, None, *[0.4] * 5]})
    classifier = ExpressionClassifier(str(checkpoint))
    anger, _, disgust, fear = classifier.label_names[:4]
    sets = [reading.prediction_set for reading in classifier.describe(SCORES)]
    assert sets == [[disgust, anger], [fear, anger]]


def read(checkpoint, pictures):
    classifier = ExpressionClassifier(str(checkpoint))
    (result,) = score_files(classifier, [str(pictures / "a.png")])
    [reading] = result.readings
    [whole] = classifier.read([open_picture(pictures / "a.png")])
    assert whole.__dict__.items() <= reading.__dict__.items()
    return reading


def test_files_are_described_as_the_classifier_describes_their_scores(checkpoint, pictures):
    before = read(checkpoint, pictures)
    assert (before.sure, before.prediction_set, before.crowd_scores) == (None, None, None)
    say(checkpoint, {**SETTINGS, "threshold": 0.01, "conformal_threshold": 0.99})
    sure = read(checkpoint, pictures)
    assert sure.scores == before.scores
    assert (sure.sure, sure.prediction_set, sure.crowd_scores) == (True, [], None)
    say(
        checkpoint,
        {**SETTINGS, "threshold": 0.99, "conformal_threshold": 0, "crowd_temperature": 9},
    )
    unsure = read(checkpoint, pictures)
    assert unsure.sure is False
    assert unsure.prediction_set == sorted(before.scores, key=lambda name: -before.scores[name])
    assert max(unsure.crowd_scores.values()) < max(before.scores.values())
    assert sum(unsure.crowd_scores.values()) == pytest.approx(1)


def test_a_checkpoint_that_does_not_say_is_not_asked(checkpoint):
    classifier = ExpressionClassifier(str(checkpoint))
    assert classifier.not_sure is None
    for reading in classifier.describe(SCORES):
        assert (reading.sure, reading.prediction_set, reading.crowd_scores) == (None, None, None)
        assert reading.label == reading.top_label
    with pytest.raises(ValueError, match=r"config lacks `not_sure`.*--calibration temperature"):
        classifier.compute_crowd_scores(SCORES)
    say(checkpoint, SETTINGS)
    with pytest.raises(ValueError, match="lacks `crowd_temperature`, expected"):
        ExpressionClassifier(str(checkpoint)).compute_crowd_scores(SCORES)
    say(checkpoint, {**SETTINGS, "threshold": 7})
    with pytest.raises(ValueError, match="`not_sure` in the checkpoint's config is"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.train
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(checkpoint, value):
    import safetensors.torch

    file = checkpoint / "model.safetensors"
    weights = safetensors.torch.load_file(file)
    weights[max(weights)].fill_(value)
    safetensors.torch.save_file(weights, file, {"format": "pt"})
    with pytest.raises(ValueError, match=r"weights of .* NaN or infinite in 1 tensors, such as"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.parametrize("text", ["{no", "[1]", ""])
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_damaged_settings_are_refused_by_their_path(checkpoint, name, text):
    (checkpoint / name).write_text(text)
    with pytest.raises(ValueError, match=rf"checkpoint/{name}' is damaged .*Copy it again"):
        ExpressionClassifier(str(checkpoint))


def test_settings_of_another_kind_are_refused_in_one_line(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "id2label": "happy"}))
    with pytest.raises(ValueError, match=r"not an image classifier .*\(\w+Error\)\. Check"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.train
def test_huge_pictures_score_as_in_a_pipeline(tmp_path, monkeypatch):
    from fer_hf.models import load_model

    monkeypatch.setattr("fer_hf.inference.networks.MOST_PIXELS", 60_000)
    monkeypatch.setattr("fer_hf.data.pictures._BAND_PIXELS", 10_000)
    loaded = load_model("baseline", ["cross", "pleased"], weights="none")
    loaded.save(tmp_path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (301, 250, 3), np.uint8))
    plain = loaded.image_processor([picture], return_tensors="pt")["pixel_values"].numpy()
    np.testing.assert_array_equal(ExpressionClassifier(str(tmp_path)).preprocess([picture]), plain)
    whole = read_preprocessing(tmp_path)([picture])
    np.testing.assert_allclose(whole, plain, atol=1e-6)
