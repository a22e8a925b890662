"""`fer-hf evaluate` measures a checkpoint on pictures that it may never have seen."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_hf import cli, inference
from fer_hf.data.ferplus import VOTE_COLUMNS
from fer_hf.data.pictures import encode_pictures
from fer_hf.evaluation.metrics import evaluate_scores
from fer_hf.inference import ExpressionClassifier, score_split

# neutral happiness surprise sadness anger disgust fear contempt unknown NF
NEUTRAL = [8, 0, 0, 0, 0, 0, 0, 0, 2, 0]
HAPPY = [1, 9, 0, 0, 0, 0, 0, 0, 0, 0]
TORN = [4, 0, 0, 4, 0, 0, 0, 0, 2, 0]
NO_FACE = [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]


@pytest.fixture
def folders(tmp_path):
    """Twenty pictures of three modes, in a folder for each of two labels."""
    rng = np.random.default_rng(0)
    for label in ("happiness", "sad"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for number, mode in zip(range(10), ["RGB", "L", "RGBA"] * 4, strict=False):
            pixels = rng.integers(0, 256, (40, 36, 3), np.uint8)
            picture = Image.fromarray(pixels).convert(mode)
            picture.save(tmp_path / "faces" / label / f"{number}.png")
    return tmp_path / "faces"


@pytest.fixture
def voted(tmp_path):
    """A small FER+; of the five rows of its test split three have a majority."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "voted"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        votes = np.array([NEUTRAL, TORN, HAPPY, NO_FACE, HAPPY])
        pictures = encode_pictures(rng.integers(0, 256, (len(votes), 48, 48), np.uint8))
        columns = dict(zip(VOTE_COLUMNS, votes.astype(np.uint8).T, strict=True))
        pq.write_table(pa.table({"image": pictures, **columns}), folder / f"{split}.parquet")
    return folder


def evaluate(model, data, *args):
    return cli.main(["evaluate", str(model), "--data", str(data), *map(str, args)])


def load_json(folder):
    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))


