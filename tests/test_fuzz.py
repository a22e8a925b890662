"""Sources, flags and bytes that Hypothesis makes up: refused in one line, or read as meant.

The same few examples every time. To look further: ``FER_HF_FUZZ=2000 pytest tests/test_fuzz.py``.
"""

import io
import os
import shutil
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fuzz_strategies import calls, lists, mutations, trees
from hostile_kit import encode, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_hf import cli
from fer_hf.data import load_splits
from fer_hf.data.pictures import describe_fault, load_picture, to_rgb
from fer_hf.data.stored_pictures import list_stored

MORE = int(os.environ.get("FER_HF_FUZZ", "0"))
REFUSALS = (ValueError, OSError, RuntimeError)
PICTURE = encode()

pytestmark = pytest.mark.timeout(240 + MORE)


def fuzz(max_examples: int) -> settings:
    return settings(
        max_examples=MORE or max_examples,
        derandomize=not MORE,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def fresh_folder():
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def assert_is_one_line(error: Exception) -> None:
    assert isinstance(error, REFUSALS), repr(error)
    assert not isinstance(error, UnicodeError), repr(error)
    assert len(str(error).strip()) > 10
    assert "\n" not in str(error)


def is_read_as_meant(source, root, truth):
    """Return whether a source is not refused; check that each picture kept has its true label."""
    try:
        splits = load_splits(source)
    except Exception as error:
        assert_is_one_line(error)
        return False
    for split, rows in splits.items():
        names = rows.features["label"].names
        for stored, label in zip(list_stored(rows), rows["label"], strict=True):
            path = Path(stored["path"]).relative_to(root).as_posix()
            true_label, true_split = truth[path]
            assert names[label] == true_label, path
            # A split that the source lacks is cut out of train.
            given = {split for _, split in truth.values() if split}
            assert not given or split == true_split or (split not in given), path
    return True


# Folders


def test_label_folders_are_refused_or_read_as_they_are_meant():
    are_read = []

    @fuzz(60)
    @given(trees())
    def check(tree):
        with fresh_folder() as root:
            write(root, dict.fromkeys(tree, PICTURE))
            are_read.append(is_read_as_meant(root, root, tree))

    check()
    assert np.mean(are_read) > 0.8, np.mean(are_read)


# Lists


def test_lists_are_refused_or_read_as_they_are_meant():
    are_read = []

    @fuzz(60)
    @given(lists(), st.booleans())
    def check(made, as_folder):
        name, content, truth = made
        with fresh_folder() as root:
            write(root, {**dict.fromkeys(truth, PICTURE), name: content})
            are_read.append(is_read_as_meant(root if as_folder else root / name, root, truth))

    check()
    assert np.mean(are_read) > 0.8, np.mean(are_read)


# Flags


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flags")
    write(
        folder, {f"faces/{label}/{n}.png": PICTURE for label in ("happy", "sad") for n in range(5)}
    )
    rows = "".join(f"{label}/{n}.png,{label}\n" for label in ("happy", "sad") for n in range(5))
    write(folder, {"faces/list.csv": f"image,label\n{rows}"})
    return folder


@fuzz(80)
@given(calls())
def test_flags_are_followed_or_refused_in_one_line(workplace, call):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        shutil.rmtree("out", ignore_errors=True)
        try:
            assert cli.main([*call, "--debug"]) == 0
        except Exception as error:
            assert isinstance(error, REFUSALS), repr(error)
            assert str(error).strip()


# Bytes


def _noise(form: str, **settings: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    return encode(form, Image.fromarray(pixels), **settings)


SEEDS = {
    **{form: _noise(form) for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")},
    "progressive": _noise("JPEG", progressive=True),
    "deflated": _noise("TIFF", compression="tiff_deflate"),
    "turned": _noise("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
}


@fuzz(300)
@given(mutations(SEEDS))
def test_damaged_pictures_are_read_or_their_fault_is_told(content):
    try:
        picture = to_rgb(load_picture(content))
    except Exception as error:
        assert describe_fault(error, content).strip()
    else:
        assert picture.mode == "RGB"


def _arrays() -> bytes:
    buffer = io.BytesIO()
    images, labels = np.zeros((8, 6, 6), np.uint8), np.arange(8) % 2
    np.savez(buffer, train_images=images, train_labels=labels, label_names=["happy", "sad"])
    return buffer.getvalue()


def _zip(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for number in range(8):
            archive.writestr(f"{('happy', 'sad')[number % 2]}/{number}.png", PICTURE)
    return buffer.getvalue()


LIST = "image,label\n" + "".join(f"faces/{n}.png,{('happy', 'sad')[n % 2]}\n" for n in range(8))
FILES = {
    "x.csv": {"comma": LIST.encode(), "bars": LIST.replace(",", "|").encode("utf-16")},
    "x.npz": {"npz": _arrays()},
    "x.zip": {"stored": _zip(zipfile.ZIP_STORED), "deflated": _zip(zipfile.ZIP_DEFLATED)},
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_read_or_refused_in_one_line(name):
    @fuzz(50)
    @given(mutations(FILES[name]))
    def check(content):
        with fresh_folder() as root:
            write(root, {f"faces/{n}.png": PICTURE for n in range(8)})
            write(root, {name: content})
            try:
                load_splits(root / name)
            except Exception as error:
                assert_is_one_line(error)

    check()
