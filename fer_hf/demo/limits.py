"""How much a visitor may ask of the demo at once, and pictures opened within these limits."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fer_hf.data.pictures import FORMATS, describe_fault, load_picture, to_rgb


@dataclass(frozen=True)
class Limits:
    """Limits of one request, for a small machine that many people share.

    Attributes:
        file_bytes: Size of an upload.
        pixels: Of one picture or one frame of a video.
        batch_pictures: Pictures of one batch, those in zips included.
        unpacked_bytes: What the pictures of a zip may take unpacked, all together.
        video_seconds: Duration of a video.
        taught_pictures: Pictures a visitor may teach with.
        waiting_requests: Requests that may wait; the next visitor reads that the demo is busy.
        requests_at_once: Requests of one kind that are served at the same time.
        remembered_visitors: Sessions in memory, 0.2 MB each; every call through the API is one,
            too, and would otherwise stay for good.
        kept_seconds: How long an upload or a result stays on the server.
    """

    file_bytes: int = 100_000_000
    pixels: int = 25_000_000
    batch_pictures: int = 500
    unpacked_bytes: int = 200_000_000
    video_seconds: float = 600.0
    taught_pictures: int = 400
    waiting_requests: int = 24
    requests_at_once: int = 2
    remembered_visitors: int = 500
    kept_seconds: int = 600


def open_picture(source: str | Path | bytes, limits: Limits) -> Image.Image:
    """Open one picture as upright RGB, and decode it only if it keeps to the limits.

    Args:
        source: A path, or the encoded bytes.
        limits: Its `pixels` count.

    Raises:
        ValueError: It is not a picture, is damaged, or has too many pixels. No path is named.
    """
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=list(FORMATS)) as header:
            num_pixels = header.width * header.height
        if num_pixels <= limits.pixels:
            return to_rgb(load_picture(source))
        fault = f"has {num_pixels:,} pixels"
    except Image.DecompressionBombError:
        fault = "has far too many pixels"
    # Damaged files make decoders raise whatever goes wrong first.
    except Exception as error:
        fault = f"cannot be read ({describe_fault(error, source)})"
    raise ValueError(
        f"The picture {fault}, expected a JPEG, PNG, WebP or the like of at most "
        f"{limits.pixels:,} pixels. Give another one, or a smaller copy."
    )
