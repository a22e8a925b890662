"""A heat map shows what speaks for a label, belongs to the weights, and leaves no trace in them."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib import colormaps
from onnx_files import write_config, write_network
from PIL import Image, ImageChops, ImageOps

from fer_hf.data.drawn.faces import draw_face
from fer_hf.data.pictures import load_picture
from fer_hf.emotions import EMOTIONS
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.explanation import (
    COLORMAP,
    _compute_maps,
    _get_model,
    compute_heat_map,
    render_heat_map,
)


@pytest.fixture(scope="module")
def drawn():
    return [draw_face(EMOTIONS[seed % 8], size=96, seed=seed) for seed in range(12)]


@pytest.fixture(scope="module")
def classifier():
    """The bundled model, on its graph."""
    classifier = ExpressionClassifier(backend="onnx")
    assert classifier.network.pools_by_mean
    return classifier


@pytest.fixture(scope="module")
def on_torch():
    """The same on torch."""
    pytest.importorskip("torch")
    return ExpressionClassifier(backend="torch")


def get_top_label(classifier, picture):
    return classifier.label_names[int(classifier([picture])[0].argmax())]


def correlate(one, other):
    """Pearson's correlation of two maps; 0 where one is constant."""
    return np.corrcoef(one.ravel(), other.ravel())[0, 1] if one.std() * other.std() else 0.0


def save(loaded, folder):
    loaded.model.save_pretrained(folder)
    loaded.image_processor.save_pretrained(folder)
    return ExpressionClassifier(str(folder), backend="torch")


def build(folder, name, labels=("calm", "happy", "sad"), **settings):
    torch = pytest.importorskip("torch")
    from fer_hf.models import load_model

    torch.manual_seed(0)
    return save(load_model(name, list(labels), weights="none", **settings), folder)


def test_a_map_has_the_size_of_its_picture_and_goes_from_zero_to_one(classifier, drawn):
    for size in ((130, 70), (48, 48), (1, 1), (3, 500)):
        picture = drawn[0].resize(size)
        heat_map = compute_heat_map(classifier, picture, get_top_label(classifier, picture))
        assert heat_map.shape == size[::-1]
        assert heat_map.dtype == np.float32
        assert heat_map.min() >= 0
        assert heat_map.max() == 1


@pytest.mark.train
def test_a_map_is_grad_cam_of_the_log_odds_worked_out_by_hand(on_torch, drawn):
    import torch

    classifier = on_torch
    network = classifier.network.model.timm_model
    label = get_top_label(classifier, drawn[1])
    index = classifier.label_names.index(label)
    pixel_values = classifier.preprocess([drawn[1], ImageOps.mirror(drawn[1])])
    with torch.no_grad():
        features = network.forward_features(torch.from_numpy(pixel_values)).numpy()
        logits = network(torch.from_numpy(pixel_values)).numpy()
    head = network.get_classifier().weight.detach().numpy().reshape(logits.shape[1], -1)
    coarse = np.zeros(features.shape[2:], np.float32)
    for one, row, turn in zip(features, logits, (1, -1), strict=True):
        rivals = np.exp(np.delete(row, index))
        # Average pooling and a linear head: the gradient is a difference of the head's rows.
        weights = head[index] - rivals / rivals.sum() @ np.delete(head, index, axis=0)
        coarse += np.maximum(np.tensordot(weights, one, 1), 0)[:, ::turn]
    expected = np.array(Image.fromarray(coarse).resize(drawn[1].size, Image.Resampling.BILINEAR))
    heat_map = compute_heat_map(classifier, drawn[1], label)
    np.testing.assert_allclose(heat_map, expected / expected.max(), atol=1e-4)


def test_a_graph_gives_the_map_that_gradients_give(classifier, on_torch, drawn):
    pixel_values = classifier.preprocess(drawn)
    for index, label in enumerate(classifier.label_names):
        found, expected = (
            _compute_maps(one, pixel_values, index) for one in (classifier, on_torch)
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)
        heat_maps = [compute_heat_map(one, drawn[0], label) for one in (classifier, on_torch)]
        levels = [np.asarray(render_heat_map(drawn[0], one), int) for one in heat_maps]
        assert abs(np.subtract(*levels)).max() <= 1


def test_a_graph_that_does_not_pool_by_the_mean_is_opened_on_torch_once(on_torch, drawn):
    classifier = ExpressionClassifier(backend="onnx")
    classifier.network.pools_by_mean = False
    found = compute_heat_map(classifier, drawn[0], "happy")
    np.testing.assert_allclose(found, compute_heat_map(on_torch, drawn[0], "happy"), atol=1e-5)
    assert _get_model(classifier) is _get_model(classifier)


