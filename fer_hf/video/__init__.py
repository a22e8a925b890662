"""Videos: the faces of each, followed from frame to frame, as a marked copy, a table and a plot.

A video goes through in a stream, whatever its length: nothing here keeps its frames.
"""

from fer_hf.data.extras import attach_stub, naming_missing_extra

with naming_missing_extra("video"):  # every module here needs it
    import av  # noqa: F401

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
