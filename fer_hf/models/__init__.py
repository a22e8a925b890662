"""Networks: where their weights come from, their new head, and which part of them is trained."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
