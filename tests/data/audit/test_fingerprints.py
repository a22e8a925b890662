"""Fingerprints: the same pixels are known again whatever file they come in, others are not."""

import hashlib
import io

import datasets
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from fer_hf.data.audit.fingerprints import (
    compute_fingerprint,
    compute_fingerprints,
    find_seen,
    load_fingerprints,
    save_fingerprints,
)

GREY = np.random.default_rng(0).integers(0, 256, (48, 40), np.uint8)
FINGERPRINTS = np.array([3, 2**64 - 1, 2**63, 3], np.uint64)


def encode(picture, **settings):
    file = io.BytesIO()
    picture.save(file, **settings)
    return Image.open(io.BytesIO(file.getvalue()))


def make_split(pictures):
    features = datasets.Features({"image": datasets.Image()})
    return datasets.Dataset.from_dict({"image": pictures}, features=features)


def test_the_fingerprint_is_the_hash_of_size_and_pixels():
    picture = Image.new("RGB", (2, 1), (1, 2, 3))
    content = bytes([2, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 1, 2, 3])
    digest = hashlib.blake2b(content, digest_size=8).digest()
    assert compute_fingerprint(picture) == int.from_bytes(digest, "little")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize(
    "settings",
    [
        {"format": "PNG", "compress_level": 0},
        {"format": "PNG", "optimize": True},
        {"format": "BMP"},
        {"format": "TIFF"},
        {"format": "WEBP", "lossless": True},
    ],
)
def test_files_without_loss_of_grey_and_colour_have_one_fingerprint(mode, settings):
    grey = Image.fromarray(GREY)
    file = encode(grey.convert(mode), **settings)
    assert compute_fingerprint(file) == compute_fingerprint(grey)


def test_a_picture_lying_on_its_side_with_a_note_is_the_upright_one():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    upright = Image.fromarray(GREY)
    lying = encode(upright.transpose(Image.Transpose.ROTATE_90), format="PNG", exif=exif)
    assert compute_fingerprint(lying) == compute_fingerprint(upright)


def test_any_other_pixel_or_size_gives_another_fingerprint():
    changed = GREY.copy()
    changed[7, 5] ^= 1
    pictures = [GREY, changed, GREY.T, GREY.reshape(40, 48), GREY[:, ::-1], GREY[:-1]]
    assert len({compute_fingerprint(Image.fromarray(pixels)) for pixels in pictures}) == 6


def test_a_split_has_a_fingerprint_for_each_row_in_order():
    rng = np.random.default_rng(1)
    pictures = [Image.fromarray(pixels) for pixels in rng.integers(0, 256, (300, 4, 4), np.uint8)]
    fingerprints = compute_fingerprints(make_split([*pictures, pictures[7]]))
    assert fingerprints.dtype == np.uint64
    assert fingerprints.tolist() == [*map(compute_fingerprint, pictures), fingerprints[7]]
    assert len(set(fingerprints.tolist())) == 300


def test_saved_fingerprints_come_back_bit_by_bit(tmp_path):
    path = save_fingerprints(FINGERPRINTS, tmp_path / "model")
    assert path == tmp_path / "model" / "seen.safetensors"
    assert load_file(path)["fingerprints"].tolist() == [3, -1, -(2**63), 3]
    loaded = load_fingerprints(tmp_path / "model")
    assert loaded.dtype == np.uint64
    assert loaded.tolist() == FINGERPRINTS.tolist()


def test_the_file_is_about_eight_bytes_a_picture(tmp_path):
    path = save_fingerprints(np.arange(28_000, dtype=np.uint64), tmp_path)
    assert path.stat().st_size < 230_000


def test_seen_pictures_are_found_to_the_last_bit():
    seen = np.array([2**63 + 1, 5], np.uint64)
    asked = np.array([2**63, 2**63 + 1, 5, 4, 5], np.uint64)
    assert find_seen(asked, seen).tolist() == [False, True, True, False, True]
    assert find_seen(asked[:0], seen).shape == (0,)
    assert not find_seen(asked, seen[:0]).any()


def test_what_is_no_array_of_fingerprints_is_refused(tmp_path):
    for wrong in (FINGERPRINTS.view(np.int64), FINGERPRINTS.reshape(2, 2)):
        with pytest.raises(ValueError, match=r"expected uint64 of shape \(N,\)"):
            find_seen(FINGERPRINTS, wrong)
        with pytest.raises(ValueError, match=r"expected uint64 of shape \(N,\)"):
            find_seen(wrong, FINGERPRINTS)
        with pytest.raises(ValueError, match=r"expected uint64 of shape \(N,\)"):
            save_fingerprints(wrong, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_fingerprints_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no `seen.safetensors` in "):
        load_fingerprints(tmp_path)


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    path = save_fingerprints(FINGERPRINTS, tmp_path)
    method = {"method": "BLAKE2b-64 of width, height and RGB pixels, 1"}
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"seen.safetensors' has no fingerprints"):
        load_fingerprints(tmp_path)
    save_file({"fingerprints": FINGERPRINTS}, path, {"method": "another"})
    with pytest.raises(ValueError, match="its method is 'another', expected 'BLAKE2b-64"):
        load_fingerprints(tmp_path)
    save_file({"others": FINGERPRINTS}, path, method)
    with pytest.raises(ValueError, match="has no fingerprints"):
        load_fingerprints(tmp_path)
    save_file({"fingerprints": FINGERPRINTS.reshape(2, 2)}, path, method)
    with pytest.raises(ValueError, match=r"expected uint64 of shape \(N,\)"):
        load_fingerprints(tmp_path)


@pytest.mark.realdata
def test_ferplus_pictures_are_told_apart(ferplus_dir):
    split = datasets.load_dataset("parquet", data_files=str(ferplus_dir / "test.parquet"))["train"]
    fingerprints = compute_fingerprints(split)
    pixels = {np.asarray(picture).tobytes() for picture in split["image"][:]}
    assert len(set(fingerprints.tolist())) == len(pixels)
