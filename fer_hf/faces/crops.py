"""The square crop of a face."""

from PIL import Image

from fer_hf.faces.boxes import Face


def crop_face(picture: Image.Image, face: Face, *, margin: float = 0.0) -> Image.Image:
    """Cut out the square around a face.

    Args:
        picture: Of mode RGB.
        face: Where it is.
        margin: What is added on each side, as a share of the box's longer side.
    """
    left, top, right, bottom = face.box
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    x, y = (left + right) / 2 - side / 2, (top + bottom) / 2 - side / 2
    return picture.crop((round(x), round(y), round(x + side), round(y + side)))
