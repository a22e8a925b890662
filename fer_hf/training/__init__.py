"""Training: a whole run on one page, its settings, its Trainer, and heads on frozen backbones."""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
