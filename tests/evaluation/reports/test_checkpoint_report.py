"""The report of a checkpoint: people beside the model, its JSON, and its tables."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_hf.evaluation.metrics.evaluation import evaluate_scores
from fer_hf.evaluation.metrics.intervals import UNDEFINED, Estimate, estimate_share
from fer_hf.evaluation.metrics.not_sure import NotSure, soften_scores
from fer_hf.evaluation.metrics.probabilities import compute_reliability
from fer_hf.evaluation.metrics.slices import Slice
from fer_hf.evaluation.reports.blocks import render_estimate
from fer_hf.evaluation.reports.checkpoint_figures import (
    Mistake,
    compare_with_crowd,
    list_surest_mistakes,
    measure_not_sure,
)
from fer_hf.evaluation.reports.checkpoint_report import (
    CheckpointReport,
    load_checkpoint_report,
    render_side_by_side,
    save_checkpoint_report,
)
from fer_hf.evaluation.reports.checkpoint_sections import build_confusions, describe_not_sure
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.evaluation.robustness.measuring import CorruptedAccuracy, Robustness

NAMES = ["anger", "fear", "happy", "sad"]
# Forty of each label but fear; all of anger are right, half of happy, and none of sad.
LABELS = np.repeat([0, 2, 3], 40)
ANSWERS = np.concatenate([np.full(40, 0), np.repeat([2, 3], 20), np.full(40, 0)])
# People agree by 6 of 10, one of them says that there is no emotion.
VOTES = np.full((120, 4), 1.0)
VOTES[np.arange(120), LABELS] = 6


def score(answers, top=0.7):
    scores = np.full((len(answers), 4), (1 - top) / 3)
    scores[np.arange(len(answers)), answers] = top
    return scores


@pytest.fixture(scope="module")
def report():
    evaluation = evaluate_scores(score(ANSWERS), LABELS, NAMES)
    # Two more rows: one torn between two labels, one that nobody could tell.
    all_votes = np.concatenate([VOTES, [[2, 2, 0, 0], [0, 0, 0, 0]]])
    all_scores = score(np.append(ANSWERS, [0, 0]))
    return CheckpointReport(
        model="resnetv2",
        data="faces",
        split="test",
        label_match={"anger": "anger", "happiness": "happy", "sad": "sad"},
        evaluation=evaluation,
        with_flip_averaging=evaluate_scores(score(LABELS), LABELS, NAMES),
        crowd=compare_with_crowd(
            evaluation,
            LABELS,
            VOTES,
            np.ones(120),
            all_scores,
            all_votes,
            all_other_votes=np.append(np.ones(120), [0, 10]),
            crowd_scores=soften_scores(all_scores, 2.0),
        ),
        versions={"torch": "2.15.0"},
    )


@pytest.fixture(scope="module")
def whole(report):
    """The same with everything that can be measured."""
    scores, share = score(ANSWERS), Estimate(0.5, 0.4, 0.6)
    corrupted = CorruptedAccuracy([0.6, 0.4], [0.5, 0.5], share, share)
    return replace(
        report,
        num_seen=3,
        reliability=compute_reliability(scores, LABELS),
        not_sure=measure_not_sure(scores, LABELS, NAMES, NotSure(0.9, 0.6, 0.5)),
        slices={"brightness": [Slice(0, 99, 120, share)], "size": []},
        robustness=Robustness(120, [1, 2], share, share, share, share, {"fog": corrupted}, []),
        mistakes=list_surest_mistakes(scores, LABELS, NAMES),
        command="fer-hf evaluate resnetv2 --data faces",
    )


def test_people_stand_beside_the_model(report):
    crowd = report.crowd
    assert crowd.tagger.accuracy == pytest.approx(0.6)
    assert crowd.tagger_recall_per_label == {
        "anger": pytest.approx(0.6),
        "fear": None,
        "happy": pytest.approx(0.6),
        "sad": pytest.approx(0.6),
    }
    assert crowd.labels_above_tagger == ["anger"]
    assert crowd.num_voted_pictures == 121
    right = -(6 * np.log(0.7) + 3 * np.log(0.1)) / 9
    wrong = -(1 * np.log(0.7) + 8 * np.log(0.1)) / 9
    torn = -(np.log(0.7) + np.log(0.1)) / 2
    expected = (60 * right + 60 * wrong + torn) / 121
    assert crowd.soft_cross_entropy.value == pytest.approx(expected)
    shares = np.array([6, 1, 1, 1]) / 9
    entropy = (-120 * (shares * np.log(shares)).sum() + np.log(2)) / 121
    assert crowd.kl_divergence.value == pytest.approx(expected - entropy)
    assert crowd.entropy_pearson.value is None  # the scores are equally sure everywhere
    assert crowd.entropy_spearman.value is None


def test_scores_for_votes_are_measured_too(report):
    fit = report.crowd.calibrated_on_votes
    top, others = np.sqrt([0.7, 0.1]) / np.sqrt([0.7, 0.1, 0.1, 0.1]).sum()
    right = -(6 * np.log(top) + 3 * np.log(others)) / 9
    wrong = -(1 * np.log(top) + 8 * np.log(others)) / 9
    torn = -(np.log(top) + np.log(others)) / 2
    assert fit.soft_cross_entropy.value == pytest.approx((60 * right + 60 * wrong + torn) / 121)
    less = report.crowd.soft_cross_entropy.value - fit.soft_cross_entropy.value
    assert report.crowd.kl_divergence.value - fit.kl_divergence.value == pytest.approx(less)


def test_panels_stand_beside_the_model(report):
    panels = report.crowd.panels.panels
    assert [panel.size for panel in panels] == [1, 2, 3, 5, 9]
    # Six of ten remain a majority without any one of them. Of the torn picture's four votes one is
    # taken and outvoted by the two for the other label, half of the time the model's.
    assert panels[0].num_pictures == pytest.approx(121)
    assert panels[0].people.accuracy.value == pytest.approx(0.6 * 120 / 121)
    assert panels[0].model.accuracy.value == pytest.approx(60.5 / 121)
    # A panel of nine is judged by the tenth, who says no label on one picture in ten.
    assert panels[4].num_pictures == pytest.approx(120 * 0.9)
    assert report.crowd.panels.worth.accuracy.value == 0  # fewer than one


def test_a_label_is_clearly_above_only_if_its_whole_interval_is():
    # Wilson's interval of 4 of 4 begins at 0.51, that of 40 of 40 at 0.91.
    for count, clearly in ((4, []), (40, ["anger"])):
        labels = np.repeat([0, 2], count)
        votes = np.ones((2 * count, 4))
        votes[np.arange(2 * count), labels] = 6
        scores = score(np.zeros(2 * count, int))
        evaluation = evaluate_scores(scores, labels, NAMES)
        crowd = compare_with_crowd(evaluation, labels, votes, 1, scores, votes)
        assert crowd.labels_above_tagger == ["anger"]
        assert crowd.labels_clearly_above_tagger == clearly


def read_rows(text, start, end):
    """Return the first cell of each line between two texts to the other cells."""
    lines = text.split(start, 1)[1].split(end, 1)[0].splitlines()
    cells = [re.split(r"\s{2,}", line.strip()) for line in lines]
    return {name: others for name, *others in cells}


def test_the_tables_say_in_words_what_is_above(report):
    text = report.render()
    assert text.startswith("resnetv2 on faces, test: 120 pictures\n")
    assert max(map(len, text.splitlines())) <= 90
    rows = read_rows(text, "FIGURES", "PEOPLE")
    assert rows["accuracy"] == ["50.0 % (41.2–58.8)", "60.0 %", "100.0 %"]
    entropy, tempered = report.crowd.soft_cross_entropy, report.crowd.calibrated_on_votes
    assert rows["soft cross-entropy, nats *"][0].startswith(f"{entropy.value:.3f} (")
    assert rows["… for votes, nats *"][0].startswith(f"{tempered.kl_divergence.value:.3f} (")
    rows = read_rows(text, "Figures of each label", "Recall beside")
    assert rows["anger"][:2] == ["40", "100.0 %"]
    assert rows["fear"] == ["0", "–", "–", "–", "–"]
    rows = read_rows(text, "Recall beside one person's", "CONFUSIONS")
    assert rows["anger"] == ["100.0 % (91.2–100.0)", "60.0 %", "clearly above"]
    assert rows["happy"][1:] == ["60.0 %", "below"]
    assert rows["sad"][1:] == ["60.0 %", "clearly below"]
    assert rows["fear"] == ["–", "–", "–"]
    assert "happiness → happy" in text
    assert "Without pictures, so left out of averages: fear." in text
    assert "above one human tagger's on 1 of 3 labels" in text
    assert "121 pictures" in text

    rows = read_rows(text, "panel/model", "Panel and model")
    assert rows["accuracy"][0] == "60/50"
    assert rows["anger"][-1] == "> 9 (> 9 – > 9)"
    assert rows["sad"][-1] == "< 1 (< 1 – < 1)"
    assert rows["fear"][-1] == "–"
    assert rows["soft cross-entropy"][0].endswith(f"/{entropy.value:.2f}")
    assert rows["… for votes"][0].endswith(f"/{tempered.soft_cross_entropy.value:.2f}")
    assert "The model is worth less than 1 (less than 1 –" in text
    assert "Panel" not in replace(report, crowd=replace(report.crowd, panels=None)).render()


def test_without_votes_the_tables_are_silent_about_people(report):
    match = {name: name for name in NAMES}
    text = replace(report, crowd=None, label_match=match).render()
    for word in ("tagger", "soft cross-entropy", "data →", "votes"):
        assert word not in text
    assert "with flip" in text


def test_the_terminal_shows_everything_that_was_measured_in_90_columns(whole):
    text = whole.render()
    assert max(map(len, text.splitlines())) <= 90
    plain = " ".join(text.split())
    # All scores reach the threshold of 0.6, and only the sets of right answers hold the label.
    assert "answer 90 % of pictures; here it answers 100.0 % (96.9–100.0), and 50.0 %" in plain
    assert "do for 50.0 % (41.2–58.8), with 1.00 labels on average and 0 empty" in plain
    rows = read_rows(text, "Recall beside", "CONFUSIONS")
    assert rows["happy"][-2:] == ["100.0 %", "50.0 % (35.2–64.8)"]
    rows = read_rows(text, "label (pictures)", "The commonest")
    assert rows["happy (40)"] == ["·", "·", "20 (50 %)", "20 (50 %)"]
    rows = read_rows(text, "label → answer", "NOT SURE")
    assert rows["sad → anger"] == ["40", "100.0 % (91.2–100.0)"]
    assert rows["happy → sad"] == ["20", "50.0 % (35.2–64.8)"]
    assert "Seen in training: 3 of these 120 pictures, to the pixel." in plain
    assert "so not sliced by: size" in plain
    assert read_rows(text, "CORRUPTIONS", "All on")["fog"][:2] == ["60.0 %", "40.0 %"]
    rows = read_rows(text, "FIGURES", "PEOPLE")
    for name in ("Brier score", "adaptive ECE", "ROC-AUC, macro"):
        assert name in rows


def test_what_is_not_known_of_training_is_said(report):
    assert "is not known: its checkpoint has no `seen.safetensors`" in " ".join(
        report.render().split()
    )
    none = replace(report, num_seen=0).render()
    assert "Seen in training: none of these 120 pictures." in none


def test_several_data_sets_stand_side_by_side(report, whole):
    text = render_side_by_side([report, replace(whole, data="photos", split="all")])
    assert max(map(len, text.splitlines())) <= 90
    first, _, second, _ = text.splitlines()[-4:]
    assert first.split()[:5] == ["faces,", "test", "120", "?", "50.0"]
    assert second.split()[:5] == ["photos,", "all", "120", "3", "50.0"]


def test_confused_pairs_are_those_off_the_diagonal_the_commonest_first(report):
    _, table = build_confusions(report.evaluation)
    assert table.rows == [
        ["sad → anger", "40", render_estimate(estimate_share(40, 40))],
        ["happy → sad", "20", render_estimate(estimate_share(20, 40))],
    ]
    assert build_confusions(report.with_flip_averaging)[1] == "Every answer is right."


def test_the_surest_mistakes_come_first():
    scores = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    assert list_surest_mistakes(scores, [1, 1, 1, 0], ["no", "yes"]) == [
        Mistake(1, "yes", "no", 0.9),
        Mistake(3, "no", "yes", 0.9),
        Mistake(0, "yes", "no", 0.6),
    ]
    assert list_surest_mistakes(scores, [0, 0, 1, 1], ["no", "yes"]) == []
    assert len(list_surest_mistakes(scores, [1, 1, 1, 0], ["no", "yes"], most=2)) == 2


def test_what_is_answered_is_counted_per_label():
    scores = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    found = measure_not_sure(scores, [0, 0, 0, 1], ["a", "b", "c"][:2], NotSure(0.8, 0.7, 0.35))
    assert found.coverage == 0.8
    assert found.answered_per_label == {"a": estimate_share(2, 3), "b": estimate_share(1, 1)}
    assert found.answers.coverage == estimate_share(3, 4)
    assert found.answers.accuracy == estimate_share(2, 3)
    assert found.sets.overall == estimate_share(3, 4)
    assert found.sets.mean_size == 1.25
    assert found.pooled_labels is None
    nobody = measure_not_sure(scores, [0, 0, 0, 0], ["a", "b"], NotSure(0.8, 0.7, 0.35))
    assert nobody.answered_per_label["b"] == UNDEFINED


def test_sets_with_thresholds_of_their_own_say_which_labels_share_one():
    scores = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    own = NotSure(0.9, 0.7, 0.35, conformal_thresholds=[0.2, None])
    found = measure_not_sure(scores, [0, 0, 0, 1], ["a", "b"], own)
    assert found.pooled_labels == ["b"]
    assert found.sets.per_label == {"a": estimate_share(3, 3), "b": estimate_share(1, 1)}
    said = describe_not_sure(found)
    assert "for 90 % of the pictures of each label by itself (not b, with fewer than 19 " in said
    assert "by itself; here" in describe_not_sure(replace(found, pooled_labels=[]))
    assert "to hold the true one for 90 %; here" in describe_not_sure(
        replace(found, pooled_labels=None)
    )


def test_the_report_is_written_as_plain_json(report, tmp_path):
    path = save_checkpoint_report(report, tmp_path / "new" / "folder")
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(report.to_dict()))
    assert (written["kind"], written["format"]) == ("evaluation", 5)
    assert written["num_pictures"] == 120
    assert written["evaluation"]["accuracy"]["value"] == 0.5
    assert written["evaluation"]["recall_per_label"]["fear"]["value"] is None
    assert written["crowd"]["tagger"]["name"] == "one human tagger"


def test_a_report_survives_its_file(report, whole, tmp_path):
    for kept in (report, whole, replace(whole, crowd=None)):
        path = save_checkpoint_report(kept, tmp_path)
        assert load_checkpoint_report(path) == load_checkpoint_report(tmp_path) == kept


def test_what_it_ran_on_is_told_where_that_was_not_torch(report, tmp_path):
    assert report.title == "resnetv2 on faces, test"
    served = replace(report, backend="onnx-int8")
    assert served.render().startswith("resnetv2 as onnx-int8 on faces, test: 120 pictures\n")


def test_a_report_of_format_4_opens_as_one_of_torch(report, tmp_path):
    older = {**report.to_dict(), "format": 4}
    del older["backend"]
    (tmp_path / "report.json").write_text(json.dumps(older))
    assert load_checkpoint_report(tmp_path) == report


def test_the_report_of_a_run_and_this_one_are_told_apart(report, baseline_run, tmp_path):
    with pytest.raises(ValueError, match=r"kind 'run', expected the report of an evaluation"):
        load_checkpoint_report(baseline_run)
    save_checkpoint_report(report, tmp_path)
    with pytest.raises(ValueError, match=r"kind 'evaluation', expected the report of a fin"):
        load_report(tmp_path)


def test_a_report_that_was_changed_by_hand_is_refused(whole, tmp_path):
    path = save_checkpoint_report(whole, tmp_path)
    data = json.loads(path.read_text(encoding="utf-8"))
    data["not_sure"]["answers"] = None
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="has a `not_sure` that cannot be read"):
        load_checkpoint_report(tmp_path)
    shutil.rmtree(tmp_path)
    path = save_checkpoint_report(whole, tmp_path)
    del data["crowd"], data["not_sure"]
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=r"lacks \['crowd', 'not_sure'\], expected what"):
        load_checkpoint_report(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "not a fer_hf report: it lacks `format`"),
        ("[]", "not a fer_hf report: it lacks `format`"),
        ("no json", "not JSON"),
        ('{"format": 99}', "a report of kind 'run'"),
        ('{"kind": "evaluation", "format": 2}', "report format 2, expected format 5"),
    ],
)
def test_what_is_no_evaluation_is_refused(tmp_path, text, message):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ValueError, match=rf"report.json` .*{message}.* Run `fer-hf evaluate"):
        load_checkpoint_report(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere`, expected the report of an evaluation"):
        load_checkpoint_report(tmp_path / "nowhere")
