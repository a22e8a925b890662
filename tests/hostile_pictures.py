"""Hostile pictures, each in a label folder among good ones, and hostile names of good pictures."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hostile_kit import BASE, Hostile, encode, write, write_base
from PIL import Image

PLAIN = (200, 100, 50)


def _png(*chunks: tuple[bytes, bytes], bad_crc: bytes = b"") -> bytes:
    """Return a PNG of chunks, in which the CRC of the chunk `bad_crc` is wrong."""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        crc = zlib.crc32(kind + data) ^ (kind == bad_crc)
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)
    return out


def _ihdr(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


_ROWS = zlib.compress(b"".join(b"\0" + bytes(PLAIN) * 16 for _ in range(12)))
_IDAT, _IEND = (b"IDAT", _ROWS), (b"IEND", b"")


def _zeros(megabytes: int) -> bytes:
    return zlib.compress(bytes(megabytes * 1_000_000), 9)


def _patch(content: bytes, old: bytes, new: bytes) -> bytes:
    if old not in content:
        raise LookupError(old)
    return content.replace(old, new, 1)


def _jpeg_size(width: int, height: int) -> bytes:
    return _patch(encode("JPEG"), struct.pack(">HH", 12, 16), struct.pack(">HH", height, width))


def _tiff(*tags: tuple[int, int, int, int], data: bytes = b"", following: int = 0) -> bytes:
    """Return a little-endian TIFF of tags (number, kind, count, value) with data at its end."""
    end = 8 + 2 + 12 * len(tags) + 4
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", len(tags))
        + body
        + struct.pack("<I", following)
        + (data if end else b"")
    )


def _tags(width: int, height: int, **changed: int) -> list[tuple[int, int, int, int]]:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 122, 277: 1, 278: height}
    tags[279] = min(width * height, 2**32 - 1)
    tags |= {int(tag[1:]): value for tag, value in changed.items()}
    return [(tag, 4, 1, value) for tag, value in sorted(tags.items())]


def _exif(orientation: int | bytes) -> bytes:
    """Return EXIF that says how to turn a picture, as a number or, against the rules, as a text."""
    kind, value = (
        (2, orientation)
        if isinstance(orientation, bytes)
        else (3, struct.pack("<HH", orientation, 0))
    )
    entry = struct.pack("<HHI", 0x0112, kind, len(value) if kind == 2 else 1) + value
    return b"Exif\0\0II*\0\x08\0\0\0\1\0" + entry + bytes(4)


def _numbers(values: object, mode: str | None = None, form: str = "TIFF") -> bytes:
    image = Image.fromarray(np.asarray(values))
    return encode(form, image.convert(mode) if mode else image)


def _float(value: float) -> bytes:
    levels = np.full((12, 16), 0.5, np.float32)
    levels[0, 0] = value
    return _numbers(levels)


def _frames(form: str, **settings: object) -> bytes:
    frames = [Image.new("RGB", (16, 12), colour) for colour in (PLAIN, "blue", "green")]
    return encode(form, frames[0], save_all=True, append_images=frames[1:], **settings)


def _later_frame_outside() -> bytes:
    gif = bytearray(encode("GIF"))
    at = gif.index(b",", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    gif[at + 1 : at + 5] = struct.pack("<HH", 60_000, 60_000)
    return bytes(gif)


def _text_bomb(kind: bytes) -> bytes:
    data = b"key\0\0" + _zeros(200)
    return _png(_ihdr(16, 12), (kind, data), _IDAT, _IEND)


def _ycck() -> bytes:
    adobe = b"Adobe\0\x64\0\0\0\0"
    return _patch(encode("JPEG", Image.new("CMYK", (16, 12), (0, 120, 180, 20))), adobe + b"\0",
                  adobe + b"\2")  # fmt: skip


def _interlaced() -> bytes:
    """Return an Adam7 PNG: seven passes, each a smaller picture."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
              (0, 1, 1, 2))  # fmt: skip
    raw = b""
    for left, top, across, down in passes:
        width, height = -(-(16 - left) // across), -(-(12 - top) // down)
        raw += (b"\0" + bytes(PLAIN) * width) * height
    header = struct.pack(">IIBBBBB", 16, 12, 8, 2, 0, 0, 1)
    return _png((b"IHDR", header), (b"IDAT", zlib.compress(raw)), _IEND)


def _cut(form: str, share: float, **settings: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    content = encode(form, Image.fromarray(noise), **settings)
    return content[: int(share * len(content))]


_HTML = "<!doctype html><html><body>404 Not Found</body></html>"
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///x"/></svg>'
)
_EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/pwned) (w) file closefile\n%%EOF\n"
_LAB = Image.new("LAB", (16, 12), (128, 140, 120))

