"""Names taken apart into words, and the words that say only "pictures inside"."""

import unicodedata

_CONTAINERS = """
align aligned annotated annotation annotations archive archives automatically basic bmp clean crop
cropped crops data database databases dataset datasets db emotion emotions expression expressions
extracted face faces facial fer file files folder frame frames full gray grayscale grey image images
img imgs input inputs jpeg jpg label labels manually original originals output photo photos pic pics
picture pictures png processed raw release resized rgb sample samples set sets tif tiff unzipped
webp x bild bilder foto fotos imagen imagenes
"""

CONTAINER_WORDS = frozenset(_CONTAINERS.split())
"""Words of folders' names that say only that pictures, or files about them, are inside."""


def split_words(name: str) -> list[str]:
    """Split a name where letters, digits and other characters meet, and before inner capitals.

    ``"FER2013Train_set"`` becomes ``["fer", "2013", "train", "set"]``.
    """
    words: list[str] = []
    previous = ""
    for character in unicodedata.normalize("NFC", name):
        if previous.isalnum() and unicodedata.category(character).startswith("M"):
            words[-1] += character  # an accent, or a vowel of a script such as Hindi's
            continue
        if character.isalnum():
            joins = (
                previous.isalnum()
                and previous.isdigit() == character.isdigit()
                and not (previous.islower() and character.isupper())
            )
            words[-1:] = [words[-1] + character] if joins else [*words[-1:], character]
        previous = character
    return [word.lower() for word in words]


def is_container(name: str) -> bool:
    """Return whether a folder's name says only that pictures are inside: ``"aligned_images"``."""
    words = split_words(name)
    return (
        bool(words)
        and all(word in CONTAINER_WORDS or word.isdigit() for word in words)
        and (not all(word.isdigit() for word in words))
    )
