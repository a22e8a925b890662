"""The model in the box: a slim ResNetV2-18 trained on FER+, by its name and by its folder.

A room of its own, without torch: whoever serves it needs no more than its files.
"""

from pathlib import Path

BOX_NAME = "resnetv2-ferplus"
"""What it is called where a model is asked for."""

DEFAULT_MODEL = str(Path(__file__).with_name("pretrained") / BOX_NAME)
"""Its folder."""


def locate_model(model_name_or_path: str) -> str:
    """Return the folder of the model in the box for its name, and any other name as it is.

    A folder of that name in the working directory comes first.
    """
    is_box = model_name_or_path == BOX_NAME and not Path(model_name_or_path).is_dir()
    return DEFAULT_MODEL if is_box else model_name_or_path
