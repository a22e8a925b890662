"""Numbers about a classifier: metrics with intervals, run reports, their pictures, comparisons.

A room of its own because nothing here knows a network or a picture: scores and labels go in, plain
data comes out. That is why the model card and the command line can read a report without PyTorch.
"""
