"""The evaluation of a checkpoint: from scores, by one process or more, to a report in a folder."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from accelerate.utils import gather_object
from datasets import Dataset
from PIL import Image
from tqdm.auto import tqdm

from fer_hf.data.audit.contact_sheet import render_contact_sheet
from fer_hf.data.labels import map_labels, map_votes, match_labels
from fer_hf.data.pictures import to_rgb
from fer_hf.data.stored_pictures import read_encoded
from fer_hf.evaluation.metrics.evaluation import Evaluation, evaluate_scores
from fer_hf.evaluation.metrics.probabilities import compute_reliability
from fer_hf.evaluation.metrics.slices import compute_slices, measure_pictures
from fer_hf.evaluation.reports.checkpoint_figures import (
    CrowdComparison,
    compare_with_crowd,
    list_surest_mistakes,
    measure_not_sure,
)
from fer_hf.evaluation.reports.checkpoint_report import (
    CheckpointReport,
    load_checkpoint_report,
    save_checkpoint_report,
)
from fer_hf.evaluation.reports.evaluation_plots import (
    plot_confusion_matrix,
    plot_reliability,
    plot_robustness,
)
from fer_hf.evaluation.reports.html_page import render_page
from fer_hf.evaluation.reports.plot_style import to_png
from fer_hf.evaluation.reports.provenance import collect_versions, name_source
from fer_hf.evaluation.reports.report_files import REPORT_NAME, write_text_atomically
from fer_hf.evaluation.reports.run_plots import plot_curves
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_hf.evaluation.robustness.measuring import Robustness, measure_robustness, sample_rows
from fer_hf.evaluation.scoring import Classifier, join_processes, score_share, split_rows
from fer_hf.evaluation.seen_pictures import count_seen

Scores = npt.NDArray[np.float32]

PAGE_NAME = "report.html"
_PLOTS = ("confusion_matrix", "reliability", "corruptions", "curves", "mistakes")
_FILES = {REPORT_NAME, PAGE_NAME, *(f"{name}.png" for name in _PLOTS)}


def evaluate_checkpoint(
    classifier: Classifier,
    split: Dataset,
    voted: Dataset | None = None,
    *,
    data: str,
    split_name: str,
    num_corrupted: int | None = None,
    batch_size: int = 32,
    command: str = "",
) -> CheckpointReport:
    """Score a split, and measure all that a report contains.

    Several processes of one launch must call it together: each scores its share of the pictures,
    every picture once, and all return the same report.

    Args:
        classifier: The checkpoint.
        split: Columns `image` and `label`; maybe `votes` and `other_votes`.
        voted: All rows that have votes, also those that no rule gives a label; None where nobody
            has voted.
        data: Where the pictures come from, for the report.
        split_name: Which split it is, for the report.
        num_corrupted: On how many pictures, chosen at random, corruptions are measured; None leaves
            them out.
        batch_size: Pictures at a time.
        command: What was typed, for the report.

    Raises:
        ValueError: Labels that the model lacks, scores that are not numbers, or a value out of its
            range.
        OSError: The checkpoint cannot be found, reached or read.
    """
    names, data_names = classifier.label_names, split.features["label"].names
    labels = map_labels(split["label"][:], data_names, names)
    # What may be refused comes before minutes of scoring.
    corrupted = None if num_corrupted is None else sample_rows(labels, num_corrupted)
    both, voted_scores = _score(classifier, split, voted, batch_size)
    scores, not_sure = both[0], classifier.not_sure
    evaluation = evaluate_scores(scores, labels, names)
    return CheckpointReport(
        model=name_source(classifier.model_name_or_path),
        backend=classifier.backend,
        data=name_source(data),
        split=split_name,
        label_match=match_labels(data_names, names),
        evaluation=evaluation,
        with_flip_averaging=evaluate_scores(both.mean(axis=0), labels, names),
        crowd=_compare_with_crowd(classifier, evaluation, labels, split, voted, voted_scores[0]),
        versions=collect_versions(*(["onnxruntime"] if classifier.backend != "torch" else [])),
        num_seen=count_seen(classifier, split),
        reliability=compute_reliability(scores, labels),
        not_sure=measure_not_sure(scores, labels, names, not_sure) if not_sure else None,
        slices={
            name: compute_slices(scores.argmax(axis=1) == labels, values)
            for name, values in measure_pictures(_iterate_pictures(split)).items()
        },
        robustness=_measure_robustness(classifier, split, labels, corrupted, batch_size),
        mistakes=list_surest_mistakes(scores, labels, names),
        command=command,
    )


def check_report_folder(folder: str | Path) -> None:
    """Refuse a folder that holds anything but an earlier report of a checkpoint.

    Raises:
        FileExistsError: It does, or it is a file.
    """
    path = Path(folder)
    if not path.exists():
        return
    found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else [path.name]
    foreign = [name for name in found if name not in _FILES or not path.is_dir()]
    if found and not foreign:
        try:
            load_checkpoint_report(path)
        except (FileNotFoundError, ValueError):
            foreign = found
    if foreign:
        raise FileExistsError(
            f"Report folder {str(path)!r} is in use: it holds {', '.join(foreign[:5])}, expected "
            "nothing, or an earlier report of `fer-hf evaluate`. Give another --output_dir."
        )


def save_evaluation(
    report: CheckpointReport, split: Dataset, classifier: Classifier, output_dir: str | Path
) -> Path:
    """Write the page, its plots, and last `report.json`, in place of an earlier report.

    Args:
        report: Of the checkpoint on the split.
        split: Where the mistakes' pictures are taken from.
        classifier: The checkpoint, for the curves of its training.
        output_dir: A folder that `check_report_folder` accepts.

    Returns:
        The path of the page.

    Raises:
        FileExistsError: The folder holds something else.
        OSError: It cannot be written.
    """
    check_report_folder(output_dir)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    rows = [mistake.row for mistake in report.mistakes]
    mistakes = [to_rgb(picture) for picture in split[rows]["image"]] if rows else []
    plots = _draw(report, classifier)
    if mistakes:
        captions = [f"{mistake.label}: {mistake.answer}" for mistake in report.mistakes]
        title = "Surest mistakes, label: answer"
        sheet = render_contact_sheet(mistakes, captions, columns=6, cell=128, title=title)
        plots["mistakes"] = _encode(sheet)
    for picture in mistakes:
        picture.thumbnail((240, 240))  # the page shows it no larger
    page = render_page(report, plots, list(map(_encode, mistakes)))
    for name, content in plots.items():
        (folder / f"{name}.png").write_bytes(content)
    write_text_atomically(folder / PAGE_NAME, page)
    save_checkpoint_report(report, folder)
    return folder / PAGE_NAME


def _score(
    classifier: Classifier, split: Dataset, voted: Dataset | None, batch_size: int
) -> tuple[Scores, Scores]:
    """Score both sets of rows, each picture only once where one set holds the other."""
    if voted is None:
        scores = score_share(classifier, split, batch_size)
        return scores, scores
    voted_scores = score_share(classifier, voted, batch_size)
    rows = {picture: row for row, picture in enumerate(read_encoded(voted))}
    found = [rows.get(picture, -1) for picture in read_encoded(split)]
    if -1 in found:  # such as under --max_eval_samples, which draws from each set by itself
        return score_share(classifier, split, batch_size), voted_scores
    return voted_scores[:, found], voted_scores


def _read_votes(split: Dataset, names: Sequence[str]) -> tuple[npt.NDArray, npt.NDArray]:
    """Return the votes (N, num_labels) in the order of the model's labels, and the others (N,)."""
    votes, lacking = map_votes(split["votes"][:], split.features["label"].names, names)
    others = split["other_votes"][:] if "other_votes" in split.column_names else 0
    return votes, lacking + np.asarray(others)


