"""`fer-hf evaluate` measures a checkpoint on pictures that it may never have seen."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from onnx_files import WEIGHTS, write_config, write_network
from PIL import Image

from fer_hf import cli
from fer_hf.data.audit.fingerprints import load_fingerprints
from fer_hf.data.layouts.ferplus import VOTE_COLUMNS
from fer_hf.data.stored_pictures import encode_pictures
from fer_hf.evaluation import checkpoint_evaluation, scoring
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.not_sure import soften_scores
from fer_hf.evaluation.reports.checkpoint_report import load_checkpoint_report
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier

SCRIPTS = Path(sys.executable).parent
DRAWN = ["--num_drawn", "80", "--drawn_size", "32"]

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


def score_voted(classifier, voted):
    """Return scores and shares of votes (4, 8) of the rows that have votes for a label."""
    pixels = pq.read_table(voted / "test.parquet")["image"].to_pylist()
    pictures = [
        Image.frombytes("L", (48, 48), pixels[row]["bytes"][-48 * 48 :]) for row in (0, 1, 2, 4)
    ]
    shares = np.zeros((4, 8))
    happy, neutral, sad = (classifier.label_names.index(n) for n in ("happy", "neutral", "sad"))
    shares[0, neutral] = 1
    shares[1, [neutral, sad]] = 0.5
    shares[2:, [neutral, happy]] = [0.1, 0.9]
    return classifier(pictures), shares


def load_json(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_all_splits_of_a_folder_without_splits_are_joined(baseline_run, folders, tmp_path, capsys):
    assert evaluate(baseline_run, folders, "--split", "all", "--output_dir", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "baseline on faces, all: 20 pictures" in shown
    assert "Labels, data → model: happy, sad.\n" in shown
    lacking = "left out of averages: anger, contempt, disgust, fear, neutral, surprise."
    assert lacking in " ".join(shown.split())
    assert re.search(r"^accuracy +\d+\.\d % \(\d+\.\d–\d+\.\d\) +\d+\.\d %$", shown, re.M)
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
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "report.json",
        "report.html",
        *("confusion_matrix.png", "curves.png", "mistakes.png", "reliability.png"),
    }
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in page
    assert report["command"] == "fer-hf evaluate baseline --data faces --split all --output_dir out"
    assert report["command"] in page
    assert page.count("<figcaption>") == 1 + len(report["mistakes"])
    assert 'id="training"' in page


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

    monkeypatch.setattr(scoring, "score_split", count)
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
    scores, shares = score_voted(classifier, voted)
    losses = -(shares * np.log(scores)).sum(axis=1)
    assert crowd["soft_cross_entropy"]["value"] == pytest.approx(losses.mean(), abs=1e-5)
    happy, neutral = (classifier.label_names.index(name) for name in ("happy", "neutral"))
    nll = -np.log(scores[[0, 2, 3], [neutral, happy, happy]]).mean()
    assert report["evaluation"]["nll"]["value"] == pytest.approx(nll, abs=1e-5)

    shown = capsys.readouterr().out
    assert re.search(r"^soft cross-entropy, nats \* +\d", shown, re.M)
    assert re.search(r"^happy .* 90\.0 % +(clearly )?(above|below)$", shown, re.M)


def test_mirror_images_are_scored_only_where_they_are_wanted(baseline_run, faces):
    classifier = ExpressionClassifier(str(baseline_run))
    both = score_split(classifier, faces["test"])
    one = score_split(classifier, faces["test"], with_mirror_images=False)
    assert both.shape == (2, len(faces["test"]), 8)
    assert (one == both[:1]).all()
    report = json.loads((baseline_run / "report.json").read_text(encoding="utf-8"))
    assert classifier.num_parameters == report["num_parameters"]


def test_a_sample_of_voted_pictures_is_evaluated_too(baseline_run, voted, tmp_path):
    args = ["--max_eval_samples", 2, "--output_dir", tmp_path / "out"]
    assert evaluate(baseline_run, voted, *args) == 0
    report = load_json(tmp_path / "out")
    assert report["num_pictures"] == 2
    assert report["crowd"]["num_voted_pictures"] == 2


def test_votes_for_no_label_and_the_temperature_for_votes_count(
    baseline_run, voted, tmp_path, capsys
):
    checkpoint = shutil.copytree(baseline_run, tmp_path / "checkpoint")
    config = json.loads((checkpoint / "config.json").read_text())
    config["not_sure"] = {
        "coverage": 0.9,
        "threshold": 0.0,
        "conformal_threshold": 0.0,
        "crowd_temperature": 2.0,
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert evaluate(checkpoint, voted, "--output_dir", tmp_path / "out") == 0
    report = load_checkpoint_report(tmp_path / "out")
    scores, shares = score_voted(ExpressionClassifier(str(baseline_run)), voted)
    losses = -(shares * np.log(soften_scores(scores, 2.0))).sum(axis=1)
    fit = report.crowd.calibrated_on_votes
    assert fit.soft_cross_entropy.value == pytest.approx(losses.mean(), abs=1e-5)
    # A panel of nine leaves one judge; of 8 : 2 it is one who sees no emotion twice in ten times.
    assert report.crowd.panels.panels[-1].num_pictures == pytest.approx(0.8 + 0.8 + 1 + 1)
    assert report.not_sure.answers.coverage.value == 1
    assert report.not_sure.sets.overall.value == 1
    assert report.not_sure.sets.mean_size == 8
    shown = " ".join(capsys.readouterr().out.split())
    assert "… for votes" in shown
    assert "The model is worth" in shown
    assert "NOT SURE The model answers where its top score is 0.00 or more" in shown


def test_pictures_of_training_are_known_again(baseline_run, faces, tmp_path, capsys):
    args = ["drawn", *DRAWN, "--output_dir", tmp_path / "out"]
    assert len(load_fingerprints(baseline_run)) == len(faces["train"])
    assert evaluate(baseline_run, *args, "--split", "train") == 0
    number = len(faces["train"])
    assert load_json(tmp_path / "out")["num_seen"] == number
    assert f"Seen in training: {number} of these {number} pictures" in capsys.readouterr().out
    assert evaluate(baseline_run, *args, "--split", "all") == 0  # in place of the earlier report
    report = load_json(tmp_path / "out")
    assert (report["num_seen"], report["num_pictures"]) == (number, 80)
    assert evaluate(baseline_run, *args) == 0
    assert load_json(tmp_path / "out")["num_seen"] == 0
    shutil.copytree(baseline_run, tmp_path / "older")
    (tmp_path / "older" / "seen.safetensors").unlink()
    assert evaluate(tmp_path / "older", *args) == 0
    assert load_json(tmp_path / "out")["num_seen"] is None


def test_an_exported_network_is_measured_as_what_it_ran_on(folders, tmp_path, capsys):
    served = tmp_path / "served"
    write_network(served / "onnx" / "model.onnx")
    write_network(served / "onnx" / "model_quantized.onnx", -WEIGHTS)
    write_config(served, label_names=["happy", "sad"])
    assert evaluate(served, folders, "--split", "all") == 0
    onnx = capsys.readouterr().out
    assert onnx.startswith("served on faces, all: 20 pictures\n")
    out = tmp_path / "out"
    args = ["--backend", "onnx-int8", "--split", "all", "--output_dir", out]
    assert evaluate(served, folders, *args) == 0
    int8 = capsys.readouterr().out
    assert int8.startswith("served as onnx-int8 on faces, all: 20 pictures\n")
    report = load_checkpoint_report(out)
    assert report.backend == "onnx-int8"
    assert "onnxruntime" in report.versions
    assert "served as onnx-int8 on faces" in (out / "report.html").read_text(encoding="utf-8")
    assert not (out / "curves.png").exists()  # they are of training, and stay with its checkpoint
    # The second one's logits are those of the first with the other sign.
    shares = [re.search(r"^accuracy +(\d+\.\d) %", shown, re.M)[1] for shown in (onnx, int8)]
    assert sum(map(float, shares)) == pytest.approx(100)


def test_a_network_that_was_not_exported_and_a_backend_that_is_none_are_refused(
    baseline_run, folders, tmp_path, capsys
):
    checkpoint = shutil.copytree(baseline_run, tmp_path / "copied")
    (checkpoint / "model.onnx").unlink()
    assert evaluate(checkpoint, folders, "--backend", "onnx") == 2
    assert "has no `onnx/model.onnx`, expected an exported one" in get_error(capsys)
    assert evaluate(checkpoint, folders, "--backend", "tpu") == 2
    assert "`backend` is 'tpu', expected one of" in get_error(capsys)


def test_corruptions_are_measured_on_a_sample_when_asked(
    baseline_run, folders, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(checkpoint_evaluation, "CORRUPTIONS", ("gaussian blur", "face mask"))
    args = ["--split", "all", "--output_dir", tmp_path / "out"]
    corruptions = ["--corruptions", "--corruption_pictures", 6]
    assert evaluate(baseline_run, folders, *args, *corruptions) == 0
    found = load_json(tmp_path / "out")["robustness"]
    assert found["num_pictures"] == 6
    assert found["per_corruption"].keys() == {"gaussian blur", "face mask"}
    assert "All on the same 6 pictures" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "out" / "corruptions.png").is_file()
    assert evaluate(baseline_run, folders, *args) == 0
    assert load_json(tmp_path / "out")["robustness"] is None
    assert not (tmp_path / "out" / "corruptions.png").exists()


def test_several_sources_get_a_folder_each_and_stand_side_by_side(
    baseline_run, folders, tmp_path, capsys
):
    args = ["--split", "test", "--data", "drawn", *DRAWN, "--split", "all"]
    out = tmp_path / "out"
    assert evaluate(baseline_run, folders, *args, "--output_dir", out) == 0
    assert {path.name for path in out.iterdir()} == {"faces-test", "drawn-all"}
    assert load_json(out / "drawn-all")["num_pictures"] == 80
    assert load_json(out / "faces-test")["num_pictures"] == 2
    shown = capsys.readouterr().out.split("\ndata ")[-1].splitlines()
    rows = [row.split() for row in shown if row.startswith(("faces,", "drawn,"))]
    assert [row[:3] for row in rows] == [
        ["faces,", "test", "2"],
        ["drawn,", "all", "80"],
    ]
    assert evaluate(baseline_run, folders, *args, "--output_dir", out) == 0  # once more
    (out / "notes.txt").write_text("mine")
    assert evaluate(baseline_run, folders, *args, "--output_dir", out) == 2


@pytest.mark.slow
def test_two_processes_score_each_picture_once_and_give_the_same_figures(
    baseline_run, folders, tmp_path, capsys
):
    args = [baseline_run, "--data", folders, "--split", "all", "--batch_size", "3"]
    args += ["--corruptions", "--corruption_pictures", "5"]
    command = [
        *(SCRIPTS / "accelerate", "launch", "--multi_gpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", "-m", "fer_hf", "evaluate"),
        *(*args, "--output_dir", tmp_path / "two"),
    ]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("written: ") == 1
    assert cli.main(["evaluate", *map(str, args), "--output_dir", str(tmp_path / "one")]) == 0
    one, two = (load_json(tmp_path / name) for name in ("one", "two"))
    assert two["evaluation"]["confusion_matrix"] == one["evaluation"]["confusion_matrix"]
    assert two["num_pictures"] == 20
    for found, expected in zip(list_numbers(two), list_numbers(one), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


def list_numbers(value):
    """Return all numbers of plain data, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in list_numbers(item)]
    return [value] if isinstance(value, int | float) else []


