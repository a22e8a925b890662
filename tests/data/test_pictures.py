"""Opening pictures and turning them into RGB."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_hf.data.pictures import describe_fault, load_picture, reduce_huge, to_rgb


def make_colours(mode):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (9, 7, 4), np.uint8))
    return picture if mode == "RGBA" else picture.convert(mode)


@pytest.mark.train
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "PA"])
def test_every_mode_becomes_the_rgb_that_pipelines_see(mode):
    from transformers.image_utils import load_image

    picture = make_colours(mode)
    rgb = to_rgb(picture)
    assert rgb.mode == "RGB"
    assert rgb.tobytes() == load_image(picture).tobytes()


@pytest.mark.train
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright_as_their_exif_says(tmp_path, orientation):
    from transformers.image_utils import load_image

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    make_colours("RGB").save(path, exif=exif)
    rgb = to_rgb(load_picture(path))
    assert rgb.size == ((7, 9) if orientation < 5 else (9, 7))
    assert rgb.tobytes() == load_image(str(path)).tobytes()


@pytest.mark.train
def test_a_transparent_palette_becomes_the_rgb_that_pipelines_see(tmp_path):
    from transformers.image_utils import load_image

    path = tmp_path / "palette.png"
    make_colours("P").save(path, transparency=3)
    assert to_rgb(load_picture(path)).tobytes() == load_image(str(path)).tobytes()


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_the_first_frame_of_an_animation_counts(tmp_path, ending):
    path = tmp_path / f"moving.{ending}"
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    assert to_rgb(load_picture(path)).getpixel((0, 0))[0] > 200
    with Image.open(path) as animation:
        animation.seek(1)
        assert to_rgb(animation).getpixel((0, 0))[0] > 200


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([[0, 257, 65535]], np.uint16), [0, 1, 255]),
        (np.array([[0, 25700, 65535]], np.int32), [0, 100, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[-5, 0, 131070]], np.int32), [0, 0, 255]),
        (np.array([[0, 0.2, 1]], np.float32), [0, 51, 255]),
        (np.array([[0, 51, 255]], np.float32), [0, 51, 255]),
        (np.array([[np.nan, 0, 1]], np.float32), [0, 0, 255]),
        (np.zeros((1, 3), np.float32), [0, 0, 0]),
    ],
)
def test_deep_pictures_are_scaled_not_clipped(levels, expected):
    rgb = np.asarray(to_rgb(Image.fromarray(levels)))
    assert rgb.shape == (1, 3, 3)
    assert rgb[0].tolist() == [[level] * 3 for level in expected]


def test_a_sixteen_bit_file_is_scaled(tmp_path):
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 4), 32768, np.uint16)).save(path)
    assert to_rgb(load_picture(path)).getpixel((0, 0)) == (128, 128, 128)


def make_header_of(width, height):
    """A PNG that is all header: it announces a size and has no pixels."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", size + bytes([8, 2, 0, 0, 0])) + chunk(b"IDAT", b"x")


@pytest.mark.parametrize("side", [10_000, 50_000])
@pytest.mark.parametrize("pillow_limit", [None, 89_478_485])
def test_huge_pictures_are_refused_by_their_header(monkeypatch, side, pillow_limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillow_limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"too large: .* at most 600 MB.*a smaller copy"):
            load_picture(make_header_of(side, side))


@pytest.mark.parametrize(("width", "height"), [(200_000, 400), (400, 200_000)])
def test_longer_strips_than_a_jpeg_can_hold_are_refused(width, height):
    with pytest.raises(ValueError, match=rf"{width}×{height} pixels.*65,535 pixels a side"):
        load_picture(make_header_of(width, height))


def test_a_tile_that_is_larger_than_its_picture_counts():
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, "TIFF", tiffinfo={65_000: 30_000, 65_001: 30_000})
    content = stream.getvalue()
    for private, tag in ((65_000, 322), (65_001, 323)):
        content = content.replace(struct.pack("<H", private), struct.pack("<H", tag))
    with pytest.raises(ValueError, match=r"too large: 16×16 pixels of TIFF L may take 12,600 MB"):
        load_picture(content)


def test_files_beyond_what_pictures_take_are_not_opened(monkeypatch):
    monkeypatch.setattr("fer_hf.data.pictures.MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(ValueError, match="too large: 2 MB, expected at most 1 MB"):
        load_picture(bytes(2_000_000))


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux says the peak")
def test_reading_takes_no_more_memory_than_two_copies(tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.ones((4_000, 4_000), np.float32)).save(path)
    code = """if True:
        import sys
        from pathlib import Path
        from PIL import Image
        from fer_hf.data.pictures import load_picture, to_rgb

        def read_peak():
            return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

        to_rgb(Image.new("F", (64, 64)))
        rest = read_peak()
        to_rgb(load_picture(sys.argv[1]))
        print(read_peak() - rest)
    """
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True)
    # Four bytes a pixel as read, four as RGB, and the band that is scaled at the moment.
    assert int(done.stdout) * 1024 < 10.5 * 4_000**2


def test_no_memory_is_a_fault_of_the_picture():
    assert describe_fault(MemoryError(), b"x").startswith("more than the memory that is left")


def test_upright_rgb_is_not_copied_and_huge_pictures_are_halved(monkeypatch):
    picture = make_colours("RGB")
    assert to_rgb(picture) is picture
    assert reduce_huge(picture) is picture
    monkeypatch.setattr("fer_hf.data.pictures.MOST_PIXELS", 20)
    assert reduce_huge(picture).size == (4, 5)  # 7×9 by 2
