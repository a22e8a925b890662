"""Numbers about a classifier: metrics with intervals, comparisons with people, and reports.

Scores and labels go in, plain data comes out: nothing here knows a network.
"""

from fer_hf.data.extras import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
