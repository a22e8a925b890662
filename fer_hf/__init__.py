"""Facial-expression classifiers, fine-tuned and measured with the Hugging Face stack.

Importing the package is cheap: torch and transformers are imported when something needs them.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

import wrapt

__version__ = version("fer-hf")

_HOMES = {
    "EMOTIONS": "fer_hf.emotions",
    "load_splits": "fer_hf.data",
    "load_model": "fer_hf.models",
    "freeze_backbone": "fer_hf.models",
    "ExpressionClassifier": "fer_hf.inference",
    "evaluate_scores": "fer_hf.evaluation.metrics",
    "load_report": "fer_hf.evaluation.report",
    "compare_runs": "fer_hf.evaluation.comparison",
    "fine_tune": "fer_hf.training",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"Module 'fer_hf' has no attribute {name!r}; it has {__all__}.")
    return getattr(import_module(_HOMES[name]), name)


def _register_models(_: Any) -> None:
    """Teach transformers the model types of our own, so that `pipeline(model=RUN)` opens them."""
    from transformers import AutoConfig, AutoModelForImageClassification

    from fer_hf.baseline import BaselineConfig, BaselineForImageClassification
    from fer_hf.dense_head import DenseHeadConfig, DenseHeadForImageClassification

    for config, model in (
        (BaselineConfig, BaselineForImageClassification),
        (DenseHeadConfig, DenseHeadForImageClassification),
    ):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForImageClassification.register(config, model, exist_ok=True)


# Runs when transformers' auto classes are first imported, or now if they are: importing them here
# would make `import fer_hf` take seconds.
wrapt.register_post_import_hook(_register_models, "transformers.models.auto.modeling_auto")
