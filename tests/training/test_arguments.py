"""Recipes and flags."""

import dataclasses
import re

import pytest
from transformers.utils import logging as transformers_logging

from fer_hf.training.arguments import DataArguments, ModelArguments
from fer_hf.training.recipes import build_parser, list_recipes, load_recipe, parse_runs
from fer_hf.training.training_arguments import FerTrainingArguments


def parse_one(*args):
    (run,) = parse_runs(args)
    return run


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "mine.yaml"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_without_arguments_three_models_are_trained_on_the_drawn_faces():
    runs = parse_runs([])
    assert [run.name for run in runs] == [
        "drawn-baseline",
        "drawn-resnetv2",
        "drawn-inception-resnet",
    ]
    assert [run.data.data for run in runs] == ["drawn"] * 3
    names = [run.model.model_name_or_path for run in runs]
    assert names == ["baseline", "resnetv2_18", "inception-resnet"]
    assert runs[1].model.timm_args["channels"] == [24, 48, 96, 192]
    assert all(run.training.output_dir_is_free for run in runs)


def test_data_of_ones_own_trains_the_three_models_at_full_size():
    runs = parse_runs(["--data", "my_faces"])
    assert [run.name for run in runs] == ["baseline", "resnetv2", "inception-resnet"]
    assert {run.data.data for run in runs} == {"my_faces"}
    assert {run.model.input_size for run in runs} == {None}  # each network's own
    assert {run.model.unfreeze for run in runs} == {"none"}


@pytest.mark.parametrize(
    "flag",
    [["--model_name_or_path", "test_resnet"], ["--model-name-or-path=test_resnet"]],
)
def test_a_model_by_name_is_one_run(flag):
    run = parse_one(*flag)
    assert run.name == run.model.model_name_or_path == "test_resnet"


def test_flags_win_over_the_recipe_and_the_recipe_over_defaults(recipe):
    path = recipe("learning_rate: 2e-3\nnum_train_epochs: 7\ninput_size: 48\naugment: false\n")
    run = parse_one("--config", path, "--num_train_epochs", "3")
    assert run.name == "mine"
    assert run.training.learning_rate == 2e-3
    assert run.training.num_train_epochs == 3
    assert run.model.input_size == 48
    assert run.training.augment is False
    assert run.training.per_device_train_batch_size == 32
    assert parse_one("--config", path, "--augment").training.augment is True


def test_a_flag_that_repeats_the_default_still_wins_over_the_recipe(recipe):
    path = recipe("input_size: 48\n")
    assert parse_one("--config", path, "--input_size", "128").model.input_size == 128


def test_values_in_a_recipe_are_converted_as_flags_are(recipe):
    text = (
        "model_args: {channels: [1, 2]}\nmax_train_samples: 5\nlayout: null\n"
        "early_stopping: 2\nresume: no\n"
    )
    run = parse_one("--config", recipe(text))
    assert run.model.timm_args == {"channels": [1, 2]}
    assert run.data.max_train_samples == 5
    assert run.data.layout is None
    assert run.training.early_stopping == 2
    assert run.training.resume is False


def test_settings_of_transformers_are_flags_too(tmp_path):
    run = parse_one("--config", "baseline", "--label_smoothing_factor", "0.1", "--seed", "7")
    assert run.training.label_smoothing_factor == 0.1
    assert run.training.seed == 7


