"""An export is kept only if it answers as its checkpoint does, and then serves by itself."""

import importlib
import json
import logging
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from transformers import pipeline

from fer_hf import cli
from fer_hf.data import load_splits
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import DEFAULT_MODEL, load_model
from fer_hf.publishing import export, onnx_export, onnx_quantization
from fer_hf.publishing.export import export_checkpoint
from fer_hf.publishing.hub.leaks import check_for_leaks
from fer_hf.publishing.onnx_quantization import QuantizedExport

LABELS = ["anger", "happy", "sad"]
NETWORKS = {
    "resnet": {"model_name_or_path": "test_resnet", "weights": "none"},
    "baseline": {"model_name_or_path": "baseline"},
    "sigmoid": {"model_name_or_path": "baseline", "label_names": LABELS[1:], "sigmoid": True},
}


def save_checkpoint(folder, **settings):
    """Write an untrained checkpoint that is not sure of anything."""
    torch.manual_seed(0)
    loaded = load_model(**{"label_names": LABELS, "input_size": 32, **settings})
    loaded.model.config.not_sure = {"coverage": 0.9, "threshold": 1, "conformal_threshold": 0}
    loaded.model.save_pretrained(folder)
    loaded.image_processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder for each kind of network; tests copy what they change."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, settings in NETWORKS.items():
        save_checkpoint(folder / name, **settings)
    return folder


@pytest.fixture(scope="module")
def splits(faces):
    """The drawn faces of three labels."""
    names = faces["train"].features["label"].names
    wanted = {names.index(name) for name in LABELS}
    return faces.filter(lambda label: label in wanted, input_columns="label")


@pytest.fixture
def baseline(checkpoints, tmp_path):
    shutil.copytree(checkpoints / "baseline", tmp_path / "baseline")
    return tmp_path / "baseline"


def list_files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def make_pictures():
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (48, 48), (250, 201), (1, 1), (20, 130)]
    colours = [Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for w, h in sizes]
    return [*colours, colours[0].convert("L"), colours[1].convert("RGBA")]


@pytest.mark.parametrize("name", NETWORKS)
def test_an_export_serves_by_itself_with_the_scores_of_its_checkpoint(
    name, checkpoints, splits, tmp_path
):
    checkpoint, served = str(checkpoints / name), tmp_path / "served"
    found = export_checkpoint(checkpoint, served, splits["train"])
    assert found.results.keys() == {"onnx"}
    assert found.results["onnx"].score_difference <= 1e-4
    assert found.results["onnx"].num_pictures == min(64, len(splits["train"]))
    settings = {"config.json"} if name == "resnet" else {"config.json", "preprocessor_config.json"}
    assert {str(file.relative_to(served)) for file in found.files} == {"onnx/model.onnx", *settings}
    assert "model.safetensors" not in list_files(served)
    before, after = ExpressionClassifier(checkpoint), ExpressionClassifier(str(served))
    assert type(after.network).__name__ == "OnnxNetwork"
    assert after.label_names == before.label_names
    assert after.num_parameters == before.num_parameters
    assert after.not_sure == before.not_sure
    assert after.not_sure.threshold == 1
    pictures = make_pictures()
    np.testing.assert_allclose(after(pictures), before(pictures), atol=1e-4)


def test_int8_is_kept_where_it_passes_and_taken_away_where_it_does_not(
    baseline, splits, monkeypatch, caplog
):
    before = list_files(baseline)
    monkeypatch.setattr(onnx_quantization, "MAX_LOST_POINTS", 100)
    monkeypatch.setattr(onnx_quantization, "MIN_SPEEDUP", 0)
    found = export_checkpoint(str(baseline), baseline, splits["test"], splits["train"])
    exported = {"onnx/model.onnx", "onnx/model_quantized.onnx"}
    assert list_files(baseline) == before | exported
    check_for_leaks({name: baseline / name for name in exported})
    assert found.results["onnx-int8"].num_pictures == len(splits["test"])
    pictures = list(splits["test"]["image"])  # like those it was calibrated on
    exact = ExpressionClassifier(str(baseline), backend="onnx")(pictures)
    int8 = ExpressionClassifier(str(baseline), backend="onnx-int8")
    assert int8.num_parameters > 0
    assert 0 < np.abs(int8(pictures) - exact).max() < 0.05
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

    monkeypatch.setattr(onnx_quantization, "MIN_SPEEDUP", 1000)
    found = export_checkpoint(str(baseline), baseline, splits["test"], splits["train"])
    assert list_files(baseline) == before | {"onnx/model.onnx"}
    assert [file.name for file in found.files] == ["model.onnx"]
    assert "The int8 network is not kept: it is" in caplog.text
    assert "expected 1000 or more" in caplog.text


