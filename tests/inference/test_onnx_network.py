"""An exported checkpoint scores without torch, and prepares pictures as with it, or refuses."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx_files import LABELS, SQUARE, TIMM, WEIGHTS, write_config, write_network
from PIL import Image

from fer_hf import cli
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.networks import OnnxNetwork, open_network
from fer_hf.inference.preprocessing import read_preprocessing


@pytest.fixture
def checkpoint(tmp_path):
    """A folder as `fer-hf export` writes it, which a test may damage."""
    folder = tmp_path / "served"
    write_network(folder / "onnx" / "model.onnx")
    write_config(folder)
    return folder


def test_scores_are_the_softmax_of_the_logits(checkpoint):
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    assert classifier.label_names == LABELS
    assert classifier.num_parameters == 6
    (scores,) = classifier([Image.new("RGB", (50, 40), (255, 153, 0))])
    # Red (1 − 0.5) / 0.5 = 1, green (0.6 − 0.4) / 0.25 = 0.8: logits 1 and 1.6.
    assert scores == pytest.approx([1 / (1 + np.exp(0.6)), 1 / (1 + np.exp(-0.6))], abs=1e-6)
    assert classifier([]).shape == (0, 2)


def test_a_batch_scores_as_its_pictures_one_by_one(checkpoint):
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    pictures = make_pictures()
    one_by_one = np.concatenate([classifier([picture]) for picture in pictures])
    np.testing.assert_allclose(classifier(pictures), one_by_one, atol=1e-6)


def test_one_sigmoid_output_is_two_labels(checkpoint):
    write_network(checkpoint / "onnx" / "model.onnx", WEIGHTS[:, :1])
    write_config(checkpoint, label_names=["cross"])
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    assert classifier.label_names == ["not cross", "cross"]
    (scores,) = classifier([Image.new("RGB", (9, 9), (255, 0, 0))])
    sigmoid = 1 / (1 + np.exp(-1))
    assert scores == pytest.approx([1 - sigmoid, sigmoid], abs=1e-6)


def test_what_it_says_of_being_sure_comes_from_its_config(checkpoint):
    said = {"coverage": 0.9, "threshold": 0.6, "conformal_threshold": 0.3}
    write_config(checkpoint, not_sure=said)
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    assert [one.sure for one in classifier.describe([[0.55, 0.45], [0.8, 0.2]])] == [False, True]
    assert classifier.describe([[0.2, 0.8]])[0].prediction_set == ["cross"]
    write_config(checkpoint, not_sure={**said, "conformal_thresholds": [0.2, None]})
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    assert classifier.describe([[0.2, 0.8]])[0].prediction_set == ["cross", "calm"]


# Preprocessing


def make_pictures():
    rng = np.random.default_rng(0)
    sizes = [(32, 24), (24, 24), (48, 48), (250, 201), (1, 1), (7, 300), (33, 25)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for w, h in sizes]


@pytest.mark.train
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pictures_are_prepared_as_the_timm_wrapper_does(checkpoint, interpolation):
    from transformers import TimmWrapperImageProcessor

    settings = {**TIMM, "interpolation": interpolation}
    write_config(checkpoint, pretrained_cfg=settings)
    processor = TimmWrapperImageProcessor(pretrained_cfg=settings)
    expected = processor(make_pictures(), return_tensors="pt")["pixel_values"].numpy()
    found = read_preprocessing(checkpoint)(make_pictures())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.train
@pytest.mark.parametrize("resample", [2, 3])
def test_pictures_are_prepared_as_a_square_processor_does(checkpoint, resample):
    from transformers import ViTImageProcessor

    write_config(checkpoint, pretrained_cfg=None)
    settings = {**SQUARE, "resample": resample}
    (checkpoint / "preprocessor_config.json").write_text(json.dumps(settings))
    processor = ViTImageProcessor(**settings)
    expected = processor(make_pictures(), return_tensors="pt")["pixel_values"].numpy()
    np.testing.assert_allclose(read_preprocessing(checkpoint)(make_pictures()), expected, atol=2e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"crop_mode": "center"},
        {"crop_pct": 0.9},
        {"interpolation": "random"},
        {"input_size": [224]},
        {"std": None, "mean": None, "crop_mode": None},
    ],
)
def test_other_ways_of_preparing_pictures_are_refused(checkpoint, change):
    write_config(checkpoint, pretrained_cfg={**TIMM, **change})
    with pytest.raises(ValueError, match=r"prepares its pictures by .*expected the whole picture"):
        read_preprocessing(checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        {"do_center_crop": True},
        {"do_resize": False},
        {"rescale_factor": 1 / 127.5},
        {"size": {"shortest_edge": 32}},
        {"resample": 99},
        {"resample": 1},
    ],
)
def test_other_ways_of_a_processor_are_refused(checkpoint, change):
    write_config(checkpoint, pretrained_cfg=None)
    (checkpoint / "preprocessor_config.json").write_text(json.dumps({**SQUARE, **change}))
    with pytest.raises(ValueError, match=r"prepares its pictures by .*expected the whole picture"):
        read_preprocessing(checkpoint)


# Without torch


def run_without_torch(program, *args):
    """Run a program in a process where torch and all that needs it cannot be imported."""
    absent = ("torch", "torchvision", "timm", "transformers", "accelerate", "onnx")
    block = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in absent)
    done = subprocess.run(
        [sys.executable, "-c", block + program, *map(str, args)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_without_torch_scores_and_predicts_the_same(checkpoint, tmp_path, capsys):
    face = tmp_path / "face.png"
    make_pictures()[3].save(face)
    assert cli.main(["predict", str(face), "--model", str(checkpoint), "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["scores"]
    program = """