def test_several_recipes_are_several_runs(recipe):
    runs = parse_runs(["--config", "baseline", recipe("seed: 3\n"), "--output_dir", "there"])
    assert [run.name for run in runs] == ["baseline", "mine"]
    assert [run.training.seed for run in runs] == [42, 3]
    assert not runs[0].training.output_dir_is_free


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_of_the_package_can_be_read_and_opens_with_its_command(name):
    run = parse_one("--config", name)
    assert run.name == name
    from importlib import resources

    text = (resources.files("fer_hf") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    command = re.search(r"^#\s+(accelerate launch train\.py .*)$", text, re.MULTILINE)
    assert command
    assert f"--config {name}" in command[1]


# Refusals


def test_an_unknown_flag_is_refused_with_the_nearest_one():
    message = r"Unknown flag '--learning_rat'. Did you mean `--learning_rate`\?"
    with pytest.raises(ValueError, match=message):
        parse_one("--config", "baseline", "--learning_rat", "1")
    with pytest.raises(ValueError, match=r"Unknown flag '--xyzzyx=1'\. See --help"):
        parse_one("--config", "baseline", "--xyzzyx=1")


def test_an_unknown_key_of_a_recipe_is_refused_with_the_nearest_one(recipe):
    with pytest.raises(ValueError, match=r"unknown key 'epoch'|unknown key 'num_epochs'") as info:
        parse_one("--config", recipe("num_epochs: 3\n"))
    assert "Did you mean `num_train_epochs`?" in str(info.value)
    assert "mine" in str(info.value)


def test_words_that_belong_to_no_flag_are_refused():
    with pytest.raises(ValueError, match=r"Unknown arguments \['faces'\]"):
        parse_one("--seed", "1", "faces", "--model_name_or_path", "baseline")


def test_a_value_of_the_wrong_kind_is_refused(recipe):
    with pytest.raises(ValueError, match=r"--input_size.*'big'"):
        parse_one("--config", "baseline", "--input_size", "big")
    with pytest.raises(ValueError, match=r"pooling.*'sum'"):
        parse_one("--config", "baseline", "--pooling", "sum")
    with pytest.raises(ValueError, match=r"input_size.*'big'"):
        parse_one("--config", recipe("input_size: big\n"))
    with pytest.raises(ValueError, match=r"pooling.*'sum'"):
        parse_one("--config", recipe("pooling: sum\n"))


def test_a_recipe_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(
        FileNotFoundError, match=r"'nope' is neither a file nor one of .*'baseline'"
    ):
        parse_one("--config", "nope")


def test_a_recipe_that_is_no_list_of_settings_is_refused(recipe):
    with pytest.raises(ValueError, match="expected lines `key: value`"):
        load_recipe(recipe("- a\n- b\n"))
    with pytest.raises(ValueError, match="is not YAML"):
        load_recipe(recipe("a: [1\n"))
    with pytest.raises(ValueError, match="expected lines `key: value`"):
        load_recipe(recipe(""))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resume": True, "overwrite_output_dir": True}, "Give one of the two"),
        ({"resume": True, "output_dir": None}, "`resume` needs --output_dir"),
        ({"ema_decay": 1.0}, "`ema_decay` is 1.0, expected 0"),
        ({"ema_decay": -0.1}, "`ema_decay` is -0.1"),
        ({"mixup": -1}, "`mixup` is -1, expected 0"),
        ({"mixup_off_epoch": -1}, "`mixup_off_epoch` is -1, expected 0"),
        ({"early_stopping": -2}, "`early_stopping` is -2, expected 0"),
        ({"early_stopping": 2, "save_strategy": "no"}, "`early_stopping` needs a checkpoint"),
        ({"push_to_hub": True}, r"Give --hub_model_id you/your-fer"),
        ({"save_total_limit": 1}, r"`save_total_limit` is 1, expected 2 or more"),
    ],
)
def test_training_settings_that_cannot_be_are_refused(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        FerTrainingArguments(**{"output_dir": str(tmp_path), **settings})


@pytest.mark.parametrize("text", ["{channels", "[1, 2]", "3"])
def test_model_args_that_are_no_json_object_are_refused(text):
    with pytest.raises(ValueError, match="`model_args` is"):
        ModelArguments(model_args=text)
    assert ModelArguments().timm_args == {}


# What Trainer is told


@pytest.mark.parametrize(
    ("metric", "greater"),
    [("f1_macro", True), ("accuracy", True), ("nll", False), ("ece", False), ("loss", False)],
)
def test_the_best_model_is_the_one_with_the_better_metric(tmp_path, metric, greater):
    args = FerTrainingArguments(output_dir=str(tmp_path), metric_for_best_model=metric)
    assert args.greater_is_better is greater


def test_every_setting_has_a_help_text_and_one_home():
    classes = (DataArguments, ModelArguments, FerTrainingArguments)
    names = [item.name for cls in classes for item in dataclasses.fields(cls)]
    assert len(names) == len(set(names))
    for cls in classes:
        for item in dataclasses.fields(cls):
            assert item.metadata.get("help"), item.name


def test_the_help_shows_every_setting_of_ours():
    text = build_parser().format_help()
    for cls in (DataArguments, ModelArguments, FerTrainingArguments):
        for name in vars(cls)["__annotations__"]:
            if not name.startswith("_"):
                assert f"--{name}" in text


def test_the_progress_bar_stays_where_transformers_is_silent():
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        assert FerTrainingArguments().disable_tqdm is False
    finally:
        transformers_logging.set_verbosity(before)


@pytest.mark.parametrize("flags", [["--label_names", "joy", "sad"], ["--label_names=joy"]])
def test_label_names_is_short_for_those_of_the_data(flags):
    run = parse_one("--config", "baseline", *flags)
    assert run.data.data_label_names[-1] == flags[-1].rpartition("=")[2]
    assert run.training.label_names == parse_one("--config", "baseline").training.label_names
