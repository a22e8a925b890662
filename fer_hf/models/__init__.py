"""Networks: where their weights come from, their new head, and which part of them is trained."""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
