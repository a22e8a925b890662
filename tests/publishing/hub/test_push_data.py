"""Pushing labelled pictures, against a Hub that answers."""

import io
import os
import subprocess
import sys

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fer_hf import cli
from fer_hf.publishing.hub import dataset_repo, push_dataset
from fer_hf.publishing.hub.dataset_repo import render_dataset_card

NAMES = ["anger", "happy"]


@pytest.fixture
def faces(tmp_path):
    """Ten pictures of each of two labels, in files that tell names."""
    for label, shade in (("anger", 10), ("happy", 200)):
        folder = tmp_path / "faces" / label
        folder.mkdir(parents=True)
        for number in range(10):
            picture = Image.new("RGB", (8, 8), (shade + number, 0, 0))
            picture.save(folder / f"jane-doe-{number}.png")
    return tmp_path / "faces"


def make_splits(count=6, votes=False):
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    rows = {
        "image": [Image.new("L", (4, 4), number) for number in range(count)],
        "label": [number % 2 for number in range(count)],
    }
    if votes:
        features["votes"] = datasets.List(datasets.Value("float32"), length=2)
        rows["votes"] = [[number, 1] for number in range(count)]
    data = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    return datasets.DatasetDict({"train": data, "test": data.select([0, 1])})


def test_a_push_is_one_commit_of_parquet_files_and_a_card(hub, faces, capsys):
    args = ["push_data", str(faces), "tester/faces", "--license", "cc-by-4.0"]
    assert cli.main(args) == 0
    repo = hub.repos["dataset", "tester/faces"]
    assert len(repo.branches["main"]) == 2
    files = repo.read()
    splits = ("train", "validation", "test")
    assert set(files) == {"README.md", *(f"data/{split}-00000.parquet" for split in splits)}
    content = b"".join(files.values())
    assert b"jane-doe" not in content
    assert str(faces).encode() not in content
    shown = capsys.readouterr().out
    assert f"published: {hub.url}/datasets/tester/faces" in shown
    assert "fer-hf train --data tester/faces" in shown
    assert cli.main(args) == 0
    assert "nothing has changed" in capsys.readouterr().out
    assert len(repo.branches["main"]) == 2


@pytest.mark.slow
def test_what_was_pushed_is_loaded_by_datasets_and_by_us_in_another_process(hub, faces, tmp_path):
    def start(*command):
        done = subprocess.run(
            [sys.executable, *map(str, command)],
            env={**os.environ, **hub.environment(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr

    start("-m", "fer_hf", "push_data", faces, "tester/faces", "--license", "mit")
    program = """
from datasets import load_dataset
from fer_hf import load_splits
plain, ours = load_dataset("tester/faces"), load_splits("tester/faces")
assert {name: len(split) for name, split in plain.items()} == {k: len(v) for k, v in ours.items()}
pictures = {}
for split in plain.values():
    assert split.features["label"].names == ["anger", "happy"]
    for row in split:
        red = row["image"].getpixel((0, 0))[0]
        assert (red >= 200) == (row["label"] == 1)
        pictures[red] = row["image"].size
assert len(pictures) == 20 and set(pictures.values()) == {(8, 8)}
"""
    start("-c", program)


def test_votes_and_label_names_travel_in_the_files(hub):
    push_dataset(make_splits(votes=True), "tester/votes", "mit")
    files = hub.repos["dataset", "tester/votes"].read()
    table = pq.read_table(io.BytesIO(files["data/train-00000.parquet"]))
    features = datasets.Features.from_arrow_schema(table.schema)
    assert features["label"].names == NAMES
    assert isinstance(features["image"], datasets.Image)
    assert table["votes"].to_pylist() == [[number, 1] for number in range(6)]
    assert table["label"].to_pylist() == [0, 1, 0, 1, 0, 1]


def test_a_large_split_becomes_several_files_and_a_smaller_one_replaces_them(hub, monkeypatch):
    monkeypatch.setattr(dataset_repo, "_SHARD_BYTES", 1)
    monkeypatch.setattr(dataset_repo, "BATCH_SIZE", 2)
    push_dataset(make_splits(), "tester/faces", "mit")
    repo = hub.repos["dataset", "tester/faces"]
    shards = {f"data/train-0000{number}.parquet" for number in range(3)}
    assert set(repo.read()) == {*shards, "data/test-00000.parquet", "README.md"}
    push_dataset(make_splits(count=2), "tester/faces", "mit")
    files = {"data/train-00000.parquet", "data/test-00000.parquet", "README.md"}
    assert set(repo.read()) == files


def test_the_card_counts_labels_and_names_the_licence():
    card = render_dataset_card(make_splits(), "you/faces", "cc-by-nc-4.0")
    _, metadata, text = card.split("---\n", 2)
    found = yaml.safe_load(metadata)
    assert found["license"] == "cc-by-nc-4.0"
    assert found["task_categories"] == ["image-classification"]
    assert found["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train-*"}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["anger", "3", "1", "4"] in rows
    assert ["total", "6", "2", "8"] in rows
    assert "8 pictures of faces, each with one of 2 labels: anger, happy." in text
    assert 'load_dataset("you/faces")' in text
    own = yaml.safe_load(render_dataset_card(make_splits(), "a/b", "my-terms").split("---\n")[1])
    assert (own["license"], own["license_name"]) == ("other", "my-terms")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["tester/faces"], "Found no --license, expected that of the pictures"),
        (["faces", "--license", "mit"], "`repo_id` is 'faces'"),
        (["tester/faces", "--licence", "mit"], "'--licence'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(args, words, hub, faces, capsys):
    assert cli.main(["push_data", str(faces), *args]) == 2
    assert words in capsys.readouterr().err
    assert hub.requests == []


def test_data_that_everybody_knows_keeps_its_licence(hub, capsys):
    args = ["push_data", "drawn", "tester/drawn", "--layout", "ferplus", "--license", "mit"]
    assert cli.main(args) == 2
    assert "FER+: fer2013-research-data" in capsys.readouterr().err
    assert hub.requests == []


def test_a_failed_push_publishes_nothing_and_says_what_to_type(hub, faces, capsys):
    hub.fail("POST .*/commit/", "quota")
    args = ["push_data", str(faces), "tester/faces", "--license", "mit", "--private"]
    assert cli.main(args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "storage limit reached" in error
    assert error.endswith(f"Try again: fer-hf {' '.join(args)}")
    assert hub.repos["dataset", "tester/faces"].read() == {}
    assert cli.main(args) == 0
    assert hub.repos["dataset", "tester/faces"].private