def test_without_torch_a_graph_that_does_not_pool_by_the_mean_is_refused(monkeypatch, drawn):
    classifier = ExpressionClassifier(backend="onnx")
    classifier.network.pools_by_mean = False
    monkeypatch.setattr("fer_hf.inference.explanation.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=re.escape("or torch. Run: pip install 'fer-hf[train]'")):
        compute_heat_map(classifier, drawn[0], "happy")


def test_a_map_of_a_mirrored_picture_is_the_mirrored_map(classifier, drawn):
    label = get_top_label(classifier, drawn[0])
    mirrored = compute_heat_map(classifier, ImageOps.mirror(drawn[0]), label)
    expected = compute_heat_map(classifier, drawn[0], label)[:, ::-1]
    np.testing.assert_allclose(mirrored, expected, atol=1e-4)


def test_a_map_belongs_to_the_upright_picture(classifier, drawn):
    lying = drawn[0].resize((60, 90)).transpose(Image.Transpose.ROTATE_90)
    lying.getexif()[0x0112] = 6
    label = get_top_label(classifier, lying)
    assert compute_heat_map(classifier, lying, label).shape == (90, 60)


def test_labels_have_different_maps(classifier, drawn):
    picture = drawn[0]
    likeliest = np.argsort(classifier([picture])[0])[-2:]
    first, second = (
        compute_heat_map(classifier, picture, classifier.label_names[label]) for label in likeliest
    )
    assert correlate(first, second) < 0.8


@pytest.mark.train
def test_shuffled_weights_give_other_maps(drawn):
    # The sanity check of Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018: a map
    # that stays when the network has forgotten everything shows the picture, not the network.
    import torch

    classifier = ExpressionClassifier(backend="torch")
    labels = [get_top_label(classifier, picture) for picture in drawn]

    def explain(pictures):
        return [
            compute_heat_map(classifier, picture, label)
            for picture, label in zip(pictures, labels, strict=True)
        ]

    before = explain(drawn)
    shifted = explain([ImageChops.offset(picture, 1) for picture in drawn])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in classifier.network.model.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    after = explain(drawn)
    assert np.mean([correlate(*pair) for pair in zip(before, shifted, strict=True)]) > 0.8
    assert np.mean([correlate(*pair) for pair in zip(before, after, strict=True)]) < 0.4


def test_explaining_changes_neither_scores_nor_network(on_torch, drawn):
    classifier = on_torch
    model = classifier.network.model
    before = classifier(drawn)
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    compute_heat_map(classifier, drawn[0], "happy")
    np.testing.assert_array_equal(classifier(drawn), before)
    assert not model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_two_threads_get_the_maps_that_one_gets(classifier, drawn):
    def explain(picture):
        return compute_heat_map(classifier, picture, "happy")

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(explain, drawn))
    np.testing.assert_allclose(together, [explain(picture) for picture in drawn], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("baseline", {"input_size": 64}),
        ("resnetv2_18", {"input_size": 96, "model_args": {"channels": [8, 8, 16, 16]}}),
        ("test_resnet", {"input_size": 96, "pooling": "max"}),
        ("test_resnet", {"input_size": 96, "head": "dense", "pooling": "flatten"}),
    ],
)
def test_each_kind_of_network_can_be_explained(tmp_path, drawn, name, settings):
    classifier = build(tmp_path, name, **settings)
    maps = [compute_heat_map(classifier, drawn[0], label) for label in classifier.label_names]
    assert max(heat_map.max() for heat_map in maps) == 1
    assert any(heat_map.std() > 0.01 for heat_map in maps)
    assert not all(np.allclose(heat_map, maps[0]) for heat_map in maps)


@pytest.mark.train
def test_a_sigmoid_neuron_is_explained_as_the_softmax_that_equals_it(tmp_path, drawn):
    import torch

    settings = {"labels": ("calm", "happy"), "input_size": 96}
    neuron = build(tmp_path / "neuron", "test_resnet", sigmoid=True, **settings)
    twin = build(tmp_path / "twin", "test_resnet", **settings)
    weights = neuron.network.model.state_dict()
    for name, tensor in twin.network.model.state_dict().items():
        one = weights[name]
        tensor.copy_(one if one.shape == tensor.shape else torch.cat([0 * one, one]))
    np.testing.assert_allclose(neuron(drawn), twin(drawn), atol=1e-6)
    for one, other in zip(neuron.label_names, twin.label_names, strict=True):
        heat_map = compute_heat_map(neuron, drawn[0], one)
        expected = compute_heat_map(twin, drawn[0], other)
        np.testing.assert_allclose(heat_map, expected, atol=1e-4)
        assert expected.std() > 0.01


def test_a_sigmoid_neuron_on_a_graph_is_explained_as_the_softmax_that_equals_it(drawn):
    neuron, twin = (ExpressionClassifier(backend="onnx") for _ in range(2))
    network = neuron.network
    network.head_weight, network.head_bias = network.head_weight[4:5], network.head_bias[4:5]
    network = twin.network
    network.head_weight = np.stack([0 * network.head_weight[4], network.head_weight[4]])
    network.head_bias = np.array([0, network.head_bias[4]])
    for classifier in (neuron, twin):
        classifier.label_names = ["not happy", "happy"]
    np.testing.assert_allclose(neuron(drawn), twin(drawn), atol=1e-6)
    for label in neuron.label_names:
        heat_map = compute_heat_map(neuron, drawn[0], label)
        np.testing.assert_allclose(heat_map, compute_heat_map(twin, drawn[0], label), atol=1e-6)
        assert heat_map.std() > 0.01


