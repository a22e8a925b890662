"""Pictures as users name them: files, folders, globs, addresses and labelled sources, opened."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.addresses import fetch, is_address
from fer_hf.data.pictures import (
    PICTURE_ENDINGS,
    VIDEO_ENDINGS,
    describe_fault,
    is_picture,
    list_pictures,
    load_picture,
    to_rgb,
)

if TYPE_CHECKING:
    from fer_hf.data.layout import Part

PictureSource = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A path, a picture of any mode, or an array (H, W) or (H, W, 3) of values 0–255."""


@dataclass(frozen=True)
class StoredPicture:
    """A picture that is no file of its own: what it is called, and its encoded content."""

    name: str
    content: bytes


def name_picture(picture: str | StoredPicture) -> str:
    """Return the path or address of a picture, or what it is called."""
    return picture if isinstance(picture, str) else picture.name


@dataclass(frozen=True)
class FoundPictures:
    """Pictures in the order of their places; iterating reads those of labelled sources in a stream.

    Attributes:
        files: Paths and addresses.
        unpacked: What pictures of archives are called there, and where they lie now.
        parts: Of labelled sources, each with the text that names the source.
    """

    files: Sequence[str]
    unpacked: Sequence[tuple[str, Path]] = ()
    parts: "Sequence[tuple[str, Part]]" = ()

    def __len__(self) -> int:
        num_labelled = sum(len(part.labels) for _, part in self.parts)
        return len(self.files) + len(self.unpacked) + num_labelled

    def __iter__(self) -> Iterator[str | StoredPicture]:
        yield from self.files
        for name, path in self.unpacked:
            yield StoredPicture(name, path.read_bytes())
        for source, part in self.parts:
            row = 0
            for batch in part.read(np.arange(len(part.labels))):
                for stored in batch.to_pylist():
                    name = part.name(row)
                    row += 1
                    if stored and stored["bytes"] is None and stored["path"]:
                        yield stored["path"]
                        continue
                    # Arrays of two files have the same names.
                    name = name if source in name else f"{source}: {name}"
                    yield StoredPicture(name, (stored or {}).get("bytes") or b"")


def open_file(file: str | StoredPicture, *, allow_url: bool = False) -> Image.Image | str:
    """Return the picture of a file upright and of mode RGB, or why it cannot be read."""
    content: str | bytes = file if isinstance(file, str) else file.content
    try:
        if isinstance(file, str) and allow_url and is_address(file):
            content = fetch(file)
        return to_rgb(load_picture(content))
    # Damaged files make decoders raise whatever goes wrong first.
    except Exception as error:
        is_a_video = isinstance(file, str) and is_video(file)
        return "a video: use `fer-hf video`" if is_a_video else describe_fault(error, content)


def is_video(file: str) -> bool:
    """Return whether it is a file with a video's ending."""
    return Path(file).suffix.lower() in VIDEO_ENDINGS and Path(file).is_file()


def open_picture(source: PictureSource) -> Image.Image:
    """Return a picture upright and of mode RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file or the array cannot be read as a picture.
    """
    if isinstance(source, np.ndarray):
        shape, kind_of_values = source.shape, source.dtype
        try:
            source = Image.fromarray(source)
        except (TypeError, ValueError):
            raise ValueError(
                f"Found an array of shape {shape} and type {kind_of_values}, expected (H, W) "
                "or (H, W, 3) of uint8. Convert it with `.clip(0, 255).astype(numpy.uint8)`."
            ) from None
    picture = to_rgb(source) if isinstance(source, Image.Image) else open_file(str(source))
    if isinstance(picture, str):
        kind = ValueError if Path(str(source)).is_file() else FileNotFoundError
        raise kind(
            f"The file {str(source)!r} cannot be read ({picture}), expected a picture such as JPEG "
            "or PNG. Check the path, or choose another file."
        )
    return picture


def find_pictures(places: Iterable[str], *, allow_url: bool = False) -> FoundPictures:
    """Find the pictures in files, folders (with all subfolders), globs and labelled sources.

    A file that is named itself counts whatever its ending, so that a wrong one is reported. What
    names no picture itself, such as a table or the word `drawn`, is read as `load_splits` does.

    Args:
        places: Files, folders, globs and labelled sources.
        allow_url: Whether http and https addresses are accepted, too; they are not fetched here.

    Returns:
        Each file once. Hidden files count only where they are named themselves.

    Raises:
        ValueError: An address without `allow_url`, or a labelled source that cannot be used.
        FileNotFoundError: A place without a picture.
        ConnectionError: A place that is no file could be a data set's id, but the Hub does not
            answer.
    """
    files: list[str] = []
    unpacked: list[tuple[str, Path]] = []
    parts: list[tuple[str, Part]] = []
    for place in dict.fromkeys(places):
        if is_address(place):
            if not allow_url:
                raise ValueError(
                    f"{place!r} is an address, expected a file. Download it first, or pass "
                    "--allow_url to have it fetched."
                )
            files.append(place)
        elif members := _unpack(place):
            unpacked += members
        elif labelled := _read_source(place):
            parts += [(place, part) for part in labelled]
        elif found := find_files(place):
            files += found
        else:
            raise FileNotFoundError(
                f"There is no picture at {place!r}, expected a file, a folder of pictures, a glob "
                "such as 'faces/*.jpg', or a source that `fer-hf data` takes. Check the path."
            )
    return FoundPictures(list(dict.fromkeys(files)), unpacked, parts)


def find_files(place: str, endings: Container[str] = PICTURE_ENDINGS) -> list[str]:
    """List the file, the files of a folder that have one of `endings`, or those of a glob."""
    # Path.glob takes no pattern that begins with a slash.
    matches = [place] if Path(place).exists() else sorted(glob(place, recursive=True))  # noqa: PTH207
    return [
        str(file)
        for match in matches
        for file in (list_pictures(Path(match), endings) if Path(match).is_dir() else [match])
    ]


def _unpack(place: str) -> list[tuple[str, Path]]:
    """Return the pictures in an archive, none in what is no archive."""
    path = Path(place).expanduser()
    if not path.is_file() or is_picture(place):
        return []
    # Takes a tenth of a second to import, and plain pictures do not need it.
    from fer_hf.data.archives import is_archive, unpack

    if not is_archive(path):
        return []
    folder = unpack(path)
    pictures = list_pictures(folder)
    return [(f"{place}/{file.relative_to(folder).as_posix()}", file) for file in pictures]


def _read_source(place: str) -> "Sequence[Part] | None":
    """Return the parts of a labelled source; None for what names pictures, or nothing at all.

    Raises:
        ModuleNotFoundError: It is a file of another kind, and what could read it is not installed.
        FileNotFoundError: There is no such file, nor is there what could load a data set.
    """
    is_file = Path(place).suffix.lower() in PICTURE_ENDINGS | VIDEO_ENDINGS
    if is_file or (not Path(place).is_file() and find_files(place)):
        return None
    try:
        # Takes a second to import, and plain pictures do not need it.
        from fer_hf.inference.source_parts import read_parts
    except ModuleNotFoundError as error:
        if Path(place).is_file() and isinstance(open_file(place), Image.Image):
            return None
        kind = ModuleNotFoundError if Path(place).is_file() else FileNotFoundError
        raise kind(
            f"There is no picture at {place!r}, expected a file, a folder of pictures, a glob or "
            f"an archive. If it is a table or a data set, that needs {error.name}, which is not "
            "installed. Say: pip install 'fer-hf[train]'"
        ) from error
    return read_parts(place)
