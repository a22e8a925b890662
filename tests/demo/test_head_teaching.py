"""A head taught on a graph: a checkpoint like any other, made without torch."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from fer_hf import cli
from fer_hf.data.audit.fingerprints import compute_fingerprint, load_fingerprints
from fer_hf.data.drawn.faces import draw_face
from fer_hf.demo.head_teaching import _compute_views, open_backbone, teach_head
from fer_hf.evaluation.metrics.predictions import compute_softmax
from fer_hf.evaluation.reports.run_report import load_report
from fer_hf.inference.classifier import ExpressionClassifier
from fer_hf.inference.linear_head import fit_head
from fer_hf.models.bundled import BUNDLED_MODEL, DEFAULT_MODEL


@pytest.fixture(scope="module")
def pictures():
    return {
        label: [draw_face(emotion, size=96, seed=seed) for seed in range(8)]
        for label, emotion in (("pleased", "happy"), ("cross", "anger"), ("so so", "neutral"))
    }


@pytest.fixture(scope="module")
def taught(tmp_path_factory, pictures):
    """The folder of a head on the bundled model."""
    folder = tmp_path_factory.mktemp("taught") / "mine"
    teach_head(open_backbone(BUNDLED_MODEL), pictures, folder)
    return folder


def score(folder, picture):
    """The scores that transformers' own pipeline gives, in the order of the labels."""
    from transformers import pipeline

    names = ExpressionClassifier(str(folder)).label_names
    found = pipeline("image-classification", model=str(folder))(picture, top_k=None)
    return [next(one["score"] for one in found if one["label"] == name) for name in names]


@pytest.mark.train
def test_the_graph_the_pipeline_and_the_command_give_the_same_scores(
    taught, pictures, tmp_path, capsys
):
    picture = pictures["cross"][0]
    classifier = ExpressionClassifier(str(taught))
    assert (classifier.backend, classifier.label_names) == ("onnx", list(pictures))
    expected = score(taught, picture)
    np.testing.assert_allclose(classifier([picture])[0], expected, atol=1e-4)
    picture.save(tmp_path / "face.png")
    assert cli.main(["predict", str(tmp_path / "face.png"), "--model", str(taught)]) == 0
    assert "cross" in capsys.readouterr().out


def test_the_checkpoint_has_the_head_that_was_fitted(taught, pictures):
    everything = [picture for each in pictures.values() for picture in each]
    features, _ = _compute_views(open_backbone(BUNDLED_MODEL).network, everything)
    head = fit_head(features, np.repeat([0, 1, 2], 8))
    expected = compute_softmax(features[0] @ head.weight.T + head.bias)
    # The weights are kept in half precision, as those of the source are.
    np.testing.assert_allclose(ExpressionClassifier(str(taught))(everything), expected, atol=2e-3)


def test_all_but_the_head_and_the_labels_is_that_of_the_source(taught):
    source = open_backbone(DEFAULT_MODEL)
    before, after = (
        load_file(one / "model.safetensors") for one in (source.network.folder, taught)
    )
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert values.dtype == after[name].dtype
        if name not in source.network.head_names:
            np.testing.assert_array_equal(values, after[name])
    assert (taught / "model.onnx").read_bytes() == (
        source.network.folder / "model.onnx"
    ).read_bytes()
    config = json.loads((taught / "config.json").read_text())
    changed = {key for key, value in source.network.config.items() if config[key] != value}
    assert changed == {"label_names", "num_classes", "not_sure"}
    assert config.keys() == source.network.config.keys()
    # Eight pictures of a label are too few for a threshold of its own.
    assert set(config["not_sure"]) == {"coverage", "threshold", "conformal_threshold"}


def test_report_card_and_fingerprints_are_those_of_a_run(taught, pictures):
    report, card = load_report(taught), (taught / "README.md").read_text(encoding="utf-8")
    classifier = ExpressionClassifier(str(taught))
    assert report.num_parameters == classifier.num_parameters
    assert report.num_trainable_parameters == 3 * (256 + 1)
    assert (report.pretrained_on, report.split_sizes) == ("FER+", {"train": 24})
    assert report.evaluations["validation"].accuracy.value > 0.6
    assert "Cross-validated on all 24 pictures in 5 folds" in card
    assert "confusion_matrix.png" not in card
    seen = [compute_fingerprint(picture) for each in pictures.values() for picture in each]
    assert load_fingerprints(taught).tolist() == seen


def test_a_model_without_a_graph_gets_one_from_torch_once(baseline_run, pictures, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (source / name).write_bytes((baseline_run / name).read_bytes())
    backbone = open_backbone(str(source))
    assert open_backbone(str(source)) is backbone
    assert not (source / "model.onnx").exists()
    teach_head(backbone, pictures, tmp_path / "mine")
    classifier = ExpressionClassifier(str(tmp_path / "mine"), backend="onnx")
    assert classifier.label_names == list(pictures)
    expected = score(tmp_path / "mine", pictures["pleased"][0])
    np.testing.assert_allclose(classifier([pictures["pleased"][0]])[0], expected, atol=1e-4)


def test_without_graph_and_torch_there_is_one_line(baseline_run, monkeypatch, tmp_path):
    (tmp_path / "config.json").write_bytes((baseline_run / "config.json").read_bytes())
    monkeypatch.setattr("fer_hf.demo.head_teaching.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"no `model.onnx`.*without a graph, run: pip install"):
        open_backbone(str(tmp_path))


def test_a_network_whose_graph_cannot_be_written_is_refused_in_one_line(
    baseline_run, monkeypatch, tmp_path
):
    def fail(loaded, folder):
        raise RuntimeError("no such operator\nand a page of nodes")

    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((baseline_run / name).read_bytes())
    monkeypatch.setattr("fer_hf.publishing.graph_export.write_graph", fail)
    with pytest.raises(ValueError, match=r"none can be written \(no such operator\)"):
        open_backbone(str(tmp_path))
