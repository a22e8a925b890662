"""Archives are read as what is in them, and a source of no layout is refused."""

import shutil
import zipfile

import pytest
from layout_samples import SAMPLES, write_sample
from PIL import Image

from fer_hf.data import load_splits
from fer_hf.data.recognition import recognise_layout


def count(splits):
    return {split: len(data) for split, data in splits.items()}


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("name", ["JAFFE", "AffectNet, unpacked", "WebDataset, unpacked"])
def test_an_archive_is_read_as_the_folder_in_it(tmp_path, name, form):
    folder = write_sample(tmp_path / "folder", SAMPLES[name])
    archive = shutil.make_archive(str(tmp_path / "archive"), form, folder)
    splits = load_splits(archive)
    assert count(splits) == count(load_splits(folder))
    assert splits["train"].info.description == load_splits(folder)["train"].info.description
    assert recognise_layout(archive) == SAMPLES[name].layout


def test_archives_of_splits_in_a_folder_are_read_together(tmp_path):
    for split, number in (("train", 20), ("test", 4)):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for label in ("happy", "sad"):
                for index in range(number):
                    file = tmp_path / "picture.bmp"
                    Image.new("RGB", (8, 8), (index, len(split), len(label))).save(file)
                    archive.write(file, f"{label}/{index}.bmp")
    (tmp_path / "picture.bmp").unlink()
    assert count(load_splits(tmp_path)) == {"train": 36, "validation": 4, "test": 8}


def test_a_list_beside_the_archive_of_its_pictures_is_read(tmp_path):
    sample = SAMPLES["a list without a header"]
    write_sample(tmp_path / "set", sample)
    shutil.make_archive(str(tmp_path / "img"), "zip", tmp_path / "set" / "img")
    (tmp_path / "set" / "list.txt").rename(tmp_path / "list.txt")
    shutil.rmtree(tmp_path / "set")
    splits = load_splits(tmp_path)
    assert sum(count(splits).values()) == len(sample.labels)
    assert "'list.txt', pictures from the column `1`" in splits["train"].info.description


def test_a_pattern_is_searched_in_archives_of_a_folder(tmp_path):
    write_sample(tmp_path / "set", SAMPLES["a pattern"])
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    splits = load_splits(tmp_path, label_pattern=r"[ab]x(?P<label>[A-Z]{2})")
    assert sum(count(splits).values()) == len(SAMPLES["a pattern"].labels)


def test_an_archive_beside_its_content_does_not_count(tmp_path):
    write_sample(tmp_path / "set", SAMPLES["JAFFE"])
    shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path / "set")
    assert sum(count(load_splits(tmp_path)).values()) == 42


def test_an_archive_of_another_kind_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "faces.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    with pytest.raises(ValueError, match=r"faces.rar' is an archive of a kind that cannot be read"):
        load_splits(tmp_path / "faces.rar")
    with pytest.raises(ValueError, match=r"faces.rar' is an archive of a kind that cannot be read"):
        load_splits(tmp_path)


def test_a_pattern_needs_a_folder_of_pictures(tmp_path):
    (tmp_path / "a.csv").write_text("path,label\na.png,happy\n")
    with pytest.raises(ValueError, match=r"`label_pattern` is .* has the layout `table`"):
        load_splits(tmp_path / "a.csv", label_pattern="(?P<label>a)")
