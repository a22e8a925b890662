"""Files beside pictures that name labels which are numbers, such as `label_names.txt`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fer_hf.data.labels import check_label_names

_STEMS = ("label_names", "class_names", "classes")
_FILES = (
    *(f"{stem}{ending}" for stem in _STEMS for ending in (".npy", ".txt", ".json")),
    *("data.yaml", "data.yml"),
)


def find_names_file(folder: Path) -> Path | None:
    """Return the file in a folder that names its labels, if there is one."""
    return next((file for name in _FILES if (file := folder / name).is_file()), None)


def read_names_file(file: Path) -> list[str]:
    """Read the names of labels 0, 1, … from a text (one a line), JSON, YAML or NumPy file.

    JSON holds a list, or an object in either direction: names by number, or numbers by name. YAML
    holds one of them under `names`, as YOLO has it.

    Raises:
        ValueError: If the file holds something else, or a name twice.
    """
    try:
        names = _read(file)
        if isinstance(names, dict):
            by_number = all(str(key).isdigit() for key in names)
            numbered = names if by_number else {number: name for name, number in names.items()}
            by_id = {int(number): name for number, name in numbered.items()}
            names = [by_id[number] for number in range(len(by_id))]
    except (ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"'{file}' cannot be read as names of labels ({reason}). Expected a list of names, or "
            "names numbered from 0 without gaps: mend or remove it."
        ) from error
    if not isinstance(names, list):
        raise ValueError(f"'{file}' holds {names!r}. Expected a JSON list of label names.")
    # Nested lists of YAML may be short, and endless as a text.
    if any(isinstance(name, list | dict) for name in names):
        raise ValueError(f"'{file}' holds lists in a list. Expected a plain list of label names.")
    return check_label_names([str(name) for name in names], f"'{file}'")


def _read(file: Path) -> Any:
    if file.suffix == ".npy":
        return list(np.load(file, allow_pickle=False).ravel())
    text = file.read_text(encoding="utf-8-sig")
    if file.suffix == ".txt":
        return [line for line in text.splitlines() if line.strip()]
    if file.suffix == ".json":
        return json.loads(text)
    return yaml.safe_load(text)["names"]
