"""Which extra brings a package that is missing, said in one line wherever it is missed.

Here, at the bottom of the house, because every package is loaded through it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lazy_loader

_EXTRAS = {"av": "video", "gradio": "demo"} | dict.fromkeys(
    (
        *("accelerate", "datasets", "evaluate", "jinja2", "matplotlib", "onnx", "onnxscript"),
        *("pandas", "psutil", "pyarrow", "scipy", "sklearn", "tabulate", "timm", "torch"),
        *("torchvision", "transformers", "yaml"),
    ),
    "train",
)


@contextmanager
def naming_missing_extra(extra: str | None = None) -> Iterator[None]:
    """Say of a package that is not installed how to install it.

    Args:
        extra: The one that brings everything the block needs; by default, the one that brings the
            missing package.

    Raises:
        ModuleNotFoundError: In place of Python's own, where the package belongs to an extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS or "fer-hf[" in str(error):
            raise
        raise ModuleNotFoundError(
            f"This needs {missing}, which is not installed. "
            f"Say: pip install 'fer-hf[{extra or _EXTRAS[missing]}]'",
            name=missing,
        ) from error


def attach_stub(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return a package's `__getattr__`, `__dir__` and `__all__`, from the stub beside its file.

    What it offers is loaded when it is first used, within `naming_missing_extra`.
    """
    load, list_names, names = lazy_loader.attach_stub(package, file)

    def load_or_explain(name: str) -> Any:
        with naming_missing_extra():
            return load(name)

    return load_or_explain, list_names, names
