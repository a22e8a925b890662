"""From pictures to scores with a trained checkpoint, on torch or onnxruntime."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
