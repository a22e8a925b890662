"""Where figures come from, in words that may be published: names without folders, and versions."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def name_source(source: str) -> str:
    """Name data or a checkpoint without saying where on this machine it lies."""
    path = Path(source)
    return path.resolve().name if path.exists() else source


def collect_versions(*more: str) -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on, and the hardware.

    `more` are packages that only some figures depend on.

    In a checkout of this project its `commit` is there, too.
    """
    packages = ("fer-hf", "torch", "transformers", "timm", "datasets", "accelerate")
    versions = {name: version(name) for name in (*packages, *more)}
    versions = {"python": platform.python_version(), **versions}
    versions["hardware"] = _describe_hardware()
    if commit := _read_commit():
        versions["commit"] = commit
    return versions


def _describe_hardware() -> str:
    import torch  # whoever only reads reports need not wait for it

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} × {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores"


def _read_commit() -> str | None:
    """Return the commit of the checkout that this file lies in; None where it is installed."""
    git = Path(__file__).parents[3] / ".git"
    head = git / "HEAD"
    if not head.is_file():
        return None
    text = head.read_text(encoding="utf-8").strip()
    branch = git / text.removeprefix("ref: ")
    if text.startswith("ref: "):
        text = branch.read_text(encoding="utf-8").strip() if branch.is_file() else ""
    return text[:7] or None
