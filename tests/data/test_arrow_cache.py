"""Loaded data sets on disk."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_hf.data import arrow_cache, load_splits, sources
from fer_hf.data.cache_folder import compute_key


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fer_hf"


@pytest.fixture
def source(tmp_path):
    """An `.npz` of twelve pictures in two labels."""
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=np.arange(12) % 2)
    return tmp_path / "a.npz"


def test_the_key_changes_with_content_and_options(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    os.utime(file, ns=(1, 1))
    keys = {compute_key([file], {"seed": 0}), compute_key([file], {"seed": 1})}
    os.utime(file, ns=(1, 2))
    keys.add(compute_key([file], {"seed": 0}))
    file.write_text("12")
    os.utime(file, ns=(1, 1))
    keys.add(compute_key([file], {"seed": 0}))
    file.unlink()
    keys.add(compute_key([file], {"seed": 0}))
    assert len(keys) == 5


def test_the_second_load_reads_the_entry_and_has_the_same_fingerprints(home, source, monkeypatch):
    first = load_splits(source)
    monkeypatch.setattr(sources, "_write", None)  # must not be called
    again = load_splits(source)
    for split in first:
        assert again[split]._fingerprint == first[split]._fingerprint
        assert again[split].to_dict() == first[split].to_dict()
    assert len({data._fingerprint for data in first.values()}) == 3
    assert len([entry for entry in home.iterdir() if entry.is_dir()]) == 1


def test_a_changed_file_is_never_served_from_the_old_entry(home, source):
    load_splits(source)
    images = np.full((12, 4, 4, 3), 7, np.uint8)
    np.savez(source, train_images=images, train_labels=np.arange(12) % 2)
    assert load_splits(source)["train"][0]["image"].getpixel((0, 0)) == (7, 7, 7)


def test_a_full_disk_is_one_error_that_names_the_way_out_and_leaves_nothing(
    home, source, monkeypatch
):
    write_table = arrow_cache.ArrowWriter.write_table
    calls = []

    def fail_late(writer, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(writer, *arguments)

    monkeypatch.setattr(arrow_cache.ArrowWriter, "write_table", fail_late)
    with pytest.raises(OSError, match=r"disk is full.*cache folder '.*fer_hf'.*HF_HOME") as caught:
        load_splits(source)
    assert caught.value.errno == errno.ENOSPC
    assert not [entry for entry in home.iterdir() if entry.suffix != ".lock"]
    # With room again, the load works.
    assert sum(map(len, load_splits(source).values())) == 12


def test_what_a_killed_process_left_is_not_believed(home, source):
    load_splits(source)
    (entry,) = [entry for entry in home.iterdir() if entry.is_dir()]
    (entry / "train.arrow").write_bytes(b"half")
    entry.rename(entry.with_suffix(".incomplete"))
    assert sum(map(len, load_splits(source).values())) == 12


def test_a_load_that_fails_leaves_nothing(home, source):
    np.savez(source, train_images=np.zeros((3, 4, 4, 3), np.uint8), train_labels=[0, 0, 0])
    with pytest.raises(ValueError, match="needs two or more"):
        load_splits(source)
    assert not [entry for entry in home.iterdir() if entry.suffix != ".lock"]


def test_processes_that_load_at_once_get_the_same(tmp_path, source):
    script = (
        "import sys; from fer_hf.data import load_splits; "
        "print([d._fingerprint for d in load_splits(sys.argv[1]).values()])"
    )
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(source)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0]
    assert len(outputs) == 1
    entries = [p for p in Path(tmp_path / "cache" / "fer_hf").iterdir() if p.is_dir()]
    assert len(entries) == 1
