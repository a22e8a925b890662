from .arguments import DataArguments as DataArguments
from .arguments import ModelArguments as ModelArguments
from .run import fine_tune as fine_tune
from .training_arguments import FerTrainingArguments as FerTrainingArguments
