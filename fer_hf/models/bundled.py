"""The bundled models, trained on FER+: a slim ResNetV2-18, and a tiny one distilled from it.

They have a module of their own, without torch: whoever serves them needs no more than their files.
"""

from pathlib import Path

BUNDLED_MODEL = "resnetv2-ferplus"
"""The name that selects the bundled model wherever a model is expected."""

_PRETRAINED = Path(__file__).with_name("pretrained")

DEFAULT_MODEL = str(_PRETRAINED / BUNDLED_MODEL)
"""Its folder."""

TINY_MODEL = str(_PRETRAINED / "tiny-ferplus")
"""The folder of the tiny model, for where a millisecond or a megabyte counts."""

BUNDLED_FOLDERS = {BUNDLED_MODEL: DEFAULT_MODEL, "tiny": TINY_MODEL}
"""The folders of the bundled models by their names."""


def locate_model(model_name_or_path: str) -> str:
    """Return the folder of a bundled model for its name, and any other name unchanged.

    A folder of that name in the working directory comes first.
    """
    if Path(model_name_or_path).is_dir():
        return model_name_or_path
    return BUNDLED_FOLDERS.get(model_name_or_path, model_name_or_path)
