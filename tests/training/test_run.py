"""Whole runs, from pictures to a checkpoint with its report."""

import json
import math
import os
import resource
import shutil
import signal

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from datasets import List, Value
from PIL import Image
from transformers import TimmWrapperForImageClassification, pipeline

from fer_hf.data import load_splits
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.training.arguments import DataArguments, ModelArguments
from fer_hf.training.callbacks import StopOnSignal
from fer_hf.training.recipes import RunArguments
from fer_hf.training.run import InterruptedRunError, fine_tune_all
from fer_hf.training.training_arguments import FerTrainingArguments

STEPS = 4  # in an epoch: 64 pictures in batches of 16


@pytest.fixture
def happen_at_step(monkeypatch):
    """Let something happen when a step of training ends, before the checkpoint is written."""
    original = StopOnSignal.on_step_end

    def arrange(steps, happen):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step in steps:
                happen()
            original(self, args, state, control, **kwargs)

        monkeypatch.setattr(StopOnSignal, "on_step_end", on_step_end)

    yield arrange
    monkeypatch.undo()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def load_weights(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def assert_same_weights(first, second):
    expected = load_weights(first)
    found = load_weights(second)
    assert found.keys() == expected.keys()
    different = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert different == []


def score(folder, pictures, label_names):
    """Let `pipeline` score pictures as a user would; rows of scores in the order of the labels."""
    classify = pipeline("image-classification", model=str(folder))
    rows = []
    for result in classify(list(pictures), top_k=len(label_names)):
        shown = {row["label"]: row["score"] for row in result}
        if set(shown) == {label_names[1]}:
            shown[label_names[0]] = 1 - shown[label_names[1]]
        rows.append([shown[name] for name in label_names])
    return np.array(rows)


def compute_nll(scores, labels):
    return -np.log(scores[np.arange(len(labels)), labels]).mean()


def assert_report_says_what_pipeline_says(folder, splits):
    report = load_report(folder)
    for name in ("train", "validation"):
        labels = np.array(splits[name]["label"][:])
        scores = score(folder, splits[name]["image"], report.label_names)
        evaluation = report.evaluations[name]
        assert evaluation.accuracy.value == pytest.approx((scores.argmax(1) == labels).mean())
        assert evaluation.nll.value == pytest.approx(compute_nll(scores, labels), abs=1e-4)


@pytest.fixture(scope="module")
def two_labels(tmp_path_factory):
    """A folder with two labels, forty pictures in odd sizes."""
    folder = tmp_path_factory.mktemp("two")
    rng = np.random.default_rng(0)
    for label, level in (("calm", 90), ("angry", 160)):
        (folder / label).mkdir()
        for number in range(20):
            size = (int(rng.integers(30, 60)), int(rng.integers(30, 60)), 3)
            pixels = np.clip(rng.normal(level, 40, size), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


# What a run leaves behind


def test_a_run_leaves_a_checkpoint_a_report_and_plots(baseline_run):
    files = {path.name for path in baseline_run.iterdir() if path.is_file()}
    assert files == {
        "README.md",
        "baseline.py",
        "config.json",
        "confusion_matrix.png",
        "curves.png",
        "model.onnx",
        "model.safetensors",
        "preprocessor_config.json",
        "report.json",
        "seen.safetensors",
    }
    for name in ("curves.png", "confusion_matrix.png"):
        with Image.open(baseline_run / name) as plot:
            assert plot.width > 200
    assert not list(baseline_run.rglob("training_args.bin"))


def test_a_timm_run_is_a_plain_checkpoint_without_code(resnet_run):
    files = {path.name for path in resnet_run.iterdir() if path.is_file()}
    assert {"config.json", "model.safetensors", "report.json"} <= files
    assert not [name for name in files if name.endswith((".py", ".bin"))]
    assert json.loads((resnet_run / "config.json").read_text())["model_type"] == "timm_wrapper"
    model = TimmWrapperForImageClassification.from_pretrained(resnet_run)
    assert list(model.config.id2label.values()) == load_report(resnet_run).label_names


def test_a_run_is_served_without_torch(baseline_run, faces):
    served = ExpressionClassifier(str(baseline_run))
    assert served.backend == "onnx"
    trained = ExpressionClassifier(str(baseline_run), backend="torch")
    pictures = faces["test"]["image"][:]
    np.testing.assert_allclose(served(pictures), trained(pictures), atol=1e-5)


def test_a_run_without_a_graph_is_whole_and_warns_once(
    fine_tune_faces, baseline_run, tmp_path, monkeypatch, caplog
):
    def fail(*args, **kwargs):
        raise NotImplementedError("no such operator\nand a table of those there are")

    monkeypatch.setattr("fer_hf.publishing.graph_export.write_graph", fail)
    fine_tune_faces(tmp_path / "run", num_train_epochs=1)
    (warning,) = [r.getMessage() for r in caplog.records if "model.onnx" in r.getMessage()]
    assert warning.endswith("has no `model.onnx` and is served by torch: no such operator")
    assert load_report(tmp_path / "run").display_name == "run"
    assert not (tmp_path / "run" / "model.onnx").exists()


def test_where_nothing_can_export_a_run_has_no_graph(
    fine_tune_faces, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("fer_hf.training.results.find_spec", lambda name: None)
    fine_tune_faces(tmp_path / "run", num_train_epochs=1)
    assert not (tmp_path / "run" / "model.onnx").exists()
    assert "model.onnx" not in caplog.text


def test_the_report_says_what_was_done(baseline_run, resnet_run):
    report = load_report(baseline_run)
    assert report.model_name_or_path == "baseline"
    assert report.display_name == "baseline"
    assert report.pretrained_on == "none"
    assert report.fine_tuned == "all layers"
    # 1792 + 18464 + 4624 + 64·(16·4·4 + 1) + 8·65
    assert report.num_parameters == report.num_trainable_parameters == 41848
    assert report.data == "drawn"
    assert report.split_sizes == {"train": 64, "validation": 8, "test": 8}
    assert report.input_size == 32
    assert report.seed == 42
    assert report.settings["world_size"] == 1
    assert report.settings["num_train_epochs"] == 2
    assert report.settings["per_device_train_batch_size"] == 16
    assert "output_dir" not in report.settings
    assert str(baseline_run.parent) not in json.dumps(report.to_dict())
    assert {"python", "torch", "transformers", "fer-hf", "hardware"} <= report.versions.keys()
    assert report.train_seconds > 0
    assert set(report.evaluations) == {"train", "validation", "test"}
    assert [row["epoch"] for row in report.history] == [1, 2]
    for row in report.history:
        assert {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"} <= set(
            row
        )
    assert load_report(resnet_run).fine_tuned == "all layers"
    assert load_report(resnet_run).model_name_or_path == "test_resnet"


def test_pipeline_gives_the_scores_of_the_report(baseline_run, resnet_run, faces):
    assert_report_says_what_pipeline_says(baseline_run, faces)
    assert_report_says_what_pipeline_says(resnet_run, faces)


@pytest.mark.parametrize(
    ("model", "binary_head"),
    [("baseline", "sigmoid"), ("test_resnet", "sigmoid"), ("test_resnet", "softmax")],
)
def test_two_labels_give_the_scores_of_the_report_with_either_head(
    fine_tune_faces, two_labels, tmp_path, model, binary_head
):
    report = fine_tune_faces(
        tmp_path / "run",
        data={"data": str(two_labels)},
        model={"model_name_or_path": model, "weights": "none", "binary_head": binary_head},
    )
    assert report.data == two_labels.name
    assert report.label_names == load_splits(two_labels)["train"].features["label"].names
    assert_report_says_what_pipeline_says(tmp_path / "run", load_splits(two_labels))


def test_a_dense_head_gives_the_scores_of_the_report(fine_tune_faces, faces, tmp_path):
    model = {"model_name_or_path": "test_resnet", "weights": "none", "pooling": "flatten"}
    report = fine_tune_faces(tmp_path / "run", model=model)
    assert report.fine_tuned == "head"
    assert report.num_trainable_parameters < report.num_parameters
    assert_report_says_what_pipeline_says(tmp_path / "run", faces)


def test_a_frozen_random_backbone_gets_its_batchnorm_calibrated_and_then_stays(
    fine_tune_faces, tmp_path, caplog
):
    model = {"model_name_or_path": "test_resnet", "weights": "none"}
    weights = []
    for epochs in (1, 2):
        folder = tmp_path / str(epochs)
        report = fine_tune_faces(folder, model=model, num_train_epochs=epochs)
        assert report.fine_tuned == "head"
        weights.append(load_weights(folder))
    assert "BatchNorm statistics are fitted" in caplog.text
    changed = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert changed == {"fc.weight", "fc.bias"}
    assert (weights[0]["bn1.running_mean"] != 0).any()


def test_a_checkpoint_of_a_run_is_a_starting_point(fine_tune_faces, resnet_run, tmp_path):
    report = fine_tune_faces(
        tmp_path / "run", model={"model_name_or_path": str(resnet_run)}, num_train_epochs=1
    )
    assert report.pretrained_on == "resnet"
    before, after = load_weights(resnet_run), load_weights(tmp_path / "run")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fc.weight", "fc.bias"}


def test_the_same_seed_gives_the_same_run(fine_tune_faces, baseline_run, tmp_path):
    fine_tune_faces(tmp_path / "again")
    assert_same_weights(baseline_run, tmp_path / "again")
    fine_tune_faces(tmp_path / "other", seed=1)
    first, other = load_weights(baseline_run), load_weights(tmp_path / "other")
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_processes_that_prepare_pictures_ahead_change_nothing(
    fine_tune_faces, baseline_run, tmp_path
):
    fine_tune_faces(tmp_path / "ahead", dataloader_num_workers=2)
    assert_same_weights(baseline_run, tmp_path / "ahead")


# Settings of training


def test_dropping_the_last_batch_of_training_drops_no_picture_of_an_evaluation(
    fine_tune_faces, tmp_path
):
    report = fine_tune_faces(tmp_path / "run", dataloader_drop_last=True, num_train_epochs=1)
    counted = {name: evaluation.num_pictures for name, evaluation in report.evaluations.items()}
    assert counted == report.split_sizes


def test_bf16_is_used_where_asked_and_the_checkpoint_stays_fp32(fine_tune_faces, faces, tmp_path):
    model = {"model_name_or_path": "test_resnet", "weights": "none", "unfreeze": "all"}
    fine_tune_faces(tmp_path / "fp32", model=model)
    report = fine_tune_faces(tmp_path / "bf16", model=model, bf16=True)
    assert math.isfinite(report.evaluations["validation"].nll.value)
    weights, exact = load_weights(tmp_path / "bf16"), load_weights(tmp_path / "fp32")
    assert weights["fc.weight"].dtype == torch.float32
    assert not torch.equal(weights["fc.weight"], exact["fc.weight"])
    labels = np.array(faces["test"]["label"][:])
    scores = score(tmp_path / "bf16", faces["test"]["image"], report.label_names)
    # In bf16 it would be wrong in the third digit.
    expected = pytest.approx(compute_nll(scores, labels), abs=1e-6)
    assert report.evaluations["test"].nll.value == expected


def test_a_run_on_votes_trains_on_them_and_stands_beside_a_tagger(fine_tune_faces, tmp_path):
    splits = load_splits("drawn", num_drawn=80, drawn_size=32)
    for name, split in splits.items():
        labels = np.array(split["label"][:])
        votes = 6 * np.eye(8)[labels] + 3 * np.eye(8)[(labels + 1) % 8]
        feature = List(Value("float32"), length=8)
        splits[name] = split.add_column("votes", votes.tolist(), feature=feature)
    splits.save_to_disk(tmp_path / "voted")
    data = {"data": str(tmp_path / "voted")}
    report = fine_tune_faces(tmp_path / "soft", data=data, calibration="temperature")
    fine_tune_faces(tmp_path / "hard", data=data, soft_targets=False)
    soft, hard = load_weights(tmp_path / "soft"), load_weights(tmp_path / "hard")
    assert not torch.equal(soft["classifier.weight"], hard["classifier.weight"])
    constant, tagger = report.yardsticks
    assert constant.accuracy == pytest.approx(1 / 8)
    assert tagger.accuracy == pytest.approx(6 / 9)
    assert read_not_sure(tmp_path / "soft")["crowd_temperature"] > 0


def test_fewer_pictures_can_be_asked_for(fine_tune_faces, tmp_path):
    limits = {"max_train_samples": 20, "max_eval_samples": 5}
    report = fine_tune_faces(tmp_path / "run", data=limits, num_train_epochs=1)
    assert report.split_sizes == {"train": 20, "validation": 5, "test": 5}


def test_every_way_of_learning_can_be_combined(fine_tune_faces, tmp_path):
    report = fine_tune_faces(
        tmp_path / "run",
        model={
            "model_name_or_path": "test_resnet",
            "weights": "none",
            "unfreeze": "last_stage",
            "pooling": "avgmax",
        },
        mixup=0.2,
        ema_decay=0.9,
        class_weights="balanced",
        label_smoothing_factor=0.1,
        early_stopping=5,
        metric_for_best_model="nll",
    )
    assert report.fine_tuned == "head + last stage"
    assert report.settings["mixup"] == 0.2
    assert report.settings["class_weights"] == "balanced"
    assert np.isfinite(report.evaluations["validation"].nll.value)


def test_class_weights_need_a_picture_of_each_label(fine_tune_faces, tmp_path):
    with pytest.raises(ValueError, match="a label has no training picture"):
        fine_tune_faces(tmp_path / "run", data={"max_train_samples": 4}, class_weights="effective")


@pytest.mark.parametrize(("metric", "best"), [("f1_macro", max), ("nll", min)])
def test_the_epoch_with_the_best_metric_is_kept(fine_tune_faces, tmp_path, metric, best):
    # Too large a learning rate, so that epochs go up and down.
    report = fine_tune_faces(
        tmp_path / "run", num_train_epochs=4, learning_rate=0.02, metric_for_best_model=metric
    )
    name = {"f1_macro": "validation_f1_macro", "nll": "validation_loss"}[metric]
    expected = best(row[name] for row in report.history)
    kept = getattr(report.evaluations["validation"], metric).value
    assert kept == pytest.approx(expected, abs=1e-5)


def test_training_stops_early_when_nothing_gets_better(fine_tune_faces, tmp_path):
    # A learning rate of zero: no epoch is better than the first.
    report = fine_tune_faces(
        tmp_path / "run", num_train_epochs=6, learning_rate=0.0, early_stopping=2
    )
    assert [row["epoch"] for row in report.history] == [1, 2, 3]


def test_tensorboard_is_written_on_request(fine_tune_faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fine_tune_faces(tmp_path / "run", num_train_epochs=1, report_to="tensorboard")
    assert list((tmp_path / "run").rglob("events.out.tfevents.*"))


def build_two_runs(output_dir, **training):
    return [
        RunArguments(
            name=name,
            data=DataArguments(num_drawn=80, drawn_size=32),
            model=ModelArguments(model_name_or_path=model, weights="none", input_size=32),
            training=FerTrainingArguments(
                output_dir=str(output_dir),
                num_train_epochs=1,
                dataloader_num_workers=0,
                disable_tqdm=True,
                **training,
            ),
        )
        for name, model in (("plain", "baseline"), ("deep", "test_resnet"))
    ]


def test_several_recipes_are_compared(tmp_path):
    folder, reports, comparison = fine_tune_all(build_two_runs(tmp_path / "all"))
    assert folder == tmp_path / "all"
    assert [report.display_name for report in reports] == ["plain", "deep"]
    assert {row.display_name for row in comparison.rows} == {"plain", "deep"}
    files = {path.name for path in folder.iterdir()}
    assert {"plain", "deep", "comparison.json", "comparison.md", "comparison.png"} == files
    assert (folder / "deep" / "report.json").is_file()


def test_pictures_in_two_splits_are_warned_about_once_for_all_recipes(tmp_path, caplog):
    for split, level in (("train", 10), ("train", 20), ("validation", 10), ("test", 30)):
        for label in ("calm", "angry"):
            path = tmp_path / "faces" / split / label / f"{level}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (level, level, 5 * len(label))).save(path)
    runs = build_two_runs(tmp_path / "all")
    for run in runs:
        run.data.data = str(tmp_path / "faces")
        run.training.num_train_epochs = 0.1
    with caplog.at_level("WARNING", logger="fer_hf"):
        fine_tune_all(runs)
        assert caplog.text.count("2 pictures of validation or test are byte for byte") == 1
        runs[0].data.load(check=False)
        assert caplog.text.count("byte for byte") == 1
        runs[0].data.load()
        assert caplog.text.count("byte for byte") == 2


def test_an_interrupted_comparison_goes_on_where_it_stood(tmp_path, happen_at_step):
    happen_at_step([1], interrupt)
    with pytest.raises(InterruptedRunError, match=rf"plain was .* {tmp_path} --resume"):
        fine_tune_all(build_two_runs(tmp_path))
    assert not (tmp_path / "deep").exists()
    happen_at_step([], interrupt)
    _, reports, comparison = fine_tune_all(build_two_runs(tmp_path, resume=True))
    assert [report.display_name for report in reports] == ["plain", "deep"]
    assert comparison is not None


# The folder


def test_a_folder_with_something_in_it_is_never_written_to(fine_tune_faces, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not empty"):
        fine_tune_faces(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_is_overwritten_when_asked_and_other_files_stay(
    fine_tune_faces, baseline_run, tmp_path
):
    fine_tune_faces(tmp_path / "run", num_train_epochs=1, seed=5)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="--overwrite_output_dir"):
        fine_tune_faces(tmp_path / "run")
    fine_tune_faces(tmp_path / "run", overwrite_output_dir=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert_same_weights(baseline_run, tmp_path / "run")
    assert (
        not (tmp_path / "run" / "checkpoint-4").exists() or load_report(tmp_path / "run").seed == 42
    )


# Interrupted runs


@pytest.mark.parametrize(
    ("stop", "model", "settings"),
    [
        (STEPS, {}, {}),
        (STEPS + 2, {}, {"load_best_model_at_end": False}),
        (STEPS + 3, {}, {"ema_decay": 0.8, "mixup": 0.3, "load_best_model_at_end": False}),
        (STEPS - 1, {}, {"ema_decay": 0.8, "metric_for_best_model": "nll"}),
        (
            STEPS + 1,
            {"model_name_or_path": "test_resnet", "weights": "none", "unfreeze": "last_stage"},
            {"load_best_model_at_end": False},
        ),
    ],
    ids=["epoch_end", "mid_epoch", "mid_epoch_ema_mixup", "first_epoch_ema_best", "last_stage"],
)
def test_a_stopped_run_resumes_to_the_same_bits(
    fine_tune_faces, tmp_path, happen_at_step, stop, model, settings
):
    settings = {"num_train_epochs": 3, "model": {"dropout": 0.3, **model}, **settings}
    expected = fine_tune_faces(tmp_path / "whole", **settings)
    happen_at_step([stop], interrupt)
    with pytest.raises(InterruptedRunError, match=rf"Stopped at step {stop} of 12.*--resume"):
        fine_tune_faces(tmp_path / "run", **settings)
    assert (tmp_path / "run" / f"checkpoint-{stop}").is_dir()
    assert not (tmp_path / "run" / "report.json").exists()
    state = json.loads((tmp_path / "run" / f"checkpoint-{stop}" / "trainer_state.json").read_text())
    seconds = state["stateful_callbacks"]["Stopwatch"]["args"]["seconds"]
    happen_at_step([], interrupt)
    report = fine_tune_faces(tmp_path / "run", resume=True, **settings)
    assert report.train_seconds > seconds > 0  # of both sessions
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert report.evaluations == expected.evaluations
    for name in ("epoch", "validation_loss", "validation_accuracy"):
        assert [row.get(name) for row in report.history] == [
            row.get(name) for row in expected.history
        ]


def test_early_stopping_counts_on_where_it_stood_before_the_interruption(
    fine_tune_faces, tmp_path, happen_at_step
):
    settings = {
        "num_train_epochs": 6,
        "learning_rate": 0.0,
        "early_stopping": 2,
    }
    happen_at_step([2 * STEPS + 1], interrupt)
    with pytest.raises(InterruptedRunError):
        fine_tune_faces(tmp_path / "run", **settings)
    happen_at_step([], interrupt)
    report = fine_tune_faces(tmp_path / "run", resume=True, **settings)
    assert [row["epoch"] for row in report.history] == [1, 2, 3]


def test_resuming_a_finished_run_returns_its_report_and_trains_nothing(
    fine_tune_faces, tmp_path, happen_at_step
):
    first = fine_tune_faces(tmp_path / "run", num_train_epochs=1)
    happen_at_step(range(99), lambda: pytest.fail("trained again"))
    assert fine_tune_faces(tmp_path / "run", num_train_epochs=1, resume=True) == first


def test_resuming_where_nothing_was_saved_starts_from_the_beginning(
    fine_tune_faces, baseline_run, tmp_path
):
    (tmp_path / "run" / "checkpoint-4").mkdir(parents=True)
    (tmp_path / "run" / "checkpoint-4" / "model.safetensors").write_bytes(b"half")
    fine_tune_faces(tmp_path / "run", resume=True)
    assert_same_weights(baseline_run, tmp_path / "run")


@pytest.mark.parametrize(
    "damage",
    [
        lambda last: (last / "trainer_state.json").unlink(),
        lambda last: (last / "model.safetensors").write_bytes(b""),
        lambda last: os.truncate(last / "optimizer.pt", 1000),
        lambda last: os.truncate(last / "ema.safetensors", 1000),
    ],
    ids=["no_state", "empty_weights", "half_an_optimizer", "half_an_average"],
)
def test_half_a_checkpoint_is_not_resumed_from_and_costs_one_epoch(
    fine_tune_faces, tmp_path, happen_at_step, damage
):
    settings = {"num_train_epochs": 3, "save_total_limit": 3, "ema_decay": 0.8}
    fine_tune_faces(tmp_path / "whole", **settings)
    happen_at_step([2 * STEPS], interrupt)
    with pytest.raises(InterruptedRunError):
        fine_tune_faces(tmp_path / "run", **settings)
    damage(tmp_path / "run" / f"checkpoint-{2 * STEPS}")
    (tmp_path / "run" / f"checkpoint-{2 * STEPS}" / "old.pt").write_bytes(b"left over")
    happen_at_step([STEPS], lambda: pytest.fail("the first epoch was trained again"))
    fine_tune_faces(tmp_path / "run", resume=True, **settings)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")
    assert not (tmp_path / "run" / f"checkpoint-{2 * STEPS}" / "old.pt").exists()


def test_a_signal_after_the_last_step_leaves_the_figures_for_another_time(
    fine_tune_faces, baseline_run, tmp_path, happen_at_step
):
    happen_at_step([2 * STEPS], interrupt)
    with pytest.raises(InterruptedRunError, match=r"Stopped at step 8 of 8.*--resume"):
        fine_tune_faces(tmp_path / "run")
    assert not (tmp_path / "run" / "report.json").exists()
    happen_at_step(range(99), lambda: pytest.fail("trained again"))
    fine_tune_faces(tmp_path / "run", resume=True)
    assert_same_weights(baseline_run, tmp_path / "run")


@pytest.mark.parametrize("limit", [60_000, 250_000], ids=["weights", "optimizer"])
def test_a_full_disk_is_one_clear_error_and_the_last_checkpoint_stays(
    fine_tune_faces, tmp_path, happen_at_step, limit
):
    settings = {"num_train_epochs": 3, "save_total_limit": 3}
    fine_tune_faces(tmp_path / "whole", **settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond the limit: the weights take 167 kB, the optimizer twice as much.
    happen_at_step([STEPS + 1], lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard)))
    try:
        with pytest.raises(OSError, match=r"Could not write a checkpoint into.*--resume"):
            fine_tune_faces(tmp_path / "run", **settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    happen_at_step([], interrupt)
    assert (tmp_path / "run" / f"checkpoint-{STEPS}" / "trainer_state.json").is_file()
    fine_tune_faces(tmp_path / "run", resume=True, **settings)
    assert_same_weights(tmp_path / "whole", tmp_path / "run")


def test_a_run_that_could_not_be_written_is_finished_without_training_again(
    fine_tune_faces, tmp_path, monkeypatch, happen_at_step
):
    def fail(*args):
        raise OSError(28, "No space left on device")

    settings = {"num_train_epochs": 3, "learning_rate": 0.0}  # the first epoch is the best
    with monkeypatch.context() as patch:
        patch.setattr("fer_hf.training.results.save_report", fail)
        with pytest.raises(OSError, match=r"No space left on device.*training is not repeated"):
            fine_tune_faces(tmp_path / "run", **settings)
    assert not (tmp_path / "run" / "report.json").exists()
    happen_at_step(range(99), lambda: pytest.fail("trained again"))
    report = fine_tune_faces(tmp_path / "run", resume=True, **settings)
    assert [row["epoch"] for row in report.history] == [1, 2, 3]


def test_a_wrong_setting_of_the_model_is_refused(fine_tune_faces, tmp_path):
    with pytest.raises(ValueError, match="distinguishes two labels, and there are 8"):
        fine_tune_faces(tmp_path / "run", model={"binary_head": "sigmoid"})


def test_a_calibrated_half_precision_run_is_what_pipeline_and_timm_open(
    fine_tune_faces, faces, tmp_path
):
    network = {"model_name_or_path": "test_resnet", "weights": "none", "unfreeze": "all"}
    plain = fine_tune_faces(tmp_path / "plain", model=network)
    report = fine_tune_faces(
        tmp_path / "run",
        model=network,
        calibration="temperature",
        logit_adjustment=0.5,
        save_dtype="float16",
    )
    assert_report_says_what_pipeline_says(tmp_path / "run", faces)
    assert report.settings["temperature"] != plain.settings["temperature"] == 1.0
    not_sure = read_not_sure(tmp_path / "run")
    assert not_sure.keys() == {"coverage", "threshold", "conformal_threshold"}
    assert read_not_sure(tmp_path / "plain") is None
    with Image.open(tmp_path / "run" / "reliability.png") as plot:
        assert plot.width > 200
    assert report.evaluations["validation"].nll.value < plain.evaluations["validation"].nll.value

    on_disk = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    assert {v.dtype for v in on_disk.values() if v.is_floating_point()} == {torch.float16}
    model = TimmWrapperForImageClassification.from_pretrained(tmp_path / "run").eval()
    assert model.dtype == torch.float32
    network = timm.create_model(f"local-dir:{tmp_path / 'run'}", pretrained=True).eval()
    pixel_values = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(pixel_values=pixel_values).logits, network(pixel_values))


def read_not_sure(folder):
    return json.loads((folder / "config.json").read_text()).get("not_sure")


def test_a_run_can_be_calibrated_label_by_label(fine_tune_faces, faces, tmp_path):
    vector = fine_tune_faces(tmp_path / "vector", calibration="vector")
    assert len(vector.settings["temperatures"]) == len(vector.settings["offsets"]) == 8
    assert_report_says_what_pipeline_says(tmp_path / "vector", faces)
    # A few faces are too few to show that eight temperatures are better than one.
    auto = fine_tune_faces(tmp_path / "auto", calibration="auto")
    assert auto.settings["temperature"] != 1.0
    nll = [report.evaluations["validation"].nll.value for report in (vector, auto)]
    assert nll[0] < nll[1]


def test_a_run_that_is_not_calibrated_forgets_when_its_start_was_not_sure(
    fine_tune_faces, resnet_run, tmp_path
):
    shutil.copytree(resnet_run, tmp_path / "first")
    config = tmp_path / "first" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "not_sure": {"coverage": 1}}))
    again = {"model_name_or_path": str(tmp_path / "first")}
    fine_tune_faces(tmp_path / "second", model=again, num_train_epochs=1)
    assert read_not_sure(tmp_path / "second") is None


@pytest.mark.parametrize("calibration", ["vector", "auto"])
def test_offsets_that_would_undo_the_logit_adjustment_are_refused(calibration):
    with pytest.raises(ValueError, match=r"offsets would take back what `logit_adjustment` 0.2"):
        FerTrainingArguments(calibration=calibration, logit_adjustment=0.2)


def test_a_run_learns_from_teachers_and_refuses_those_it_cannot_follow(
    fine_tune_faces, resnet_run, two_labels, tmp_path
):
    teachers = [str(resnet_run), str(resnet_run)]
    same = {"model_name_or_path": "test_resnet", "weights": "none"}
    report = fine_tune_faces(tmp_path / "run", model=same, teachers=teachers, teacher_weight=0.7)
    assert report.settings["teachers"] == ["resnet", "resnet"]
    assert report.settings["teacher_weight"] == 0.7
    larger = tmp_path / "larger"
    report = fine_tune_faces(larger, model={**same, "input_size": 48}, teachers=teachers)
    assert report.input_size == 48
    config = tmp_path / "cropping" / "config.json"
    shutil.copytree(resnet_run, config.parent)
    settings = json.loads(config.read_text())
    settings["pretrained_cfg"]["crop_pct"] = 0.9
    config.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"Teacher .*cropping' crops or normalises .*another way"):
        fine_tune_faces(tmp_path / "crop", model=same, teachers=[str(config.parent)])
    with pytest.raises(ValueError, match=r"Teacher .*resnet' has the labels .*same labels"):
        fine_tune_faces(tmp_path / "labels", data={"data": str(two_labels)}, teachers=teachers)
    with pytest.raises(ValueError, match=r"`teacher_weight` is 1.5, expected 0 to 1"):
        FerTrainingArguments(teacher_weight=1.5)


# Two stages


def test_the_head_comes_first_and_the_second_stage_is_kept_only_if_it_helped(
    fine_tune_faces, tmp_path
):
    network = {"model_name_or_path": "test_resnet", "weights": "none", "unfreeze": "all"}
    gentle = {**network, "backbone_lr_scale": 1.0}
    settings = {"head_epochs": 2, "metric_for_best_model": "nll", "augment": False}
    helped = fine_tune_faces(tmp_path / "kept", model=gentle, **settings, num_train_epochs=4)
    notes = helped.settings
    assert notes["after_second_stage"] < notes["before_second_stage"]
    assert notes["kept_second"] is True
    assert helped.fine_tuned == "all layers"
    assert helped.evaluations["validation"].nll.value == pytest.approx(
        notes["after_second_stage"], abs=1e-4
    )

    # A learning rate that ruins everything.
    ruinous = {**network, "backbone_lr_scale": 1e6}
    kept = fine_tune_faces(tmp_path / "head", model=ruinous, **settings, num_train_epochs=1)
    notes = kept.settings
    assert notes["kept_second"] is False
    assert kept.fine_tuned == "head"
    assert kept.evaluations["validation"].nll.value == pytest.approx(
        notes["before_second_stage"], abs=1e-4
    )
    alone = fine_tune_faces(
        tmp_path / "alone",
        model={**network, "unfreeze": "none"},
        num_train_epochs=2,
        augment=False,
        metric_for_best_model="nll",
    )
    assert alone.evaluations["test"] == kept.evaluations["test"]
    assert not list(tmp_path.glob("*/head-first"))


def test_a_second_stage_needs_something_to_train(fine_tune_faces, tmp_path):
    with pytest.raises(ValueError, match=r"`head_epochs` is 2, but nothing would be trained after"):
        fine_tune_faces(tmp_path / "run", head_epochs=2)