@pytest.mark.train
def test_where_nothing_speaks_for_a_label_its_map_is_zero(tmp_path, drawn):
    import torch

    classifier = build(tmp_path, "test_resnet", ("calm", "happy"), input_size=96)
    head = classifier.network.model.timm_model.get_classifier()
    with torch.no_grad():  # features are never negative: all of them speak for the other label
        head.weight[0].fill_(1)
        head.weight[1].fill_(-1)
    assert not compute_heat_map(classifier, drawn[0], "happy").any()
    assert compute_heat_map(classifier, drawn[0], "calm").max() == 1


def test_an_unknown_label_is_refused(classifier, drawn):
    with pytest.raises(ValueError, match=r"`label` is 'joy', expected one of \['anger', "):
        compute_heat_map(classifier, drawn[0], "joy")


@pytest.mark.train
def test_an_exported_network_without_its_weights_is_refused(tmp_path, drawn):
    write_network(tmp_path / "onnx" / "model.onnx")
    write_config(tmp_path)
    exported = ExpressionClassifier(str(tmp_path), backend="onnx")
    with pytest.raises(FileNotFoundError, match=r"holds no `model.safetensors`"):
        compute_heat_map(exported, drawn[0], exported.label_names[0])


def test_a_checkpoint_that_crops_is_refused(tmp_path, drawn):
    build(tmp_path, "test_resnet", input_size=96)
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"]["crop_mode"] = "center"
    (tmp_path / "config.json").write_text(json.dumps(config))
    cropping = ExpressionClassifier(str(tmp_path))
    with pytest.raises(ValueError, match=r"'center'.*expected the whole picture squashed"):
        compute_heat_map(cropping, drawn[0], "happy")


@pytest.mark.train
def test_networks_without_a_feature_map_that_is_known_are_refused(tmp_path, drawn):
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

    transformer = build(tmp_path / "timm", "test_vit", input_size=160)
    with pytest.raises(ValueError, match=r"features have the shape \(2, .*convolutional network"):
        compute_heat_map(transformer, drawn[0], "happy")
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", num_labels=2
    )
    ResNetForImageClassification(config).save_pretrained(tmp_path / "other")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "other")
    other = ExpressionClassifier(str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"is a ResNetForImageClassification, expected a timm"):
        compute_heat_map(other, drawn[0], other.label_names[0])


def test_the_colours_are_those_of_inferno_within_a_level():
    expected = colormaps["inferno"](np.arange(256), bytes=True)[:, :3].astype(int)
    assert COLORMAP.dtype == np.uint8
    assert abs(COLORMAP - expected).max() <= 1


def test_the_rendered_map_is_brighter_where_it_is_hotter():
    heat_map = np.tile(np.linspace(0, 1, 50), (20, 1))
    rendered = render_heat_map(Image.new("L", (50, 20), 128), heat_map)
    assert (rendered.mode, rendered.size) == ("RGB", (50, 20))
    lightness = np.asarray(rendered.convert("L"), int)[0]
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 80


def test_the_rendered_map_lets_the_picture_show_through():
    levels = np.tile(np.arange(0, 250, 5, np.uint8), (20, 1))
    rendered = render_heat_map(Image.fromarray(levels), np.zeros((20, 50), np.float32))
    assert (np.diff(np.asarray(rendered.convert("L"), int)[0]) > 0).all()


def test_a_map_of_another_picture_is_refused():
    with pytest.raises(ValueError, match=r"has the shape \(50, 20\), expected \(20, 50\)"):
        render_heat_map(Image.new("RGB", (50, 20)), np.zeros((50, 20)))


@pytest.mark.realdata
def test_covering_the_hottest_part_of_a_photograph_costs_more_than_the_coldest(
    classifier, photos_dir
):
    files = [sorted((photos_dir / name).iterdir())[:8] for name in ("happy", "sad", "surprise")]
    photos = [
        load_picture(path).convert("RGB").resize((96, 96)) for group in files for path in group
    ]
    differences = []
    for photo in photos:
        scores = classifier([photo])[0]
        label = int(scores.argmax())
        heat_map = compute_heat_map(classifier, photo, classifier.label_names[label])
        corners = [(x, y) for y in range(0, 65, 8) for x in range(0, 65, 8)]
        heat = [heat_map[y : y + 32, x : x + 32].mean() for x, y in corners]
        covered = []
        for x, y in (corners[np.argmax(heat)], corners[np.argmin(heat)]):
            pixels = np.array(photo)
            pixels[y : y + 32, x : x + 32] = pixels.mean(axis=(0, 1))
            covered.append(Image.fromarray(pixels))
        hottest, coldest = scores[label] - classifier(covered)[:, label]
        differences.append(hottest - coldest)
    assert np.mean(differences) > 0.1
