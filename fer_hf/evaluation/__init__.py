"""Numbers about a classifier: metrics with intervals, comparisons with people, and reports.

Scores and labels go in, plain data comes out: nothing here knows a network.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
