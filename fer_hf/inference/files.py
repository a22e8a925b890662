"""Pictures as users name them: files, folders, globs and addresses, opened and scored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.addresses import fetch, is_address
from fer_hf.data.pictures import describe_fault, list_pictures, load_picture, to_rgb
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.reading import Reading

PictureSource = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A path, a picture of any mode, or an array (H, W) or (H, W, 3) of values 0–255."""


@dataclass(frozen=True)
class FileReadings:
    """What a classifier says about one file.

    Attributes:
        file: Its path or address as it was given.
        readings: Of the whole picture one; of its faces one each, from left to right.
        error: Why there is none.
    """

    file: str
    readings: Sequence[Reading]
    error: str | None = None


def score_files(
    classifier: ExpressionClassifier,
    files: Sequence[str],
    *,
    batch_size: int = 32,
    allow_url: bool = False,
) -> Iterator[FileReadings]:
    """Score picture files in batches; one that cannot be read does not stop the others.

    Args:
        classifier: Scores each picture as a whole.
        files: Paths, or with `allow_url` also http and https addresses.
        batch_size: How many to score at a time, 1 or more.
        allow_url: Whether addresses are fetched.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}, expected 1 or more.")
    for start in range(0, len(files), batch_size):
        batch = files[start : start + batch_size]
        pixels, errors = [], []
        # One at a time, so that only one photograph is in memory at its full size.
        for file in batch:
            picture = open_file(file, allow_url=allow_url)
            errors.append(picture if isinstance(picture, str) else None)
            if not isinstance(picture, str):
                pixels.append(classifier.preprocess([picture]))
        scores = classifier.score_pixels(np.concatenate(pixels)) if pixels else np.zeros(0)
        readings = iter(classifier.describe(scores))
        for file, error in zip(batch, errors, strict=True):
            yield FileReadings(file, [] if error else [next(readings)], error)


def open_file(file: str, *, allow_url: bool = False) -> Image.Image | str:
    """Return the picture of a file upright and of mode RGB, or why it cannot be read."""
    content: str | bytes = file
    try:
        if allow_url and is_address(file):
            content = fetch(file)
        return to_rgb(load_picture(content))
    # Damaged files make decoders raise whatever goes wrong first.
    except Exception as error:
        return describe_fault(error, content)


def open_picture(source: PictureSource) -> Image.Image:
    """Return a picture upright and of mode RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read as a picture.
    """
    if isinstance(source, np.ndarray):
        return to_rgb(Image.fromarray(source))
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if not Path(source).is_file():
        raise FileNotFoundError(
            f"There is no file {str(source)!r}, expected a picture. Check the path."
        )
    picture = open_file(str(source))
    if isinstance(picture, str):
        raise ValueError(
            f"The file {str(source)!r} cannot be read ({picture}), expected a picture such as JPEG "
            "or PNG. Choose another file."
        )
    return picture


def find_pictures(places: Iterable[str], *, allow_url: bool = False) -> list[str]:
    """List the pictures in files, folders (with all subfolders) and globs.

    A file that is named itself counts whatever its ending, so that a wrong one is reported.

    Args:
        places: Files, folders and globs.
        allow_url: Whether http and https addresses are accepted, too; they are not fetched here.

    Returns:
        Each picture once. Hidden files count only where they are named themselves.

    Raises:
        ValueError: An address without `allow_url`.
        FileNotFoundError: A place without a picture.
    """
    found: list[str] = []
    for place in places:
        if is_address(place):
            if not allow_url:
                raise ValueError(
                    f"{place!r} is an address, expected a file. Download it first, or pass "
                    "--allow_url to have it fetched."
                )
            found.append(place)
            continue
        # Path.glob takes no pattern that begins with a slash.
        matches = [place] if Path(place).exists() else sorted(glob(place, recursive=True))  # noqa: PTH207
        chosen: list[str] = []
        for match in matches:
            path = Path(match)
            chosen += map(str, list_pictures(path)) if path.is_dir() else [match]
        if not chosen:
            raise FileNotFoundError(
                f"There is no picture at {place!r}, expected a file, a folder of pictures or a "
                "glob such as 'faces/*.jpg'. Check the path."
            )
        found += chosen
    return list(dict.fromkeys(found))