# Name: a file's name, its content, and why it is refused.
_REFUSED: dict[str, tuple[str, Callable[[], bytes | str], str]] = {
    "an empty file": ("x.png", lambda: b"", "empty file"),
    "a text called .jpg": ("x.jpg", lambda: "not a picture\n" * 99, "not a picture"),
    "a page of an error called .jpg": ("x.jpg", lambda: _HTML, "not a picture"),
    "an SVG called .png": ("x.png", lambda: _SVG, "not a picture"),
    "PostScript called .jpg": ("x.jpg", lambda: _EPS, "not a picture"),
    "a PDF called .jpg": ("x.jpg", lambda: "%PDF-1.7\n%%EOF", "not a picture"),
    "a zip called .png": ("x.png", lambda: b"PK\5\6" + bytes(18), "not a picture"),
    "zeros called .jpg": ("x.jpg", lambda: bytes(5000), "not a picture"),
    "a Git LFS pointer": ("x.jpg", lambda: "version https://git-lfs.github.com/spec/v1\noid sha256:"
                          + 64 * "0" + "\nsize 9\n", "not a picture"),
    "a JPEG after rubbish": ("x.jpg", lambda: b"\0\0rubbish" + encode("JPEG"), "not a picture"),
    "a PNG of 60000 by 60000": (
        "x.png", lambda: _png(_ihdr(60_000, 60_000), _IDAT, _IEND), "too large"),
    "a PNG of 2 billion by 1": (
        "x.png", lambda: _png(_ihdr(2**31 - 1, 1), _IDAT, _IEND), "too large"),
    "a PNG of no width": ("x.png", lambda: _png(_ihdr(0, 12), _IDAT, _IEND), ""),
    "a GIF of 65535 by 65535": (
        "x.gif", lambda: _patch(encode("GIF"), struct.pack("<HH", 16, 12), b"\xff" * 4), "too large"),
    "a GIF whose frame lies far outside": ("x.gif", _later_frame_outside, ""),
    "a BMP of 40000 by 40000": (
        "x.bmp", lambda: _patch(encode("BMP"), struct.pack("<ii", 16, 12),
                                struct.pack("<ii", 40_000, 40_000)), "too large"),
    "a BMP of negative width": (
        "x.bmp", lambda: _patch(encode("BMP"), struct.pack("<ii", 16, 12),
                                struct.pack("<ii", -16, 12)), ""),
    "a JPEG of 65500 by 65500": ("x.jpg", lambda: _jpeg_size(65_500, 65_500), "too large"),
    "a JPEG of no height": ("x.jpg", lambda: _jpeg_size(16, 0), ""),
    "a WebP of 16000 by 16000": (
        "x.webp", lambda: _patch(encode("WEBP", lossless=False), struct.pack("<HH", 16, 12),
                                 struct.pack("<HH", 16_000, 16_000)), ""),
    "a TIFF of 2 billion by 2 billion": (
        "x.tif", lambda: _tiff(*_tags(2**31 - 1, 2**31 - 1), data=bytes(192)), "too large"),
    "a PPM of 10 billion pixels": ("x.ppm", lambda: "P6\n100000 100000\n255\n", "too large"),
    "a PPM whose width has a million digits": (
        "x.ppm", lambda: "P6\n" + "9" * 1_000_000 + " 9\n255\n", ""),
    "a PPM of white levels 0": ("x.ppm", lambda: "P6\n2 2\n0\n" + "\0" * 12, ""),
    "a PPM that is only a comment": ("x.ppm", lambda: "P6\n#" + "x" * 100_000, ""),
    "a PPM of negative size": ("x.ppm", lambda: "P6\n-4 -4\n255\n", ""),
    "a PNG with a wrong checksum of its header": (
        "x.png", lambda: _png(_ihdr(16, 12), _IDAT, _IEND, bad_crc=b"IHDR"), ""),
    "a PNG without pixels": ("x.png", lambda: _png(_ihdr(16, 12), _IEND), ""),
    "a PNG of pixels that are not zlib": (
        "x.png", lambda: _png(_ihdr(16, 12), (b"IDAT", b"rubbish" * 9), _IEND), ""),
    "a PNG with a chunk of 2 GB": (
        "x.png", lambda: b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31 - 1) + b"IHDR", ""),
    "a PNG of an unknown colour type": (
        "x.png", lambda: _png(_ihdr(16, 12, 8, 5), _IDAT, _IEND), ""),
    "a PNG with a wrong checksum of its gamma": (
        "x.png", lambda: _png(_ihdr(16, 12), (b"gAMA", b"\0\0\xb1\x8f"), _IDAT, _IEND,
                              bad_crc=b"gAMA"), "not a picture"),
    "a PNG with a colour profile that is a bomb": (
        "x.png", lambda: _png(_ihdr(16, 12), (b"iCCP", b"x\0\0" + _zeros(100)), _IDAT, _IEND), ""),
    "a PNG with a text bomb": ("x.png", lambda: _text_bomb(b"zTXt"), ""),
    "a TIFF of an unknown compression": (
        "x.tif", lambda: _tiff(*_tags(16, 12, t259=4711), data=bytes(192)), ""),
    "a TIFF with strips of 4 GB at the end of nowhere": (
        "x.tif", lambda: _tiff(*_tags(16, 12, t273=2**32 - 9, t279=2**32 - 1)), ""),
    "a TIFF without a single tag": ("x.tif", lambda: _tiff(), ""),
    "a TIFF with tiles of a billion pixels a side": (
        "x.tif", lambda: _tiff(*sorted([*((t, 4, 1, v) for t, v in (
            (256, 16), (257, 12), (258, 8), (259, 1), (262, 1), (277, 1), (322, 2**30),
            (323, 2**30), (324, 134), (325, 192)))]), data=bytes(192)), ""),
    "a TIFF of 65535 bits": ("x.tif", lambda: _tiff(*_tags(16, 12, t258=65_535)), ""),
    "a BigTIFF cut off": ("x.tif", lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8, ""),
    **{
        f"a {form} cut off after {share:.0%}": (
            f"x.{form.lower()}", lambda form=form, share=share: _cut(form, share), "")
        for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
        for share in (0.02, 0.5, 0.9)
    },
    "a progressive JPEG cut off": ("x.jpg", lambda: _cut("JPEG", 0.5, progressive=True), ""),
    "an AVIF cut off": ("x.avif", lambda: _cut("AVIF", 0.6), ""),
}  # fmt: skip

