"""To the Hub: a run as a model, the demo as a Space, a source of pictures as a data set."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
