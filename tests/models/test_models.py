"""The networks: weights, heads, preprocessing, and what of them is trained."""

import json
import logging
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    BitImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    TimmWrapperForImageClassification,
)

from fer_hf.models import (
    ALIASES,
    calibrate_batchnorm,
    find_frozen_modules,
    fold_into_head,
    freeze_backbone,
    get_backbone,
    get_head_parameters,
    load_checkpoint,
    load_model,
    round_weights,
)
from fer_hf.models.weights import open_network

LABELS = ["anger", "happy", "sad"]
SLIM = {"channels": [16, 16, 32, 32]}
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def load(name="test_resnet", labels=LABELS, **settings):
    return load_model(name, labels, **{"weights": "none", "input_size": 64, **settings})


def write_timm_repo(folder, architecture="test_resnet", model_args=None, **create):
    """Write a folder as timm's repositories on the Hub look, and return its state_dict."""
    torch.manual_seed(5)
    network = timm.create_model(architecture, num_classes=1000, **create)
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(network.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": architecture,
        "num_classes": 1000,
        "num_features": network.num_features,
        "pretrained_cfg": {
            "tag": "r160_in1k",
            "input_size": [3, 160, 160],
            "test_input_size": [3, 192, 192],
            "crop_pct": 0.875,
            "test_crop_pct": 0.95,
            "interpolation": "bicubic",
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
        },
    }
    if model_args is not None:
        config["model_args"] = model_args
    (folder / "config.json").write_text(json.dumps(config))
    return network.state_dict()


def assert_backbone_is(model, expected):
    head = {id(parameter) for parameter in get_head_parameters(model)}
    names = [name for name, p in model.timm_model.named_parameters() if id(p) not in head]
    names += [name for name, _ in model.timm_model.named_buffers()]
    assert names
    state = model.timm_model.state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in names)


@pytest.fixture(scope="module")
def inception():
    return load("inception-resnet", input_size=75)


@pytest.fixture
def cached_repo():
    """`timm/test_resnet.r160_in1k` as if it had been fetched before the network went away."""
    cache = Path(huggingface_hub.constants.HF_HUB_CACHE)
    repo = cache / "models--timm--test_resnet.r160_in1k"
    commit = "0123456789abcdef0123456789abcdef01234567"
    expected = write_timm_repo(repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    yield expected
    shutil.rmtree(repo)


# Names and weights


def test_the_aliases_stand_for_the_published_imagenet_weights():
    assert ALIASES == {
        "resnetv2": "timm/resnetv2_50.a1h_in1k",
        "inception-resnet": "timm/inception_resnet_v2.tf_in1k",
    }


def test_resnetv2_is_the_50_layer_network_with_a_new_head():
    model = load("resnetv2", input_size=32).model.eval()
    assert model.config.architecture == "resnetv2_50"
    assert 23.5e6 < model.num_parameters() < 23.6e6
    assert model(torch.zeros(2, 3, 32, 32)).logits.shape == (2, 3)
    assert sum(p.numel() for p in get_head_parameters(model)) == 2048 * 3 + 3


def test_inception_resnet_is_version_2_with_a_new_head(inception):
    model = inception.model.eval()
    assert model.config.architecture == "inception_resnet_v2"
    assert 54.2e6 < model.num_parameters() < 54.4e6
    assert model(torch.zeros(2, 3, 75, 75)).logits.shape == (2, 3)
    assert sum(p.numel() for p in get_head_parameters(model)) == 1536 * 3 + 3


def test_the_labels_are_in_the_config():
    config = load().model.config
    assert config.id2label == {0: "anger", 1: "happy", 2: "sad"}
    assert config.label2id == {"anger": 0, "happy": 1, "sad": 2}
    assert config.problem_type == "single_label_classification"


def test_model_args_reach_the_network():
    model = load("resnetv2_18", model_args=SLIM).model
    assert get_backbone(model).num_features == 32


def test_random_weights_keep_the_initialisation_of_timm():
    torch.manual_seed(3)
    model = load("resnetv2_18", model_args=SLIM).model
    weight = get_backbone(model).stages[0].blocks[0].conv1.weight
    fan_out = weight.shape[0] * weight.shape[2] * weight.shape[3]
    assert weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.15)  # not 0.02


