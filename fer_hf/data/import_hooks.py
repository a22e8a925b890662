"""What is to be done once a library is imported, by those who must not import it themselves.

By hand, because wrapt, which has such hooks, takes longer to import than all of `fer_hf`.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def call_after_import(name: str, hook: Callable[[ModuleType], None]) -> None:
    """Call a hook with a module once that is imported; now, if it has been."""
    if name in sys.modules:
        hook(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Waiting(name, hook))


def quieten_transformers() -> None:
    """Silence, once it is imported, warnings that nobody can act on and bars of loading tensors."""

    def quieten(transformers_logging: Any) -> None:
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    call_after_import("transformers.utils.logging", quieten)


class _Waiting:
    """Finds one module, as those after it do, and steps aside."""

    def __init__(self, name: str, hook: Callable[[ModuleType], None]) -> None:
        self._name, self._hook = name, hook

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute, hook = spec.loader.exec_module, self._hook

        def execute_and_call(module: ModuleType) -> None:
            execute(module)
            hook(module)

        spec.loader.exec_module = execute_and_call  # type: ignore[method-assign]
        return spec
