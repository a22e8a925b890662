"""To the Hub: a run as a model, the demo as a Space, a source of pictures as a data set."""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