def test_random_features_tell_pictures_apart_once_batchnorm_is_calibrated(faces):
    torch.manual_seed(0)
    loaded = load("test_resnet", input_size=32)
    pictures = list(faces["train"][:32]["image"])
    pixel_values = loaded.image_processor(pictures, return_tensors="pt")["pixel_values"]
    loaded.model.train()
    calibrate_batchnorm(loaded.model, [pixel_values])
    assert loaded.model.training
    loaded.model.eval()
    with torch.no_grad():
        features = get_backbone(loaded.model).forward_features(pixel_values).mean(dim=(2, 3))
    assert features.std(dim=0).mean() > 0.05


def test_calibration_sets_the_mean_over_all_batches_and_nothing_else():
    class Norm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm2d(1, momentum=0.1)
            self.dropout = torch.nn.Dropout(0.5)

        def forward(self, pixel_values):
            return self.dropout(self.norm(pixel_values))

    model = Norm()
    batches = [torch.tensor([1.0, 3.0]).view(2, 1, 1, 1), torch.tensor([4.0, 8.0]).view(2, 1, 1, 1)]
    calibrate_batchnorm(model, iter(batches))
    assert model.norm.running_mean.item() == 4  # of 2 and 6
    assert model.norm.running_var.item() == 5  # of 2 and 8
    assert model.norm.momentum == 0.1
    assert model.training
    assert model.norm.training


def test_weights_of_a_folder_like_a_timm_repository_reach_the_backbone_bit_by_bit(tmp_path):
    expected = write_timm_repo(tmp_path / "faces")
    for loaded in (
        load(str(tmp_path / "faces"), weights="auto"),
        load("test_resnet", weights=str(tmp_path / "faces")),
    ):
        assert_backbone_is(loaded.model, expected)
        assert loaded.pretrained_on == "faces"
        head = loaded.model.timm_model.fc
        assert head.weight.shape == (3, expected["fc.weight"].shape[1])
        assert head.weight.std().item() == pytest.approx(0.01, rel=0.3)
        assert (head.bias == 0).all()


def test_imagenet_weights_come_from_the_cache_when_there_is_no_network(cached_repo):
    for weights in ("auto", "imagenet"):
        loaded = load("timm/test_resnet.r160_in1k", weights=weights)
        assert_backbone_is(loaded.model, cached_repo)
        assert loaded.pretrained_on == "ImageNet"
    assert load("test_resnet", weights="auto").pretrained_on == "ImageNet"
    assert load("test_resnet", weights="none").pretrained_on == "none"


def test_a_config_as_timms_own_exporter_writes_it_is_understood(tmp_path):
    model_args = {"in_chans": 3, "num_classes": 1000, "global_pool": "max"}
    expected = write_timm_repo(tmp_path, model_args=model_args)
    assert_backbone_is(load(str(tmp_path), weights="auto").model, expected)


def test_a_checkpoint_of_our_own_gives_its_backbone_to_another_set_of_labels(tmp_path):
    first = load("resnetv2_18", model_args=SLIM).model
    first.save_pretrained(tmp_path / "first")
    second = load(str(tmp_path / "first"), ["x", "y"], weights="auto")
    assert_backbone_is(second.model, first.timm_model.state_dict())
    assert second.model.config.id2label == {0: "x", 1: "y"}
    assert second.pretrained_on == "first"


def test_offline_the_automatic_choice_is_random_weights_and_says_so(caplog):
    with caplog.at_level(logging.WARNING, logger="fer_hf"):
        loaded = load("test_resnet", weights="auto")
    assert loaded.pretrained_on == "none"
    assert "No network" in caplog.text
    assert "test_resnet starts from random weights" in caplog.text


