"""Facial-expression classifiers, fine-tuned and measured with the Hugging Face stack.

Importing the package is cheap, and needs no torch: what needs it imports it.
"""

from typing import Any

from fer_hf.data.extras import attach_stub
from fer_hf.data.import_hooks import call_after_import

_load, __dir__, __all__ = attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name != "__version__":
        return _load(name)
    from importlib.metadata import version  # takes as long as all the rest

    return version("fer-hf")


def _register_models(_: Any) -> None:
    """Register our own model types with transformers, so that `pipeline(model=RUN)` opens them."""
    from transformers import AutoConfig, AutoModelForImageClassification

    from fer_hf.models.baseline import BaselineConfig, BaselineForImageClassification
    from fer_hf.models.dense_head import DenseHeadConfig, DenseHeadForImageClassification

    for config, model in (
        (BaselineConfig, BaselineForImageClassification),
        (DenseHeadConfig, DenseHeadForImageClassification),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForImageClassification.register(config, model, exist_ok=True)


# Runs when transformers' auto classes are first imported, or now if they already are: importing
# them here would make `import fer_hf` take seconds.
call_after_import("transformers.models.auto.modeling_auto", _register_models)
