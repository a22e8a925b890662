"""Pictures: from files of any layout to the same three splits."""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
