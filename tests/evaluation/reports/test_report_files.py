"""Reports as files: every kind is rebuilt from its JSON, and files of former versions open."""

import json
from pathlib import Path

import numpy as np
import pytest

import fer_hf
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.paired import ModelScores, compare_scores
from fer_hf.evaluation.reports.checkpoint_report import (
    CheckpointReport,
    load_checkpoint_report,
)
from fer_hf.evaluation.reports.html_page import render_page
from fer_hf.evaluation.reports.paired_comparison import (
    ModelCost,
    PairedComparison,
)
from fer_hf.evaluation.reports.report_files import rebuild, save_json, to_json
from fer_hf.evaluation.reports.run_comparison import Comparison, compare_runs
from fer_hf.evaluation.reports.run_report import RunReport, load_report
from fer_hf.publishing.model_card import render_model_card

NAMES = ["happy", "sad", "fear"]
LABELS = np.arange(90) % 3


def score(seed):
    return np.random.default_rng(seed).dirichlet([2, 2, 2], size=90)


def make_results():
    """Return a result of each kind, on random scores, by the name of its class."""
    evaluation = evaluate_scores(score(0), LABELS, NAMES)
    run = RunReport(
        model_name_or_path="baseline",
        display_name="<b>mine</b>",
        pretrained_on="none",
        fine_tuned="all layers",
        num_parameters=10,
        num_trainable_parameters=10,
        data="faces",
        label_names=NAMES,
        split_sizes={"train": 90, "validation": 90, "test": 90},
        input_size=32,
        seed=0,
        settings={"augment": ["flip"], "rate": 0.1},
        versions={"torch": "2.15.0"},
        train_seconds=1.0,
        evaluations=dict.fromkeys(("train", "validation", "test"), evaluation),
        history=[{"epoch": 1.0, "validation_loss": None, "validation_accuracy": 0.5}],
    )
    match = {name: name for name in NAMES}
    models = [ModelScores(f"model {seed}", score(seed), LABELS, NAMES) for seed in (0, 1)]
    evaluations, differences = compare_scores(models)
    costs = dict.fromkeys(evaluations, ModelCost(1, None, 2.0, None, 0.1))
    results = (
        run,
        CheckpointReport("<b>mine</b>", "faces", "test", match, evaluation, evaluation, None, {}),
        compare_runs({"runs/<b>": run}),
        PairedComparison("<b>faces</b>", "test", evaluations, differences, costs, {}),
    )
    return {type(result).__name__: result for result in results}


@pytest.fixture(scope="module")
def results():
    return make_results()


@pytest.mark.parametrize("kind", [RunReport, CheckpointReport, Comparison, PairedComparison])
def test_every_kind_is_rebuilt_from_its_json(results, kind, tmp_path):
    result = results[kind.__name__]
    path = save_json(result, tmp_path / "new" / "result.json")
    assert rebuild(kind, json.loads(path.read_text(encoding="utf-8"))) == result


@pytest.mark.parametrize("kind", [RunReport, CheckpointReport, Comparison, PairedComparison])
def test_a_notebook_shows_every_kind_as_a_table_with_its_texts_escaped(results, kind):
    result = results[kind.__name__]
    html = result._repr_html_()
    assert "<table" in html
    assert ">accuracy<" in html or ">acc.<" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    # Only a run has something to draw.
    assert html.count("<img") == (kind is RunReport)


def test_the_report_of_the_bundled_model_is_of_format_1_and_opens():
    folder = Path(fer_hf.__file__).parent / "models" / "pretrained" / "resnetv2-ferplus"
    written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert written["format"] == 1
    report = load_report(folder)
    assert report.fine_tuned == "all layers"
    assert report.evaluations["test"].to_dict() == written["evaluations"]["test"]
    assert to_json(report.gaps) == written["gaps"]


def test_a_field_that_fer_hf_never_wrote_is_refused(results, tmp_path):
    for kind, load in ((RunReport, load_report), (CheckpointReport, load_checkpoint_report)):
        path = tmp_path / "report.json"
        path.write_text(json.dumps({**results[kind.__name__].to_dict(), "mine": 1}))
        with pytest.raises(ValueError, match=r"report.json` has \['mine'\], expected what fer_hf"):
            load(path)


def test_what_json_cannot_hold_is_refused_with_its_place():
    assert to_json({"a": [np.float32(0.5), np.inf]}) == {"a": [0.5, None]}
    with pytest.raises(TypeError, match=r"`report\.a\[1\]`.*`str`"):
        to_json({"a": [1, object()]})


def test_an_added_metric_shows_in_every_rendering(top2):
    found = make_results()
    checkpoint, run = found["CheckpointReport"], found["RunReport"]
    for text in (
        checkpoint.render(),
        render_page(checkpoint),
        render_model_card(run),
        run._repr_html_(),
    ):
        assert top2.title in text
    assert top2.short_title in found["Comparison"].render("markdown")
    assert top2.short_title in found["PairedComparison"].render()