def _iterate_pictures(split: Dataset) -> Iterator[Image.Image]:
    for batch in split.select_columns("image").iter(128):
        yield from map(to_rgb, batch["image"])


def _compare_with_crowd(
    classifier: Classifier,
    evaluation: Evaluation,
    labels: npt.NDArray[np.int64],
    split: Dataset,
    voted: Dataset | None,
    voted_scores: Scores,
) -> CrowdComparison | None:
    if voted is None:
        return None
    votes, other_votes = _read_votes(split, classifier.label_names)
    voted_votes, voted_others = _read_votes(voted, classifier.label_names)
    knows_crowd = classifier.knows_crowd
    return compare_with_crowd(
        evaluation,
        labels,
        votes,
        other_votes,
        voted_scores,
        voted_votes,
        all_other_votes=voted_others,
        crowd_scores=classifier.compute_crowd_scores(voted_scores) if knows_crowd else None,
    )


def _measure_robustness(
    classifier: Classifier,
    split: Dataset,
    labels: npt.NDArray[np.int64],
    rows: Sequence[int] | None,
    batch_size: int,
) -> Robustness | None:
    """Measure corruptions on rows; the processes of one launch share each batch."""
    if rows is None:
        return None

    def classify(pictures: Sequence[Image.Image]) -> Scores:
        share = [pictures[row] for row in split_rows(len(pictures))]
        return np.concatenate(gather_object([classifier(share)]))

    total = len(rows) * (1 + len(CORRUPTIONS) * len(STRENGTHS))
    with tqdm(total=total, desc="Corruptions", unit=" pictures", disable=None) as bar:
        return measure_robustness(
            classify,
            corrupt,
            split.select(rows)["image"],
            labels[rows],
            corruptions=CORRUPTIONS,
            strengths=STRENGTHS,
            batch_size=batch_size * join_processes().num_processes,
            on_progress=bar.update,
        )


def _draw(report: CheckpointReport, classifier: Classifier) -> dict[str, bytes]:
    """Return the name of each plot and its PNG file."""
    title = report.title
    figures = {"confusion_matrix": plot_confusion_matrix(report.evaluation, title)}
    if report.reliability:
        figures["reliability"] = plot_reliability({"": report.reliability}, title)
    if report.robustness and report.robustness.per_corruption:
        figures["corruptions"] = plot_robustness(report.robustness, title)
    # A checkpoint from elsewhere may lie beside a report of another kind, or of none.
    with contextlib.suppress(ValueError):
        file = classifier.find_file(REPORT_NAME)
        if file and (run := load_report(file)).history:
            figures["curves"] = plot_curves(run.history, run.display_name)
    return {name: to_png(figure) for name, figure in figures.items()}


def _encode(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
