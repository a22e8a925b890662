"""The files of a checkpoint folder, refused by their path before a library meets them.

It has a module of its own, without torch, for those who only serve.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

CONFIG_FILE = "config.json"
PROCESSOR_FILE = "preprocessor_config.json"

_LARGEST_SIDE = 4096


def check_is_checkpoint(source: str) -> None:
    """Refuse a folder that is not a checkpoint, or of which a file is damaged.

    Raises:
        FileNotFoundError: The folder lacks `config.json` or weights.
        ValueError: A JSON file is damaged.
        OSError: The weights are damaged.
    """
    folder = Path(source)
    weights = [file for file in folder.glob("model*.safetensors") if file.is_file()]
    for name, found in (
        (CONFIG_FILE, (folder / CONFIG_FILE).is_file()),
        ("model.safetensors", weights),
    ):
        if not found:
            raise FileNotFoundError(
                f"Folder {source!r} holds no `{name}`, expected a checkpoint folder as "
                "`save_pretrained` writes it. Give the folder that holds config.json and "
                "model.safetensors."
            )
    read_json(folder / CONFIG_FILE)
    if (folder / PROCESSOR_FILE).is_file():
        _check_sizes(folder / PROCESSOR_FILE)
    for file in weights:
        try:
            with safe_open(file, framework="np"):
                pass
        except SafetensorError as error:
            raise OSError(
                f"The weights {str(file)!r} are damaged or incomplete ({error}). Copy them again."
            ) from error


def _check_sizes(file: Path) -> None:
    settings = read_json(file)
    for key in ("size", "crop_size"):
        given = settings.get(key)
        for side in given.values() if isinstance(given, dict) else [given]:
            if isinstance(side, int) and not 0 < side <= _LARGEST_SIDE:
                raise ValueError(
                    f"'{file}' has the `{key}` {given!r}, expected sides from 1 to {_LARGEST_SIDE} "
                    "pixels. Mend it, or copy the checkpoint again."
                )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no {str(path)!r}, expected the file of a checkpoint. Copy it again."
        ) from None
    except ValueError as error:
        content = error
    if not isinstance(content, dict):
        found = content if isinstance(content, ValueError) else type(content).__name__
        raise ValueError(
            f"{str(path)!r} is damaged ({found}), expected a JSON object. Copy it again."
        )
    return content
