"""`fer-hf evaluate`: measure a trained model on labelled pictures, beside people who voted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset

    from fer_hf.arguments import DataArguments
    from fer_hf.evaluation.checkpoint_report import CheckpointReport
    from fer_hf.inference import ExpressionClassifier

_EPILOG = """\
example: fer-hf evaluate runs/drawn/drawn-resnetv2 --data my_faces --split all --output_dir report
example: fer-hf evaluate somebody/their-model --data ../ferplus

Labels are matched by name: the data may have fewer than the model. Where the data has several
people's votes, one of them is scored too.
"""


def main(args: Sequence[str]) -> None:
    """Print how good a model is on a split, and write it where asked."""
    import argparse

    from transformers.utils import logging as transformers_logging

    from fer_hf.arguments import DataArguments, StrictParser
    from fer_hf.data.parts import SPLITS, split_name
    from fer_hf.evaluation.checkpoint_report import save_checkpoint_report
    from fer_hf.evaluation.checkpoint_table import render_checkpoint_report
    from fer_hf.inference import ExpressionClassifier

    parser = StrictParser(
        DataArguments,
        prog="fer-hf evaluate",
        description="Measure a trained model on labelled pictures, with 95 % intervals.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="checkpoint folder or Hub id")
    parser.add_argument(
        "--split",
        type=lambda name: split_name(name) or name,
        choices=[*SPLITS, "all"],
        default="test",
        help="which pictures; all of them where the data is new to the model (default: test)",
    )
    parser.add_argument(
        "--output_dir",
        metavar="FOLDER",
        help="also write evaluation.json and confusion_matrix.png here",
    )
    parser.add_argument("--batch_size", type=int, default=32, help="pictures at a time")
    data, given = parser.parse_strictly(args)
    transformers_logging.disable_progress_bar()
    classifier = ExpressionClassifier(given.model)
    report = _evaluate(classifier, given.model, data, given.split, given.batch_size)
    print(render_checkpoint_report(report))
    if given.output_dir:
        print(f"written: {save_checkpoint_report(report, given.output_dir)}")


def _evaluate(
    classifier: "ExpressionClassifier",
    model: str,
    data: "DataArguments",
    name: str,
    batch_size: int,
) -> "CheckpointReport":
    from fer_hf.evaluation.checkpoint_report import CheckpointReport, compare_with_crowd
    from fer_hf.evaluation.label_match import map_labels, match_labels
    from fer_hf.evaluation.metrics import evaluate_scores
    from fer_hf.evaluation.provenance import collect_versions, name_source

    split = _load(data, name)
    names, data_names = classifier.label_names, split.features["label"].names
    labels = map_labels(split["label"][:], data_names, names)
    voted = _load_voted(data, name, split)
    scores, voted_scores = _score(classifier, split, voted, batch_size)
    evaluation = evaluate_scores(scores[0], labels, names)
    crowd = None
    if voted is not None:
        votes, other_votes = _read_votes(split, names)
        voted_votes, _ = _read_votes(voted, names)
        crowd = compare_with_crowd(
            evaluation, labels, votes, other_votes, voted_scores[0], voted_votes
        )
    return CheckpointReport(
        model=name_source(model),
        data=name_source(data.data),
        split=name,
        label_match=match_labels(data_names, names),
        evaluation=evaluation,
        with_flip_averaging=evaluate_scores(scores.mean(axis=0), labels, names),
        crowd=crowd,
        versions=collect_versions(),
    )


def _load(data: "DataArguments", name: str) -> "Dataset":
    from datasets import concatenate_datasets

    splits = data.load()
    if name == "all":
        return concatenate_datasets(list(splits.values()))
    return splits[name]


def _load_voted(data: "DataArguments", name: str, split: "Dataset") -> "Dataset | None":
    """Return all rows of the split that have votes, or None where the data has none."""
    from dataclasses import replace

    from fer_hf.data.sources import recognise_layout

    if "votes" not in split.column_names:
        return None
    layout = data.layout or recognise_layout(data.data, data.votes_file)
    # Of other sources with votes, no rule has left rows out.
    return _load(replace(data, vote_rule="all"), name) if layout == "ferplus" else split


def _score(
    classifier: "ExpressionClassifier",
    split: "Dataset",
    voted: "Dataset | None",
    batch_size: int,
) -> "tuple[np.ndarray, np.ndarray]":
    """Score both sets of rows, each picture only once where one set holds the other."""
    from fer_hf.inference import score_split

    if voted is None:
        scores = score_split(classifier, split, batch_size=batch_size)
        return scores, scores
    voted_scores = score_split(classifier, voted, batch_size=batch_size)
    rows = {picture: row for row, picture in enumerate(_read_encoded(voted))}
    found = [rows.get(picture, -1) for picture in _read_encoded(split)]
    if -1 in found:  # such as under --max_eval_samples, which draws from each set by itself
        return score_split(classifier, split, batch_size=batch_size), voted_scores
    return voted_scores[:, found], voted_scores


def _read_encoded(split: "Dataset") -> list[bytes | str]:
    """Return what tells pictures apart without decoding them: their bytes, or their file."""
    from datasets import Image

    pictures = split.select_columns("image").cast_column("image", Image(decode=False))["image"][:]
    return [picture["bytes"] or picture["path"] for picture in pictures]


def _read_votes(split: "Dataset", names: Sequence[str]) -> "tuple[np.ndarray, np.ndarray]":
    """Return the votes (N, num_labels) in the order of the model's labels, and the others (N,)."""
    import numpy as np

    from fer_hf.evaluation.label_match import map_votes

    votes, lacking = map_votes(split["votes"][:], split.features["label"].names, names)
    others = split["other_votes"][:] if "other_votes" in split.column_names else 0
    return votes, lacking + np.asarray(others)
