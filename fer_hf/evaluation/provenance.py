"""Where figures come from, in words that may be published: names without folders, and versions."""

import platform
from importlib.metadata import version
from pathlib import Path


def name_source(source: str) -> str:
    """Name data or a checkpoint without saying where on this machine it lies."""
    path = Path(source)
    return path.resolve().name if path.exists() else source


def collect_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on."""
    packages = ("fer-hf", "torch", "transformers", "timm", "datasets", "accelerate")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
