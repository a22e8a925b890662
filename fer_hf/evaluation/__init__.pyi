from .metrics.evaluation import evaluate_scores as evaluate_scores
from .reports.run_comparison import compare_runs as compare_runs
from .reports.run_report import load_report as load_report
