"""The `hub` layout."""

import io

import datasets
import pytest
from PIL import Image

from fer_hf.data import load_splits
from fer_hf.data.layouts import hub_datasets

NAMES = ["sad", "happy"]


def make_dataset(num=12, votes=False):
    columns = {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    rows = {
        "image": [Image.new("RGB", (4, 4), (10 * i, 0, 0)) for i in range(num)],
        "label": [i % 2 for i in range(num)],
        "note": ["x"] * num,
    }
    columns["note"] = datasets.Value("string")
    if votes:
        columns["votes"] = datasets.List(datasets.Value("float32"), length=2)
        rows["votes"] = [[i, 0] for i in range(num)]
    return datasets.Dataset.from_dict(rows, features=datasets.Features(columns))


def test_a_saved_data_set_is_loaded_with_its_columns_cut_down(tmp_path):
    data = datasets.DatasetDict(
        {"train": make_dataset(votes=True), "test": make_dataset(4, votes=True)}
    )
    data.save_to_disk(tmp_path / "saved")
    splits = load_splits(tmp_path / "saved")
    assert splits["test"].column_names == ["image", "label", "votes"]
    assert splits["test"].features["label"].names == ["happy", "sad"]
    assert splits["test"]["label"][:] == [1, 0, 1, 0]
    # Votes follow the new order of the labels.
    assert splits["test"]["votes"][:] == [[0, 0], [0, 1], [0, 2], [0, 3]]
    assert [image.getpixel((0, 0))[0] for image in splits["test"]["image"]] == [0, 10, 20, 30]


def test_what_we_return_can_be_saved_and_loaded_again(tmp_path):
    make_dataset().save_to_disk(tmp_path / "first")
    splits = load_splits(tmp_path / "first")
    splits.save_to_disk(tmp_path / "second")
    again = load_splits(tmp_path / "second", layout="hub")
    for split, data in splits.items():
        assert again[split]["label"][:] == data["label"][:]
        assert [i.tobytes() for i in again[split]["image"]] == [i.tobytes() for i in data["image"]]


def test_a_folder_only_datasets_understands_is_loaded(tmp_path):
    lines = []
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        lines = ["file_name,emotion"]
        for number in range(6):
            Image.new("RGB", (4, 4)).save(tmp_path / split / f"{number}.png")
            lines.append(f"{number}.png,{NAMES[number % 2]}")
        (tmp_path / split / "metadata.csv").write_text("\n".join(lines) + "\n")
    splits = load_splits(tmp_path)
    assert len(splits["test"]) == 6
    assert splits["train"].features["label"].names == ["happy", "sad"]


def test_unlabelled_rows_of_the_hub_are_refused(tmp_path):
    features = make_dataset().features
    rows = {**make_dataset(4).to_dict(), "label": [0, 1, -1, -1]}
    data = datasets.Dataset.from_dict(rows, features=features)
    data.save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"among them \[-1\]"):
        load_splits(tmp_path / "saved")


@pytest.mark.parametrize("source", ["no-such-name-at-all", "nobody/nothing"])
def test_an_id_that_cannot_be_looked_up_gives_one_clear_error(source):
    with pytest.raises(
        ConnectionError, match=f"'{source}' is not a file or folder here, and the Hub"
    ):
        load_splits(source)


def test_an_id_that_the_hub_does_not_have_gives_one_clear_error(monkeypatch):
    def fail(*_, **__):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub")

    monkeypatch.setattr(hub_datasets.datasets, "load_dataset", fail)
    with pytest.raises(
        FileNotFoundError, match=r"nor a data set on the Hub that you can read .*spell"
    ):
        load_splits("a/b")


@pytest.mark.parametrize("source", ["/no/such/folder", "./nothing", "a/b/c", "a b", "../x", ""])
def test_what_is_neither_path_nor_id_is_refused(source):
    with pytest.raises(
        (FileNotFoundError, ValueError), match="is not a file or folder here, nor an"
    ):
        load_splits(source)


def test_the_revision_reaches_datasets(monkeypatch):
    asked = []

    def load(source, revision):
        asked.append((source, revision))
        return datasets.DatasetDict({"train": make_dataset(20), "extra": make_dataset()})

    monkeypatch.setattr(hub_datasets.datasets, "load_dataset", load)
    splits = load_splits("some/faces", revision="v2")
    assert asked == [("some/faces", "v2")]
    assert sum(map(len, splits.values())) == 20


def save(folder, **columns):
    pictures = [{"bytes": encode(number), "path": None} for number in range(12)]
    datasets.Dataset.from_dict({"jpeg": pictures, **columns}).save_to_disk(folder)
    return folder


def encode(number):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (10 * number, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def test_columns_with_other_names_are_told_by_their_content(tmp_path):
    splits = load_splits(save(tmp_path / "saved", what=NAMES * 6, note=["x"] * 12))
    assert sum(map(len, splits.values())) == 12
    assert splits["train"].features["label"].names == ["happy", "sad"]


def test_two_columns_of_emotions_that_do_not_agree_are_refused(tmp_path):
    path = save(tmp_path / "saved", one=NAMES * 6, two=["anger", "fear", "sad"] * 4)
    with pytest.raises(ValueError, match=r"'one' and 'two' may both .* Pass `label_column`"):
        load_splits(path)
    assert len(load_splits(path, label_column="one")["train"])