def test_offline_imagenet_is_an_error_of_one_line():
    with pytest.raises(OSError, match=r"Could not load model 'timm/test_resnet.r160_in1k'") as info:
        load("test_resnet", weights="imagenet")
    assert "\n" not in str(info.value)
    assert "--weights none" in str(info.value)
    with pytest.raises(OSError, match="Could not load model 'somebody/some-fer'") as info:
        load("somebody/some-fer")
    assert "\n" not in str(info.value)


def test_imagenet_weights_of_a_network_without_any_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no ImageNet weights are known for 'resnetv2_50t'"):
        load("resnetv2_50t", weights="imagenet")
    write_timm_repo(tmp_path)
    with pytest.raises(ValueError, match="`weights` is 'imagenet', but no ImageNet weights"):
        load(str(tmp_path), weights="imagenet")


def test_weights_of_another_architecture_are_refused(tmp_path):
    write_timm_repo(tmp_path)
    message = "of architecture 'test_resnet', expected 'resnetv2_18'"
    with pytest.raises(ValueError, match=message):
        load("resnetv2_18", weights=str(tmp_path))


def test_weights_of_another_width_are_refused(tmp_path):
    load("resnetv2_18", model_args=SLIM).model.save_pretrained(tmp_path)
    wide = {"channels": [16, 16, 32, 64]}
    with pytest.raises(ValueError, match=r"lacks \d+ tensors of its network.*`model_args`"):
        load("resnetv2_18", weights=str(tmp_path), model_args=wide)


def test_weights_that_do_not_exist_are_refused_by_their_own_name():
    with pytest.raises(ValueError, match="`weights` is 'imagenett'"):
        load("resnetv2_18", weights="imagenett")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="`model_name_or_path` is 'resnetv3', expected 'baseline'"):
        load("resnetv3")
    with pytest.raises(ValueError, match=r"'\./nowhere'.*a checkpoint folder that exists"):
        load("./nowhere")


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no `config\.json`"):
        load(str(tmp_path))


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": 31}, "`input_size` is 31, expected 32 or more"),
        ({"pooling": "sum"}, "`pooling` is 'sum', expected one of"),
        ({"dropout": 1.0}, "`dropout` is 1.0, expected a share"),
        ({"dropout": -0.1}, "`dropout` is -0.1, expected a share"),
        ({"sigmoid": True}, "distinguishes two labels, and there are 3"),
        ({"labels": ["anger"]}, r"Labels are \['anger'\], expected two or more"),
        ({"labels": ["a", "b", "a"]}, "expected two or more, each once"),
    ],
)
@pytest.mark.parametrize("name", ["baseline", "test_resnet"])
def test_settings_out_of_range_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        load(name, **settings)


def test_inception_resnet_needs_75_pixels_and_says_why():
    with pytest.raises(ValueError, match=r"`input_size` is 74, but .* 75 pixels or more: .*reduct"):
        load("inception-resnet", input_size=74)


def test_the_baseline_has_no_pretrained_weights():
    with pytest.raises(ValueError, match="baseline CNN has no pretrained weights"):
        load("baseline", weights="imagenet")
    assert load("baseline").pretrained_on == "none"


def test_the_poolings_are_the_mean_the_maximum_and_the_mean_of_both():
    pixel_values = torch.randn(2, 3, 64, 64)
    for pooling in ("avg", "max", "avgmax"):
        model = load(pooling=pooling).model.eval()
        with torch.no_grad():
            features = get_backbone(model).forward_features(pixel_values)
            mean, maximum = features.mean(dim=(2, 3)), features.amax(dim=(2, 3))
            pooled = {"avg": mean, "max": maximum, "avgmax": (mean + maximum) / 2}[pooling]
            expected = get_backbone(model).fc(pooled)
            torch.testing.assert_close(model(pixel_values).logits, expected)


