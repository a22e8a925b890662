"""A graph is written for any network, without its weights, and kept only if it answers alike."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import DEFAULT_MODEL, load_checkpoint, load_model
from fer_hf.publishing import graph_export
from fer_hf.publishing.graph_export import write_graph

LABELS = ["anger", "happy", "sad"]
RANDOM = {"model_name_or_path": "test_resnet", "weights": "none", "input_size": 64}
NETWORKS = {
    "timm": RANDOM,
    "avgmax": {**RANDOM, "pooling": "avgmax"},
    "dense": {**RANDOM, "head": "dense"},
    "flatten": {**RANDOM, "pooling": "flatten"},
    "baseline": {"model_name_or_path": "baseline", "input_size": 32},
    "sigmoid": {**RANDOM, "label_names": LABELS[1:], "sigmoid": True},
    "1x1 head": {
        **RANDOM,
        "model_name_or_path": "resnetv2_18",
        "model_args": {"channels": [16] * 4},
    },
    "transformer": {**RANDOM, "model_name_or_path": "test_vit", "input_size": 160},
}
POOLED_BY_MEAN = {"timm", "sigmoid", "1x1 head"}


def save_checkpoint(folder, dtype="float32", **settings):
    torch.manual_seed(0)
    loaded = load_model(**{"label_names": LABELS, **settings})
    loaded.model.config.not_sure = None
    loaded.save(folder, dtype)
    return load_checkpoint(str(folder))


def make_pictures():
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (h, 40, 3), np.uint8)) for h in (32, 40, 90)]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_graph_answers_as_its_checkpoint_does(tmp_path, name):
    loaded = save_checkpoint(tmp_path, "float16", **NETWORKS[name])
    path = write_graph(loaded, tmp_path)
    assert path.stat().st_size < 200_000
    graph, torch_ = (ExpressionClassifier(str(tmp_path), backend=b) for b in ("onnx", "torch"))
    assert graph.network.files[0] == "model.onnx"
    assert graph.num_parameters == torch_.num_parameters
    np.testing.assert_allclose(graph(make_pictures()), torch_(make_pictures()), atol=1e-5)
    assert graph.network.pools_by_mean == (name in POOLED_BY_MEAN)
    if name != "transformer":
        _, maps = graph.network.compute_feature_maps(graph.preprocess(make_pictures()))
        assert maps.ndim == 4


def test_a_graph_says_nothing_of_this_computer(tmp_path):
    content = write_graph(save_checkpoint(tmp_path, **RANDOM), tmp_path).read_bytes()
    for word in (b"site-packages", b".py", b"/home", b"/root", str(tmp_path).encode()):
        assert word not in content


def test_the_checkpoint_in_memory_stays_as_it_is(tmp_path):
    loaded = save_checkpoint(tmp_path, **RANDOM)
    loaded.model.train()
    names = list(loaded.model.state_dict())
    write_graph(loaded, tmp_path)
    assert loaded.model.training
    assert list(loaded.model.state_dict()) == names


def test_a_graph_that_fits_is_copied_and_one_that_does_not_is_not(tmp_path, monkeypatch):
    loaded = load_model("resnetv2-ferplus", LABELS)
    loaded.save(tmp_path)
    box = Path(DEFAULT_MODEL)
    with monkeypatch.context() as patch:
        patch.setattr(graph_export, "_build_graph", None)
        copied = write_graph(loaded, tmp_path, like=box).read_bytes()
    assert copied == (box / "model.onnx").read_bytes()
    # Of the same architecture, but of another input size, or pooled otherwise.
    for settings in ({"input_size": 64}, {"pooling": "max"}):
        other = tmp_path / "other"
        other.mkdir(exist_ok=True)
        loaded = save_checkpoint(other, model_name_or_path="resnetv2-ferplus", **settings)
        assert write_graph(loaded, other, like=box).read_bytes() != copied
        assert ExpressionClassifier(str(other)).backend == "onnx"


def test_a_copy_that_does_not_fit_goes_even_where_no_other_can_be_written(tmp_path, monkeypatch):
    loaded = save_checkpoint(tmp_path, **RANDOM)
    monkeypatch.setattr(graph_export, "_build_graph", None)
    with pytest.raises(TypeError):
        write_graph(loaded, tmp_path, like=Path(DEFAULT_MODEL))
    assert not (tmp_path / "model.onnx").exists()


def test_a_graph_that_answers_otherwise_is_not_kept(tmp_path, monkeypatch):
    loaded = save_checkpoint(tmp_path, **RANDOM)
    build = graph_export._build_graph

    def build_wrongly(*args):
        model = build(*args)
        node = next(node for node in model.graph.all_nodes() if node.op_type == "Relu")
        node.op_type = "Abs"
        return model

    monkeypatch.setattr(graph_export, "_build_graph", build_wrongly)
    with pytest.raises(
        RuntimeError, match=r"not kept: its logits differ by up to .*, expected 1e-"
    ):
        write_graph(loaded, tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_a_last_layer_that_is_not_linear_is_refused(tmp_path):
    loaded = save_checkpoint(tmp_path, **NETWORKS["baseline"])
    loaded.model.classifier = nn.Sequential(nn.Linear(64, 3, bias=False), nn.PReLU(3))
    with pytest.raises(ValueError, match=r"last layer of a Baseline\w+ is not linear with a bias"):
        write_graph(loaded, tmp_path)


def test_tensors_that_the_weights_lack_are_refused(tmp_path):
    loaded = save_checkpoint(tmp_path, **NETWORKS["baseline"])
    loaded.model.layers[9] = nn.Sequential(loaded.model.layers[9], nn.Linear(64, 64))
    loaded.model.layers[9].insert(1, nn.Sequential(nn.Linear(64, 512), nn.Linear(512, 64)))
    with pytest.raises(ValueError, match=r"needs [\d,]+ bytes of constants that its weights lack"):
        write_graph(loaded, tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_a_graph_is_an_onnx_file_like_any_other(tmp_path):
    path = write_graph(save_checkpoint(tmp_path, **RANDOM), tmp_path)
    shutil.copyfile(path, tmp_path / "renamed.onnx")
    model = onnx.load(tmp_path / "renamed.onnx", load_external_data=False)
    assert [value.name for value in model.graph.input] == ["pixel_values"]
    assert [value.name for value in model.graph.output] == ["features", "feature_map"]


def test_convolutions_of_narrow_maps_find_their_columns_of_zeros(tmp_path):
    path = write_graph(save_checkpoint(tmp_path, **NETWORKS["1x1 head"]), tmp_path)
    graph = onnx.load(path, load_external_data=False).graph
    pads = [
        tuple(said.ints)
        for node in graph.node
        for said in node.attribute
        if node.op_type == "Conv" and said.name == "pads"
    ]
    # Maps of 16, 8, 4 and 2 columns: of eight blocks, all but three convolutions with a stride.
    assert pads.count((0, 1, 0, 1)) == pads.count((1, 0, 1, 0)) == 13
