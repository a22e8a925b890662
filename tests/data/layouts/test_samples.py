"""Every made sample of a layout is recognised, and each of its pictures gets the right label."""

from collections import Counter
from pathlib import Path

import pytest
from layout_samples import SAMPLES, write_sample

from fer_hf.data import load_splits


@pytest.mark.parametrize("name", SAMPLES)
def test_each_picture_of_a_sample_gets_its_label(tmp_path, name):
    sample = SAMPLES[name]
    write_sample(tmp_path, sample)
    splits = load_splits(tmp_path, **sample.options)
    assert splits["train"].info.description.startswith(f"`{sample.layout}`; labels from ")
    if sample.counts:
        names = splits["train"].features["label"].names
        assert sample.counts == Counter(
            names[label] for data in splits.values() for label in data["label"]
        )
        return
    found, found_splits = {}, {}
    for split, data in splits.items():
        names = data.features["label"].names
        for picture, label in zip(data.data["image"].to_pylist(), data["label"], strict=True):
            path = Path(picture["path"]).relative_to(tmp_path).as_posix()
            found[path], found_splits[path] = names[label], split
    assert found == {path: label for path, label in sample.labels.items() if label is not None}
    for path in sample.splits.keys() & found.keys():
        cut_out = set(found_splits.values()) - set(sample.splits.values())
        assert found_splits[path] == sample.splits[path] or (
            sample.splits[path] == "train" and found_splits[path] in cut_out
        )
