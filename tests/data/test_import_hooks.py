"""A hook runs once, right after its module; or at once, where that is imported already."""

import importlib
import sys

import pytest

from fer_hf.data.import_hooks import call_after_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that nobody has imported."""
    (tmp_path / "never_seen.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "never_seen"
    sys.modules.pop("never_seen", None)


def test_hooks_run_after_the_module_and_once(module):
    seen = []
    for number in range(2):
        call_after_import(module, lambda found, number=number: seen.append((number, found.value)))
    before = len(sys.meta_path)
    assert seen == []
    importlib.import_module(module)
    assert sorted(seen) == [(0, 1), (1, 1)]
    assert len(sys.meta_path) == before - 2
    importlib.reload(sys.modules[module])
    assert len(seen) == 2


def test_a_hook_for_what_is_imported_runs_now(module):
    seen = []
    imported = importlib.import_module(module)
    call_after_import(module, seen.append)
    assert seen == [imported]
