"""The folder of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fer_hf.training.run_folder import choose_folder, claim_output_dir, find_last_checkpoint


def claim(folder, *, resume=False, overwrite=False):
    claim_output_dir(folder, resume=resume, overwrite=overwrite)


def write_checkpoint(folder, step, state=None):
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    save_file({"weight": np.ones(1000)}, checkpoint / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        torch.save({"state": torch.ones(1000)}, checkpoint / name)
    text = json.dumps({"global_step": step}) if state is None else state
    (checkpoint / "trainer_state.json").write_text(text)
    return str(checkpoint)


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    claim(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_an_empty_folder_is_taken(tmp_path):
    claim(tmp_path)


@pytest.mark.parametrize("name", ["report.json", "holiday.jpg"])
def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"is not empty.*--resume .*--overwrite"):
        claim(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for settings in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(OSError, match="file"):
            claim(tmp_path / "file", **settings)
    assert (tmp_path / "file").read_text() == "mine"


def test_resuming_takes_a_folder_as_it_is(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    claim(tmp_path, resume=True)
    assert (tmp_path / "report.json").is_file()


def test_overwriting_deletes_what_a_run_writes_and_nothing_else(tmp_path):
    made = ("config.json", "model.safetensors", "model.onnx", "report.json", "curves.png")
    for name in (*made, "notes.txt"):
        (tmp_path / name).write_text("old")
    write_checkpoint(tmp_path, 5)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "me.jpg").write_text("mine")
    claim(tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "pictures"]
    assert (tmp_path / "pictures" / "me.jpg").is_file()


def test_overwriting_a_folder_that_is_not_there_makes_it(tmp_path):
    claim(tmp_path / "new", overwrite=True)
    assert (tmp_path / "new").is_dir()


def test_the_next_free_folder_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(choose_folder("drawn")) == "runs/drawn"
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs" / "drawn").mkdir(parents=True)
    assert str(choose_folder("drawn")) == "runs/drawn-2"
    (tmp_path / "runs" / "drawn-2").mkdir()
    assert str(choose_folder("drawn")) == "runs/drawn-3"


def test_the_newest_checkpoint_is_that_of_the_highest_step(tmp_path):
    assert find_last_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, 90)
    last = write_checkpoint(tmp_path, 100)
    write_checkpoint(tmp_path, 9)
    (tmp_path / "checkpoint-best").mkdir()
    assert find_last_checkpoint(tmp_path) == last


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-100])


def change_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def empty(file):
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(
            (name, damage)
            for name in ("model.safetensors", "optimizer.pt")
            for damage in (cut_off, empty, Path.unlink)
        ),
        ("optimizer.pt", change_a_byte),
        ("scheduler.pt", Path.unlink),
        ("rng_state.pth", cut_off),
        ("trainer_state.json", Path.unlink),
    ],
)
def test_half_a_checkpoint_is_passed_over_and_named(tmp_path, caplog, name, damage):
    last = write_checkpoint(tmp_path, 4)
    damage(Path(write_checkpoint(tmp_path, 8)) / name)
    with caplog.at_level("WARNING"):
        assert find_last_checkpoint(tmp_path) == last
    assert "checkpoint-8 is not complete and is passed over" in caplog.text


@pytest.mark.parametrize("state", ["", '{"global_step": 12, "log_his'])
def test_a_checkpoint_with_a_half_written_state_is_passed_over(tmp_path, state):
    last = write_checkpoint(tmp_path, 4)
    write_checkpoint(tmp_path, 12, state)
    assert find_last_checkpoint(tmp_path) == last
