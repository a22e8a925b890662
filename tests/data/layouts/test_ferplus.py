"""The `fer2013` and `ferplus` layouts."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ferplus_files import (
    HALF,
    HAPPY,
    NEUTRAL,
    NO_FACE,
    ONE_FEAR,
    OVER_HALF_OF_THE_REST,
    ROWS,
    SINGLES,
    TIE_WITH_UNKNOWN,
    UNDER_HALF,
    UNKNOWN,
    write_fer2013,
    write_votes,
)
from PIL import Image

from fer_hf.data import load_splits
from fer_hf.data.layouts.ferplus import (
    VOTE_COLUMNS,
    apply_all_rule,
    apply_majority_rule,
    apply_plurality_rule,
)
from fer_hf.emotions import EMOTIONS
from fer_hf.training.arguments import DataArguments


@pytest.mark.parametrize(
    ("votes", "majority", "plurality", "every"),
    [
        (NEUTRAL, "neutral", "neutral", "neutral"),
        (HAPPY, "happiness", "happiness", "happiness"),
        (UNKNOWN, None, None, "neutral"),
        (NO_FACE, None, None, None),
        (SINGLES, None, None, "neutral"),
        (ONE_FEAR, None, None, "fear"),
        (HALF, None, "neutral", "neutral"),
        (OVER_HALF_OF_THE_REST, "surprise", "surprise", "surprise"),
        (UNDER_HALF, None, "neutral", "neutral"),
        (TIE_WITH_UNKNOWN, None, "sadness", "sadness"),
    ],
)
def test_rules_by_hand(votes, majority, plurality, every):
    for rule, expected in (
        (apply_majority_rule, majority),
        (apply_plurality_rule, plurality),
        (apply_all_rule, every),
    ):
        kept, winner = rule(np.array([votes]))
        assert (VOTE_COLUMNS[winner[0]] if kept[0] else None) == expected


KEPT = {"train": [10, 20, 30, 45], "validation": [50], "test": [70]}
KEPT_BY_ALL = {"train": [10, 20, 30, 45], "validation": [50, 60], "test": [70, 80]}


def write_pair(folder):
    write_fer2013(folder)
    write_votes(folder / "fer2013new.csv")


def write_parquet(folder):
    for split, usage in (
        ("train", "Training"),
        ("validation", "PublicTest"),
        ("test", "PrivateTest"),
    ):
        rows = [row for row in ROWS if row[0] == usage]
        images = []
        for row in rows:
            stream = io.BytesIO()
            Image.new("L", (48, 48), row[3]).save(stream, "PNG")
            images.append({"bytes": stream.getvalue(), "path": None})
        votes = {
            column: pa.array([row[2][i] for row in rows], pa.uint8())
            for i, column in enumerate(VOTE_COLUMNS)
        }
        pq.write_table(
            pa.table({"image": images, "name": [""] * len(rows), **votes}),
            folder / f"{split}.parquet",
        )


def greys(data):
    assert all(image.size == (48, 48) and image.mode == "L" for image in data["image"])
    return [image.getpixel((0, 0)) for image in data["image"]]


def labels(data):
    return [data.features["label"].int2str(label) for label in data["label"]]


@pytest.mark.parametrize("layout", [None, "fer2013"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_fer2013_is_read_with_its_own_labels_and_splits(tmp_path, layout, as_folder):
    rows = [(usage, label, None, grey) for usage, label, _, grey in ROWS]
    rows += [("Training", label, None, 90 + label) for label in range(7)]
    file = write_fer2013(tmp_path, rows)
    splits = load_splits(tmp_path if as_folder else file, layout=layout)
    assert splits["train"].features["label"].names == [e for e in EMOTIONS if e != "contempt"]
    assert greys(splits["train"])[:5] == [10, 20, 30, 40, 45]
    assert labels(splits["train"])[:5] == ["neutral", "happy", "surprise", "anger", "sad"]
    assert greys(splits["validation"]) == [50, 60]
    assert labels(splits["test"]) == ["happy", "surprise"]
    assert "votes" not in splits["train"].column_names


@pytest.mark.parametrize("layout", [None, "ferplus"])
@pytest.mark.parametrize("beside", [True, False])
def test_ferplus_joins_pictures_and_votes_by_row(tmp_path, layout, beside):
    file = write_fer2013(tmp_path)
    votes = tmp_path / "fer2013new.csv" if beside else tmp_path / "elsewhere.csv"
    write_votes(votes)
    splits = load_splits(file, layout=layout, votes_file=None if beside else votes)
    assert {split: greys(data) for split, data in splits.items()} == KEPT
    assert splits["train"].features["label"].names == list(EMOTIONS)
    assert labels(splits["train"]) == ["neutral", "happy", "neutral", "surprise"]
    by_name = dict(zip(EMOTIONS, splits["train"][2]["votes"], strict=True))
    assert by_name == {**dict.fromkeys(EMOTIONS, 0), "neutral": 4, "happy": 3, "surprise": 3}
    # A single vote is kept: leaving it out is training's choice.
    assert sum(splits["test"][0]["votes"]) + splits["test"][0]["other_votes"] == 10
    assert splits["test"][0]["votes"][EMOTIONS.index("happy")] == 9
    assert splits["test"].features["votes"].feature.dtype == "float32"


def test_rows_without_a_picture_name_are_left_out(tmp_path):
    write_fer2013(tmp_path)
    write_votes(tmp_path / "fer2013new.csv", unnamed=[2])
    assert greys(load_splits(tmp_path)["train"]) == [10, 20, 45]


@pytest.mark.parametrize("layout", [None, "ferplus"])
def test_ferplus_as_parquet(tmp_path, layout):
    write_parquet(tmp_path)
    splits = load_splits(tmp_path, layout=layout)
    assert {split: greys(data) for split, data in splits.items()} == KEPT
    assert splits["validation"][0]["votes"] == [0, 0, 0, 0, 0, 10, 0, 0]


@pytest.mark.parametrize("write", [write_pair, write_parquet])
def test_all_keeps_each_row_with_a_vote_for_an_emotion_and_the_rules_share_no_cache(
    tmp_path, write
):
    write(tmp_path)
    fingerprints = set()
    for rule, kept in (("all", KEPT_BY_ALL), ("majority", KEPT), ("all", KEPT_BY_ALL)):
        splits = load_splits(tmp_path, vote_rule=rule)
        assert {split: greys(data) for split, data in splits.items()} == kept
        fingerprints.add(splits["train"]._fingerprint)
    assert len(fingerprints) == 2
    # The label is the emotion with the most votes, though 8 of 10 could not tell.
    assert labels(splits["test"]) == ["happy", "neutral"]
    assert splits["test"][1]["votes"] == [0, 0, 0, 0, 0, 2, 0, 0]
    assert splits["test"][1]["other_votes"] == 8
    by_flag = DataArguments(data=str(tmp_path), vote_rule="all").load()
    assert by_flag["train"]._fingerprint == splits["train"]._fingerprint


def test_a_vote_rule_that_makes_no_sense_is_refused(tmp_path):
    write_parquet(tmp_path)
    with pytest.raises(ValueError, match=r"is 'plurality'. Expected one of \['majority', 'all'\]"):
        load_splits(tmp_path, vote_rule="plurality")
    with pytest.raises(ValueError, match=r"is 'all', but 'drawn' has the layout `drawn`.* FER\+"):
        load_splits("drawn", vote_rule="all")
    (tmp_path / "fer2013").mkdir()
    file = write_fer2013(tmp_path / "fer2013")
    with pytest.raises(ValueError, match=r"layout `fer2013`, which has no votes.*`votes_file`"):
        load_splits(file, vote_rule="all")


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    write_fer2013(tmp_path)
    write_votes(tmp_path / "fer2013new.csv", ROWS[:-1])
    with pytest.raises(ValueError, match=r"has 9 rows, but '.*new.csv' has 8"):
        load_splits(tmp_path)
    swapped = [*ROWS[1:], ROWS[0]]
    write_votes(tmp_path / "fer2013new.csv", swapped)
    with pytest.raises(ValueError, match=r"row 4 .*'Training'.*'PublicTest'"):
        load_splits(tmp_path)


def test_votes_that_are_missing_or_no_votes_are_refused(tmp_path):
    write_fer2013(tmp_path)
    with pytest.raises(ValueError, match=r"no file of votes .* pass it as `votes_file`"):
        load_splits(tmp_path, layout="ferplus")
    (tmp_path / "fer2013new.csv").write_text("Usage,Image name,neutral\nTraining,a.png,3\n")
    with pytest.raises(ValueError, match=r"but lacks \['happiness', .*'NF'\]"):
        load_splits(tmp_path)
    for wrong in ("x", -1, 256, ""):
        write_votes(tmp_path / "fer2013new.csv", [("Training", 0, [*NEUTRAL[:9], wrong], 0)])
        with pytest.raises(ValueError, match="votes that are not numbers from 0 to 255"):
            load_splits(tmp_path)


def test_damaged_fer2013_is_refused_by_row(tmp_path):
    write_fer2013(tmp_path, size=2303)
    with pytest.raises(ValueError, match=r"Row 0 of .* has 2303 values in `pixels`"):
        load_splits(tmp_path)
    write_fer2013(tmp_path, [("Trainig", 0, None, 0)])
    with pytest.raises(ValueError, match=r"splits \['Trainig'\], of which .* are none of train"):
        load_splits(tmp_path)
    write_fer2013(tmp_path, [("Training", 8, None, 0)])
    with pytest.raises(ValueError, match=r"among them \[8\], but `label_names` has 7 names"):
        load_splits(tmp_path)
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n0,1 x 2,Training\n")
    with pytest.raises(ValueError, match=r"Row 0 of .* `pixels`"):
        load_splits(tmp_path)
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n0,1 2\n")
    with pytest.raises(
        ValueError, match=r"Row 0 of .* has no `Usage`. Expected \['emotion', .* in every row"
    ):
        load_splits(tmp_path)
    with pytest.raises(ValueError, match="is not FER2013: expected a file"):
        load_splits(tmp_path / "..", layout="fer2013")


@pytest.mark.realdata
def test_ferplus_has_the_official_counts(ferplus_dir):
    splits = load_splits(ferplus_dir)
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [28389, 3199, 3153]
    counts = np.bincount(splits["test"]["label"][:]).tolist()
    assert dict(zip(EMOTIONS, counts, strict=True)) == {
        "anger": 273,
        "contempt": 16,
        "disgust": 18,
        "fear": 83,
        "happy": 893,
        "neutral": 1090,
        "sad": 384,
        "surprise": 396,
    }
    votes = np.array(splits["test"]["votes"][:])
    assert (votes.argmax(axis=1) == np.array(splits["test"]["label"][:])).all()
    # One human tagger, as the data's README has it: 78.5 %.
    assert abs(votes.max(axis=1).mean() / 10 - 0.785) < 0.001
    total = votes.sum(axis=1) + np.array(splits["test"]["other_votes"][:])
    assert (total == 10).all()


@pytest.mark.realdata
def test_all_leaves_out_only_what_nobody_gave_an_emotion(ferplus_dir):
    splits = load_splits(ferplus_dir, vote_rule="all")
    assert [len(splits[split]) for split in ("train", "validation", "test")] == [28559, 3579, 3573]
    for data in splits.values():
        votes = np.array(data["votes"][:])
        labelled = votes[np.arange(len(votes)), data["label"][:]]
        assert (labelled == votes.max(axis=1)).all()
        assert labelled.min() >= 1
