"""The training loss, computed by hand."""

import math

import pytest
import torch

from fer_hf.models.heads import expand_logits
from fer_hf.training.losses import LOSSES
from fer_hf.training.losses.cross_entropy import compute_cross_entropy
from fer_hf.training.recipes import build_parser, parse_runs
from fer_hf.training.targets import weigh_targets
from fer_hf.training.training_arguments import FerTrainingArguments

LOGITS = torch.tensor([[math.log(2), 0.0], [0.0, math.log(3)]])  # scores 2/3 1/3 and 1/4 3/4
LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)


def compute_loss(logits, targets, *args, **kwargs):
    """As the trainer computes it."""
    return compute_cross_entropy(logits, weigh_targets(targets, *args, **kwargs)).mean()


def test_with_one_hot_targets_it_is_the_cross_entropy():
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # −ln 2/3 and −ln 1/4
    expected = ((LN3 - LN2) + LN4) / 2
    assert compute_loss(LOGITS, targets).item() == pytest.approx(expected)
    labels = torch.nn.functional.cross_entropy(LOGITS, torch.tensor([0, 0]))
    assert compute_loss(LOGITS, targets).item() == pytest.approx(labels.item())


def test_soft_targets_weigh_the_logarithms():
    targets = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    first = 0.5 * (LN3 - LN2) + 0.5 * LN3
    second = 0.25 * LN4 + 0.75 * (LN4 - LN3)
    assert compute_loss(LOGITS, targets).item() == pytest.approx((first + second) / 2)


def test_label_weights_multiply_the_terms_of_their_label():
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = compute_loss(LOGITS, targets, torch.tensor([3.0, 0.5]))
    assert loss.item() == pytest.approx((3 * (LN3 - LN2) + 0.5 * (LN4 - LN3)) / 2)


def test_smoothing_spreads_its_share_over_all_labels():
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # 0.2 of it spread over two labels: 0.9 and 0.1
    first = 0.9 * (LN3 - LN2) + 0.1 * LN3
    second = 0.9 * (LN4 - LN3) + 0.1 * LN4
    loss = compute_loss(LOGITS, targets, smoothing=0.2)
    assert loss.item() == pytest.approx((first + second) / 2)


def test_smoothing_is_that_of_torch():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 1])
    targets = torch.nn.functional.one_hot(labels, 4).float()
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert compute_loss(logits, targets, smoothing=0.1).item() == pytest.approx(
        expected.item(), abs=1e-6
    )


def test_one_logit_expands_to_the_softmax_that_equals_its_sigmoid():
    logits = torch.tensor([[-2.0], [0.0], [30.0]])
    scores = expand_logits(logits).softmax(dim=1)
    torch.testing.assert_close(scores[:, 1:], logits.sigmoid())
    assert scores[1].tolist() == [0.5, 0.5]


def test_several_logits_stay_as_they_are():
    logits = torch.randn(3, 2)
    assert expand_logits(logits) is logits


# Other losses


def compute_focal_loss(logits, targets):
    """Weigh the cross-entropy by how wrong the score is (Lin et al. 2017, arXiv:1708.02002)."""
    log_scores = logits.log_softmax(dim=-1)
    return -(targets * (1 - log_scores.exp()) ** 2 * log_scores).sum(dim=-1)


def test_a_loss_with_a_name_is_offered_and_is_what_training_minimises(
    monkeypatch, fine_tune_faces, tmp_path
):
    monkeypatch.setitem(LOSSES, "focal", compute_focal_loss)
    assert "--loss {cross_entropy,focal}" in build_parser().format_help()
    (run,) = parse_runs(["--config", "baseline", "--loss", "focal"])
    assert run.training.loss == "focal"
    settings = {"num_train_epochs": 1, "learning_rate": 0.0, "augment": False}
    model = {"dropout": 0.0}
    plain = fine_tune_faces(tmp_path / "plain", model=model, **settings)
    focal = fine_tune_faces(tmp_path / "focal", model=model, **settings, loss="focal")
    assert focal.settings["loss"] == "focal"
    # Scores of eight labels are near 1/8 at first: the factor is near (7/8)².
    ratio = focal.history[0]["train_loss"] / plain.history[0]["train_loss"]
    assert ratio == pytest.approx((7 / 8) ** 2, abs=0.1)
    assert focal.history[0]["validation_loss"] == plain.history[0]["validation_loss"]


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"--loss: invalid choice: 'hinge'"):
        parse_runs(["--config", "baseline", "--loss", "hinge"])
    with pytest.raises(ValueError, match=r"`loss` is 'hinge', expected a name in .*LOSSES"):
        FerTrainingArguments(loss="hinge")