def test_all_splits_of_a_folder_without_splits_are_joined(baseline_run, folders, tmp_path, capsys):
    assert evaluate(baseline_run, folders, "--split", "all", "--output_dir", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "baseline on faces, all: 20 pictures" in shown
    assert "Labels, data → model: happy, sad. The data has no anger, contempt," in shown
    assert re.search(r"^accuracy +[01]\.\d{3} +[01]\.\d{3} – [01]\.\d{3} +[01]\.\d", shown, re.M)
    assert re.search(r"^happy +10 ", shown, re.M)
    assert "tagger" not in shown

    report = load_json(tmp_path / "out")
    assert (report["model"], report["data"], report["split"]) == ("baseline", "faces", "all")
    assert report["num_pictures"] == 20
    assert report["label_match"] == {"happy": "happy", "sad": "sad"}
    assert report["evaluation"]["support"]["sad"] == 10
    assert len(report["evaluation"]["label_names"]) == 8
    assert report["evaluation"]["recall_per_label"]["fear"]["value"] is None
    assert report["crowd"] is None
    assert "torch" in report["versions"]
    assert str(tmp_path) not in json.dumps(report)
    assert (tmp_path / "out" / "confusion_matrix.png").is_file()


def test_figures_are_those_of_the_scores_of_the_pictures_and_their_mirror_images(
    baseline_run, folders, tmp_path
):
    assert evaluate(baseline_run, folders, "--split", "all", "--output_dir", tmp_path / "out") == 0
    report = load_json(tmp_path / "out")
    classifier = ExpressionClassifier(str(baseline_run))
    files = sorted(folders.glob("*/*.png"))
    pictures = [Image.open(file).convert("RGB") for file in files]
    mirrored = [p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in pictures]
    names = classifier.label_names
    labels = [names.index({"happiness": "happy"}.get(f.parent.name, "sad")) for f in files]
    plain = classifier(pictures)
    for key, scores in (
        ("evaluation", plain),
        ("with_flip_averaging", (plain + classifier(mirrored)) / 2),
    ):
        expected = evaluate_scores(scores, labels, names)
        for figure in ("accuracy", "balanced_accuracy", "nll"):
            value = getattr(expected, figure).value
            assert report[key][figure]["value"] == pytest.approx(value, abs=1e-5)


def test_votes_bring_people_in_and_no_picture_is_scored_twice(
    baseline_run, voted, tmp_path, capsys, monkeypatch
):
    scored = []

    def count(classifier, split, **settings):
        scored.append(len(split))
        return score_split(classifier, split, **settings)

    monkeypatch.setattr(inference, "score_split", count)
    assert evaluate(baseline_run, voted, "--output_dir", tmp_path / "out") == 0
    assert scored == [4]  # the torn one, too, but not what is no face
    report = load_json(tmp_path / "out")
    assert report["num_pictures"] == 3
    crowd = report["crowd"]
    assert crowd["tagger"]["accuracy"] == pytest.approx((0.8 + 0.9 + 0.9) / 3)
    assert crowd["tagger_recall_per_label"]["neutral"] == pytest.approx(0.8)
    assert crowd["tagger_recall_per_label"]["happy"] == pytest.approx(0.9)
    assert crowd["num_voted_pictures"] == 4

    classifier = ExpressionClassifier(str(baseline_run))
    pixels = pq.read_table(voted / "test.parquet")["image"].to_pylist()
    pictures = [
        Image.frombytes("L", (48, 48), pixels[row]["bytes"][-48 * 48 :]) for row in (0, 1, 2, 4)
    ]
    shares = np.zeros((4, 8))
    happy, neutral, sad = (classifier.label_names.index(n) for n in ("happy", "neutral", "sad"))
    shares[0, neutral] = 1
    shares[1, [neutral, sad]] = 0.5
    shares[2:, [neutral, happy]] = [0.1, 0.9]
    losses = -(shares * np.log(classifier(pictures))).sum(axis=1)
    assert crowd["soft_cross_entropy"]["value"] == pytest.approx(losses.mean(), abs=1e-5)
    nll = -np.log(classifier(pictures)[[0, 2, 3], [neutral, happy, happy]]).mean()
    assert report["evaluation"]["nll"]["value"] == pytest.approx(nll, abs=1e-5)

    shown = capsys.readouterr().out
    assert re.search(r"^soft cross-entropy, nats \* +\d", shown, re.M)
    assert re.search(r"^happy +2 .* 0\.900 +(clearly )?(above|below)$", shown, re.M)


def test_a_sample_of_voted_pictures_is_evaluated_too(baseline_run, voted, tmp_path):
    args = ["--max_eval_samples", 2, "--output_dir", tmp_path / "out"]
    assert evaluate(baseline_run, voted, *args) == 0
    report = load_json(tmp_path / "out")
    assert report["num_pictures"] == 2
    assert report["crowd"]["num_voted_pictures"] == 2


def test_a_label_that_the_model_lacks_is_refused_by_name(baseline_run, folders, capsys):
    (folders / "sad").rename(folders / "bored")
    assert evaluate(baseline_run, folders, "--split", "all") == 2
    (line,) = [row for row in capsys.readouterr().err.splitlines() if "error" in row]
    assert "10 pictures labelled 'bored'" in line
    assert "evaluate a model that knows the label" in line


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--split", "tests"], "invalid choice: 'tests'"),
        (["--batch_size", "0"], "`batch_size` is 0, expected 1 or more"),
        (["--layot", "x"], "`--layout`"),
    ],
)
def test_a_wrong_call_is_one_line_and_ends_with_2(baseline_run, folders, args, part, capsys):
    assert evaluate(baseline_run, folders, *args) == 2
    assert part in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there_is_refused(folders, tmp_path, capsys):
    assert evaluate(tmp_path, folders) == 2
    assert "holds no `config.json`" in capsys.readouterr().err


def test_other_names_of_a_split_are_understood(baseline_run, folders, capsys):
    assert evaluate(baseline_run, folders, "--split", "val") == 0
    assert "baseline on faces, validation: " in capsys.readouterr().out


def test_the_help_teaches_by_example(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["evaluate", "--help"])
    shown = capsys.readouterr().out
    assert "fer-hf evaluate runs/drawn/drawn-resnetv2 --data my_faces --split all" in shown
    for flag in ("MODEL", "--split", "--output_dir", "--batch_size", "--data"):
        assert flag in shown
