"""The house rules that a machine can hold; import-linter holds the layers (`make check`)."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import fer_hf

PACKAGE = Path(fer_hf.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES, MOST_ENTRIES = 320, 60, 12


def test_the_package_has_few_entries():
    entries = {path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    assert len(entries - {"py.typed"}) <= MOST_ENTRIES


def test_no_file_is_too_long_to_read():
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {path: n for path, n in lengths.items() if n > MOST_LINES} == {}


def test_no_function_is_too_long_to_read():
    functions = (
        (f"{path}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert {name: n for name, n in functions if n > MOST_FUNCTION_LINES} == {}


def test_no_two_files_share_a_name():
    # Commands are named as they are called, whatever else has that name.
    modules = [path for path in FILES if "cli" not in path.parts and path.stem != "__init__"]
    names = Counter(path.stem for path in modules)
    assert [name for name, count in names.items() if count > 1] == []


def test_tests_follow_the_tree():
    tests = Path(__file__).parent
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert {str(folder) for folder in folders if not (PACKAGE / folder).is_dir()} == set()


def test_what_answers_imports_nothing_that_trains():
    # import-linter cannot tell what a module imports from what a function of it does.
    code = """
import importlib, pkgutil, sys
absent = "torch torchvision transformers timm datasets accelerate evaluate scipy sklearn pyarrow"
sys.modules.update(dict.fromkeys([*absent.split(), "matplotlib", "tabulate", "onnx", "httpx"]))
for room in ("inference", "faces", "video"):
    package = importlib.import_module(f"fer_hf.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"fer_hf.{room}."):
        if module.name != "fer_hf.inference.source_parts":  # reads tables, and is asked for
            importlib.import_module(module.name)
sys.modules["gradio"] = None
import fer_hf.cli.predict, fer_hf.cli.video, fer_hf.cli.demo
del sys.modules["gradio"], sys.modules["httpx"]  # which is Gradio's, too
import fer_hf.demo
"""
    subprocess.run([sys.executable, "-c", code], check=True)