def test_dropout_reaches_the_head_while_the_frozen_rest_is_in_eval_mode(inception):
    others = [load("test_resnet", dropout=0.5), load("resnetv2_18", model_args=SLIM, dropout=0.5)]
    for loaded in [*others, inception]:
        model, size = loaded.model, loaded.model.config.pretrained_cfg["input_size"][-1]
        pixel_values = torch.randn(1, 3, size, size)
        freeze_backbone(model)
        model.train()
        for module in find_frozen_modules(model):
            module.eval()
        with torch.no_grad():
            assert not torch.equal(model(pixel_values).logits, model(pixel_values).logits)
            model.eval()
            assert torch.equal(model(pixel_values).logits, model(pixel_values).logits)
        model.requires_grad_(True)


def test_no_dropout_means_none():
    model = load(dropout=0.0).model.train()
    for module in find_frozen_modules(model):
        module.eval()
    freeze_backbone(model)
    for module in find_frozen_modules(model):
        module.eval()
    pixel_values = torch.randn(2, 3, 64, 64)
    assert torch.equal(model(pixel_values).logits, model(pixel_values).logits)


@pytest.mark.parametrize("name", ["baseline", "test_resnet"])
def test_two_labels_can_share_one_sigmoid_neuron(name):
    model = load(name, ["calm", "angry"], sigmoid=True).model.eval()
    assert model(torch.zeros(4, 3, 64, 64)).logits.shape == (4, 1)
    assert model.config.id2label == {0: "angry"}
    assert model.config.problem_type == "multi_label_classification"
    two = load(name, ["calm", "angry"]).model.eval()
    assert two(torch.zeros(4, 3, 64, 64)).logits.shape == (4, 2)


# Preprocessing


@pytest.mark.parametrize("name", ["baseline", "test_resnet", "timm_repo"])
def test_every_corner_of_a_picture_reaches_the_network(name, tmp_path):
    if name == "timm_repo":
        write_timm_repo(tmp_path)
        loaded = load(str(tmp_path), weights="auto")
    else:
        loaded = load(name)
    for size in ((300, 300), (300, 200)):
        plain = Image.new("RGB", size)
        marked = plain.copy()
        marked.paste((255, 255, 255), (0, 0, 4, 4))
        marked.paste((255, 255, 255), (size[0] - 4, size[1] - 4, *size))
        before, after = (
            loaded.image_processor(picture, return_tensors="pt")["pixel_values"][0]
            for picture in (plain, marked)
        )
        assert before.shape == (3, 64, 64)
        changed = (after - before)[0] > 0
        assert changed[0, 0]
        assert changed[-1, -1]
        assert not changed[32, 32]


def test_the_preprocessing_travels_in_the_config(tmp_path):
    write_timm_repo(tmp_path / "repo")
    loaded = load(str(tmp_path / "repo"), weights="auto", input_size=48)
    settings = loaded.model.config.pretrained_cfg
    assert settings["input_size"] == [3, 48, 48]
    assert (settings["crop_pct"], settings["crop_mode"]) == (1.0, "squash")
    assert (settings["mean"], settings["std"]) == (IMAGENET_MEAN, IMAGENET_STD)
    assert settings["interpolation"] == "bicubic"
    assert not {"test_input_size", "test_crop_pct"} & settings.keys()
    loaded.model.save_pretrained(tmp_path / "run")
    again = AutoImageProcessor.from_pretrained(tmp_path / "run")
    picture = Image.linear_gradient("L").convert("RGB")
    expected = loaded.image_processor(picture, return_tensors="pt")["pixel_values"]
    assert torch.equal(again(picture, return_tensors="pt")["pixel_values"], expected)


def test_random_weights_are_preprocessed_around_zero():
    processor = load().image_processor
    white = processor(Image.new("RGB", (64, 64), "white"), return_tensors="pt")["pixel_values"]
    assert white.unique().tolist() == [1.0]


