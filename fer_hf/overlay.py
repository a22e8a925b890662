"""Boxes with emotions, drawn on the picture they were read from."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from fer_hf.face_reading import FaceReading

NOT_SURE = "not sure"


def name_reading(reading: FaceReading, label_names: Sequence[str]) -> str:
    """Return the label with the highest score, or that the model is not sure."""
    return NOT_SURE if reading.sure is False else label_names[int(np.argmax(reading.scores))]


def draw_readings(
    picture: Image.Image, readings: Sequence[FaceReading], label_names: Sequence[str]
) -> Image.Image:
    """Return a copy of the picture, mode RGB, with a box and a name for each face."""
    drawn = picture.convert("RGB")
    drawn = drawn.copy() if drawn is picture else drawn
    ink = ImageDraw.Draw(drawn)
    for number, reading in enumerate(readings, 1):
        ink.rectangle(reading.face.box, outline=(255, 255, 255), width=3)
        ink.text(reading.face.box[:2], f"{number} {name_reading(reading, label_names)}")
    return drawn
