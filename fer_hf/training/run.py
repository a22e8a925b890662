"""A whole run, readable from top to bottom: splits, model, training, figures, checkpoint."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import DatasetDict
from transformers import set_seed

from fer_hf.data.splits import SPLITS
from fer_hf.evaluation.metrics.evaluation import Evaluation, evaluate_scores
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.reports.provenance import name_source
from fer_hf.evaluation.reports.report_files import REPORT_NAME
from fer_hf.evaluation.reports.run_comparison import Comparison, compare_runs, save_comparison
from fer_hf.evaluation.reports.run_report import RunReport, load_report
from fer_hf.models import LoadedModel, load_model, round_weights
from fer_hf.training.arguments import DataArguments, ModelArguments
from fer_hf.training.head_calibration import calibrate_head
from fer_hf.training.inputs import SAMPLE
from fer_hf.training.recipes import RunArguments
from fer_hf.training.results import build_history, describe_settings, save_run
from fer_hf.training.run_folder import choose_folder, claim_output_dir
from fer_hf.training.stages import InterruptedRunError, Stage, explaining_interruptions, run_stages
from fer_hf.training.training_arguments import FerTrainingArguments

logger = logging.getLogger(__name__)


def fine_tune(
    data: DataArguments,
    model: ModelArguments,
    training: FerTrainingArguments,
    *,
    check_data: bool = True,
) -> RunReport:
    """Train one model and leave a checkpoint, a report and plots in its output folder.

    Args:
        data: Which pictures.
        model: Which network, and which part of it is trained.
        training: How, and where the results go.
        check_data: Whether to look for pictures that are in two splits.

    Raises:
        ValueError: A setting, a picture or a label that is not valid.
        FileExistsError: The output folder holds another run.
        InterruptedRunError: A signal stopped training; it can be resumed.
        OSError: Something cannot be read, fetched or written.

    Example:
        >>> from fer_hf.training import DataArguments, FerTrainingArguments, ModelArguments
        >>> report = fine_tune(
        ...     DataArguments("my_faces"), ModelArguments("baseline", input_size=32),
        ...     FerTrainingArguments("runs/tour", num_train_epochs=1),
        ... )
        epoch   1.0  train       loss ...  accuracy ...
        epoch   1.0  validation  loss ...  accuracy ...  macro-F1 ...
        >>> report.fine_tuned
        'all layers'
    """
    output_dir = Path(str(training.output_dir))
    claim_output_dir(output_dir, resume=training.resume, overwrite=training.overwrite_output_dir)
    if training.resume and (output_dir / REPORT_NAME).is_file():
        logger.info("%s is complete already.", output_dir)
        return load_report(output_dir)
    set_seed(training.seed)
    with training.main_process_first(desc="load the splits"):
        splits = data.load(check=check_data)
    loaded = _load_model(model, splits["train"].features["label"].names)
    return finish_run(
        loaded, run_stages(loaded, splits, model, training), splits, data, model, training
    )


def finish_run(
    loaded: LoadedModel,
    stage: Stage,
    splits: DatasetDict,
    data: DataArguments,
    model: ModelArguments,
    training: FerTrainingArguments,
) -> RunReport:
    """Calibrate and measure what a stage trained, and leave its checkpoint, report and plots.

    Raises:
        OSError: Something cannot be written.
    """
    output_dir = Path(str(training.output_dir))
    calibration = _finish(loaded, stage, splits, training)
    return save_run(
        loaded,
        splits,
        output_dir,
        model_name_or_path=model.model_name_or_path,
        data=data.data,
        dtype=training.save_dtype,
        fine_tuned=stage.fine_tuned,
        seed=training.seed,
        settings={**describe_settings(data, model, training), **stage.notes, **calibration},
        train_seconds=stage.seconds,
        evaluations=_evaluate(stage, splits["train"].features["label"].names),
        history=build_history(stage.trainer.state.log_history),
    )


def fine_tune_all(runs: Sequence[RunArguments]) -> tuple[Path, list[RunReport], Comparison | None]:
    """Run one recipe after the other and compare them if there are several.

    Returns:
        The folder with all of it, the reports, and the comparison (None for a single run).

    Raises:
        InterruptedRunError: A signal stopped it, or Ctrl-C; it can be resumed.
    """
    first = runs[0]
    folder = Path(str(first.training.output_dir))
    if first.training.output_dir_is_free:
        name = re.sub(r"[^\w.-]+", "-", Path(name_source(first.data.data)).stem)
        folder = choose_folder(name if len(runs) > 1 else f"{name}-{first.name}")
    with explaining_interruptions(folder):
        reports: dict[str, RunReport] = {}
        sources: list[str] = []
        for run in runs:
            run.training.output_dir = output_dir = str(
                folder / run.name if len(runs) > 1 else folder
            )
            logger.info("Training %s in %s", run.name, output_dir)
            is_new = run.data.data not in sources
            try:
                reports[output_dir] = fine_tune(
                    run.data, run.model, run.training, check_data=is_new
                )
            except InterruptedRunError as error:
                if len(runs) == 1:
                    raise
                raise InterruptedRunError(
                    f"{run.name} was stopped; what was trained is in {str(folder)!r}. Go on "
                    f"with the same command and --output_dir {folder} --resume"
                ) from error
            sources.append(run.data.data)
        if len(runs) == 1:
            return folder, list(reports.values()), None
        comparison = compare_runs(reports)
        if PartialState().is_main_process:
            save_comparison(comparison, folder)
        return folder, list(reports.values()), comparison


def _load_model(model: ModelArguments, label_names: Sequence[str]) -> LoadedModel:
    return load_model(
        model.model_name_or_path,
        label_names,
        weights=model.weights,
        input_size=model.input_size,
        pooling=model.pooling,
        head=model.head,
        dropout=model.dropout,
        dense_size=model.dense_size,
        sigmoid=model.binary_head == "sigmoid",
        model_args=model.timm_args,
        revision=model.model_revision,
    )


def _finish(
    loaded: LoadedModel, stage: Stage, splits: DatasetDict, training: FerTrainingArguments
) -> dict[str, Any]:
    """Make the network what will be saved; return what the report should say about it."""
    # Measured in the precision of whoever opens the checkpoint, not in that of training.
    stage.trainer.accelerator.unwrap_model(stage.trainer.model, keep_fp32_wrapper=False)
    calibration = calibrate_head(loaded, stage, splits["validation"], training)
    if training.save_dtype == "float16":
        round_weights(loaded.model, torch.float16)
    return calibration


def _evaluate(stage: Stage, label_names: Sequence[str]) -> dict[str, Evaluation]:
    """Evaluate every split in eval mode, without augmentation; of a large `train` a sample."""
    found = {}
    for name in SPLITS:
        prediction = stage.trainer.predict(stage.sets[SAMPLE if name == "train" else name])
        scores = compute_softmax(np.asarray(prediction.predictions))
        found[name] = evaluate_scores(scores, np.asarray(prediction.label_ids), label_names)
    return found
