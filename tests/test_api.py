"""The public API: its reference is current, and each of its examples runs."""

import doctest
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import fer_hf

DOCS = Path(__file__).parents[1] / "docs"


def test_the_reference_is_what_the_docstrings_say():
    spec = importlib.util.spec_from_file_location("docs_api", DOCS / "api.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    expected = script.render_api()
    assert (DOCS / "api.md").read_text() == expected, "Write it again with `make docs`."


@pytest.mark.parametrize("name", sorted(set(fer_hf.__all__) - {"EMOTIONS"}))
def test_the_example_of_each_public_name_runs(name, tmp_path, monkeypatch, user_files):
    monkeypatch.chdir(user_files(tmp_path))
    item = getattr(fer_hf, name)
    found = doctest.DocTestFinder(recurse=False).find(item, name, globs={name: item})
    examples = [test for test in found if test.examples]
    assert examples, f"`{name}` has no example."
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for test in examples:
        lines: list[str] = []
        failures, _ = doctest.DocTestRunner(optionflags=flags).run(test, out=lines.append)
        assert failures == 0, "".join(lines)


def test_importing_the_package_is_cheap():
    code = (
        "import sys, fer_hf; fer_hf.EMOTIONS; "
        "print(sorted({'torch', 'transformers', 'datasets', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
