"""From pictures to scores with a trained checkpoint, on torch or onnxruntime."""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
