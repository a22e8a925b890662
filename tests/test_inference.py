"""A checkpoint scores files, and what cannot be scored is named."""

import json

import numpy as np
import pytest
from PIL import Image
from transformers import pipeline

from fer_hf import cli
from fer_hf.inference import ExpressionClassifier, find_pictures, score_files


@pytest.fixture(scope="module")
def classifier(baseline_run):
    return ExpressionClassifier(str(baseline_run))


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


def test_scores_are_those_of_pipeline_for_every_kind_of_picture(classifier, baseline_run, pictures):
    reference = pipeline("image-classification", model=str(baseline_run))
    files = [file for file in find_pictures([str(pictures)]) if "broken" not in file]
    assert len(files) == 7
    for result in score_files(classifier, files, batch_size=3):
        expected = {row["label"]: row["score"] for row in reference(result.file, top_k=8)}
        assert result.scores == pytest.approx(expected, abs=1e-4)
        assert sum(result.scores.values()) == pytest.approx(1, abs=1e-5)


def test_a_file_that_cannot_be_read_does_not_stop_the_others(classifier, pictures):
    files = find_pictures([str(pictures)])
    results = list(score_files(classifier, files, batch_size=4))
    assert [result.file for result in results] == files
    (broken,) = [result for result in results if result.scores is None]
    assert broken.file.endswith("broken.png")
    assert "cannot identify image file" in broken.error


def test_a_picture_of_fifty_thousand_pixels_a_side_is_refused_by_its_header(
    classifier, pictures, monkeypatch
):
    monkeypatch.setattr("fer_hf.data.pictures.MAX_PIXELS", 100)
    (result,) = score_files(classifier, [str(pictures / "a.png")])
    assert "too large to decode" in result.error


def test_files_folders_and_globs_are_found(pictures):
    assert len(find_pictures([str(pictures)])) == 8
    assert find_pictures([str(pictures / "?.png")]) == [
        str(pictures / name) for name in ("a.png", "d.png", "f.png")
    ]
    # Named by hand, even a text file is tried.
    assert find_pictures([str(pictures / "notes.txt")]) == [str(pictures / "notes.txt")]


def test_places_without_pictures_and_addresses_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no picture at .*, expected a file"):
        find_pictures([str(tmp_path)])
    with pytest.raises(ValueError, match="is an address, expected a file"):
        find_pictures(["https://example.org/face.jpg"])


def test_batches_below_one_are_refused(classifier, pictures):
    with pytest.raises(ValueError, match="`batch_size` is 0, expected 1 or more"):
        list(score_files(classifier, [str(pictures / "a.png")], batch_size=0))


def test_no_picture_gives_no_scores(classifier):
    assert classifier([]).shape == (0, 8)


def test_checkpoints_that_are_not_there_or_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no `config.json`"):
        ExpressionClassifier(str(tmp_path))
    with pytest.raises(OSError, match="Could not load model 'nobody/nothing'"):
        ExpressionClassifier("nobody/nothing")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match=r"bert|Bert"):
        ExpressionClassifier(str(tmp_path))


def test_predict_prints_a_line_a_picture_and_ends_with_1_if_one_is_broken(
    baseline_run, pictures, capsys
):
    assert cli.main(["predict", str(pictures), "--model", str(baseline_run)]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 7
    assert all(line.count("%") == 3 for line in out.splitlines())
    assert "cannot read" in err
    assert "1 of 8 pictures could not be read" in err


def test_predict_prints_json_lines_on_request(baseline_run, pictures, capsys):
    picture = str(pictures / "a.png")
    assert cli.main(["predict", picture, "--json", "--model", str(baseline_run)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert result["picture"] == picture
    assert len(result["scores"]) == 8
