"""Measure what the frozen bundled model is worth on a user's own folder of pictures.

Writes benchmarks/transfer.md: a new head on the frozen backbone, the baseline CNN, and the network
of the bundled model from random weights; the same five stratified folds, each picture scored by
a model that had not seen it.

    python benchmarks/transfer.py ../shared/data/photos                     (about a quarter hour)
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

import numpy as np
import yaml
from datasets import Dataset, concatenate_datasets
from tabulate import tabulate

from fer_hf.data import load_splits
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.intervals import Estimate
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.linear_head import fit_head, list_folds
from fer_hf.models import load_model
from fer_hf.training.arguments import DataArguments, ModelArguments
from fer_hf.training.face_dataset import FaceDataset
from fer_hf.training.frozen.features import load_features
from fer_hf.training.run import fine_tune
from fer_hf.training.training_arguments import FerTrainingArguments

FOLDER = Path(__file__).parent
KEPT = FOLDER / "transfer.json"
SEED = 0
EPOCHS = 30
ROWS = {
    "frozen": "frozen bundled model, new head",
    "baseline": "baseline CNN",
    "scratch": "the same network from random weights",
}


def fit_frozen(pictures: Dataset) -> np.ndarray:
    """Return the held-out scores of a new head on the frozen bundled model."""
    loaded = load_model("resnetv2-ferplus", pictures.features["label"].names)
    faces = FaceDataset(pictures, loaded.image_processor, seed=SEED)
    features = load_features(loaded.model.eval(), faces, num_views=2).features
    return fit_head(features.flatten(2).numpy(), faces.labels.numpy(), seed=SEED).held_out_scores


def train_folds(pictures: Dataset, model: ModelArguments, **training: float) -> np.ndarray:
    """Return the scores of pictures that networks of their fold had not seen."""
    labels = np.asarray(pictures["label"][:])
    names = pictures.features["label"].names
    scores = np.zeros((len(labels), len(names)))
    for learnt, held_out in list_folds(labels, SEED):
        with tempfile.TemporaryDirectory() as folder:
            for split, rows in (("train", learnt), ("test", held_out)):
                write_split(pictures.select(rows), Path(folder) / "data" / split, names)
            output = Path(folder) / "run"
            arguments = FerTrainingArguments(
                output_dir=str(output), num_train_epochs=EPOCHS, disable_tqdm=True, **training
            )
            data = DataArguments(data=str(Path(folder) / "data"), data_label_names=names)
            fine_tune(data, model, arguments)
            classifier = ExpressionClassifier(str(output))
            order = [classifier.label_names.index(name) for name in names]
            scores[held_out] = score_split(classifier, pictures.select(held_out))[0][:, order]
    return scores


def write_split(pictures: Dataset, folder: Path, names: list[str]) -> None:
    """Write pictures as a user has them: a folder for each label."""
    for number, row in enumerate(pictures):
        path = folder / names[row["label"]] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        row["image"].save(path)


def show(figure: Estimate) -> str:
    """Return percent with the interval."""
    return f"{100 * figure.value:.1f} ({100 * figure.low:.1f}–{100 * figure.high:.1f})"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the pictures, as for --data")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[*ROWS], help="default: all")
    given = parser.parse_args()
    pictures = concatenate_datasets(list(load_splits(given.source).values()))
    names = pictures.features["label"].names
    labels = np.asarray(pictures["label"][:])
    recipe = Path(__file__).parents[1] / "fer_hf" / "recipes" / "resnetv2-ferplus.yaml"
    scratch = ModelArguments(
        model_name_or_path="resnetv2_18",
        weights="none",
        model_args=str(yaml.safe_load(recipe.read_text())["model_args"]).replace("'", '"'),
        input_size=96,
        unfreeze="all",
        backbone_lr_scale=1.0,
    )
    measure = {
        "frozen": lambda: fit_frozen(pictures),
        "baseline": lambda: train_folds(pictures, ModelArguments(), learning_rate=1e-3),
        "scratch": lambda: train_folds(pictures, scratch, learning_rate=1e-3, weight_decay=0.05),
    }
    # The others stay: networks that are trained take hours.
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for row in given.rows:
        figures = evaluate_scores(measure[row](), labels, names)
        shares = (figures.accuracy, figures.balanced_accuracy, figures.f1_macro)
        kept[row] = [*map(show, shares), f"{figures.nll.value:.3f}"]
        KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(ROWS[row], *kept[row], flush=True)
    rows = [[title, *kept[row]] for row, title in ROWS.items() if row in kept]
    headers = ["model", "accuracy", "balanced accuracy", "macro-F1", "NLL"]
    counts = ", ".join(f"{n} {(labels == i).sum()}" for i, n in enumerate(names))
    machine = f"{os.cpu_count()} CPU cores, {platform.machine()}"
    text = (
        f"{__doc__.splitlines()[0]}\n\nWritten by `python benchmarks/transfer.py` on {machine}. "
        f"{len(labels)} pictures ({counts}), five-fold cross-validated, seed {SEED}; the trained "
        f"networks for {EPOCHS} epochs. Percent with 95 % intervals.\n\n"
        f"{tabulate(rows, headers, 'github', disable_numparse=True)}\n"
    )
    (FOLDER / "transfer.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
