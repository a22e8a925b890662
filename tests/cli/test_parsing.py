"""The parsers of the commands: one spelling for a flag, errors in one line, and a quick help."""

import importlib
import subprocess
import sys

import pytest

from fer_hf import cli
from fer_hf.cli.parsing import add_shared, build_parser, parse, suggest_retry
from fer_hf.training.arguments import DataArguments


@pytest.mark.parametrize("command", cli._COMMANDS)
def test_every_command_that_is_listed_exists(command):
    assert callable(importlib.import_module(f"fer_hf.cli.{command}").main)


def test_a_command_that_reads_pictures_gets_their_settings_and_its_own_arguments():
    parser = build_parser("cli.look", "Look.\n\nexample: fer-hf look", reads_pictures=True)
    add_shared(parser, "source")
    add_shared(parser, "--batch_size", default=7)
    given = parse(parser, ["my_faces", "--layout", "folders"])
    assert given.pictures == DataArguments(data="my_faces", layout="folders")
    assert given.batch_size == 7


@pytest.mark.parametrize("reads_pictures", [False, True])
def test_a_wrong_call_raises_and_does_not_exit(reads_pictures):
    parser = build_parser("cli.look", "Look.", reads_pictures=reads_pictures)
    add_shared(parser, "--split")
    assert parse(parser, ["--split", "val"]).split == "validation"
    with pytest.raises(ValueError, match="invalid choice: 'tests'"):
        parse(parser, ["--split", "tests"])
    with pytest.raises(ValueError, match="--splti"):
        parse(parser, ["--splti", "test"])
    with pytest.raises(ValueError, match="expected one argument"):
        parse(parser, ["--split"])


def test_an_error_of_the_hub_ends_with_the_call_to_repeat():
    with (
        pytest.raises(OSError, match=r"^Down\. Nothing lost\. Try again: fer-hf push 'my run' x$"),
        suggest_retry("push", ["my run", "x"], "Nothing lost. "),
    ):
        raise ConnectionError("Down.")
    with pytest.raises(FileNotFoundError, match=r"^There is no run\.$"), suggest_retry("push", []):
        raise FileNotFoundError("There is no run.")


def test_a_light_command_explains_itself_without_the_libraries():
    program = """
import sys
from fer_hf import cli
try:
    cli.main([sys.argv[1], "--help"])
except SystemExit:
    pass
heavy = {"torch", "transformers", "datasets", "gradio", "sklearn", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    for command in ("predict", "push", "card", "demo"):
        subprocess.run([sys.executable, "-c", program, command], check=True, capture_output=True)


def test_a_command_that_reads_pictures_explains_itself_without_networks():
    program = """
import sys
from fer_hf import cli
try:
    cli.main(["fit", "--help"])
except SystemExit:
    pass
heavy = {"torchvision", "timm", "sklearn", "matplotlib", "accelerate"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
