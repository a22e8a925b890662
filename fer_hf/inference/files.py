"""Pictures as users name them: files, folders, globs and addresses, found and opened."""

from collections.abc import Iterable
from glob import glob
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_hf.data.addresses import fetch, is_address
from fer_hf.data.pictures import describe_fault, list_pictures, load_picture, to_rgb

PictureSource = str | Path | Image.Image | npt.NDArray[np.uint8]
"""A path, a picture of any mode, or an array (H, W) or (H, W, 3) of values 0–255."""


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
        source = Image.fromarray(source)
    picture = to_rgb(source) if isinstance(source, Image.Image) else open_file(str(source))
    if isinstance(picture, str):
        kind = ValueError if Path(str(source)).is_file() else FileNotFoundError
        raise kind(
            f"The file {str(source)!r} cannot be read ({picture}), expected a picture such as JPEG "
            "or PNG. Check the path, or choose another file."
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
        num_before = len(found)
        for match in matches:
            found += map(str, list_pictures(Path(match))) if Path(match).is_dir() else [match]
        if len(found) == num_before:
            raise FileNotFoundError(
                f"There is no picture at {place!r}, expected a file, a folder of pictures or a "
                "glob such as 'faces/*.jpg'. Check the path."
            )
    return list(dict.fromkeys(found))
