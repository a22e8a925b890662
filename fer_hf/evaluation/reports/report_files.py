"""Reports as files: dataclasses to JSON and back, and one way to refuse what is not a report."""

import json
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import numpy as np

from fer_hf.evaluation.metrics.evaluation import Figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_NAME = "report.json"


@dataclass(frozen=True)
class ReportFormat:
    """A kind of report file.

    Attributes:
        report: The dataclass that the file holds.
        kind: What the file says it is.
        number: Version of the format.
        title: What errors call it.
        advice: How to get one.
        computed: Fields that are written for other readers, and computed anew after reading.
        upgrade: Brings the content of an older format up to date.
    """

    report: type[Any]
    kind: str
    number: int
    title: str
    advice: str
    computed: tuple[str, ...] = ()
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def to_json(self, report: Any) -> dict[str, Any]:
        """Return what the file holds.

        Raises:
            TypeError: The report holds something that JSON cannot, saying where.
        """
        computed = {name: getattr(report, name) for name in self.computed}
        return to_json({"kind": self.kind, "format": self.number, **computed, **vars(report)})

    def load(self, path: str | os.PathLike[str]) -> Any:
        """Load a report from its file, or from a folder with `report.json`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is something else, of another format, or changed by hand.
        """
        file = Path(path) / REPORT_NAME if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"Found no `{file}`, expected {self.title}. {self.advice}")
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise self._refuse(file, f"is not JSON ({error})") from error
        if not isinstance(data, dict) or "format" not in data:
            raise self._refuse(file, "is not a fer_hf report: it lacks `format`")
        if (kind := data.get("kind", "run")) != self.kind:  # run reports of format 1 have no kind
            raise self._refuse(file, f"is a report of kind {kind!r}")
        data = self.upgrade(data)
        if (number := data["format"]) != self.number:
            ours = f"format {self.number} of {self.title}, or the fer_hf that wrote it"
            raise self._refuse(file, f"has report format {number!r}", ours)
        ours = "what fer_hf wrote; the file was changed by hand"
        kinds = get_type_hints(self.report)
        if missing := [name for name in kinds if name not in data]:
            raise self._refuse(file, f"lacks {missing}", ours)
        if unknown := sorted(data.keys() - {*kinds, *self.computed, "kind", "format"}):
            raise self._refuse(file, f"has {unknown}", ours)
        values: dict[str, Any] = {}
        for name, kind in kinds.items():
            try:
                values[name] = rebuild(kind, data[name])
            except (AttributeError, KeyError, TypeError) as error:
                found = f"has a `{name}` that cannot be read ({error!r})"
                raise self._refuse(file, found, ours) from error
        return self.report(**values)

    def _refuse(self, file: Path, found: str, expected: str = "") -> ValueError:
        return ValueError(f"`{file}` {found}, expected {expected or self.title}. {self.advice}")


def to_json(value: Any, where: str = "report") -> Any:
    """Return `value` as JSON can hold it: a dataclass becomes a dictionary, NaN becomes None.

    Raises:
        TypeError: There is something that JSON cannot hold; the message says where.
    """
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, Figures):
        value = value.to_dict()
    elif is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [to_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {str(key): to_json(item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(
        f"Found {value!r} at `{where}`, expected a number, a string, None, or lists and "
        "dictionaries of them. Turn it into one of these, for example with `str`."
    )


def rebuild(kind: Any, value: Any) -> Any:
    """Rebuild a value of type `kind` from what `to_json` made of it.

    Raises:
        AttributeError: A dictionary or list is something else.
        KeyError: There is an unknown field.
        TypeError: A field is missing.
    """
    arguments: tuple[Any, ...] = get_args(kind)
    if get_origin(kind) is UnionType:  # X | None
        return None if value is None else rebuild(arguments[0], value)
    if get_origin(kind) is list:
        return [rebuild(arguments[0], item) for item in value]
    if get_origin(kind) is dict:
        return {key: rebuild(arguments[1], item) for key, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, Figures):
        return kind.from_dict(value)
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        values = {name: rebuild(kinds[name], item) for name, item in value.items()}
        return kind(**values)  # type: ignore[operator]
    return value


def save_json(data: Any, path: Path) -> Path:
    """Write what `to_json` makes of `data`, in one step, into a folder that may not exist yet."""
    text = json.dumps(to_json(data), indent=2, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_text_atomically(path, text + "\n")


def save_with_plot(content: Any, markdown: str, figure: "Figure", path: Path) -> Path:
    """Write a picture, Markdown, and last the JSON file `path`; they differ in their suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path.with_suffix(".png"))
    write_text_atomically(path.with_suffix(".md"), markdown)
    return save_json(content, path)


def write_text_atomically(path: Path, text: str) -> Path:
    """Write `text` so that `path` holds either the old content or all of the new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # A temporary file is private; what it becomes should be as readable as its neighbours.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
