"""Training: a whole run on one page, its settings, its Trainer, and heads on frozen backbones."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
