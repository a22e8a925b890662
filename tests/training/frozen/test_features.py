"""Features of a frozen backbone: computed once, kept whole, and worth as much as the pictures."""

import copy
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from fer_hf import cli
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.models import StandaloneHead, load_checkpoint, load_model
from fer_hf.training import stages
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen import feature_cache, features
from fer_hf.training.frozen.feature_cache import clear_cache, get_cache_folder, list_entries
from fer_hf.training.frozen.features import load_features

SCRIPTS = Path(sysconfig.get_path("scripts"))
FROZEN = {"model_name_or_path": "test_resnet", "weights": "none"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache for each test, written in chunks of sixteen pictures."""
    monkeypatch.setenv("FER_HF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "_CHUNK_ROWS", 16)
    return tmp_path / "cache"


@pytest.fixture
def loaded(faces):
    torch.manual_seed(0)
    names = faces["train"].features["label"].names
    result = load_model("test_resnet", names, weights="none", input_size=32)
    result.model.eval()
    return result


@pytest.fixture
def train(faces, loaded):
    return FaceDataset(faces["train"], loaded.image_processor, seed=3)


def count_passes(monkeypatch):
    """Count the pictures that go through a backbone from now on."""
    counts = []
    compute = features.compute_features

    def counted(model, pixel_values):
        counts.append(len(pixel_values))
        return compute(model, pixel_values)

    monkeypatch.setattr(features, "compute_features", counted)
    return counts


# What is computed


def test_features_through_the_head_are_the_logits_of_the_network(loaded, train):
    cached = load_features(loaded.model, train)
    batch, pictures = cached.__getitems__([5, 0, 60]), train.__getitems__([5, 0, 60])
    assert torch.equal(batch["labels"], pictures["labels"])
    with torch.no_grad():
        expected = loaded.model(pixel_values=pictures["pixel_values"]).logits
        found = StandaloneHead(loaded.model).eval()(pixel_values=batch["pixel_values"]).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_head_shares_its_parameters_and_nothing_else(loaded):
    head = StandaloneHead(loaded.model)
    classifier = loaded.model.timm_model.get_classifier()
    assert {id(p) for p in head.parameters()} == {id(p) for p in classifier.parameters()}


def test_views_are_the_picture_its_mirror_image_and_augmented_ones(loaded, faces, train):
    cached = load_features(loaded.model, train, num_views=4)
    assert cached.features.shape[:2] == (4, len(train))
    mirrored = faces["train"].map(lambda row: {"image": row["image"].transpose(0)})
    alone = load_features(loaded.model, FaceDataset(mirrored, loaded.image_processor))
    torch.testing.assert_close(cached.features[1], alone.features[0], atol=1e-3, rtol=1e-3)
    assert not torch.allclose(cached.features[2], cached.features[3], atol=1e-3)
    seen = set()
    for epoch in range(30):
        cached.set_epoch(epoch)
        row = cached.__getitems__([7])["pixel_values"][0]
        seen |= {view for view in range(4) if torch.equal(cached.features[view, 7], row)}
    assert seen == {0, 1, 2, 3}
    assert torch.equal(cached.select([7]).features[0, 0], cached.features[0, 7])


def test_features_that_are_not_finite_are_refused(loaded, train):
    broken = copy.deepcopy(loaded.model)
    next(broken.parameters()).data.fill_(torch.inf)
    with pytest.raises(ValueError, match="features that are NaN or infinite"):
        load_features(broken, train)


def test_no_views_are_refused(loaded, train):
    with pytest.raises(ValueError, match=r"`feature_views` is 0, expected 1"):
        load_features(loaded.model, train, num_views=0)


# What is kept


def test_a_second_run_computes_nothing(loaded, train, monkeypatch):
    first = load_features(loaded.model, train)
    passes = count_passes(monkeypatch)
    assert torch.equal(load_features(loaded.model, train).features, first.features)
    assert passes == []
    assert len(list_entries()) == 1


def test_another_head_uses_the_same_entry_and_anything_else_another(
    loaded, train, faces, monkeypatch
):
    load_features(loaded.model, train)
    with torch.no_grad():
        loaded.model.timm_model.get_classifier().weight.add_(1)
    passes = count_passes(monkeypatch)
    load_features(loaded.model, train)
    assert passes == []

    def assert_new(faces_dataset, **settings):
        before = len(list_entries())
        load_features(loaded.model, faces_dataset, **settings)
        assert len(list_entries()) == before + 1

    assert_new(train, num_views=2)
    monkeypatch.setattr(features, "_has_bf16", lambda device: True)
    assert_new(train, bf16=True)
    other = load_model("test_resnet", ["a", "b"], weights="none", input_size=48)
    assert_new(FaceDataset(faces["train"], other.image_processor))
    assert_new(FaceDataset(faces["train"].select(range(63)), loaded.image_processor))
    with torch.no_grad():
        loaded.model.timm_model.bn1.running_mean[0] += 1e-3
    assert_new(train)


def test_a_killed_run_is_finished_by_the_next_one_from_its_whole_chunks(
    loaded, train, monkeypatch, cache
):
    expected = load_features(loaded.model, train).features.clone()
    clear_cache()
    original = feature_cache._save_tensor

    def save(path, tensor):
        if path.name.endswith(".00002.safetensors"):
            path.write_bytes(b"half")  # as a kill -9 that no rename protects would leave it
            raise KeyboardInterrupt
        original(path, tensor)

    monkeypatch.setattr(feature_cache, "_save_tensor", save)
    with pytest.raises(KeyboardInterrupt):
        load_features(loaded.model, train)
    assert [entry.name.split(".")[1:2] for entry in list_entries()] == [
        ["00000"],
        ["00001"],
        ["00002"],
    ]
    monkeypatch.setattr(feature_cache, "_save_tensor", original)
    passes = count_passes(monkeypatch)
    assert torch.equal(load_features(loaded.model, train).features, expected)
    assert sum(passes) == len(train) - 2 * 16
    assert [entry.suffixes for entry in list_entries()] == [[".safetensors"]]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign version"])
def test_a_damaged_entry_is_computed_again(loaded, train, damage, caplog):
    expected = load_features(loaded.model, train).features.clone()
    (path,) = list_entries()
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[:-100])
    elif damage == "flipped":
        content[-100] ^= 1
        path.write_bytes(content)
    else:
        safetensors.torch.save_file({"features": expected}, path, {"format_version": "0"})
    with caplog.at_level(logging.WARNING, logger="fer_hf"):
        assert torch.equal(load_features(loaded.model, train).features, expected)
    assert "damaged file" in caplog.text


def test_two_processes_share_one_entry(faces, loaded, train, cache, tmp_path):
    loaded.model.save_pretrained(tmp_path / "model")
    faces["train"].to_parquet(tmp_path / "train.parquet")
    program = f"""
from datasets import Dataset
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import load_features
from fer_hf.models import load_checkpoint
loaded = load_checkpoint({str(tmp_path / "model")!r})
split = Dataset.from_parquet({str(tmp_path / "train.parquet")!r})
print(load_features(loaded.model, FaceDataset(split, loaded.image_processor)).features.sum().item())
"""
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = {process.communicate(timeout=120)[0] for process in started}
    assert all(process.returncode == 0 for process in started)
    expected = load_features(loaded.model, train).features.sum().item()
    assert [float(text) for text in printed] == [pytest.approx(expected, rel=1e-5)]
    assert len(list_entries()) == 1


@pytest.mark.slow
def test_two_processes_of_one_run_each_compute_a_share_and_fail_together(
    faces, loaded, train, cache, tmp_path
):
    loaded.model.save_pretrained(tmp_path / "model")
    faces["train"].to_parquet(tmp_path / "train.parquet")
    program = tmp_path / "share.py"
    program.write_text(f"""
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from fer_hf.training.frozen import feature_cache
from fer_hf.training.frozen import features
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.models import load_checkpoint
features._CHUNK_ROWS = 16
state = PartialState(cpu=True)
loaded = load_checkpoint({str(tmp_path / "model")!r})
split = Dataset.from_parquet({str(tmp_path / "train.parquet")!r})
faces = FaceDataset(split, loaded.image_processor)
save = feature_cache._save_tensor
counts = []
compute = features.compute_features
features.compute_features = lambda *args: (counts.append(len(args[1])), compute(*args))[1]
def fail(path, tensor):
    raise OSError(28, "No space left on device")
if state.process_index == 1:
    feature_cache._save_tensor = fail
in_memory = features.load_features(loaded.model, faces).features.clone()
assert not [entry for entry in feature_cache.list_entries() if len(entry.suffixes) == 1]
feature_cache._save_tensor = save
feature_cache.clear_cache() if state.is_main_process else None
state.wait_for_everyone()
counts.clear()
shared = features.load_features(loaded.model, faces).features
assert (shared == in_memory).all()
print(*gather_object([sum(counts)])) if state.is_main_process else gather_object([sum(counts)])
""")
    command = [
        *(SCRIPTS / "accelerate", "launch", "--multi_gpu", "--num_processes", "2"),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", program),
    ]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("No space left") == 2
    assert [int(count) for count in done.stdout.split()] == [32, 32]


def test_without_a_place_to_write_features_stay_in_memory(loaded, train, monkeypatch, caplog):
    expected = load_features(loaded.model, train).features.clone()
    clear_cache()

    def fail(path, tensor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_cache, "_save_tensor", fail)
    with caplog.at_level(logging.WARNING, logger="fer_hf"):
        found = load_features(loaded.model, train)
    assert torch.equal(found.features, expected)
    assert "No space left" in caplog.text
    assert "FER_HF_CACHE" in caplog.text


def test_the_entries_used_longest_ago_make_room(loaded, train, monkeypatch):
    monkeypatch.setattr(features, "_has_bf16", lambda device: True)
    load_features(loaded.model, train)
    load_features(loaded.model, train, bf16=True)
    first, second = list_entries()
    load_features(loaded.model, train)  # the first is used again
    size = list_entries()[first]
    monkeypatch.setenv("FER_HF_CACHE_GB", str(2.5 * size / 1e9))
    load_features(loaded.model, train, num_views=1, batch_size=7)  # the same entry
    assert len(list_entries()) == 2
    loaded.model.timm_model.bn1.running_mean += 1
    load_features(loaded.model, train)
    assert second not in list_entries()
    assert first in list_entries()
    assert clear_cache() > 0
    assert list_entries() == {}


# Whole runs


def test_a_cached_run_is_the_plain_run(fine_tune_faces, tmp_path, faces):
    plain = fine_tune_faces(
        tmp_path / "plain", model=FROZEN, augment=False, feature_cache=False, ema_decay=0.9
    )
    cached = fine_tune_faces(tmp_path / "cached", model=FROZEN, augment=False, ema_decay=0.9)
    first, second = (
        safetensors.torch.load_file(tmp_path / name / "model.safetensors")
        for name in ("plain", "cached")
    )
    heads = {name for name in first if "fc." in name}
    assert heads
    for name in first:
        if name in heads:
            torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=1e-4)
        else:
            assert torch.equal(first[name], second[name])
    assert cached.evaluations["test"].nll.value == pytest.approx(
        plain.evaluations["test"].nll.value, abs=1e-4
    )
    assert [row["train_loss"] for row in cached.history] == pytest.approx(
        [row["train_loss"] for row in plain.history], abs=1e-4
    )
    assert cached.num_parameters == plain.num_parameters
    assert cached.input_size == plain.input_size == 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("resnetv2_50", 32), ("inception_resnet_v2", 80), ("resnetv2-ferplus", 48)],
)
def test_after_cached_training_logits_are_those_of_the_plain_loop(
    fine_tune_faces, faces, tmp_path, name, size
):
    logits = []
    model = {"model_name_or_path": name, "input_size": size}
    if name != "resnetv2-ferplus":
        model["weights"] = "none"
    for kind, cache in (("plain", False), ("cached", True)):
        folder = tmp_path / kind
        fine_tune_faces(folder, model=model, augment=False, feature_cache=cache)
        loaded = load_checkpoint(str(folder))
        test = FaceDataset(faces["test"], loaded.image_processor)
        pixel_values = test.__getitems__(range(len(test)))["pixel_values"]
        with torch.no_grad():
            logits.append(loaded.model(pixel_values=pixel_values).logits)
    if name == "resnetv2-ferplus":
        before = load_checkpoint(name).model.state_dict()
        for key, values in loaded.model.state_dict().items():
            assert torch.equal(values, before[key]) != (".fc." in key), key
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=0)


def test_a_cached_run_resumes_and_reports_what_pipeline_says(fine_tune_faces, tmp_path):
    whole = fine_tune_faces(tmp_path / "whole", model=FROZEN, num_train_epochs=3)
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    (tmp_path / "stopped" / "report.json").unlink()
    last = sorted((tmp_path / "stopped").glob("checkpoint-*"))[-1]
    shutil.rmtree(last)
    again = fine_tune_faces(tmp_path / "stopped", model=FROZEN, num_train_epochs=3, resume=True)
    assert again.evaluations["test"] == whole.evaluations["test"]
    assert load_report(tmp_path / "stopped").history == whole.history


@pytest.mark.parametrize(("largest", "warned"), [(0.01, False), (0.0, True)])
def test_bf16_is_kept_only_where_it_hardly_moves_scores(
    fine_tune_faces, tmp_path, monkeypatch, caplog, largest, warned
):
    monkeypatch.setattr(features, "_has_bf16", lambda device: True)
    monkeypatch.setattr(stages, "_LARGEST_SHIFT", largest)
    with caplog.at_level(logging.WARNING, logger="fer_hf"):
        fine_tune_faces(tmp_path / "run", model=FROZEN, bf16=True)
    assert ("bfloat16 moves scores" in caplog.text) == warned
    assert len(list_entries()) == (6 if warned else 3)


def test_a_processor_without_bf16_computes_in_fp32(loaded, train, monkeypatch, caplog):
    exact = load_features(loaded.model, train).features
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False}, raising=False
    )
    with caplog.at_level(logging.WARNING, logger="fer_hf"):
        assert torch.equal(load_features(loaded.model, train, bf16=True).features, exact)
    assert "has no bfloat16" in caplog.text
    assert len(list_entries()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"feature_cache": False},
        {"mixup": 0.2},
        {"model": {**FROZEN, "unfreeze": "last_stage"}},
        {"model": {}},  # a baseline CNN has nothing that is frozen
    ],
)
def test_what_changes_pixels_or_the_backbone_is_not_cached(fine_tune_faces, tmp_path, settings):
    fine_tune_faces(tmp_path / "run", **{"model": FROZEN, **settings})
    assert list_entries() == {}


def test_a_dense_head_and_several_views_are_cached(fine_tune_faces, tmp_path):
    report = fine_tune_faces(
        tmp_path / "run", model={**FROZEN, "pooling": "flatten"}, feature_views=3
    )
    assert len(list_entries()) == 3
    assert report.settings["feature_views"] == 3
    assert np.isfinite(report.evaluations["test"].nll.value)


def test_the_command_shows_the_cache_and_empties_it(loaded, train, cache, capsys):
    assert get_cache_folder() == cache
    load_features(loaded.model, train)
    assert cli.main(["data", "cache"]) == 0
    assert re.search(r"cache: 1 entries, 0\.\d MB in use", capsys.readouterr().out)
    assert cli.main(["data", "cache", "--clear"]) == 0
    assert "freed" in capsys.readouterr().out
    assert list_entries() == {}
    assert cli.main(["data", "drawn", "--clear"]) == 2
    assert "fer-hf data cache --clear" in capsys.readouterr().err
