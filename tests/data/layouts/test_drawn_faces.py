"""The `drawn` layout."""

import pytest

from fer_hf.data import load_splits


@pytest.mark.parametrize("layout", [None, "drawn"])
def test_drawn_faces_come_as_three_splits(layout):
    splits = load_splits("drawn", layout=layout, num_drawn=48, drawn_size=32, seed=3)
    assert sum(map(len, splits.values())) == 48
    assert splits["train"][0]["image"].size == (32, 32)
    assert splits["train"].features["label"].num_classes == 8