def test_an_export_with_other_scores_is_not_kept(baseline, splits, monkeypatch):
    before = list_files(baseline)
    monkeypatch.setattr(onnx_export, "MAX_SCORE_DIFFERENCE", -1.0)
    with pytest.raises(RuntimeError, match=r"scores differ by up to .* expected .* or less"):
        export_checkpoint(str(baseline), baseline, splits["test"])
    assert list_files(baseline) == before
    assert {path.name for path in baseline.iterdir()} == before


@pytest.mark.parametrize(
    ("accuracy", "quantized", "speedup", "fault"),
    [
        (0.9, 0.9, 2.0, None),
        (0.9, 0.8951, 1.1, None),
        (0.9, 0.89, 2.0, "it loses 1.00 points of accuracy, at most 0.5 are allowed"),
        (0.8, 0.9, 1.05, "it is 1.05 times as fast, expected 1.1 or more"),
    ],
)
def test_the_gate_of_int8(accuracy, quantized, speedup, fault):
    assert QuantizedExport(accuracy, quantized, speedup, 100).find_fault() == fault


def test_another_checkpoint_is_not_overwritten(checkpoints, baseline, splits):
    before = {path: path.read_bytes() for path in baseline.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match=r"is a checkpoint of its own, expected a new folder"):
        export_checkpoint(str(checkpoints / "resnet"), baseline, splits["test"])
    assert {path: path.read_bytes() for path in baseline.rglob("*") if path.is_file()} == before


def test_a_crop_is_refused(checkpoints, splits, tmp_path):
    shutil.copytree(checkpoints / "resnet", tmp_path / "cropping")
    path = tmp_path / "cropping" / "config.json"
    config = json.loads(path.read_text())
    config["pretrained_cfg"] |= {"crop_mode": "center", "crop_pct": 0.9}
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="expected the whole picture squashed"):
        export_checkpoint(str(tmp_path / "cropping"), tmp_path / "served", splits["test"])
    assert list_files(tmp_path / "served") == set()


def test_validation_labels_that_the_model_lacks_are_refused_before_int8_is_made(
    baseline, splits, faces
):
    with pytest.raises(ValueError, match="contempt"):
        export_checkpoint(str(baseline), baseline, faces["test"], splits["train"])
    assert not (baseline / "onnx").exists()


@pytest.mark.realdata
def test_the_model_in_the_box_scores_photographs_as_pipeline_does(photos_dir, tmp_path):
    photos = load_splits(photos_dir)["validation"]
    export_checkpoint(DEFAULT_MODEL, tmp_path, photos)
    served = ExpressionClassifier(str(tmp_path), backend="onnx")
    fer = pipeline("image-classification", model=DEFAULT_MODEL, device="cpu")
    pictures = list(photos["image"])
    for scores, rows in zip(served(pictures), fer(pictures, top_k=8), strict=True):
        expected = {row["label"]: row["score"] for row in rows}
        found = dict(zip(served.label_names, scores.tolist(), strict=True))
        assert found == pytest.approx(expected, abs=1e-4)


def test_without_its_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.delitem(sys.modules, "fer_hf.publishing.onnx_export")
    with pytest.raises(ModuleNotFoundError, match=r"needs onnxscript.*'fer-hf\[train\]'"):
        importlib.import_module("fer_hf.publishing.onnx_export")


# The command


