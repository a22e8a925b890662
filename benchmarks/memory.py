"""Measure what reading one picture takes in memory, and write the table to benchmarks/memory.md.

    python benchmarks/memory.py

Each picture is written as large as `load_picture` accepts it, and read in a fresh process: opened
and made RGB; on each backend also scored as a whole, and searched for faces. Memory is the
peak above that of the same process after a picture of 64×64. Larger ones are refused.
"""

import io
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tabulate import tabulate

from fer_hf.data.pictures import FORMATS, MAX_BYTES, load_picture, to_rgb
from fer_hf.models.bundled import DEFAULT_MODEL

Image.MAX_IMAGE_PIXELS = None
WAYS = ("RGB", "torch", "onnx")
_TILE = np.random.default_rng(0).integers(0, 256, (250, 250, 3), np.uint8)
_SPARE = 0.97  # of the limit, for the bytes of the file


def paint(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Make a picture of noise that repeats itself."""
    repeats = (math.ceil(height / 250), math.ceil(width / 250), 1)
    levels = np.tile(_TILE, repeats)[:height, :width]
    if mode in ("F", "I;16"):
        return Image.fromarray(levels[..., 0].astype({"F": np.float32, "I;16": np.uint16}[mode]))
    return Image.fromarray(levels).convert(mode)


def list_pictures() -> dict[str, Callable[[Path], None]]:
    """Return what writes each picture to a path, by its description."""
    turned = Image.Exif()
    turned[0x0112] = 6

    def write(
        kind: str, mode: str, per_pixel: float, size: tuple[int, int] = (0, 0), **settings: object
    ) -> Callable[[Path], None]:
        side = math.isqrt(int(_SPARE * MAX_BYTES / per_pixel))
        width, height = size if all(size) else (side, side)
        return lambda path: paint(width, height, mode).save(path, kind, **settings)

    nine = 9.6  # with the bytes of a file of noise
    strips = {
        f"strip {width}×{height}, PNG": write("PNG", "L", 8, (width, height))
        for width, height in ((65_000, 950), (950, 65_000), (200_000, 400), (400, 200_000))
    }
    return {
        "JPEG": write("JPEG", "RGB", 10, quality=50),
        "JPEG, turned by its EXIF": write("JPEG", "RGB", 10, quality=50, exif=turned),
        "JPEG, CMYK": write("JPEG", "CMYK", 11, quality=50),
        "JPEG, progressive": write("JPEG", "RGB", 14, quality=50, progressive=True, subsampling=0),
        "PNG": write("PNG", "L", nine, compress_level=1),
        "PNG, RGBA": write("PNG", "RGBA", nine, compress_level=1),
        "PNG, 16 bits": write("PNG", "I;16", nine, compress_level=1),
        "TIFF, float": write("TIFF", "F", 14),
        "TIFF, LZW, one strip": write(
            "TIFF", "RGB", 14, compression="tiff_lzw", tiffinfo={278: 99_999}
        ),
        "BMP": write("BMP", "RGB", 9),
        "GIF": write("GIF", "P", 12),
        "WebP": write("WEBP", "RGB", 22, method=0, quality=30),
        "AVIF": write("AVIF", "RGB", 17, speed=10, quality=30),
        **strips,
        "PNG, 9400×9400, 16 bits": write("PNG", "I;16", 8, (9_400, 9_400), compress_level=1),
        "TIFF, 9400×9400, float": write("TIFF", "F", 8, (9_400, 9_400)),
    }


def read_peak() -> int:
    """Return the most bytes this process has had in memory, on Linux.

    `getrusage` would start from those of the process it was forked from.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def measure(path: str, way: str, checkpoint: str) -> dict[str, object]:
    """Read a picture in this process; return its size, and the peak in MB or why it is refused."""
    read: Callable[[Image.Image], object] = to_rgb
    if way != "RGB":
        # When this is called, the process is new.
        from fer_hf.faces.reader import FaceReader
        from fer_hf.inference.classifier import ExpressionClassifier

        reader = FaceReader(ExpressionClassifier(checkpoint, backend=way), "finder")

        def read(picture: Image.Image) -> None:
            upright = to_rgb(picture)
            reader([upright], whole_picture=True)
            reader([upright])

    small = io.BytesIO()
    paint(64, 64).save(small, "PNG")
    read(load_picture(small.getvalue()))
    rest = read_peak()
    with Image.open(path) as header:
        found = f"{header.width}×{header.height}"
    try:
        read(load_picture(path))
    except ValueError as error:
        return {"size": found, "refused": str(error)}
    return {"size": found, "mb": (read_peak() - rest) / 1e6}


def main() -> None:
    """Measure every picture in every way, and write the table."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(*sys.argv[1:])))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "exported"
        command = ["-m", "fer_hf", "export", DEFAULT_MODEL, "--data", "drawn"]
        command += ["--num_drawn", "80", "--output_dir"]
        subprocess.run([sys.executable, *command, checkpoint], check=True, capture_output=True)
        path = Path(folder) / "picture"
        for name, write in list_pictures().items():
            write(path)
            cells: list[str] = []
            size = ""
            for way in WAYS:
                if "refused" in cells:  # by its header, before anything else
                    break
                model = str(checkpoint) if way == "onnx" else DEFAULT_MODEL
                call = [sys.executable, __file__, str(path), way, model]
                done = subprocess.run(call, check=True, capture_output=True, text=True)
                found = json.loads(done.stdout.splitlines()[-1])
                size = found["size"]
                cells.append(f"{found['mb']:.0f} MB" if "mb" in found else "refused")
            rows.append([name, size, *cells])
            print(rows[-1], flush=True)
    heads = ["picture", "pixels", "opened as RGB", "scored, torch", "scored, onnx"]
    table = tabulate(rows, headers=heads, tablefmt="github")
    text = (
        "Written by `python benchmarks/memory.py`: the peak above rest of a fresh process that "
        f"reads one picture, of at most {MAX_BYTES / 1e6:.0f} MB. Formats that are read: "
        f"{', '.join(FORMATS)}.\n\n{table}\n"
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
