from .analysis import VideoResult as VideoResult
from .analysis import analyse_video as analyse_video
