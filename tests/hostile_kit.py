"""What a hostile source is, and how the makers of the corpus write files."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = {"happy": (250, 200, 20), "sad": (20, 60, 200)}


@dataclass(frozen=True)
class Hostile:
    """A source that is damaged, absurd or meant to harm, and what must come of it.

    Attributes:
        write: Writes its files below a folder; what it returns is the source, or else the folder.
        refused: What the one line of the refusal must say: the name of the file, and why.
        labels: Or else the label of every picture that is kept, by its path below the folder, or
            by the grey value of its first pixel where it has no file of its own; an ending of a
            path that no other has will do.
        looks: Size and mean colour of one of them, as RGB: `(path, (width, height), (r, g, b))`.
        splits: The split of pictures whose split the source says, by path.
        options: What `load_splits` is told.
        shows: What a call that is not `data` must print.
        call: The command line instead of ``data SOURCE``; ``{}`` stands for the source.
    """

    write: Callable[[Path], Path | None]
    refused: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    looks: tuple[str, tuple[int, int], tuple[int, int, int]] | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    shows: tuple[str, ...] = ()
    call: tuple[str, ...] = ("data", "{}")


def encode(form: str = "PNG", image: Image.Image | None = None, **settings: Any) -> bytes:
    """Return the file of a picture, by default a plain one of 16×12 pixels."""
    buffer = io.BytesIO()
    (image or Image.new("RGB", (16, 12), (200, 100, 50))).save(buffer, form, **settings)
    return buffer.getvalue()


def write(root: Path, files: Mapping[str, bytes | str]) -> None:
    """Write files by their paths below a folder."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def draw(number: int, size: tuple[int, int] = (12, 12)) -> bytes:
    """Return a grey picture whose pixels are `number`."""
    return encode("PNG", Image.new("L", size, number))


def draw_all(*paths: str) -> dict[str, bytes]:
    """Return a picture for each path, each another grey."""
    return {path: draw(number + 1) for number, path in enumerate(paths)}


BASE = {f"{label}/{number}.png": label for label in COLOURS for number in range(5)}
"""Ten good pictures in two label folders, and their labels."""


def write_base(root: Path) -> None:
    """Write the pictures of `BASE`."""
    write(root, draw_all(*BASE))
