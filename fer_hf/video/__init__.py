"""Videos: the faces of each, followed from frame to frame, as a marked copy, a table and a plot.

A video goes through in a stream, whatever its length: nothing here keeps its frames.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