def test_a_checkpoint_of_another_kind_keeps_its_weights_and_loses_its_centre_crop(tmp_path):
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5
    )
    first = ResNetForImageClassification(config)
    first.save_pretrained(tmp_path / "small")
    BitImageProcessor(
        size={"shortest_edge": 48}, crop_size={"height": 32, "width": 32}, do_center_crop=True
    ).save_pretrained(tmp_path / "small")
    loaded = load(str(tmp_path / "small"), weights="auto")
    assert type(loaded.model) is ResNetForImageClassification
    assert loaded.model.config.id2label == dict(enumerate(LABELS))
    assert loaded.pretrained_on == "small"
    before, after = first.resnet.state_dict(), loaded.model.resnet.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    marked = Image.new("RGB", (300, 200))
    marked.paste((255, 255, 255), (0, 0, 8, 8))
    values = loaded.image_processor(marked, return_tensors="pt")["pixel_values"]
    assert values.shape == (1, 3, 32, 32)
    assert values[0, 0, 0, 0] > values[0, 0, -1, -1]
    with pytest.raises(ValueError, match="a checkpoint of its own kind"):
        load(str(tmp_path / "small"), weights="none")


# Checkpoints


def test_a_saved_checkpoint_opens_in_transformers_and_in_timm_with_equal_logits(tmp_path):
    model = load("resnetv2_18", model_args=SLIM).model.eval()
    model.save_pretrained(tmp_path)
    pixel_values = torch.randn(2, 3, 64, 64)
    theirs = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    assert type(theirs) is TimmWrapperForImageClassification
    assert theirs.config.id2label == dict(enumerate(LABELS))
    in_timm = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    with torch.no_grad():
        expected = model(pixel_values).logits
        assert torch.equal(theirs(pixel_values).logits, expected)
        torch.testing.assert_close(in_timm(pixel_values), expected)
    assert in_timm.pretrained_cfg["label_names"] == LABELS
    assert in_timm.pretrained_cfg["crop_pct"] == 1.0
    assert not list(tmp_path.glob("*.bin"))


def test_a_checkpoint_can_be_opened_as_it_is(tmp_path):
    loaded = load()
    with torch.no_grad():
        get_backbone(loaded.model).fc.bias.fill_(0.5)
    loaded.model.save_pretrained(tmp_path / "run")
    again = load_checkpoint(str(tmp_path / "run"))
    assert not again.model.training
    assert get_backbone(again.model).fc.bias.tolist() == [0.5] * 3
    assert again.model.config.id2label == loaded.model.config.id2label


# What is trained


def list_trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def list_below(model, *prefixes):
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


def test_of_a_resnetv2_the_head_the_last_stage_or_all_is_trained():
    model = load("resnetv2_18", model_args=SLIM).model
    assert freeze_backbone(model) == "head"
    assert list_trained(model) == {"timm_model.head.fc.weight", "timm_model.head.fc.bias"}
    assert freeze_backbone(model, "last_stage") == "head + last stage"
    parts = ("timm_model.stages.3.", "timm_model.norm.", "timm_model.head.")
    assert list_trained(model) == list_below(model, *parts)
    assert freeze_backbone(model, "all") == "all layers"
    assert list_trained(model) == list_below(model, "")
    assert freeze_backbone(model, "none") == "head"
    assert len(list_trained(model)) == 2


def test_of_an_inception_resnet_the_head_the_last_stage_or_all_is_trained(inception):
    model = inception.model
    assert freeze_backbone(model) == "head"
    assert list_trained(model) == {"timm_model.classif.weight", "timm_model.classif.bias"}
    freeze_backbone(model, "last_stage")
    stage = ("mixed_7a", "repeat_2", "block8", "conv2d_7b", "classif")
    assert list_trained(model) == list_below(model, *(f"timm_model.{name}." for name in stage))
    freeze_backbone(model, "all")
    assert list_trained(model) == list_below(model, "")


