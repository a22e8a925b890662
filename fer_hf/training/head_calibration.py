"""The finishing touch of a run: logit adjustment and calibration, folded into the head."""

from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from fer_hf.evaluation.metrics.calibration import compute_logit_offsets, fit_calibration
from fer_hf.evaluation.metrics.not_sure import keep_not_sure
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.metrics.probabilities import compute_reliability
from fer_hf.evaluation.reports.evaluation_plots import plot_reliability
from fer_hf.models import LoadedModel, fold_into_head
from fer_hf.training.results import fit_when_not_sure
from fer_hf.training.stages import Stage
from fer_hf.training.targets import fill_targets
from fer_hf.training.training_arguments import FerTrainingArguments


def calibrate_head(
    loaded: LoadedModel, stage: Stage, validation: Dataset, training: FerTrainingArguments
) -> dict[str, Any]:
    """Change the head's last layer so that the scores are adjusted and calibrated.

    The config then says when the model is not sure, if it was calibrated.

    Returns:
        What the report should say about it.
    """
    keep_not_sure(loaded.model.config, None)  # that of the checkpoint it started from
    uncalibrated = {"temperature": 1.0}
    if training.calibration == "none" and not training.logit_adjustment:
        return uncalibrated
    trainer, train = stage.trainer, stage.sets["train"]
    targets = fill_targets(train.targets, train.labels, trainer.num_labels)
    adjustment = compute_logit_offsets(targets.mean(dim=0).numpy(), training.logit_adjustment)
    if training.calibration == "none":
        fold_into_head(trainer.model, 1.0, adjustment.tolist())
        return uncalibrated
    prediction = trainer.predict(stage.sets["validation"])
    labels = np.asarray(prediction.label_ids)
    logits = np.asarray(prediction.predictions) + adjustment
    calibration = fit_calibration(logits, labels, training.calibration)
    temperatures, offsets = calibration.temperatures, calibration.offsets
    fold_into_head(trainer.model, temperatures, (adjustment + offsets).tolist())
    scores = compute_softmax(calibration.apply(logits))
    if trainer.is_world_process_zero():
        folder = Path(str(training.output_dir))
        panels = {
            "before calibration": compute_reliability(compute_softmax(logits), labels),
            "after calibration": compute_reliability(scores, labels),
        }
        plot_reliability(panels, f"{folder.name}, validation").savefig(folder / "reliability.png")
    fit_when_not_sure(loaded, scores, validation)
    if calibration.method == "temperature":
        return {"temperature": temperatures[0]}
    return {"temperatures": temperatures, "offsets": offsets}
