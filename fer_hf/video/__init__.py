"""Videos: the faces of each, followed from frame to frame, as a marked copy, a table and a plot.

A video goes through in a stream, whatever its length: nothing here keeps its frames.
"""

from fer_hf.video.analysis import VideoResult, analyse_video

__all__ = ["VideoResult", "analyse_video"]
