"""Pictures that are one photograph are found once, and known again by their bytes."""

import datasets
import numpy as np
import pytest
from PIL import Image, ImageOps

from fer_hf.data import cache_folder
from fer_hf.data.audit import photographs
from fer_hf.data.audit.photographs import find_photographs

FACES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)).resize(
        (40, 30), Image.Resampling.BICUBIC
    )
    for seed in range(3)
]


def build(*pictures):
    features = datasets.Features(image=datasets.Image())
    return datasets.Dataset.from_dict({"image": pictures}, features)


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """A cache of the test's own, and how many thumbnails were compared at each comparison."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    counts = []

    def count(thumbnails):
        counts.append(len(thumbnails))
        return find_near_duplicates(thumbnails)

    find_near_duplicates = photographs.find_near_duplicates
    monkeypatch.setattr(photographs, "find_near_duplicates", count)
    return counts


def test_copies_share_a_number_and_mirror_images_a_photograph(compared):
    first, second = build(FACES[0], FACES[1], FACES[0]), build(ImageOps.mirror(FACES[1]))
    found = find_photographs([first, second])
    assert found.sizes.tolist() == [[40, 30]] * 4
    a, b, c, d = found.contents
    assert a == c
    assert len({a, b, d}) == 3
    a, b, c, d = found.photographs
    assert a == c
    assert b == d != a
    assert compared == [3]


def test_the_same_pictures_are_compared_once_whatever_the_splits(compared):
    whole, parts = [build(*FACES)], [build(*FACES[:2]), build(FACES[2])]
    first, again = find_photographs(whole), find_photographs(parts)
    assert compared == [3]
    for name, values in vars(first).items():
        assert (values == getattr(again, name)).all()
        assert values.dtype == getattr(again, name).dtype == np.int64


def test_another_picture_order_or_method_is_compared_anew(compared, monkeypatch):
    find_photographs([build(*FACES)])
    find_photographs([build(*FACES[::-1])])
    find_photographs([build(FACES[0], FACES[1], ImageOps.mirror(FACES[2]))])
    monkeypatch.setattr(photographs, "_METHOD", {"photographs": 0})
    find_photographs([build(*FACES)])
    assert compared == [3, 3, 3, 3]


def test_a_comparison_that_was_stopped_leaves_nothing(compared, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(photographs, "save_file", stop)
        with pytest.raises(KeyboardInterrupt):
            find_photographs([build(*FACES)])
    assert not any(path.is_dir() for path in cache_folder._home().iterdir())
    assert len(find_photographs([build(*FACES)]).sizes) == 3


def test_a_full_disk_is_explained(compared, monkeypatch):
    def fill(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photographs, "save_file", fill)
    with pytest.raises(OSError, match="The disk is full: no room for the data set in the cache"):
        find_photographs([build(*FACES)])
