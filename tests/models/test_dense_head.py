"""A timm backbone under a dense layer, on a flattened or pooled feature map."""

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline
from transformers.dynamic_module_utils import get_class_from_dynamic_module

import fer_hf  # noqa: F401 - registers the model type
from fer_hf.models import freeze_backbone, load_model
from fer_hf.models.dense_head import DenseHeadConfig, DenseHeadForImageClassification

LABELS = ["anger", "happy", "sad"]


def load(**settings):
    ours = {"weights": "none", "input_size": 64, "dense_size": 16, "pooling": "flatten"}
    return load_model("test_resnet", LABELS, **{**ours, **settings})


def test_the_feature_map_is_flattened_into_the_dense_layer():
    model = load().model
    assert isinstance(model, DenseHeadForImageClassification)
    kinds = [type(layer).__name__ for layer in model.head]
    assert kinds == ["Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    features = model.backbone.forward_features(torch.zeros(1, 3, 64, 64))
    assert features.shape[2:] == (2, 2)  # 64 / 32
    assert model.head[1].in_features == features.shape[1] * 2 * 2
    assert model.head[1].out_features == 16
    assert model(torch.zeros(2, 3, 64, 64)).logits.shape == (2, 3)


@pytest.mark.parametrize("pooling", ["avg", "max", "avgmax"])
def test_a_dense_head_takes_pooled_features_and_survives_its_file(pooling, tmp_path):
    model = load(pooling=pooling, head="dense").model.eval()
    pixel_values = torch.rand(2, 3, 64, 64)
    features = model.backbone.forward_features(pixel_values)
    averaged, highest = features.mean(dim=(2, 3)), features.amax(dim=(2, 3))
    expected = {"avg": averaged, "max": highest, "avgmax": (averaged + highest) / 2}[pooling]
    with torch.no_grad():
        logits = model(pixel_values).logits
        torch.testing.assert_close(logits, model.head(expected))
        model.save_pretrained(tmp_path)
        again = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
        torch.testing.assert_close(again(pixel_values).logits, logits)


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match=r"`head` is 'deep', expected one of"):
        load(head="deep")


def test_dropout_reaches_the_head():
    assert load(dropout=0.35).model.head[3].p == 0.35


def test_building_it_leaves_the_batchnorm_statistics_untouched():
    norms = {
        name: tensor
        for name, tensor in load().model.backbone.state_dict().items()
        if name.endswith("running_mean")
    }
    assert norms
    assert all((tensor == 0).all() for tensor in norms.values())


def test_the_backbone_keeps_its_own_initialisation():
    torch.manual_seed(0)
    model = DenseHeadForImageClassification(DenseHeadConfig("test_resnet", input_size=32))
    weight = next(model.backbone.parameters())
    assert weight.std() > 0.05  # transformers' own would be 0.02


def test_a_frozen_backbone_leaves_the_head_to_train():
    model = load().model
    assert freeze_backbone(model) == "head"
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {f"head.{layer}.{kind}" for layer in (1, 4) for kind in ("weight", "bias")}


def test_saving_and_loading_gives_the_same_bits(tmp_path):
    model = load().model
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert type(loaded) is DenseHeadForImageClassification
    expected = model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_the_copy_in_the_folder_is_the_same_network_and_pipeline_opens_it(tmp_path):
    loaded = load()
    model = loaded.model.eval()
    model.save_pretrained(tmp_path)
    loaded.image_processor.save_pretrained(tmp_path)
    name = "dense_head.DenseHeadForImageClassification"
    copy = get_class_from_dynamic_module(name, str(tmp_path))
    assert copy is not DenseHeadForImageClassification
    picture = Image.linear_gradient("L").convert("RGB")
    pixel_values = loaded.image_processor(picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        scores = model(pixel_values).logits.softmax(-1)[0].tolist()
        again = copy.from_pretrained(tmp_path).eval()(pixel_values).logits.softmax(-1)[0].tolist()
    assert again == scores
    found = pipeline("image-classification", model=str(tmp_path))(picture, top_k=3)
    shown = {row["label"]: row["score"] for row in found}
    assert shown == pytest.approx(dict(zip(LABELS, scores, strict=True)), abs=1e-5)


def test_training_can_start_from_its_checkpoint(tmp_path):
    first = load()
    first.model.save_pretrained(tmp_path)
    first.image_processor.save_pretrained(tmp_path)
    second = load_model(str(tmp_path), ["x", "y"], input_size=64)
    assert second.model(torch.zeros(1, 3, 64, 64)).logits.shape == (1, 2)
    before = first.model.backbone.state_dict()
    after = second.model.base_model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if name in before)
    assert len(before.keys() & after.keys()) >= len(before) - 2
