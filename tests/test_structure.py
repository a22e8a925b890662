"""The house rules that a machine can hold; import-linter holds the layers (`make check`)."""

import ast
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
