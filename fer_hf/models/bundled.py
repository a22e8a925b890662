"""The bundled model: a slim ResNetV2-18 trained on FER+, by its name and by its folder.

It has a module of its own, without torch: whoever serves it needs no more than its files.
"""

from pathlib import Path

BUNDLED_MODEL = "resnetv2-ferplus"
"""The name that selects it wherever a model is expected."""

DEFAULT_MODEL = str(Path(__file__).with_name("pretrained") / BUNDLED_MODEL)
"""Its folder."""


def locate_model(model_name_or_path: str) -> str:
    """Return the folder of the bundled model for its name, and any other name unchanged.

    A folder of that name in the working directory comes first.
    """
    is_bundled = model_name_or_path == BUNDLED_MODEL and not Path(model_name_or_path).is_dir()
    return DEFAULT_MODEL if is_bundled else model_name_or_path
