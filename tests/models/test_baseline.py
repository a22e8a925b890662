"""The baseline CNN."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForImageClassification
from transformers.dynamic_module_utils import get_class_from_dynamic_module

import fer_hf  # noqa: F401 - registers the model type
from fer_hf.models.baseline import AvgMaxPool2d, BaselineConfig, BaselineForImageClassification


def build(input_size=32, num_labels=8, **settings):
    torch.manual_seed(0)
    config = BaselineConfig(input_size=input_size, num_labels=num_labels, **settings)
    return BaselineForImageClassification(config).eval()


def test_the_layers_stand_in_the_order_of_the_specification():
    model = build(input_size=128)
    kinds = [type(layer).__name__ for layer in [*model.layers, model.classifier]]
    assert kinds == [
        *("Conv2d", "ReLU", "AvgMaxPool2d"),
        *("Conv2d", "ReLU", "AvgMaxPool2d"),
        *("Conv2d", "ReLU", "Flatten"),
        *("Linear", "ReLU", "Dropout", "Linear"),
    ]
    assert model.layers[11].p == 0.2


def test_shapes_and_parameters_are_those_computed_by_hand():
    model = build(input_size=128)
    shapes = []
    features = torch.zeros(2, 3, 128, 128)
    for layer in model.layers:
        features = layer(features)
        if not isinstance(layer, nn.ReLU | nn.Dropout):
            shapes.append(tuple(features.shape[1:]))
    assert shapes == [
        (64, 128, 128),
        (64, 32, 32),
        (32, 32, 32),
        (32, 16, 16),
        (16, 16, 16),
        (4096,),
        (64,),
    ]
    assert model(torch.zeros(2, 3, 128, 128)).logits.shape == (2, 8)
    # 64·(27+1) + 32·(576+1) + 16·(288+1) + 64·(4096+1) + 8·(64+1)
    assert model.num_parameters() == 1792 + 18464 + 4624 + 262208 + 520


def test_avg_max_pool_is_the_mean_of_both():
    features = torch.tensor([[[[1.0, 2.0, 0.0, 0.0], [3.0, 6.0, 0.0, -4.0]]]])
    # Left: mean 3, maximum 6. Right: mean −1, maximum 0.
    assert AvgMaxPool2d(2)(features).tolist() == [[[[4.5, -0.5]]]]


def test_windows_of_the_pooling_do_not_overlap():
    assert AvgMaxPool2d(4)(torch.zeros(1, 2, 34, 35)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("input_size", [32, 48, 65, 127])
def test_any_input_size_from_32_fits(input_size):
    model = build(input_size=input_size)
    assert model(torch.zeros(1, 3, input_size, input_size)).logits.shape == (1, 8)


def test_it_starts_from_he_initialisation_and_not_from_transformers_own():
    model = build(input_size=64)
    for layer in [model.layers[0], model.layers[3], model.layers[6], model.layers[9]]:
        fan_in = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
        assert layer.bias.abs().max() == 0
    # Signals neither die nor explode on their way.
    logits = model(torch.randn(64, 3, 64, 64)).logits
    assert 0.05 < logits.std(dim=0).mean() < 20


def test_dropout_acts_in_training_alone():
    model = build(dropout=0.5)
    picture = torch.randn(1, 3, 32, 32)
    assert torch.equal(model(picture).logits, model(picture).logits)
    model.train()
    assert not torch.equal(model(picture).logits, model(picture).logits)


def test_labels_give_a_loss():
    model = build(num_labels=4, problem_type="single_label_classification")
    with torch.no_grad():
        model.classifier.weight.zero_()
    output = model(torch.randn(3, 3, 32, 32), labels=torch.tensor([0, 1, 3]))
    assert output.loss.item() == pytest.approx(1.386294, abs=1e-5)  # ln 4


def test_saving_and_loading_gives_the_same_bits(tmp_path):
    model = build(input_size=40, dropout=0.3)
    model.save_pretrained(tmp_path)
    loaded = BaselineForImageClassification.from_pretrained(tmp_path)
    assert (loaded.config.input_size, loaded.config.dropout) == (40, 0.3)
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_importing_fer_hf_registers_it_with_transformers(tmp_path):
    build().save_pretrained(tmp_path)
    model = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert type(model) is BaselineForImageClassification


def test_the_copy_in_the_folder_is_the_same_network(tmp_path):
    model = build()
    model.save_pretrained(tmp_path)
    assert (tmp_path / "baseline.py").is_file()
    copy = get_class_from_dynamic_module("baseline.BaselineForImageClassification", str(tmp_path))
    assert copy is not BaselineForImageClassification
    picture = torch.randn(1, 3, 32, 32)
    loaded = copy.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(picture).logits, model(picture).logits)
