"""The folder `app/`: the demo as a Space."""

import ast
import importlib.metadata
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import gradio as gr
from huggingface_hub import SpaceCard

from fer_hf.publishing.hub import find_app

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_app_is_a_whole_space():
    assert find_app() == APP


def test_app_imports_nothing_but_gradio_and_this_package():
    tree = ast.parse((APP / "app.py").read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert imported <= {"fer_hf", "gradio", "logging", "os"}


def test_app_opens_the_model_that_the_space_names(monkeypatch, tmp_path):
    monkeypatch.setenv("MODEL_ID", str(tmp_path))
    module = runpy.run_path(str(APP / "app.py"))
    assert module["models"].sources == [str(tmp_path)]
    assert isinstance(module["demo"], gr.Blocks)


def test_space_has_the_versions_that_the_package_asks_for():
    card = SpaceCard((APP / "README.md").read_text()).data
    assert card["app_file"] == "app.py"
    assert card["sdk_version"] == importlib.metadata.version("gradio")
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert card["python_version"] == lowest
    assert len(card["short_description"]) <= 60  # more the Hub refuses


def test_space_installs_this_version_of_the_package():
    [line] = (APP / "requirements.txt").read_text().splitlines()
    major, minor, _ = PROJECT["project"]["version"].split(".")
    assert line == f"fer-hf[demo]>={major}.{minor},<{major}.{int(minor) + 1}"


def test_app_comes_with_the_wheel():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["app"] == "fer_hf/app"


def test_visitors_files_are_kept_apart_from_the_first_import_on():
    code = (
        "import fer_hf.demo, gradio.mcp, os, stat, pathlib\n"
        "folder = pathlib.Path(gradio.mcp.DEFAULT_TEMP_DIR)\n"
        "assert folder.name.startswith('fer_hf_demo_'), folder\n"
        "assert stat.S_IMODE(folder.stat().st_mode) == 0o700\n"
        "print(folder)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "GRADIO_TEMP_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert not Path(done.stdout.strip()).exists()  # gone with the process
