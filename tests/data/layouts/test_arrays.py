"""The `arrays` layout."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from fer_hf.data import load_splits

NAMES = ["happy", "anger", "bored"]


def make_arrays(num=12, shape=(6, 5, 3), seed=0):
    rng = np.random.default_rng(seed)
    arrays = {}
    for prefix in ("train", "val", "test"):
        arrays[f"{prefix}_images"] = rng.integers(0, 256, (num, *shape), np.uint8)
        arrays[f"{prefix}_labels"] = np.arange(num) % 3
    return arrays


def save(path, arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
    return path


def read_pixels(split):
    return np.stack([np.asarray(image) for image in split["image"]])


@pytest.mark.parametrize("kind", ["a.npz", "folder"])
@pytest.mark.parametrize("layout", [None, "arrays"])
def test_arrays_come_back_bit_by_bit(tmp_path, kind, layout):
    arrays = make_arrays()
    splits = load_splits(save(tmp_path / kind, arrays), layout=layout, label_names=NAMES)
    assert list(splits) == ["train", "validation", "test"]
    for split, prefix in (("train", "train"), ("validation", "val"), ("test", "test")):
        np.testing.assert_array_equal(read_pixels(splits[split]), arrays[f"{prefix}_images"])
        found = [splits[split].features["label"].int2str(i) for i in splits[split]["label"]]
        assert found == [NAMES[i] for i in arrays[f"{prefix}_labels"]]
    assert splits["train"].features["label"].names == ["anger", "bored", "happy"]


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1)])
def test_grey_arrays_come_back_bit_by_bit(tmp_path, shape):
    arrays = make_arrays(shape=shape)
    splits = load_splits(save(tmp_path / "a.npz", arrays), label_names=NAMES)
    assert splits["train"][0]["image"].mode == "L"
    expected = arrays["train_images"].reshape(-1, 6, 5)
    np.testing.assert_array_equal(read_pixels(splits["train"]), expected)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_from_zero_to_one_come_back_as_the_bytes_they_were(tmp_path, kind):
    arrays = make_arrays()
    floats = {k: (v / 255).astype(kind) if "images" in k else v for k, v in arrays.items()}
    splits = load_splits(save(tmp_path / "a.npz", floats), label_names=NAMES)
    np.testing.assert_array_equal(read_pixels(splits["test"]), arrays["test_images"])


@pytest.mark.parametrize("kind", ["a.npz", "folder"])
def test_missing_splits_are_cut_out_of_train_without_losing_a_picture(tmp_path, kind):
    arrays = {k: v for k, v in make_arrays(90).items() if "train" in k}
    # The first pixel tells the row.
    arrays["train_images"][:, 0, 0, 0] = np.arange(90)
    splits = load_splits(save(tmp_path / kind, arrays), label_names=NAMES)
    rows = {split: read_pixels(splits[split])[:, 0, 0, 0].tolist() for split in splits}
    assert sorted(row for found in rows.values() for row in found) == list(range(90))
    for split, found in rows.items():
        expected = [NAMES[row % 3] for row in found]
        assert [splits[split].features["label"].int2str(i) for i in splits[split]["label"]] == (
            expected
        )
        np.testing.assert_array_equal(read_pixels(splits[split]), arrays["train_images"][found])


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels[:, None],
        lambda labels: np.eye(3)[labels],
        lambda labels: np.eye(3, dtype=bool)[labels],
        lambda labels: labels.astype(np.float32),
        lambda labels: np.array(NAMES)[labels],
        lambda labels: np.array(NAMES)[labels].astype("S"),
    ],
    ids=["column", "one-hot", "bool one-hot", "float", "text", "bytes"],
)
def test_labels_may_have_any_usual_form(tmp_path, change):
    arrays = make_arrays()
    changed = {k: change(v) if "labels" in k else v for k, v in arrays.items()}
    splits = load_splits(save(tmp_path / "a.npz", changed), label_names=NAMES)
    ids = {"happy": 2, "anger": 0, "bored": 1}
    assert splits["train"]["label"][:] == [ids[NAMES[i]] for i in arrays["train_labels"]]


def test_numbers_without_names_are_their_names_and_a_hint_is_logged(tmp_path, caplog):
    splits = load_splits(save(tmp_path / "a.npz", make_arrays()))
    assert splits["train"].features["label"].names == ["0", "1", "2"]
    assert "pass `label_names` to name them" in caplog.text


@pytest.mark.parametrize("where", ["inside", "npy", "txt", "json", "json by id", "json by name"])
@pytest.mark.parametrize("kind", ["a.npz", "folder"])
def test_names_are_found_inside_or_beside(tmp_path, where, kind):
    arrays = make_arrays()
    if where == "inside":
        arrays["class_names"] = np.array(NAMES)
    source = save(tmp_path / kind, arrays)
    folder = source if source.is_dir() else tmp_path
    match where:
        case "npy":
            np.save(folder / "label_names.npy", np.array(NAMES))
        case "txt":
            (folder / "label_names.txt").write_text("\n".join(NAMES) + "\n")
        case "json":
            (folder / "label_names.json").write_text(json.dumps(NAMES))
        case "json by id":
            by_id = {str(i): name for i, name in enumerate(NAMES)}
            (folder / "label_names.json").write_text(json.dumps(by_id))
        case "json by name":
            by_name = {name: i for i, name in enumerate(NAMES)}
            (folder / "class_names.json").write_text(json.dumps(by_name))
    splits = load_splits(source)
    assert splits["train"].features["label"].names == ["anger", "bored", "happy"]
    assert splits["train"][0]["label"] == 2


def change_one(name, change):
    def changed(arrays):
        arrays[name] = change(arrays[name])

    return changed


def with_nan(images):
    floats = images / 255
    floats[7, 0, 0, 0] = np.nan
    return floats


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_one("val_images", with_nan), "`val_images` row 7 has NaN. Expected floats from 0"),
        (change_one("test_images", lambda a: a.astype(float)), "`test_images` row 0 has values fr"),
        (change_one("train_images", lambda a: a / -255.0), "`train_images` row 0 has values from"),
        (change_one("train_images", lambda a: a[..., 0, 0]), r"`train_images` has shape \(12, 6\)"),
        (change_one("train_images", lambda a: np.moveaxis(a, 3, 1)), r"has shape \(12, 3, 6, 5\)"),
        (change_one("train_images", lambda a: a[:, :0]), r"has shape \(12, 0, 5, 3\)"),
        (change_one("train_images", lambda a: a.astype(int)), "`train_images` holds int64"),
        (change_one("test_images", lambda a: a[:5]), "has 5 pictures, but `test_labels` has 12"),
        (change_one("test_labels", lambda a: a.astype(object)), "`test_labels`.* read safely"),
        (change_one("test_images", lambda a: a.astype(object)), "holds object|read safely"),
        (change_one("test_labels", lambda a: a + 1), r"\[3\], but `label_names` has 3 names"),
        (
            change_one("test_labels", lambda a: a + 0.5),
            "`test_labels` has labels that are not who",
        ),
        (change_one("test_labels", lambda a: np.ones((12, 3))), "not one 1 among zeros"),
        (change_one("test_labels", lambda a: a[:, None, None]), r"has shape \(12, 1, 1\)"),
        (lambda arrays: arrays.pop("val_labels"), "`val_images` but no `val_labels`"),
        (lambda arrays: [arrays.pop(f"train_{x}") for x in ("images", "labels")], "no `train`"),
        (change_one("val_images", lambda a: a[:0]), "0 pictures, but `val_labels` has 12"),
    ],
)
@pytest.mark.parametrize("kind", ["a.npz", "folder"])
def test_arrays_that_do_not_fit_are_refused_by_name(tmp_path, kind, change, message):
    arrays = make_arrays()
    change(arrays)
    with pytest.raises(ValueError, match=message):
        load_splits(save(tmp_path / kind, arrays), label_names=NAMES)


def test_an_empty_split_is_refused(tmp_path):
    arrays = {k: v[:0] if "val" in k else v for k, v in make_arrays().items()}
    with pytest.raises(ValueError, match="Split `validation` is empty"):
        load_splits(save(tmp_path / "a.npz", arrays), label_names=NAMES)


def test_two_names_for_one_split_are_refused(tmp_path):
    arrays = make_arrays()
    arrays["valid_images"], arrays["valid_labels"] = arrays["val_images"], arrays["val_labels"]
    with pytest.raises(ValueError, match=r"'val' and 'valid', which both mean .* `validation`"):
        load_splits(save(tmp_path / "a.npz", arrays), label_names=NAMES)


def test_pickled_names_are_refused(tmp_path):
    arrays = {**make_arrays(), "label_names": np.array(NAMES, object)}
    with pytest.raises(
        ValueError, match=r"`label_names`.* Save plain numbers or fixed-width texts"
    ):
        load_splits(save(tmp_path / "a.npz", arrays))


def test_an_npz_that_is_cut_short_is_refused(tmp_path):
    path = save(tmp_path / "a.npz", make_arrays())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_splits(path)


MEASURE = """
import sys
from pathlib import Path
from fer_hf.data import load_splits
def kilobytes(key):
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(key)))
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
before = kilobytes("VmRSS")
load_splits(sys.argv[1], label_names=["a", "b", "c"])
print((kilobytes("VmHWM") - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status, which Linux has")
@pytest.mark.parametrize("kind", ["a.npz", "folder"])
def test_loading_takes_little_more_memory_than_the_array(tmp_path, kind):
    images = np.random.default_rng(0).integers(0, 256, (3000, 128, 128, 3), np.uint8)
    labels = np.arange(3000) % 3
    arrays = {}
    for prefix, num in (("train", 3000), ("val", 30), ("test", 30)):
        arrays |= {f"{prefix}_images": images[:num], f"{prefix}_labels": labels[:num]}
    source = save(tmp_path / kind, arrays)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(source)],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 1.3 * images.nbytes
