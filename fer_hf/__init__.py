"""Facial-expression classifiers, fine-tuned and measured with the Hugging Face stack.

Importing the package is cheap: torch and transformers are imported when something needs them.
"""

from importlib.metadata import version
from typing import Any

import lazy_loader
import wrapt

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("fer-hf")


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
wrapt.register_post_import_hook(_register_models, "transformers.models.auto.modeling_auto")
