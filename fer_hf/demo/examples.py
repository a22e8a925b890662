"""Pictures to try the page with: faces that the project draws, so that they are nobody's."""

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import gradio as gr

from fer_hf.data.drawn.faces import draw_face

_DRAWN = {"happy": 5, "surprise": 8, "anger": 3, "sad": 2, "neutral": 0}
"""Emotion to the seed of a face that nothing covers and that the detectors find."""
_SIZE = 320


def build_picture_input() -> gr.Image:
    """Add what takes a picture; functions get the path of the file, and decode it themselves."""
    return gr.Image(
        label="Your picture",
        type="filepath",
        image_mode=None,  # anything else would have Gradio decode it, whatever its size
        sources=["upload", "webcam", "clipboard"],
        height=360,
    )


def build_whole_picture_input() -> gr.Checkbox:
    """Add the choice to look for no face."""
    return gr.Checkbox(
        label="Treat the whole picture as a face",
        info="For pictures that a face fills. Nothing is searched for then.",
    )


def build_examples(picture: gr.Image) -> None:
    """Add the drawn faces."""
    gr.Examples(
        list(draw_examples()),
        picture,
        label="Faces drawn by this project; they are nobody's",
        api_visibility="private",
    )


@cache
def draw_examples() -> Sequence[str]:
    """Draw the examples into a folder that goes with the process; return their paths."""
    folder = Path(tempfile.mkdtemp(prefix="fer_hf_examples_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    paths = [folder / f"{emotion}.png" for emotion in _DRAWN]
    for path, (emotion, seed) in zip(paths, _DRAWN.items(), strict=True):
        draw_face(emotion, size=_SIZE, seed=seed).save(path)
    return [str(path) for path in paths]
