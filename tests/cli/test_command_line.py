"""The command line: train.py, fer-hf, and several processes."""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import safetensors.torch
import torch
from ferplus_files import write_fer2013, write_votes
from PIL import Image

from fer_hf import cli
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.training import callbacks
from fer_hf.training.stages import InterruptedRunError

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
TINY = [
    *("--num_drawn", "80", "--drawn_size", "32", "--input_size", "32"),
    *("--dataloader_num_workers", "0", "--disable_tqdm", "true"),
]


def start(*command, **settings):
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
        **settings,
    )


def assert_is_one_clear_line(text, *parts):
    """Check an error: one line in the name of the program, no traceback, and what it must say."""
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("fer-hf: error:")]
    assert len(lines) == 1, text
    for part in parts:
        assert part in lines[0]


@pytest.fixture
def faces_folder(tmp_path):
    """Six pictures of two labels in two folders."""
    rng = np.random.default_rng(0)
    for label in ("happy", "sad"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 256, (40, 36, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / label / f"{number}.png")
    return tmp_path / "faces"


# Cheap to look at


def test_importing_the_package_needs_no_torch_and_no_network():
    program = """
import socket, sys, time
def refuse(*args, **kwargs):
    raise AssertionError("asked for the network")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
start = time.perf_counter()
import fer_hf
assert "load_splits" in fer_hf.__all__
print(time.perf_counter() - start)
heavy = {"torch", "transformers", "datasets", "timm", "sklearn", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = start(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 3  # 0.5 on a quiet machine


def test_the_help_of_fer_hf_comes_at_once_and_teaches():
    before = time.perf_counter()
    done = start(SCRIPTS / "fer-hf", "--help")
    assert time.perf_counter() - before < 6  # 1 on a quiet machine
    assert done.returncode == 0
    assert done.stderr == ""
    for word in ("train", "data", "compare", "fer-hf data drawn", "accelerate launch train.py"):
        assert word in done.stdout


@pytest.mark.parametrize("command", ["data", "compare", "evaluate", "fit", "sweep", "card"])
def test_each_command_explains_itself_with_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert "example" in text
    assert f"  fer-hf {command}" in text or f"example: fer-hf {command}" in text


@pytest.mark.parametrize("args", [[], ["trane"]])
def test_a_command_that_does_not_exist_ends_with_2(args, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(args)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "part"), [(["data"], "source"), (["data", "drawn", "--layot", "x"], "`--layout`")]
)
def test_a_wrong_call_of_a_command_is_one_line_and_ends_with_2(args, part, capsys):
    assert cli.main(args) == 2
    assert_is_one_clear_line(capsys.readouterr().err, part)


def test_the_help_of_train_shows_examples_and_every_setting(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.run("train", ["--help"])
    text = capsys.readouterr().out
    assert "accelerate launch train.py --data my_faces" in text
    for flag in ("--data", "--config", "--unfreeze", "--learning_rate", "--resume", "--output_dir"):
        assert flag in text


# Errors are one line


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--learning_rat", "1"], ["'--learning_rat'", "Did you mean `--learning_rate`?"]),
        (["--config", "no-such-recipe"], ["'no-such-recipe'", "'baseline'"]),
        (["--input_size", "big"], ["input_size", "'big'"]),
        (["--data", "no/such/folder", "--config", "baseline"], ["no/such/folder"]),
        (["--ema_decay", "2"], ["`ema_decay` is 2.0"]),
        ([*TINY, "--model_name_or_path", "resnetv3"], ["'resnetv3'", "'inception-resnet'"]),
        ([*TINY, "--config", "baseline", "--input_size", "31"], ["`input_size` is 31"]),
        (["--resume", "--config", "baseline"], ["`resume` needs --output_dir"]),
    ],
)
def test_a_wrong_call_of_train_is_one_line_and_ends_with_2(
    args, parts, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.run("train", args) == 2
    captured = capsys.readouterr()
    assert_is_one_clear_line(captured.err, *parts)


@pytest.mark.slow
def test_train_py_hands_the_exit_status_on(tmp_path):
    done = start(sys.executable, PROJECT / "train.py", "--learning_rat", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert_is_one_clear_line(done.stderr, "Did you mean `--learning_rate`?")


def test_an_unknown_key_of_a_recipe_is_one_line_and_ends_with_2(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("learning_rat: 1\n")
    assert cli.run("train", ["--config", str(tmp_path / "mine.yaml")]) == 2
    assert_is_one_clear_line(capsys.readouterr().err, "'learning_rat'", "`learning_rate`?")


def test_a_folder_with_another_run_is_refused_with_2(capsys, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    args = [*TINY, "--config", "baseline", "--output_dir", str(tmp_path)]
    assert cli.run("train", args) == 2
    assert_is_one_clear_line(capsys.readouterr().err, "--resume", "--overwrite_output_dir")


def test_imagenet_without_a_network_is_one_line_and_ends_with_1(capsys, tmp_path):
    args = [*TINY, "--model_name_or_path", "test_resnet", "--weights", "imagenet"]
    assert cli.run("train", [*args, "--output_dir", str(tmp_path / "run")]) == 1
    assert_is_one_clear_line(capsys.readouterr().err, "'timm/test_resnet", "--weights none")


def test_debug_shows_where_an_error_comes_from():
    with pytest.raises(FileNotFoundError, match="no-such-recipe"):
        cli.run("train", ["--config", "no-such-recipe", "--debug"])


# fer-hf data and fer-hf compare


def test_data_shows_counts_sizes_and_a_contact_sheet(faces_folder, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert cli.main(["data", str(faces_folder), "--contact_sheet", str(sheet)]) == 0
    shown = capsys.readouterr().out
    rows = {
        match[1]: [int(n) for n in match[2].split()]
        for match in re.finditer(r"^(\w+)((?: +\d+)+)$", shown, re.MULTILINE)
    }
    assert re.search(r"label +train +validation +test +all", shown)
    assert rows.keys() == {"happy", "sad", "total"}
    assert all(sum(row[:3]) == row[3] for row in rows.values())
    assert [rows["happy"][3], rows["sad"][3], rows["total"][3]] == [10, 10, 20]
    assert "36×40" in shown
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"
        assert picture.width > 100


def test_data_that_cannot_be_read_is_one_line_and_ends_with_2(faces_folder, capsys):
    (faces_folder / "sad" / "broken.png").write_bytes(b"no picture")
    assert cli.main(["data", str(faces_folder)]) == 2
    assert_is_one_clear_line(capsys.readouterr().err, "broken.png", "skip_unreadable")
    assert cli.main(["data", str(faces_folder), "--skip_unreadable"]) == 0
    assert cli.main(["data", str(faces_folder / "nowhere")]) == 2


def test_data_builds_ferplus_and_says_what_to_do_with_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_fer2013(tmp_path)
    write_votes(tmp_path / "fer2013new.csv")
    files = ["--fer2013", "fer2013.csv", "--votes", "fer2013new.csv"]
    assert cli.main(["data", "ferplus", *files]) == 0
    shown = capsys.readouterr().out
    counts = {"train": 5, "validation": 2, "test": 2, "total": 9}
    for name, count in counts.items():
        assert re.search(rf"^{name} +{count}$", shown, re.MULTILINE)
    assert "accelerate launch train.py --data ferplus --config resnetv2-ferplus" in shown
    # Without --fer2013 `ferplus` is a path like any other.
    assert cli.main(["data", "ferplus"]) == 0
    assert re.search(r"^total +4 +1 +1 +6$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["data", "ferplus", "--vote_rule", "all"]) == 0
    assert re.search(r"^total +4 +2 +2 +8$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["data", "ferplus", *files]) == 2
    assert_is_one_clear_line(capsys.readouterr().err, "'ferplus' holds test.parquet", "output_dir")
    # The votes lie beside the pictures.
    args = ["data", "ferplus", "--fer2013", "fer2013.csv", "--output_dir", "my set"]
    assert cli.main(args) == 0
    assert "--data 'my set' --config" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["faces", "--fer2013", "a.csv"], ["Found --fer2013 with the source 'faces'. To build"]),
        (["ferplus", "--output_dir", "b"], ["Found --output_dir", "ferplus --fer2013 fer2013.csv"]),
        (["ferplus", "--fer2013", "a.csv", "--votes_file", "b"], ["and other flags", "[--votes"]),
        (["ferplus", "--fer2013", "a.csv"], ["no file or folder 'a.csv'"]),
    ],
)
def test_a_wrong_call_that_builds_ferplus_is_one_line_and_ends_with_2(
    args, parts, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["data", *args]) == 2
    assert_is_one_clear_line(capsys.readouterr().err, *parts)
    assert not list(tmp_path.iterdir())


def test_compare_prints_the_table_and_saves_it_on_request(
    baseline_run, resnet_run, tmp_path, capsys
):
    runs = [str(baseline_run), str(resnet_run)]
    assert cli.main(["compare", *runs, "--output_dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for word in ("baseline", "resnet", "none; all layers"):
        assert word in shown
    assert {path.name for path in tmp_path.iterdir()} == {
        "comparison.json",
        "comparison.md",
        "comparison.png",
    }
    assert cli.main(["compare", *runs, str(tmp_path / "nowhere")]) == 2
    assert_is_one_clear_line(capsys.readouterr().err, "report.json")


# Whole runs


def test_two_recipes_train_compare_and_say_how_to_use_the_best(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = "model_name_or_path: {}\nweights: none\nnum_train_epochs: 1\n"
    (tmp_path / "plain.yaml").write_text(recipe.format("baseline"))
    (tmp_path / "deep.yaml").write_text(recipe.format("test_resnet"))
    assert cli.main(["train", *TINY, "--config", "plain.yaml", "deep.yaml"]) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "runs" / "drawn"
    assert {path.name for path in folder.iterdir()} == {
        "plain",
        "deep",
        "comparison.json",
        "comparison.md",
        "comparison.png",
    }
    best = json.loads((folder / "comparison.json").read_text())["best"]
    assert f'pipeline("image-classification", model="{best}")' in shown
    assert ("import fer_hf;" in shown) == best.endswith("plain")
    assert "Everything is in runs/drawn" in shown


def test_one_run_prints_its_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = [*TINY, "--model_name_or_path", "baseline", "--num_train_epochs", "1"]
    assert cli.run("train", args) == 0
    shown = capsys.readouterr().out
    for split in ("train", "validation", "test"):
        assert re.search(rf"^{split} +accuracy 0\.\d+ \(0\.\d+–\d\.\d+\)", shown, re.MULTILINE)
    assert (tmp_path / "runs" / "drawn-baseline" / "report.json").is_file()
    # The next one goes beside it.
    assert cli.run("train", args) == 0
    assert (tmp_path / "runs" / "drawn-baseline-2" / "report.json").is_file()


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(callbacks.StopOnSignal, "on_step_begin", on_step_begin)
    folder = tmp_path / "run"
    args = [*TINY, "--config", "baseline", "--data", "drawn", "--output_dir", str(folder)]
    assert cli.run("train", args) == 130
    error = capsys.readouterr().err
    assert "Stopped at step 2 of" in error
    assert f"--output_dir {folder} --resume" in error
    assert "Traceback" not in error
    assert (folder / "checkpoint-2" / "trainer_state.json").is_file()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["results._build_report", "results.save_report"])
def test_a_signal_outside_of_training_says_how_to_go_on_and_costs_nothing(
    tmp_path, monkeypatch, capsys, number, stage
):
    def stop(*args, **settings):
        for _ in range(2):  # as by a launcher that passes on what its group got
            os.kill(os.getpid(), number)

    folder = tmp_path / "run"
    args = [*TINY, "--model_name_or_path", "baseline", "--num_train_epochs", "1"]
    args += ["--output_dir", str(folder)]
    with monkeypatch.context() as patch:
        patch.setattr(f"fer_hf.training.{stage}", stop)
        assert cli.run("train", args) == 130
    [line] = [line for line in capsys.readouterr().err.splitlines() if "fer-hf" in line]
    assert line.startswith("fer-hf: Stopped; what was finished is in")
    assert line.endswith(f"--output_dir {folder} --resume")
    assert not (folder / "report.json").exists()
    assert cli.run("train", [*args, "--resume"]) == 0
    # Nor is anything lost, or trained again, by one that comes while the result is shown.
    monkeypatch.setattr("fer_hf.cli.train._show_figures", stop)
    assert cli.run("train", [*args, "--resume"]) == 130
    assert f"--output_dir {folder} --resume" in capsys.readouterr().err
    assert (folder / "report.json").is_file()


def test_of_several_processes_that_are_stopped_one_speaks(monkeypatch, capsys):
    def stop(args):
        raise InterruptedRunError("Stopped at step 2")

    monkeypatch.setattr("fer_hf.cli.train.main", stop)
    for rank, expected in (("0", "fer-hf: Stopped at step 2\n"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        assert cli.run("train", []) == 130
        assert capsys.readouterr().err == expected


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    tmp_path, fine_tune_faces, capsys
):
    # Killed in the middle of its second epoch, as nothing can catch it.
    program = """
import os, signal, sys
from fer_hf import cli
from fer_hf.training import callbacks
def on_step_end(self, args, state, control, **kwargs):
    if state.global_step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
callbacks.StopOnSignal.on_step_end = on_step_end
cli.run("train", sys.argv[1:])
"""
    args = [
        *TINY,
        *("--model_name_or_path", "baseline", "--output_dir", str(tmp_path / "run")),
        *("--num_train_epochs", "3", "--per_device_train_batch_size", "16"),
    ]
    done = start(sys.executable, "-c", program, *args, cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "run" / "checkpoint-4").is_dir()
    assert not (tmp_path / "run" / "report.json").exists()
    assert cli.run("train", [*args, "--resume"]) == 0
    fine_tune_faces(tmp_path / "whole", num_train_epochs=3)
    found, expected = (
        safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        for name in ("run", "whole")
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_stopped_or_killed_at_any_moment_resume_to_the_same_weights(tmp_path):
    def launch(folder, *more):
        command = [
            *(SCRIPTS / "accelerate", "launch", "--multi_gpu", "--num_processes", "2"),
            *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
            *("--main_process_port", "0", PROJECT / "train.py", *TINY, "--ema_decay", "0.8"),
            *("--dataloader_num_workers", "1", "--model_name_or_path", "baseline"),
            *("--num_train_epochs", "2", "--per_device_train_batch_size", "8"),
            *("--output_dir", tmp_path / folder, *more),
        ]
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=tmp_path,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    whole = launch("whole")
    _, errors = whole.communicate()
    assert whole.returncode == 0, errors
    for appears, number in (
        ("checkpoint-4/trainer_state.json", signal.SIGTERM),
        ("checkpoint-8", signal.SIGKILL),  # the first files of it
    ):
        run = launch("run", "--resume")
        while run.poll() is None and not (tmp_path / "run" / appears).exists():
            time.sleep(0.001)
        # It starts the two in sessions of their own, so that its group is itself.
        everybody = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        for process in everybody[: 1 if number == signal.SIGTERM else None]:
            process.send_signal(number)
        _, errors = run.communicate()  # until every process has closed it
        assert run.returncode != 0, errors
        if number == signal.SIGTERM:
            lines = [line for line in errors.splitlines() if line.startswith("fer-hf: ")]
            assert len(lines) == 1, errors
            assert f"--output_dir {tmp_path / 'run'} --resume" in lines[0]
    last = launch("run", "--resume")
    _, errors = last.communicate()
    assert last.returncode == 0, errors
    found, expected = (
        safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        for name in ("run", "whole")
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
def test_two_processes_give_the_metrics_of_one(tmp_path, fine_tune_faces):
    done = start(
        *(SCRIPTS / "accelerate", "launch", "--multi_gpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", PROJECT / "train.py", *TINY),
        *("--model_name_or_path", "baseline", "--dropout", "0", "--num_train_epochs", "3"),
        *("--per_device_train_batch_size", "8", "--output_dir", tmp_path / "two"),
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    one = fine_tune_faces(tmp_path / "one", model={"dropout": 0.0}, num_train_epochs=3)
    two = load_report(tmp_path / "two")
    assert two.settings["world_size"] == 2
    assert one.settings["world_size"] == 1
    assert two.split_sizes == one.split_sizes
    for split in ("train", "validation", "test"):
        first, second = one.evaluations[split], two.evaluations[split]
        assert second.accuracy.value == first.accuracy.value
        assert second.confusion_matrix == first.confusion_matrix
        assert second.nll.value == pytest.approx(first.nll.value, abs=1e-4)
    for first, second in zip(one.history, two.history, strict=True):
        assert second["train_loss"] == pytest.approx(first["train_loss"], abs=1e-3)
        assert second["train_accuracy"] == pytest.approx(first["train_accuracy"])
        assert second["validation_loss"] == pytest.approx(first["validation_loss"], abs=1e-3)
    # One process writes and speaks for both.
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert names[0] == names[1]
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("one", "two")] == []
    assert done.stdout.count("Use the model with") == 1


def test_the_one_thread_of_accelerate_becomes_a_share_of_the_cores(monkeypatch):
    from fer_hf.cli import train

    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 8)
    for name in ("ACCELERATE_MIXED_PRECISION", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train._use_all_cores()
    assert asked == []  # not accelerate: somebody asked for one thread
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    train._use_all_cores()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    train._use_all_cores()
    assert asked == [8, 4]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    train._use_all_cores()
    assert asked == [8, 4]
