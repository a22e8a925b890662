from .classifier import ExpressionClassifier as ExpressionClassifier
from .reading import Reading as Reading
