"""The folder of what visitors upload and get back: private, and deleted with the process."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image

_FOLDER = "GRADIO_TEMP_DIR"
"""The environment variable that Gradio reads."""


def keep_files_apart() -> None:
    """Keep files where no other user of the machine can read them, and only while we run."""
    if _FOLDER not in os.environ:
        folder = os.environ[_FOLDER] = tempfile.mkdtemp(prefix="fer_hf_demo_")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def write_picture(picture: Image.Image) -> str:
    """Write a picture as JPEG where Gradio serves and later deletes it; return the path.

    Gradio itself would name the file after its content: one visitor would then read what another
    with the same picture is writing. And a photograph as PNG takes seconds.
    """
    folder = Path(os.environ[_FOLDER])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=folder, prefix="faces_", suffix=".jpg", delete=False
    ) as file:
        picture.save(file, "JPEG", quality=90)
    return file.name