_SIZE = (16, 12)

# Name: a file's name, its content, and the size and mean colour that it must have.
_READ: dict[str, tuple[str, Callable[[], bytes], tuple[int, int], tuple[int, ...]]] = {
    "a PNG called .jpg": ("x.jpg", lambda: encode("PNG"), _SIZE, PLAIN),
    "a JPEG called .png": ("x.png", lambda: encode("JPEG", quality=100), _SIZE, PLAIN),
    "a WebP called .JPEG": ("x.JPEG", lambda: encode("WEBP", lossless=True), _SIZE, PLAIN),
    "a BMP called .gif": ("x.gif", lambda: encode("BMP"), _SIZE, PLAIN),
    "a JPEG with rubbish after it": (
        "x.jpg", lambda: encode("JPEG", quality=100) + b"rubbish" * 999, _SIZE, PLAIN),
    "a PNG with a zip after it": ("x.png", lambda: encode() + b"PK\5\6" + bytes(18), _SIZE, PLAIN),
    "a PNG that says fewer rows than it has": (
        "x.png", lambda: _png(_ihdr(16, 6), _IDAT, _IEND), (16, 6), PLAIN),
    "a PNG that says more rows than it has": (
        "x.png", lambda: _png(_ihdr(16, 900), _IDAT, _IEND), (16, 900), ()),
    "a PNG with a wrong checksum of its pixels": (
        "x.png", lambda: _png(_ihdr(16, 12), _IDAT, _IEND, bad_crc=b"IDAT"), _SIZE, PLAIN),
    "an interlaced PNG": ("x.png", _interlaced, _SIZE, PLAIN),
    "an animated GIF": ("x.gif", lambda: _frames("GIF", duration=9), _SIZE, PLAIN),
    "an animated PNG": ("x.png", lambda: _frames("PNG", duration=9), _SIZE, PLAIN),
    "an animated WebP": ("x.webp", lambda: _frames("WEBP", lossless=True), _SIZE, PLAIN),
    "a TIFF of several pages": ("x.tiff", lambda: _frames("TIFF"), _SIZE, PLAIN),
    "an MPO": ("x.jpg", lambda: _frames("MPO", quality=100), _SIZE, PLAIN),
    "a TIFF whose pages go round": (
        "x.tif", lambda: _tiff(*_tags(16, 12), data=b"\x64" * 192, following=8),
        _SIZE, (100, 100, 100)),
    "an EXIF turn by 90 degrees": (
        "x.jpg", lambda: encode("JPEG", exif=_exif(6), quality=100), (12, 16), PLAIN),
    "an EXIF turn by 90 degrees in a PNG": ("x.png", lambda: encode(exif=_exif(8)), (12, 16), PLAIN),
    "an EXIF turn of 9": ("x.jpg", lambda: encode("JPEG", exif=_exif(9), quality=100), _SIZE, PLAIN),
    "an EXIF turn of 65535": (
        "x.jpg", lambda: encode("JPEG", exif=_exif(65_535), quality=100), _SIZE, PLAIN),
    "an EXIF turn that is a text": (
        "x.jpg", lambda: encode("JPEG", exif=_exif(b"up\0\0"), quality=100), _SIZE, PLAIN),
    "EXIF that is rubbish": (
        "x.jpg", lambda: encode("JPEG", exif=b"Exif\0\0" + b"\xff" * 60, quality=100), _SIZE, PLAIN),
    "EXIF that ends too early": (
        "x.jpg", lambda: encode("JPEG", exif=_exif(6)[:12], quality=100), _SIZE, PLAIN),
    "EXIF that goes round": (
        "x.png", lambda: encode(exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0"
                                b"\x08\0\0\0"), _SIZE, PLAIN),
    "a CMYK JPEG": (
        "x.jpg", lambda: encode("JPEG", Image.new("CMYK", _SIZE, (0, 0, 0, 255)), quality=100),
        _SIZE, (0, 0, 0)),
    "a palette with transparency": (
        "x.png", lambda: encode("PNG", Image.new("RGB", _SIZE, PLAIN).quantize(4),
                                transparency=b"\0\1\2\3"), _SIZE, PLAIN),
    "one bit a pixel": ("x.png", lambda: encode("PNG", Image.new("1", _SIZE, 1)), _SIZE, (255,) * 3),
    "grey with alpha": (
        "x.png", lambda: encode("PNG", Image.new("LA", _SIZE, (90, 0))), _SIZE, (90,) * 3),
    "wholly transparent": (
        "x.png", lambda: encode("PNG", Image.new("RGBA", _SIZE, (*PLAIN, 0))), _SIZE, PLAIN),
    "16 bits a pixel": (
        "x.png", lambda: _numbers(np.full((12, 16), 32_896, np.uint16), form="PNG"),
        _SIZE, (128,) * 3),
    "32 bits a pixel": (
        "x.tif", lambda: _numbers(np.full((12, 16), 32_896, np.int32)), _SIZE, (128,) * 3),
    "32 bits that are all negative": (
        "x.tif", lambda: _numbers(np.full((12, 16), -9, np.int32)), _SIZE, (0, 0, 0)),
    "floats from 0 to 1": ("x.tif", lambda: _float(0.5), _SIZE, (128,) * 3),
    "floats with a NaN": ("x.tif", lambda: _float(float("nan")), _SIZE, (127,) * 3),
    "floats with an infinity": ("x.tif", lambda: _float(float("inf")), _SIZE, (127,) * 3),
    "floats that are all NaN": (
        "x.tif", lambda: _numbers(np.full((12, 16), np.nan, np.float32)), _SIZE, (0, 0, 0)),
    "a YCCK JPEG": ("x.jpg", _ycck, _SIZE, ()),
    "a LAB TIFF": ("x.tif", lambda: encode("TIFF", _LAB), _SIZE, ()),
    "a JPEG that leaves out the usual tables": (
        "x.jpg", lambda: encode("JPEG").replace(b"\xff\xc4", b"\xff\xee"), _SIZE, PLAIN),
    "a BMP from top to bottom": (
        "x.bmp", lambda: _patch(encode("BMP"), struct.pack("<ii", 16, 12),
                                struct.pack("<ii", 16, -12)), _SIZE, PLAIN),
    "a picture of one pixel": ("x.png", lambda: encode("PNG", Image.new("RGB", (1, 1), PLAIN)),
                               (1, 1), PLAIN),
    "a picture of 60000 by 1": ("x.png", lambda: encode("PNG", Image.new("RGB", (60_000, 1), PLAIN)),
                                (60_000, 1), PLAIN),
}  # fmt: skip


def among(name: str, make: Callable[[], bytes | str]) -> Callable[[Path], None]:
    """Return what writes a picture into a label folder of good ones."""

    def write_all(root: Path) -> None:
        write_base(root)
        write(root, {f"happy/{name}": make()})

    return write_all


PICTURES: dict[str, Hostile] = {
    **{
        name: Hostile(among(file, make), (f"happy/{file}'", why))
        for name, (file, make, why) in _REFUSED.items()
    },
    **{
        name: Hostile(
            among(file, make),
            labels=BASE | {f"happy/{file}": "happy"},
            looks=(f"happy/{file}", size, colour),
        )
        for name, (file, make, size, colour) in _READ.items()
    },
}
