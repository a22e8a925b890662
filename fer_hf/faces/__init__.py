"""Finding faces in pictures, cutting them out, reading and following them."""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