# What is refused, and what is not


def test_one_picture_and_a_split_without_a_label_are_measured(baseline_run, tmp_path, capsys):
    out = tmp_path / "out"
    args = ["drawn", *DRAWN, "--max_eval_samples", 1, "--output_dir", out]
    assert evaluate(baseline_run, *args) == 0
    report = load_json(out)
    assert report["num_pictures"] == 1
    assert report["slices"] == {"brightness": [], "sharpness": [], "size": []}
    assert "Without pictures, so left out of averages: " in capsys.readouterr().out
    page = (out / "report.html").read_text(encoding="utf-8")
    assert 'id="slices"' not in page


def test_scores_that_are_no_numbers_are_refused(baseline_run, folders, tmp_path, capsys):
    checkpoint = shutil.copytree(baseline_run, tmp_path / "broken")
    weights = safetensors.torch.load_file(checkpoint / "model.safetensors")
    broken = {name: torch.full_like(values, np.nan) for name, values in weights.items()}
    safetensors.torch.save_file(broken, checkpoint / "model.safetensors", {"format": "pt"})
    assert evaluate(checkpoint, folders) == 2
    assert f"The weights of '{checkpoint}' are NaN" in get_error(capsys)


def test_a_folder_with_anything_else_is_refused_before_scoring(
    baseline_run, folders, tmp_path, capsys, monkeypatch
):
    def refuse(*args, **kwargs):
        raise AssertionError("scored pictures before refusing")

    monkeypatch.setattr(scoring, "score_split", refuse)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    (tmp_path / "picture").mkdir()
    (tmp_path / "picture" / "curves.png").write_text("keep")
    for name, held in (
        ("mine", "it holds notes.txt"),
        ("file", "it holds file"),
        ("picture", "it holds curves.png"),
    ):
        assert evaluate(baseline_run, folders, "--output_dir", tmp_path / name) == 2
        line = get_error(capsys)
        assert "is in use" in line
        assert held in line
    assert evaluate(baseline_run, folders, "--output_dir", baseline_run) == 2
    assert "is in use: it holds README.md" in get_error(capsys)
    (tmp_path / "run").mkdir()
    shutil.copy(baseline_run / "report.json", tmp_path / "run")
    assert evaluate(baseline_run, folders, "--output_dir", tmp_path / "run") == 2
    assert "is in use: it holds report.json" in get_error(capsys)
    assert (tmp_path / "picture" / "curves.png").read_text() == "keep"


