"""How much a visitor may ask of the demo at once."""

from dataclasses import dataclass


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
    """

    file_bytes: int = 100_000_000
    pixels: int = 25_000_000
    batch_pictures: int = 500
    unpacked_bytes: int = 200_000_000
    video_seconds: float = 600.0
    taught_pictures: int = 400
