"""Building FER+'s Parquet files from `fer2013.csv` and `fer2013new.csv`."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from ferplus_files import HAPPY, NEUTRAL, ROWS, write_fer2013, write_votes
from PIL import Image

from fer_hf.data import load_splits
from fer_hf.data.layouts import ferplus_build
from fer_hf.data.layouts.ferplus import VOTE_COLUMNS
from fer_hf.data.layouts.ferplus_build import build_ferplus

SPLITS = ("train", "validation", "test")


def pixels_of(table):
    pictures = [Image.open(io.BytesIO(image["bytes"])) for image in table["image"].to_pylist()]
    assert {(picture.format, picture.mode, picture.size) for picture in pictures} == {
        ("PNG", "L", (48, 48))
    }
    return np.stack([np.asarray(picture) for picture in pictures])


@pytest.fixture
def originals(tmp_path):
    """The two public files with nine rows, all pixels random."""
    folder = tmp_path / "originals"
    folder.mkdir()
    write_votes(folder / "fer2013new.csv")
    pixels = np.random.default_rng(0).integers(0, 256, (len(ROWS), 48 * 48))
    lines = [
        f"{row[1]},{' '.join(map(str, values))},{row[0]}"
        for row, values in zip(ROWS, pixels, strict=True)
    ]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    return folder


@pytest.mark.parametrize("vote_rule", ["majority", "all"])
def test_what_is_built_loads_as_its_originals_do(originals, tmp_path, vote_rule):
    counts = build_ferplus(originals / "fer2013.csv", None, tmp_path / "a" / "built")
    assert counts == {"train": 5, "validation": 2, "test": 2}
    assert {path.name for path in (tmp_path / "a" / "built").iterdir()} == {
        f"{split}.parquet" for split in SPLITS
    }
    built = load_splits(tmp_path / "a" / "built", vote_rule=vote_rule)
    pair = load_splits(originals, vote_rule=vote_rule)
    for split in SPLITS:
        assert built[split].features == pair[split].features
        for column in ("label", "votes", "other_votes"):
            assert built[split][column][:] == pair[split][column][:]
        for mine, theirs in zip(built[split]["image"], pair[split]["image"], strict=True):
            assert np.array_equal(np.asarray(mine), np.asarray(theirs))


def test_rows_keep_their_names_and_those_without_one_are_left_out(originals, tmp_path):
    write_votes(tmp_path / "mine.csv", unnamed=[1, 3])
    counts = build_ferplus(originals, tmp_path / "mine.csv", tmp_path / "built")
    assert counts == {"train": 3, "validation": 2, "test": 2}
    table = pq.read_table(tmp_path / "built" / "train.parquet")
    names = ["fer0000000.png", "fer0000002.png", "fer0000004.png"]
    assert table["name"].to_pylist() == names
    assert [image["path"] for image in table["image"].to_pylist()] == names


def test_an_existing_folder_is_used_only_if_nothing_is_in_it(originals, tmp_path):
    folder = tmp_path / "built"
    folder.mkdir()
    # What a killed run leaves does not count.
    (folder / "train.parquet.incomplete").write_bytes(b"half")
    build_ferplus(originals, None, folder)
    files = {path: path.read_bytes() for path in folder.iterdir()}
    assert len(files) == 3
    with pytest.raises(FileExistsError, match=r"holds test.parquet, train.parquet.*`output_dir`"):
        build_ferplus(originals, None, folder)
    with pytest.raises(FileExistsError, match=r"is a file\. Expected a new or an empty"):
        build_ferplus(originals, None, folder / "train.parquet")
    assert {path: path.read_bytes() for path in folder.iterdir()} == files


def test_a_run_that_is_stopped_leaves_no_file(originals, tmp_path, monkeypatch):
    encode, calls = ferplus_build._encode_png, []

    def stop_in_the_second_file(pixels):
        calls.append(1)
        if len(calls) == 6:
            assert list((tmp_path / "built").glob("*.incomplete"))
            assert not list((tmp_path / "built").glob("*.parquet"))
            raise KeyboardInterrupt
        return encode(pixels)

    monkeypatch.setattr(ferplus_build, "_encode_png", stop_in_the_second_file)
    with pytest.raises(KeyboardInterrupt):
        build_ferplus(originals, None, tmp_path / "built")
    assert not list((tmp_path / "built").iterdir())


def test_wrong_files_are_refused_and_nothing_is_made(originals, tmp_path):
    pictures, votes = originals / "fer2013.csv", originals / "fer2013new.csv"
    short, short_votes = tmp_path / "short", tmp_path / "short_votes.csv"
    short.mkdir()
    write_fer2013(short, [("Training", 6, NEUTRAL, 10), ("PublicTest", 3, HAPPY, 20)])
    write_votes(short_votes, [("Training", 6, NEUTRAL, 10), ("PublicTest", 3, HAPPY, 20)])
    for fer2013, votes_file, error, message in (
        (tmp_path / "no.csv", votes, FileNotFoundError, "no file or folder '.*no.csv'. Check"),
        (votes, votes, ValueError, "new.csv' is not FER2013: expected a file 'fer2013.csv'"),
        (pictures, pictures, ValueError, r"but lacks \['Image name', 'neutral', .*fer2013new.csv"),
        (pictures, tmp_path / "no.csv", ValueError, r"no file of votes '.*no.csv'.*`votes`"),
        (short, None, ValueError, r"no file of votes '.*fer2013new.csv'. Download .*`votes`"),
        (short, votes, ValueError, "short.*has 2 rows, but '.*' has 9. Their rows belong together"),
        (short, short_votes, ValueError, r"has no faces for \['test'\]. Expected rows of the usag"),
    ):
        with pytest.raises(error, match=message):
            build_ferplus(fer2013, votes_file, tmp_path / "built")
        assert not (tmp_path / "built").exists()


@pytest.mark.realdata
def test_the_real_files_taken_apart_are_built_again_as_they_were(ferplus_dir, tmp_path):
    heads = {
        split: pq.read_table(ferplus_dir / f"{split}.parquet").slice(0, 300) for split in SPLITS
    }
    usages = dict(zip(SPLITS, ("Training", "PublicTest", "PrivateTest"), strict=True))
    pictures, votes = ["emotion,pixels,Usage"], ["Usage,Image name," + ",".join(VOTE_COLUMNS)]
    for split, table in heads.items():
        for pixels, row in zip(pixels_of(table), table.to_pylist(), strict=True):
            pictures.append(f"0,{' '.join(map(str, pixels.ravel()))},{usages[split]}")
            counts = ",".join(str(row[column]) for column in VOTE_COLUMNS)
            votes.append(f"{usages[split]},{row['name']},{counts}")
        # No face: the originals have such rows, the Parquet files do not.
        pictures.append(f"0,{' '.join(['0'] * 48 * 48)},{usages[split]}")
        votes.append(f"{usages[split]},,0,0,0,0,0,0,0,0,0,10")
    (tmp_path / "fer2013.csv").write_text("\n".join(pictures) + "\n")
    (tmp_path / "fer2013new.csv").write_text("\n".join(votes) + "\n")

    assert build_ferplus(tmp_path, None, tmp_path / "built") == dict.fromkeys(SPLITS, 300)
    for split, table in heads.items():
        again = pq.read_table(tmp_path / "built" / f"{split}.parquet")
        assert again.schema.equals(table.schema, check_metadata=True)
        assert again.drop_columns("image").equals(table.drop_columns("image"))
        assert np.array_equal(pixels_of(again), pixels_of(table))