def get_error(capsys):
    """Return the one line that a failed command ends with."""
    text = capsys.readouterr().err
    (line,) = [line for line in text.splitlines() if line.startswith("fer-hf: error:")]
    return line


def test_a_label_that_the_model_lacks_is_refused_by_name(baseline_run, folders, capsys):
    (folders / "sad").rename(folders / "bored")
    assert evaluate(baseline_run, folders, "--split", "all") == 2
    (line,) = [row for row in capsys.readouterr().err.splitlines() if "error" in row]
    assert "10 pictures labelled 'bored'" in line
    assert "evaluate a model that has the label" in line


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["--split", "tests"], "invalid choice: 'tests'"),
        (["--batch_size", "0"], "`batch_size` is 0, expected 1 or more"),
        (["--layot", "x"], "`--layout`"),
        (["--corruptions", "--corruption_pictures", "0"], "num_pictures=0, expected 1 or more"),
        (["--split", "test", "--split", "all"], "--split 2 times for 1 sources"),
    ],
)
def test_a_wrong_call_is_one_line_and_ends_with_2(baseline_run, folders, args, part, capsys):
    assert evaluate(baseline_run, folders, *args) == 2
    assert part in capsys.readouterr().err


def test_sources_of_one_name_and_split_are_refused(baseline_run, folders, tmp_path, capsys):
    args = ["--data", folders, "--output_dir", tmp_path / "out"]
    assert evaluate(baseline_run, folders, *args) == 2
    assert "sources of the same name and split, ['faces-all', 'faces-all']" in get_error(capsys)


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
    assert "fer-hf evaluate runs/drawn/drawn-resnetv2 --data my_faces --output_dir" in shown
    for flag in ("MODEL", "--split", "--backend", "--corruptions", "--output_dir", "--data"):
        assert flag in shown
