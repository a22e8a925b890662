from .data.sources import load_splits as load_splits
from .emotions import EMOTIONS as EMOTIONS
from .evaluation.metrics.evaluation import evaluate_scores as evaluate_scores
from .evaluation.reports.run_comparison import compare_runs as compare_runs
from .evaluation.reports.run_report import load_report as load_report
from .faces.detectors import find_faces as find_faces
from .faces.reader import FaceReader as FaceReader
from .inference.classifier import ExpressionClassifier as ExpressionClassifier
from .models.loading import load_model as load_model
from .training.run import fine_tune as fine_tune
from .video.analysis import analyse_video as analyse_video

__version__: str