def test_of_a_baseline_everything_is_trained():
    model = load("baseline").model
    assert get_backbone(model) is None
    assert freeze_backbone(model, "none") == "all layers"
    assert list_trained(model) == list_below(model, "")
    assert len(get_head_parameters(model)) == len(list(model.parameters()))
    assert find_frozen_modules(model) == []


def test_a_last_stage_that_is_not_known_is_refused():
    model = load("test_byobnet").model
    with pytest.raises(ValueError, match=r"last stage of a ByobNet is not known.*--unfreeze none"):
        freeze_backbone(model, "last_stage")
    with pytest.raises(ValueError, match="`unfreeze` is 'most', expected one of"):
        freeze_backbone(model, "most")


def test_frozen_modules_are_those_of_which_nothing_is_trained():
    model = load("test_resnet").model
    freeze_backbone(model, "last_stage")
    names = {module: name for name, module in model.named_modules()}
    frozen = {names[module] for module in find_frozen_modules(model)}
    assert {"timm_model.conv1", "timm_model.bn1", "timm_model.layer3"} <= frozen
    assert not any(name.startswith(("timm_model.layer4", "timm_model.fc")) for name in frozen)
    assert not {"", "timm_model"} & frozen
    freeze_backbone(model, "all")
    assert find_frozen_modules(model) == []


@pytest.mark.parametrize("name", ["baseline", "test_resnet", "flatten", "sigmoid"])
def test_what_is_folded_into_the_head_comes_out_of_the_logits(name):
    settings = {"flatten": {"pooling": "flatten"}, "sigmoid": {"sigmoid": True}}.get(name, {})
    labels = ["no", "yes"] if name == "sigmoid" else LABELS
    network = name if name == "baseline" else "test_resnet"
    model = load(network, labels, **settings).model.eval()
    pixel_values = torch.rand(2, 3, 64, 64)
    offsets = [0.5, -1.0] if name == "sigmoid" else [0.5, -1.0, 2.0]
    with torch.no_grad():
        before = model(pixel_values=pixel_values).logits
        fold_into_head(model, 2.0, offsets)
        after = model(pixel_values=pixel_values).logits
    added = -1.5 if name == "sigmoid" else torch.tensor(offsets)
    torch.testing.assert_close(after, (before + added) / 2.0)


def test_rounding_keeps_float32_and_refuses_what_does_not_fit():
    model = load("test_resnet").model
    round_weights(model, torch.float16)
    for values in model.state_dict().values():
        if values.is_floating_point():
            assert values.dtype == torch.float32
            assert torch.equal(values, values.half().float())
    next(iter(model.parameters())).data.fill_(1e6)
    with pytest.raises(ValueError, match=r"too large for torch\.float16.*float32"):
        round_weights(model, torch.float16)


def test_a_random_network_starts_out_seeing_grey():
    model = load("resnetv2_18", model_args=SLIM).model.eval()
    colour = torch.rand(2, 3, 64, 64)
    grey = colour.mean(dim=1, keepdim=True).expand_as(colour)
    with torch.no_grad():
        torch.testing.assert_close(
            model(pixel_values=colour).logits, model(pixel_values=grey).logits
        )


def test_what_a_checkpoint_lacks_may_be_any_number_until_it_is_drawn():
    # Older versions of transformers leave it as the memory was.
    class Opened(torch.nn.Linear):
        @classmethod
        def from_pretrained(cls, *_, missing_keys, **__):
            network = cls(1, 1)
            torch.nn.init.constant_(network.weight, torch.nan)
            return network, {"missing_keys": missing_keys, "mismatched_keys": []}

    _, missing = open_network(Opened, "net", missing_keys=["weight"])
    assert missing == {"weight"}
    with pytest.raises(ValueError, match=r"'net' are NaN or infinite in 1 tensors, such as 'weig"):
        open_network(Opened, "net", missing_keys=[])
