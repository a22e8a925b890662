"""The model card: everything the report knows, in metadata and in words, and nothing made up."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from fer_hf import cli
from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.people.human import Yardstick
from fer_hf.evaluation.reports.checkpoint_figures import compare_with_crowd
from fer_hf.evaluation.reports.checkpoint_report import (
    CheckpointReport,
    describe_seen,
    save_checkpoint_report,
)
from fer_hf.evaluation.reports.checkpoint_sections import render_worth
from fer_hf.evaluation.reports.run_comparison import compare_runs
from fer_hf.evaluation.reports.run_report import RunReport, save_report
from fer_hf.publishing.model_card import leave_out_missing, prepare_card, render_model_card

NAMES = ["fear", "happy", "sad"]


def evaluate(seed, count=60):
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([1, 1, 1], size=count)
    return evaluate_scores(scores, np.arange(count) % 3, NAMES)


@pytest.fixture(scope="module")
def report():
    return RunReport(
        model_name_or_path="resnetv2_18",
        display_name="my-fer",
        pretrained_on="none",
        fine_tuned="all layers",
        num_parameters=2_804_840,
        num_trainable_parameters=2_804_840,
        data="ferplus",
        label_names=NAMES,
        split_sizes={"train": 28_389, "validation": 60, "test": 60},
        input_size=96,
        seed=42,
        settings={"layout": "ferplus", "learning_rate": 2e-3, "mixup": 0.2},
        versions={"torch": "2.15.0", "timm": "1.0.31"},
        train_seconds=4321.0,
        evaluations={"validation": evaluate(1), "test": evaluate(2)},
        history=[],
        yardsticks=[
            Yardstick("always happy", 0.4, 1 / 3),
            Yardstick("one human tagger", 0.785, 0.70),
        ],
    )


@pytest.fixture(scope="module")
def evaluations():
    """The same test split beside people, and photographs that nobody voted on."""
    test = evaluate(2)
    labels = np.arange(60) % 3
    votes = np.full((60, 3), 1)
    votes[np.arange(60), labels] = 8
    scores = np.full((60, 3), 1 / 3)
    crowd = compare_with_crowd(test, labels, votes, np.zeros(60), scores, votes)
    here = CheckpointReport(
        model="my-fer",
        data="ferplus",
        split="test",
        label_match={name: name for name in NAMES},
        evaluation=test,
        with_flip_averaging=evaluate(3),
        crowd=crowd,
        versions={},
    )
    photos = replace(here, data="photos", split="all", evaluation=evaluate(4), crowd=None)
    return [here, photos]


def parse(card):
    _, metadata, text = card.split("---\n", 2)
    return yaml.safe_load(metadata), text


def percent(value):
    return f"{100 * value:.1f} %"


def test_the_metadata_holds_every_headline_figure_of_the_test_split(report):
    metadata, _ = parse(render_model_card(report))
    assert metadata["pipeline_tag"] == "image-classification"
    assert metadata["library_name"] == "transformers"
    assert metadata["license"] == "other"
    assert metadata["license_name"] == "fer2013-research-data"
    (model,) = metadata["model-index"]
    assert model["name"] == "my-fer"
    found = {m["type"]: m["value"] for result in model["results"] for m in result["metrics"]}
    test = report.evaluations["test"]
    for metric in ("accuracy", "balanced_accuracy", "f1_macro", "nll", "ece"):
        assert found[metric] == pytest.approx(getattr(test, metric).value, abs=1e-4)


def test_the_text_holds_figures_with_intervals_labels_settings_and_forbidden_uses(report):
    _, text = parse(render_model_card(report))
    test = report.evaluations["test"]
    for figure in (test.accuracy, test.balanced_accuracy, test.recall_per_label["fear"]):
        shown = f"{percent(figure.value)} ({100 * figure.low:.1f}–{100 * figure.high:.1f})"
        assert shown in text
    for words in (
        *("2,804,840 parameters", "random weights", "Seed 42", "72 minutes", "torch 2.15.0"),
        *("`mixup`", "96×96", "The votes are MIT".lower(), "no clear licence"),
        *("Article 5(1)(f)", "An expression is not a feeling", "78.5 %"),
    ):
        assert words.lower() in text.lower()
    for blank in ("None", "nan", "More information needed", "{{", "{%"):
        assert blank not in text


def test_people_and_pictures_from_elsewhere_appear_only_where_they_were_measured(
    report, evaluations
):
    _, without = parse(render_model_card(report))
    assert "Beside people" not in without
    assert "On other pictures" not in without
    _, text = parse(render_model_card(report, evaluations))
    here, photos = evaluations
    entropy = here.crowd.soft_cross_entropy
    assert f"{entropy.value:.3f} ({entropy.low:.3f}–{entropy.high:.3f}) nats on 60" in text
    assert percent(here.with_flip_averaging.accuracy.value) in text
    assert f"on {len(here.crowd.labels_above_tagger)} of 3 labels" in text
    assert percent(photos.evaluation.balanced_accuracy.value) in text
    assert re.search(r"photos +\| 60 +\| not known", text)
    assert describe_seen(here) in text
    assert (
        f"worth {render_worth(here.crowd.panels.worth.accuracy, here.crowd.panels)} people" in text
    )


def test_figures_of_an_exported_network_stand_by_themselves(report, evaluations):
    here, photos = (replace(one, backend="onnx-int8") for one in evaluations)
    _, text = parse(render_model_card(report, [here, photos]))
    assert "| ferplus, onnx-int8 |" in text
    assert "| photos, onnx-int8 " in text
    assert describe_seen(here) not in text  # it is a note of the figures of the checkpoint itself


def test_the_snippet_opens_the_name_asked_for_and_imports_us_only_where_needed(report):
    _, text = parse(render_model_card(report, name="you/my-fer"))
    assert 'pipeline("image-classification", model="you/my-fer")' in text
    assert "import fer_hf" not in text
    _, text = parse(render_model_card(replace(report, model_name_or_path="baseline")))
    assert "import fer_hf" in text


def test_unknown_data_is_named_and_its_licence_left_to_its_source(report):
    mine = replace(report, data="my_faces", settings={"layout": "folders"}, yardsticks=[])
    metadata, text = parse(render_model_card(mine))
    assert metadata["license"] == "other"
    assert metadata["license_name"] == "unknown"
    told = replace(mine, settings={"layout": "folders", "data_license": "cc-by-nc-4.0"})
    metadata, text = parse(render_model_card(told))
    assert metadata["license"] == "cc-by-nc-4.0"
    assert "my_faces. Licence: cc-by-nc-4.0." in text
    assert "my_faces" in text
    assert "FER" not in text.replace("fer_hf", "")
    drawn = replace(report, data="drawn", settings={"layout": "drawn"}, yardsticks=[])
    assert parse(render_model_card(drawn))[0]["license"] == "apache-2.0"


def test_a_backbone_and_data_of_the_hub_are_named_in_the_metadata(report):
    tuned = replace(
        report,
        data="you/faces",
        model_name_or_path="resnetv2",
        pretrained_on="ImageNet",
        settings={"layout": "hub", "data_license": "mit"},
    )
    metadata, _ = parse(render_model_card(tuned))
    assert metadata["base_model"] == "timm/resnetv2_50.a1h_in1k"
    assert metadata["datasets"] == ["you/faces"]
    assert metadata["license"] == "apache-2.0"
    # What knows FER+ cannot be under a free licence, whatever it was trained on afterwards.
    drawn = replace(report, data="drawn", pretrained_on="FER+", settings={"layout": "drawn"})
    metadata, _ = parse(render_model_card(drawn))
    assert metadata["license_name"] == "fer2013-research-data"
    assert "base_model" not in metadata
    # Two licences that cannot be reconciled must not cost anybody a trained model.
    data = {"layout": "folders", "data_license": "cc-by-sa-4.0"}
    convnext = {"model_name_or_path": "timm/convnextv2_atto.fcmae", "pretrained_on": "x"}
    metadata, _ = parse(render_model_card(replace(report, settings=data, **convnext)))
    assert metadata["license_name"] == "unknown"


def test_teachers_are_named(report):
    settings = {**report.settings, "teachers": ["one", "other"], "teacher_weight": 0.7}
    card = render_model_card(replace(report, settings=settings))
    assert "70 % of its training targets are the scores of one and other." in card
    assert "training targets" not in render_model_card(report)


def test_commit_and_hardware_are_told_where_they_are_known(report):
    assert "commit" not in parse(render_model_card(report))[1]
    versions = {"torch": "2.15.0", "commit": "1c7b00b", "hardware": "2 CPU cores"}
    _, text = parse(render_model_card(replace(report, versions=versions)))
    assert "72 minutes on 2 CPU cores. torch 2.15.0, fer_hf at commit 1c7b00b." in text


def test_other_models_stand_beside_it_where_they_were_compared(report):
    def measured(name, seed):
        evaluations = {split: evaluate(seed) for split in ("train", "validation", "test")}
        return replace(report, display_name=name, evaluations=evaluations)

    runs = {"/home/me/a": measured("baseline", 5), "/home/me/b": measured("my-fer", 6)}
    comparison = compare_runs(runs)
    _, text = parse(render_model_card(runs["/home/me/b"], comparison=comparison))
    assert "### Beside other models" in text
    assert "**my-fer**" in text
    accuracy = runs["/home/me/a"].evaluations["test"].accuracy
    row = next(line for line in text.splitlines() if line.startswith("| baseline"))
    assert percent(accuracy.value) in row
    assert "/home/me" not in text
    assert "Beside other models" not in parse(render_model_card(report))[1]


def test_plots_and_fingerprints_are_shown_and_explained(report):
    _, text = parse(render_model_card(report))
    assert "](confusion_matrix.png)" in text
    assert "curves.png" not in text  # there is no history
    assert "`seen.safetensors` holds a 64-bit hash of each training picture" in text
    history = [{"epoch": 1.0, "train_loss": 1.0}]
    assert "](curves.png)" in parse(render_model_card(replace(report, history=history)))[1]


def test_a_card_is_prepared_for_a_repository_and_keeps_what_somebody_wrote(report, evaluations):
    card = render_model_card(report, evaluations).replace("## Training", "Mine.\n\n## Training")
    files = ["confusion_matrix.png", "seen.safetensors"]
    found = prepare_card(card, "you/fer", "fer2013-research-data", files)
    metadata, text = parse(found)
    assert metadata["model-index"][0]["name"] == "fer"
    assert "# fer\n" in text
    assert 'model="you/fer")' in text
    assert "--model you/fer`" in text
    assert "my-fer" not in text
    assert "\nMine.\n" in text
    assert "Beside people" in text
    assert "(confusion_matrix.png)" in text
    assert "seen.safetensors" in text
    assert prepare_card(found, "you/fer", "fer2013-research-data", files) == found
    metadata, text = parse(prepare_card(card, "you/fer", "mit", []))
    assert metadata["license"] == "mit"
    assert "license_name" not in metadata
    for name in files:
        assert name not in text
    assert "\n\n\n" not in text


def test_a_card_whose_metadata_is_broken_is_refused():
    with pytest.raises(ValueError, match=r"metadata of README.md cannot be read.*fer-hf card"):
        prepare_card("---\n- a list\n---\nx", "you/fer", "mit", [])


def test_an_evaluation_of_another_checkpoint_is_refused(report, evaluations):
    other = replace(evaluations[0], evaluation=evaluate(9))
    with pytest.raises(ValueError, match=r"accuracy of .* Evaluate the checkpoint of this run"):
        render_model_card(report, [other])


def test_the_command_writes_the_card_beside_the_report(report, evaluations, tmp_path, capsys):
    run, measured = tmp_path / "run", [tmp_path / "here", tmp_path / "photos"]
    save_report(report, run)
    for folder, evaluation in zip(measured, evaluations, strict=True):
        save_checkpoint_report(evaluation, folder)
    args = ["card", str(run), "--name", "you/your-fer", "--evaluations", *map(str, measured)]
    assert cli.main(args) == 0
    assert "README.md" in capsys.readouterr().out
    card = (run / "README.md").read_text(encoding="utf-8")
    expected = render_model_card(report, evaluations, name="you/your-fer")
    assert card == leave_out_missing(expected, {"curves.png", "confusion_matrix.png"})
    assert "seen.safetensors" in expected
    assert "seen.safetensors" not in card.replace(describe_seen(evaluations[0]), "")
    assert cli.main(["card", str(tmp_path / "nowhere")]) == 2
    assert cli.main(["card", str(run), "--evaluations", str(run)]) == 2


def test_a_run_without_a_test_split_has_no_card(report):
    with pytest.raises(ValueError, match=r"'my-fer' has no figures of a test split"):
        render_model_card(replace(report, evaluations={}))