from fer_hf.cli import main
sys.exit(main(["predict", sys.argv[1], "--model", sys.argv[2], "--json"]))
"""
    found = json.loads(run_without_torch(program, face, checkpoint))["scores"]
    assert found == pytest.approx(expected, abs=1e-6)
    (checkpoint / "model.safetensors").touch()
    assert json.loads(run_without_torch(program, face, checkpoint))["scores"] == found


def test_what_serves_imports_nothing_that_learns():
    program = """
import sys
import fer_hf.faces.overlay, fer_hf.faces.tracking, fer_hf.inference.explanation
from fer_hf import ExpressionClassifier, FaceReader, analyse_video, find_faces
print(sorted(sys.modules.keys() & {"torch", "transformers", "datasets", "timm"}))
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.stdout == "[]\n", shown.stderr


def test_without_onnxruntime_it_says_what_to_install(checkpoint):
    program = """
sys.modules["onnxruntime"] = None
from fer_hf.inference.classifier import ExpressionClassifier
try:
    ExpressionClassifier(sys.argv[1])
except ModuleNotFoundError as error:
    print(error)
"""
    assert "pip install onnxruntime" in run_without_torch(program, checkpoint)


@pytest.mark.train
def test_auto_is_torch_unless_only_an_export_is_there(checkpoint):
    assert isinstance(open_network(str(checkpoint), None, "auto"), OnnxNetwork)
    (checkpoint / "model.safetensors").touch()
    with pytest.raises(OSError, match=r"model.safetensors' are damaged or incomplete"):
        open_network(str(checkpoint), None, "auto")
    with pytest.raises(ValueError, match=r"`backend` is 'jax', expected one of \('auto', 'torch'"):
        open_network(str(checkpoint), None, "jax")


# What is refused


@pytest.mark.parametrize(
    ("backend", "file"), [("onnx", "model.onnx"), ("onnx-int8", "model_quantized.onnx")]
)
def test_a_checkpoint_that_was_not_exported_is_refused(checkpoint, backend, file):
    (checkpoint / "onnx" / file).unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=rf"has no `onnx/{file}`.*fer-hf export"):
        ExpressionClassifier(str(checkpoint), backend=backend)


@pytest.mark.parametrize("kept", [0, 100])
def test_a_damaged_network_is_refused(checkpoint, kept):
    path = checkpoint / "onnx" / "model.onnx"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(OSError, match=r"model.onnx' is damaged.*Export it again"):
        OnnxNetwork(str(checkpoint))


def test_a_network_that_was_exported_elsewhere_is_refused(checkpoint):
    path = checkpoint / "onnx" / "model.onnx"
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"by another exporter.*Run: fer-hf export"):
        OnnxNetwork(str(checkpoint))


def test_a_checkpoint_without_names_of_labels_is_refused(checkpoint):
    write_config(checkpoint, label_names=None)
    with pytest.raises(ValueError, match=r"has the labels None, expected a list of names as"):
        ExpressionClassifier(str(checkpoint), backend="onnx")
    names = {str(number): f"mood {number}" for number in (10, 2, 1, 0)}
    write_config(checkpoint, label_names=None, id2label=names)
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    assert classifier.label_names == ["mood 0", "mood 1", "mood 2", "mood 10"]


def test_what_is_neither_a_folder_nor_on_the_hub_is_refused():
    with pytest.raises(FileNotFoundError, match="There is no folder 'no/such/run', and it is not"):
        OnnxNetwork("no/such/run")
    with pytest.raises(OSError, match="Could not load model 'nobody/nothing'"):
        OnnxNetwork("nobody/nothing")


def test_a_wrong_backend_is_one_line(checkpoint, tmp_path, capsys):
    Image.new("L", (9, 9)).save(tmp_path / "face.png")
    call = ["predict", str(tmp_path / "face.png"), "--model", str(checkpoint), "--backend"]
    assert cli.main([*call, "onnx"]) == 0
    assert cli.main([*call, "onnx-int8"]) == 2
    assert cli.main([*call, "jax"]) == 2
    quantized, unknown = capsys.readouterr().err.splitlines()
    assert "has no `onnx/model_quantized.onnx`" in quantized
    assert "`backend` is 'jax'" in unknown


def test_broken_numbers_are_refused(checkpoint):
    write_network(checkpoint / "onnx" / "model.onnx", WEIGHTS * np.float32(np.nan))
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    with pytest.raises(ValueError, match=r"answers NaN or infinity, expected finite logits"):
        classifier([Image.new("RGB", (9, 9))])


def test_a_missing_config_is_named(checkpoint):
    (checkpoint / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"There is no '.*config\.json', expected"):
        ExpressionClassifier(str(checkpoint), backend="onnx")
