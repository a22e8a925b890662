"""Measure what corruptions cost a model, and write the tables to benchmarks/robustness.md.

    python benchmarks/robustness.py --data ../shared/data/ferplus [--figure FILE] [--sheet FILE]

Corruptions are measured on some pictures of the validation split, chosen at random; the slices
below them are of all. `--sheet` shows every corruption at every strength on a drawn face.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from datasets.utils import tqdm
from transformers.utils import logging

from fer_hf.data import load_splits
from fer_hf.data.audit.contact_sheet import render_contact_sheet
from fer_hf.data.drawn.faces import draw_face
from fer_hf.data.labels import map_labels
from fer_hf.evaluation.metrics.slices import compute_slices, measure_pictures
from fer_hf.evaluation.reports.blocks import render
from fer_hf.evaluation.reports.checkpoint_sections import build_robustness, build_slices
from fer_hf.evaluation.reports.evaluation_plots import plot_robustness
from fer_hf.evaluation.reports.provenance import name_source
from fer_hf.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_hf.evaluation.robustness.measuring import (
    measure_robustness,
    sample_rows,
)
from fer_hf.evaluation.scoring import score_split
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.models import DEFAULT_MODEL


def save_sheet(file: Path) -> None:
    """Draw a face and show it under every corruption, a row for every two of them."""
    face = draw_face("happy", seed=5)
    shown = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    pictures = [corrupt(face, name, strength) for name, strength in shown]
    captions = [f"{name} {strength}" for name, strength in shown]
    render_contact_sheet(pictures, captions, columns=2 * len(STRENGTHS)).save(file)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a data source with a validation split")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: the bundled model")
    parser.add_argument("--pictures", type=int, default=500, help="pictures to corrupt")
    parser.add_argument("--figure", type=Path, help="also write a heat map here")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet of drawn faces here")
    args = parser.parse_args()
    if args.sheet:
        save_sheet(args.sheet)
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    classifier = ExpressionClassifier(args.model)
    split = load_splits(args.data)["validation"]
    names = split.features["label"].names
    labels = np.asarray(map_labels(split["label"][:], names, classifier.label_names))

    rows = sample_rows(labels, args.pictures)
    total = len(rows) * (1 + len(CORRUPTIONS) * len(STRENGTHS))
    start = time.perf_counter()
    with tqdm(total=total, desc="Corrupting", unit=" pictures", disable=None) as bar:
        robustness = measure_robustness(
            classifier,
            corrupt,
            split.select(rows)["image"],
            labels[rows],
            corruptions=CORRUPTIONS,
            strengths=STRENGTHS,
            on_progress=bar.update,
        )
    seconds = time.perf_counter() - start
    right = score_split(classifier, split)[0].argmax(axis=1) == labels
    values = measure_pictures(split["image"])
    slices = {name: compute_slices(right, values[name]) for name in values}

    title = f"{name_source(args.model)} on {name_source(args.data)}, validation"
    if args.figure:
        plot_robustness(robustness, title).savefig(args.figure)
    text = (
        f"Written by `python benchmarks/robustness.py`: {title}. Corrupting and scoring took "
        f"{seconds:.0f} s on one CPU thread.\n\n"
        f"```text\n{render(build_robustness(robustness))}```\n\n"
        f"Slices of all {len(split):,} pictures, as they are:\n\n"
        f"```text\n{render(build_slices(slices))}```\n"
    )
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