def test_the_command_says_what_it_wrote_and_that_int8_needs_pictures(baseline, capsys):
    assert cli.main(["export", str(baseline)]) == 0
    out, err = capsys.readouterr()
    scores, written = out.splitlines()
    assert scores.startswith("float32: scores within ")
    assert scores.endswith(" pictures")
    assert written.startswith(f"written: {baseline / 'onnx' / 'model.onnx'} (0.")
    assert "int8" not in out
    assert [line for line in err.splitlines() if "warning" in line.lower()] == []


def test_the_command_writes_a_page_without_leaving_anything_else(checkpoints, tmp_path, capsys):
    package = tmp_path / "package"
    (package / "dist").mkdir(parents=True)
    for name in (
        "package.json",
        "dist/ort.wasm.bundle.min.mjs",
        "dist/ort-wasm-simd-threaded.wasm",
    ):
        (package / name).touch()
    checkpoint = tmp_path / "mine"
    shutil.copytree(checkpoints / "resnet", checkpoint)
    call = ["export", str(checkpoint), "--web", str(tmp_path / "page")]
    assert cli.main([*call, "--web_runtime", str(package)]) == 0
    assert "python -m http.server -d" in capsys.readouterr().out
    settings = json.loads((tmp_path / "page" / "settings.json").read_text())
    assert (settings["name"], settings["label_names"]) == ("mine", LABELS)
    exported = (checkpoint / "onnx" / "model.onnx").read_bytes()
    assert (tmp_path / "page" / "model.onnx").read_bytes() == exported


def test_a_format_that_is_added_is_run_and_shown(baseline, monkeypatch, capsys):
    def export_labels(job):
        """Write the names of the labels, one on each line."""
        names = list(job.loaded.model.config.id2label.values())
        (job.folder / "labels.txt").write_text("\n".join(names) + "\n")
        return f"labels: {len(names)} names"

    monkeypatch.setitem(export.EXPORT_FORMATS, "labels", export_labels)
    assert cli.main(["export", str(baseline)]) == 0
    shown = capsys.readouterr().out
    assert "\nlabels: 3 names\n" in shown
    assert f"written: {baseline / 'labels.txt'} (0.0 MB)" in shown
    assert (baseline / "labels.txt").read_text().split() == LABELS


def test_a_format_that_fails_keeps_nothing(baseline, monkeypatch, splits):
    def refuse(job):
        raise RuntimeError("no good")

    before = list_files(baseline)
    monkeypatch.setitem(export.EXPORT_FORMATS, "bad", refuse)
    with pytest.raises(RuntimeError, match="no good"):
        export_checkpoint(str(baseline), baseline, splits["test"])
    assert list_files(baseline) == before


def test_a_wrong_call_is_one_line(tmp_path, capsys):
    assert cli.main(["export", "you/your-fer"]) == 2
    assert cli.main(["export", str(tmp_path), "--wbe", "page"]) == 2
    assert cli.main(["export", str(tmp_path)]) == 2
    nowhere, flag, empty = capsys.readouterr().err.splitlines()
    assert "'you/your-fer' is not a folder here, expected --output_dir" in nowhere
    assert "Unknown flag '--wbe'" in flag
    assert "holds no `config.json`" in empty


def test_an_int8_network_stays_in_bytes_between_its_normalisations(tmp_path):
    torch.manual_seed(0)
    settings = {"weights": "none", "input_size": 32, "model_args": {"channels": [16, 16, 64, 64]}}
    loaded = load_model("resnetv2_18", LABELS, **settings)
    whole, quantized = tmp_path / "whole.onnx", tmp_path / "quantized.onnx"
    onnx_export.write_onnx(loaded, whole)
    rng = np.random.default_rng(0)
    pictures = [rng.uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32) for _ in range(20)]
    onnx_quantization.quantize_onnx(whole, quantized, iter(pictures))
    graph = onnx.load(quantized).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    zero_points = {
        int(numpy_helper.to_array(tensor).max())
        for tensor in graph.initializer
        if tensor.name.endswith("zero_point") and tensor.data_type == onnx.TensorProto.INT8
    }
    assert zero_points == {0, 1}  # of short sums and of long ones
    expected, found = (
        onnxruntime.InferenceSession(path).run(None, {"pixel_values": pictures[0]})[0]
        for path in (whole, quantized)
    )
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())
