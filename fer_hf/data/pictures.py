"""Picture files: which ones there are, how they are opened, and how all of them become RGB.

Training, evaluation and serving all go through here, so that one picture gives one score
everywhere. It needs nothing but Pillow and NumPy, because serving has nothing else.
"""

import contextlib
import io
import math
import os
from collections.abc import Container, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin  # noqa: F401 (two of its formats)

MAX_BYTES = 600_000_000
"""What reading one picture may take in memory; a file that announces more is not decoded."""

MAX_FILE_BYTES = 200_000_000
"""Larger files are not opened: what stands beside the pixels is read before their number is known,
and kept in up to three copies."""

MAX_SIDE = 65_535
"""Of a picture in pixels, as in a JPEG: resizing a longer strip takes more than the strip."""

FORMATS = {
    "AVIF": (16, 2),
    "BMP": (9, 0),
    "GIF": (9, 2),
    "JPEG": (9, 1),
    "PNG": (9, 2),
    "PPM": (9, 0),
    "TIFF": (14, 0),
    "WEBP": (21, 2),
}
"""Of Pillow's formats those for photographs, others start programs of the machine; and what they
take at most, as bytes for each pixel and for each byte of the file. Pillow's RGB takes four for a
pixel, turning or converting it as many again, and a grey copy to find faces in one more. Checked by
`benchmarks/memory.py`."""

_PROGRESSIVE_JPEG = 12
"""Bytes for each pixel, instead: its coefficients are all in memory before the first row."""

PICTURE_ENDINGS = frozenset(
    {
        *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
        *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""Endings (lower case) of the files in a folder that count as pictures."""

VIDEO_ENDINGS = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov"),
        *(".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".webm", ".wmv"),
    }
)
"""Endings (lower case) of the files in a folder that count as videos."""

MOST_PIXELS = 25_000_000
"""Of a picture that several copies are made of; see `reduce_huge`."""

_TILE = (322, 323)  # the tags of its width and height
_BAND_PIXELS = 2**20

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


def walk_pictures(folder: Path, endings: Container[str] = PICTURE_ENDINGS) -> Iterator[Path]:
    """Yield the files of `walk_folders` that have a picture's ending, or one of `endings`."""
    for parts, names in walk_folders(folder):
        yield from (
            folder.joinpath(*parts, name)
            for name in names
            if os.path.splitext(name)[1].lower() in endings  # noqa: PTH122 (see `is_picture`)
        )


def list_pictures(folder: Path, endings: Container[str] = PICTURE_ENDINGS) -> list[Path]:
    """Return what `walk_pictures` yields, sorted."""
    return sorted(walk_pictures(folder, endings))


def load_picture(source: str | Path | bytes) -> Image.Image:
    """Open and decode one picture, from a path or a file's content, and close its file.

    Returns:
        Its first frame, in the mode the file has.

    Raises:
        ValueError: If reading it would take more than `MAX_BYTES`, as its header says, or a side or
            the file is too long; nothing is decoded then.
        OSError: If there is no such file, or it is truncated or not a picture. Pillow's decoders
            may raise other errors on damaged files.
    """
    file_bytes = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if file_bytes > MAX_FILE_BYTES:
        raise _refuse(f"{file_bytes / 1e6:,.0f} MB", f"{MAX_FILE_BYTES / 1e6:,.0f} MB")
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with _open(file) as image:
            _check_size(image, file_bytes)
            image.load()
            return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow raises from twice its own limit on, and warns in between.
        raise _refuse(str(error).rstrip("."), f"{MAX_BYTES / 1e6:,.0f} MB in memory") from None


def _open(file: str | Path | io.BytesIO) -> Image.Image:
    with contextlib.suppress(Image.UnidentifiedImageError):
        return Image.open(file, formats=["JPEG", "PNG"])
    # Has Pillow import all its plugins, which takes a tenth of a second.
    return Image.open(file, formats=list(FORMATS))


def _check_size(image: Image.Image, file_bytes: int) -> None:
    size = f"{image.width}×{image.height} pixels"
    if max(image.size) > MAX_SIDE:
        raise _refuse(size, f"{MAX_SIDE:,} pixels a side")
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    per_pixel, per_byte = FORMATS[kind]
    if image.info.get("progressive"):
        per_pixel = _PROGRESSIVE_JPEG
    num_pixels = image.width * image.height
    if image.format == "TIFF":  # a tile may be larger than its picture
        tags = image.tag_v2  # type: ignore[attr-defined]
        num_pixels = max(num_pixels, math.prod(tags.get(tag, 0) for tag in _TILE))
    needed = num_pixels * per_pixel + file_bytes * per_byte
    if needed > MAX_BYTES:
        raise _refuse(
            f"{size} of {kind} {image.mode} may take {needed / 1e6:,.0f} MB in memory",
            f"{MAX_BYTES / 1e6:,.0f} MB",
        )


def _refuse(found: str, most: str) -> ValueError:
    return ValueError(f"too large: {found}, expected at most {most}. Save a smaller copy.")


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture into upright 8-bit RGB, as `transformers.image_utils.load_image` does.

    The one difference: pictures with more than 8 bits a pixel (modes I;16, I, F) are scaled. Pillow
    clips them at 255 instead, so that a 16-bit photograph becomes all white (and one with values
    from 0 to 1 all black). White is the smallest of 1 (mode F only), 255 and 65535 that no pixel
    exceeds, or else the brightest pixel.

    Of an animation the first frame counts. The argument is not changed, except that an animation is
    rewound; it is returned itself where it is upright RGB, because a copy doubles the memory.
    """
    image.seek(0)
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        from PIL import ImageOps  # most pictures are upright

        image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scale_to_rgb(image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _scale_to_rgb(image: Image.Image) -> Image.Image:
    brightest = max(float(_read_levels(band).max(initial=0.0)) for _, band in cut_bands(image))
    whites = (1, 255, 65535) if image.mode == "F" else (255, 65535)
    white = next((white for white in whites if brightest <= white), brightest)
    rgb = Image.new("RGB", image.size)
    for top, band in cut_bands(image):
        grey = (_read_levels(band).clip(0, white) * (255 / white)).round().astype(np.uint8)
        rgb.paste(Image.fromarray(grey).convert("RGB"), (0, top))
    return rgb


def _read_levels(band: Image.Image) -> npt.NDArray[np.float32]:
    return np.nan_to_num(np.asarray(band, np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def cut_bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield a few whole rows at a time, and which is their first."""
    num_rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, num_rows):
        yield top, image.crop((0, top, image.width, min(top + num_rows, image.height)))


def reduce_huge(picture: Image.Image) -> Image.Image:
    """Halve a picture's sides, or more, where it has more than `MOST_PIXELS`.

    For what works on copies of a whole picture, unlike Pillow's way to resize.
    """
    factor = math.ceil(math.sqrt(picture.width * picture.height / MOST_PIXELS))
    return picture.reduce(factor) if factor > 1 else picture


def describe_fault(error: Exception, source: str | Path | bytes) -> str:
    """Explain in a few words why `source`, a path or a file's content, cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, Image.UnidentifiedImageError):
        size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
        return "not a picture" if size else "empty file"
    if isinstance(error, MemoryError):
        return "more than the memory that is left. Save a smaller copy"
    return str(error) or type(error).__name__
