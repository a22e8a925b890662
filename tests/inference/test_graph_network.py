"""A graph beside its weights scores as torch does, and what does not fit is one line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.graph_network import GRAPH_KEY, GraphNetwork
from fer_hf.models.bundled import DEFAULT_MODEL


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the bundled model, which a test may damage."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "model.onnx"):
        shutil.copyfile(Path(DEFAULT_MODEL) / name, folder / name)
    return folder


def make_pictures():
    rng = np.random.default_rng(0)
    sizes = [(96, 96), (48, 48), (250, 201), (1, 1)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)) for w, h in sizes]


@pytest.mark.train
def test_the_model_in_the_box_says_on_its_graph_what_it_says_on_torch():
    graph, torch = (ExpressionClassifier(backend=backend) for backend in ("auto", "torch"))
    assert isinstance(graph.network, GraphNetwork)
    assert (graph.backend, torch.backend) == ("onnx", "torch")
    assert graph.num_parameters == torch.num_parameters
    assert graph.compute_fingerprint() != torch.compute_fingerprint()
    pictures = make_pictures()
    scores = torch(pictures)
    np.testing.assert_allclose(graph(pictures), scores, atol=1e-5)
    # The config has all that calibration leaves there: thresholds, one of them pooled, and votes.
    assert None in graph.not_sure.conformal_thresholds
    assert graph.not_sure.crowd_offsets
    np.testing.assert_allclose(
        graph.compute_crowd_scores(graph(pictures)), torch.compute_crowd_scores(scores), atol=1e-5
    )
    said = [[(one.name, one.prediction_set) for one in c.read(pictures)] for c in (graph, torch)]
    assert said[0] == said[1]


def test_a_batch_scores_as_its_pictures_one_by_one():
    classifier = ExpressionClassifier(backend="onnx")
    pictures = make_pictures()
    one_by_one = np.concatenate([classifier([picture]) for picture in pictures])
    np.testing.assert_allclose(classifier(pictures), one_by_one, atol=1e-6)
    assert classifier([]).shape == (0, 8)


def test_the_graph_is_small_and_says_nothing_of_where_it_was_made():
    content = (Path(DEFAULT_MODEL) / "model.onnx").read_bytes()
    assert len(content) < 200_000
    for word in (b"site-packages", b".py", b"/home", b"/root", b"/work", b"/tmp"):
        assert word not in content


def test_logits_are_the_head_on_features_that_are_the_mean_of_the_map():
    network = GraphNetwork(DEFAULT_MODEL)
    pixel_values = network.preprocess(make_pictures())
    features, maps = network.compute_feature_maps(pixel_values)
    assert (features.shape, maps.shape) == ((4, 256), (4, 256, 6, 6))
    assert network.pools_by_mean
    np.testing.assert_allclose(maps.mean(axis=(2, 3)), features, atol=1e-5)
    np.testing.assert_allclose(network.compute_features(pixel_values), features, atol=1e-6)
    logits = features @ network.head_weight.T + network.head_bias
    np.testing.assert_allclose(network.compute_logits(pixel_values), logits, atol=1e-5)


def test_weights_are_found_by_name_whatever_their_order_and_precision(checkpoint):
    expected = ExpressionClassifier(str(checkpoint))(make_pictures())
    weights = load_file(checkpoint / "model.safetensors")
    turned = {name: weights[name] for name in reversed(weights)}
    as_float32 = {
        n: w.astype(np.float32) if w.dtype == np.float16 else w for n, w in turned.items()
    }
    save_file({**as_float32, "another": np.zeros(3, np.float32)}, checkpoint / "model.safetensors")
    found = ExpressionClassifier(str(checkpoint))
    assert isinstance(found.network, GraphNetwork)
    np.testing.assert_array_equal(found(make_pictures()), expected)


def test_a_new_head_keeps_the_graph(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    weights["head.fc.weight"] = np.ascontiguousarray(weights["head.fc.weight"][:2])
    weights["head.fc.bias"] = np.array([0, 100], np.float16)
    save_file(weights, checkpoint / "model.safetensors")
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {"label_names": ["calm", "cross"], "num_classes": 2}
    del config["not_sure"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    classifier = ExpressionClassifier(str(checkpoint), backend="onnx")
    assert [one.label for one in classifier.read(make_pictures()[:1])] == ["cross"]
    assert classifier.num_parameters == 2_800_040 - 6 * 257


@pytest.mark.train
def test_a_process_without_torch_answers(tmp_path):
    face = tmp_path / "face.png"
    make_pictures()[2].save(face)
    program = """
import sys
for name in ("torch", "torchvision", "timm", "transformers", "accelerate", "datasets", "onnx"):
    sys.modules[name] = None
