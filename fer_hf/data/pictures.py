"""Picture files: which ones there are, how they are opened, and how all of them become RGB.

Training, evaluation and serving all go through here, so that one picture gives one score
everywhere. It needs nothing but Pillow and NumPy, because serving has nothing else.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused by their header: 0.25 GiB as RGB, Pillow's own limit."""

PICTURE_ENDINGS = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
        *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""Endings (lower case) of the files in a folder that count as pictures."""


_LEFT_BEHIND = frozenset({"$recycle.bin", "@eadir", "__macosx", "lost+found"})
"""Folders (lower case) that systems make: thumbnails, and what was thrown away."""


def walk_folders(root: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield each folder from `root` down, as the names on the way to it, with its files' names.

    Both sorted. Hidden ones do not count, nor folders that systems make, nor pipes, sockets and
    devices, for opening one may wait forever; links that lead nowhere do, so that they are
    reported. A link to a folder elsewhere is followed, unless it is behind another one; within
    `root` it would only repeat, or go round.
    """
    top = root.resolve()
    places: list[tuple[tuple[str, ...], bool]] = [((), False)]
    while places:
        parts, is_linked = places.pop()
        files, folders = [], []
        with os.scandir(root.joinpath(*parts)) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in _LEFT_BEHIND:
                    continue
                if not entry.is_dir():
                    if entry.is_file() or (entry.is_symlink() and not Path(entry).exists()):
                        files.append(entry.name)
                elif not entry.is_symlink():
                    folders.append(((*parts, entry.name), is_linked))
                elif not is_linked:
                    target = Path(entry).resolve()
                    if not (target.is_relative_to(top) or top.is_relative_to(target)):
                        folders.append(((*parts, entry.name), True))
        yield parts, sorted(files)
        places += sorted(folders, reverse=True)


def is_picture(name: str) -> bool:
    """Return whether a file's name has a picture's ending."""
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS  # noqa: PTH122 (a hundred times faster)


def walk_pictures(folder: Path) -> Iterator[Path]:
    """Yield the files of `walk_folders` that have a picture's ending."""
    for parts, names in walk_folders(folder):
        yield from (folder.joinpath(*parts, name) for name in names if is_picture(name))


def list_pictures(folder: Path) -> list[Path]:
    """Return what `walk_pictures` yields, sorted."""
    return sorted(walk_pictures(folder))


def load_picture(source: str | Path | bytes) -> Image.Image:
    """Open and decode one picture, from a path or a file's content, and close its file.

    Returns:
        Its first frame, in the mode the file has.

    Raises:
        ValueError: If the header announces more than `MAX_PIXELS` pixels; nothing is decoded then.
        OSError: If there is no such file, or it is truncated or not a picture. Pillow's decoders
            may raise other errors on damaged files.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{image.width}×{image.height} pixels")
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow itself raises from twice the limit on, and warns in between.
        raise ValueError(
            f"too large to decode ({error}; at most {MAX_PIXELS:,} pixels). Make it smaller."
        ) from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture into upright 8-bit RGB, as `transformers.image_utils.load_image` does.

    The one difference: pictures with more than 8 bits a pixel (modes I;16, I, F) are scaled. Pillow
    clips them at 255 instead, so that a 16-bit photograph becomes all white (and one with values
    from 0 to 1 all black). White is the smallest of 1 (mode F only), 255 and 65535 that no pixel
    exceeds, or else the brightest pixel.

    Of an animation the first frame counts. The argument is not changed, except that an animation is
    rewound.
    """
    image.seek(0)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _scale_to_8_bits(image)
    return image.convert("RGB")


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    levels = np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    brightest = float(levels.max(initial=0.0))
    whites = (1, 255, 65535) if image.mode == "F" else (255, 65535)
    white = next((white for white in whites if brightest <= white), brightest)
    return Image.fromarray((levels.clip(0, white) * (255 / white)).round().astype(np.uint8))


def describe_fault(error: Exception, source: str | Path | bytes) -> str:
    """Explain in a few words why `source`, a path or a file's content, cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        return "not a picture" if size else "empty file"
    return str(error) or type(error).__name__
