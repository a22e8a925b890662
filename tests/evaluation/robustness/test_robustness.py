"""What is left of the accuracy under corruptions, by hand on pictures of one pixel."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from fer_hf.evaluation.reports.blocks import render
from fer_hf.evaluation.reports.checkpoint_sections import build_robustness
from fer_hf.evaluation.reports.evaluation_plots import plot_robustness
from fer_hf.evaluation.reports.report_files import rebuild
from fer_hf.evaluation.robustness.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from fer_hf.evaluation.robustness.measuring import (
    Robustness,
    measure_robustness,
    sample_rows,
)

PICTURES = [Image.new("L", (1, 1), level) for level in (10, 20, 30, 140, 150)]
LABELS = [0, 0, 0, 1, 1]


def classify(pictures):
    """Say label 1 of what is bright."""
    bright = np.array([picture.convert("L").getpixel((0, 0)) >= 100 for picture in pictures])
    return np.stack([~bright, bright], axis=1).astype(np.float32)


def change(picture, name, strength):
    """Lighten by 80 or darken by 45 at strength 1, by twice that at 2; or do nothing."""
    step = {"lighter": 80, "darker": -45, "nothing": 0}[name]
    return picture.point(lambda level: min(255, max(0, level + strength * step)))


def measure(pictures=PICTURES, labels=LABELS, **settings):
    names = {"corruptions": ("darker", "lighter", "nothing"), "strengths": (1, 2), **settings}
    return measure_robustness(classify, change, pictures, labels, **names)


def test_the_mean_is_over_corruptions_of_the_mean_over_strengths():
    robustness = measure()
    assert robustness.num_pictures == 5
    assert robustness.strengths == [1, 2]
    assert robustness.clean_accuracy.value == 1
    # By 80 the pictures of 20 and 30 become bright, by 160 all; by 45 the 140 becomes dark.
    lighter, darker = (robustness.per_corruption[name] for name in ("lighter", "darker"))
    assert lighter.accuracy == pytest.approx([3 / 5, 2 / 5])
    assert lighter.balanced_accuracy == pytest.approx([(1 / 3 + 1) / 2, (0 + 1) / 2])
    assert darker.accuracy == pytest.approx([4 / 5, 3 / 5])
    assert darker.balanced_accuracy == pytest.approx([(1 + 1 / 2) / 2, (1 + 0) / 2])
    assert lighter.mean_accuracy.value == pytest.approx(1 / 2)
    assert darker.mean_balanced_accuracy.value == pytest.approx(5 / 8)
    assert robustness.mean_corrupted_accuracy.value == pytest.approx((1 / 2 + 7 / 10) / 2)
    assert robustness.mean_corrupted_balanced_accuracy.value == pytest.approx(
        ((2 / 3 + 1 / 2) / 2 + 5 / 8) / 2
    )


def test_a_corruption_that_changes_nothing_is_left_out_of_the_mean():
    robustness = measure()
    assert robustness.unchanged == ["nothing"]
    assert list(robustness.per_corruption) == ["darker", "lighter"]
    alone = measure(corruptions=["nothing"])
    assert alone.mean_corrupted_accuracy.value is None
    assert alone.mean_corrupted_balanced_accuracy.value is None
    assert alone.clean_accuracy.value == 1


def test_the_interval_is_that_of_pictures_drawn_with_all_their_versions():
    # Label 0 is always right, label 1 never at strength 2: the mean of a picture is 1 or 1/2.
    pictures = [Image.new("L", (1, 1), level) for level in [10] * 200 + [170] * 200]
    robustness = measure(pictures, [0] * 200 + [1] * 200, corruptions=["darker"])
    mean = robustness.per_corruption["darker"].mean_accuracy
    assert mean.value == pytest.approx(0.75)
    margin = 1.96 * 0.25 / np.sqrt(400)
    assert (mean.low, mean.high) == pytest.approx((0.75 - margin, 0.75 + margin), abs=0.004)
    balanced = robustness.mean_corrupted_balanced_accuracy
    assert (balanced.low, balanced.value, balanced.high) == pytest.approx((0.75,) * 3)
    assert robustness.mean_corrupted_accuracy == mean


def test_batches_and_their_order_do_not_matter():
    assert measure(batch_size=2) == measure()
    backwards = measure(PICTURES[::-1], LABELS[::-1])
    assert backwards.per_corruption["lighter"].accuracy == pytest.approx([3 / 5, 2 / 5])


def test_progress_adds_up_to_every_picture_under_every_condition():
    steps = []
    measure(batch_size=2, on_progress=steps.append)
    assert sum(steps) == 5 * (1 + 3 * 2)


def test_a_result_survives_json():
    for robustness in (measure(), measure(corruptions=["nothing"])):
        text = json.dumps(robustness.to_dict(), allow_nan=False)
        assert rebuild(Robustness, json.loads(text)) == robustness


def test_the_table_begins_with_what_costs_most():
    table, note = build_robustness(measure())
    assert table.headers == ["corruption", "1", "2", "mean", "mean\nbalanced"]
    assert [row[0] for row in table.rows] == ["lighter", "darker", "mean", "clean"]
    assert table.rows[0][1:3] == ["60.0 %", "40.0 %"]
    assert table.rows[0][3].startswith("50.0 % (")
    assert table.rows[2][3].startswith("60.0 % (")
    assert note.endswith("it changes none of these pictures: nothing.")
    table, _ = build_robustness(measure(corruptions=["nothing"]))
    assert table.rows[0] == ["mean", "", "", "–", "–"]


def test_the_table_of_all_corruptions_fits_a_terminal():
    pictures = [Image.effect_noise((16, 16), 80)] * 2
    robustness = measure_robustness(
        classify, corrupt, pictures, [0, 1], corruptions=CORRUPTIONS, strengths=STRENGTHS
    )
    assert robustness.unchanged == ["grey"]
    assert max(map(len, render(build_robustness(robustness)).splitlines())) <= 90


def test_the_heat_map_has_the_figure_in_every_cell():
    figure = plot_robustness(measure(), "A model")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [
        *("60 %", "40 %", "50 %"),
        *("80 %", "60 %", "70 %"),
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lighter", "darker"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "mean"]
    assert "100.0 % clean, 60.0 % mean corrupted, 5 pictures" in axes.get_title(loc="left")


def test_a_heat_map_of_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r"\['nothing'\] changes these pictures, expected one that"
    ):
        plot_robustness(measure(corruptions=["nothing"]), "A model")


def test_a_sample_has_each_label_in_proportion_and_the_same_rows_for_a_seed():
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)[np.random.default_rng(0).permutation(100)]
    rows = sample_rows(labels, 20)
    assert np.bincount(labels[rows]).tolist() == [12, 6, 2]
    assert rows == sorted(set(rows)) == sample_rows(labels, 20)
    assert rows != sample_rows(labels, 20, seed=1)


def test_a_sample_of_all_or_more_is_all():
    assert sample_rows([0, 1, 1], 3) == sample_rows([0, 1, 1], 500) == [0, 1, 2]


def test_a_label_with_one_picture_is_no_obstacle_to_a_sample():
    assert len(sample_rows([0] * 9 + [1], 5)) == 5


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(ValueError, match="num_pictures=0, expected 1 or more"):
        sample_rows([0, 1], 0)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match=r"0 pictures and `labels` of shape \(0,\), expected one"):
        measure([], [])
    with pytest.raises(ValueError, match=r"5 pictures and `labels` of shape \(2,\)"):
        measure(labels=[0, 1])
    for wrong in ({"corruptions": []}, {"strengths": []}, {"batch_size": 0}):
        with pytest.raises(ValueError, match="expected 1 or more of each"):
            measure(**wrong)


def test_scores_that_are_no_numbers_are_refused():
    def diverged(pictures):
        return np.full((len(pictures), 2), np.nan)

    with pytest.raises(ValueError, match="expected finite numbers"):
        measure_robustness(
            diverged, change, PICTURES, LABELS, corruptions=["darker"], strengths=[1]
        )


def test_a_column_of_a_split_is_measured_as_it_is(faces):
    split = faces["test"]
    robustness = measure_robustness(
        classify,
        corrupt,
        split["image"],
        np.arange(len(split)) % 2,
        corruptions=["grey"],
        strengths=[5],
    )
    assert robustness.num_pictures == len(split)
    assert robustness.unchanged == []


def test_a_picture_from_a_file_counts_as_unchanged_too():
    files = []
    for picture in PICTURES:
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        files.append(Image.open(stream))
    assert measure(files) == measure()