from PIL import Image
from fer_hf import ExpressionClassifier
print(ExpressionClassifier()([Image.open(sys.argv[1])]).tolist())
"""
    shown = subprocess.run(
        [sys.executable, "-c", program, str(face)], capture_output=True, text=True, check=True
    )
    expected = ExpressionClassifier(backend="torch")([Image.open(face)])
    np.testing.assert_allclose(json.loads(shown.stdout), expected, atol=1e-5)


# What is refused


def lose_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["norm.running_var"], weights["norm.bias"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def narrow_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    weights["norm.bias"] = weights["norm.bias"][:9]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def break_a_tensor(folder):
    weights = load_file(folder / "model.safetensors")
    weights["norm.bias"][3] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:9999])


def cut_graph(folder, kept=9999):
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:kept])


def change_graph(**changes):
    def change(folder):
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        for key, value in changes.items():
            if key == "opset":
                model.opset_import[0].version = value
            elif key == "ir_version":
                model.ir_version = value
            else:
                said = next(entry for entry in model.metadata_props if entry.key == GRAPH_KEY)
                said.value = json.dumps({**json.loads(said.value), key: value})
        (folder / "model.onnx").write_bytes(model.SerializeToString())

    return change


def forget_metadata(folder):
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    del model.metadata_props[:]
    (folder / "model.onnx").write_bytes(model.SerializeToString())


GRAPH_FAULTS = {
    "opset": (change_graph(opset=99), OSError, r"is damaged, or made for a newer onnxruntime than"),
    "ir": (change_graph(ir_version=99), OSError, r"is damaged, or made for a newer onnxruntime"),
    "version": (change_graph(version=2), ValueError, r"is of version 2, expected 1"),
    "foreign": (forget_metadata, ValueError, r"is of version None, expected 1.*another program"),
    "cut": (cut_graph, OSError, r"The graph '.*model.onnx' is damaged or incomplete"),
    "empty": (lambda folder: cut_graph(folder, 0), ValueError, r"is of version None"),
    "text": (
        lambda folder: (folder / "model.onnx").write_text("version https://git-lfs"),
        OSError,
        r"The graph '.*model.onnx' is damaged or incomplete",
    ),
}
WEIGHT_FAULTS = {
    "nan": (break_a_tensor, ValueError, r"are NaN or infinite, such as in 'norm.bias', expected"),
    "missing": (lose_a_tensor, ValueError, r"lack 2 of its tensors, such as 'norm.bias'. Delete"),
    "shape": (narrow_a_tensor, ValueError, r"`norm.bias` has the shape \[9\], expected \[256\]"),
    "cut": (cut_weights, OSError, r"model.safetensors' are damaged or incomplete"),
}


@pytest.mark.parametrize("fault", [*GRAPH_FAULTS.values(), *WEIGHT_FAULTS.values()])
def test_what_does_not_fit_is_one_line(checkpoint, fault):
    damage, error, message = fault
    damage(checkpoint)
    with pytest.raises(error, match=message) as caught:
        ExpressionClassifier(str(checkpoint), backend="onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.train
@pytest.mark.parametrize("fault", GRAPH_FAULTS.values(), ids=GRAPH_FAULTS)
def test_torch_takes_over_with_one_warning(checkpoint, fault, caplog):
    damage = fault[0]
    expected = ExpressionClassifier(str(checkpoint), backend="torch")(make_pictures())
    damage(checkpoint)
    with caplog.at_level("WARNING"):
        classifier = ExpressionClassifier(str(checkpoint))
    assert classifier.backend == "torch"
    (warning,) = [record.getMessage() for record in caplog.records if "fer_hf" in record.name]
    assert warning.endswith("Torch is used instead.")
    np.testing.assert_array_equal(classifier(make_pictures()), expected)


@pytest.mark.train
@pytest.mark.parametrize("fault", WEIGHT_FAULTS.values(), ids=WEIGHT_FAULTS)
def test_weights_that_torch_cannot_use_either_are_refused(checkpoint, fault):
    fault[0](checkpoint)
    with pytest.raises((OSError, ValueError), match=r"damaged or incomplete|lacks \d tensors|NaN"):
        ExpressionClassifier(str(checkpoint))


@pytest.mark.train
def test_without_onnxruntime_torch_takes_over_with_one_warning():
    program = """
import logging, sys
sys.modules["onnxruntime"] = None
logging.basicConfig()
from fer_hf import ExpressionClassifier
print(ExpressionClassifier().backend)
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert shown.stdout == "torch\n", shown.stderr
    assert "onnxruntime, which is not installed" in shown.stderr
    assert "Torch is used instead." in shown.stderr


@pytest.mark.train
def test_weights_in_several_files_are_opened_by_torch(checkpoint, caplog):
    weights = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    names = sorted(weights)
    index = {}
    for number, part in enumerate((names[:50], names[50:]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({n: weights[n] for n in part}, checkpoint / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    described = {"metadata": {"total_size": 5_600_000}, "weight_map": index}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(described))
    with pytest.raises(FileNotFoundError, match=r"has no `model.safetensors`.*Open it with torch"):
        GraphNetwork(str(checkpoint))
    assert ExpressionClassifier(str(checkpoint)).backend == "torch"


def test_a_network_without_a_map_says_so(checkpoint):
    change_graph(has_feature_map=False)(checkpoint)
    network = GraphNetwork(str(checkpoint))
    with pytest.raises(
        ValueError, match="The network has no feature map, expected a convolutional"
    ):
        network.compute_feature_maps(network.preprocess(make_pictures()))
