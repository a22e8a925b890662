"""The training loss, computed by hand."""

import math

import pytest
import torch

from fer_hf.models.heads import expand_logits
from fer_hf.training.losses import compute_label_weights, compute_soft_loss, mix_batch

LOGITS = torch.tensor([[math.log(2), 0.0], [0.0, math.log(3)]])  # scores 2/3 1/3 and 1/4 3/4
LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)


def test_with_one_hot_targets_it_is_the_cross_entropy():
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    # −ln 2/3 and −ln 1/4
    expected = ((LN3 - LN2) + LN4) / 2
    assert compute_soft_loss(LOGITS, targets).item() == pytest.approx(expected)
    labels = torch.nn.functional.cross_entropy(LOGITS, torch.tensor([0, 0]))
    assert compute_soft_loss(LOGITS, targets).item() == pytest.approx(labels.item())


def test_soft_targets_weigh_the_logarithms():
    targets = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    first = 0.5 * (LN3 - LN2) + 0.5 * LN3
    second = 0.25 * LN4 + 0.75 * (LN4 - LN3)
    assert compute_soft_loss(LOGITS, targets).item() == pytest.approx((first + second) / 2)


def test_label_weights_multiply_the_terms_of_their_label():
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = compute_soft_loss(LOGITS, targets, torch.tensor([3.0, 0.5]))
    assert loss.item() == pytest.approx((3 * (LN3 - LN2) + 0.5 * (LN4 - LN3)) / 2)


def test_smoothing_spreads_its_share_over_all_labels():
    targets = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # 0.2 of it spread over two labels: 0.9 and 0.1
    first = 0.9 * (LN3 - LN2) + 0.1 * LN3
    second = 0.9 * (LN4 - LN3) + 0.1 * LN4
    loss = compute_soft_loss(LOGITS, targets, smoothing=0.2)
    assert loss.item() == pytest.approx((first + second) / 2)


def test_smoothing_is_that_of_torch():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 1])
    targets = torch.nn.functional.one_hot(labels, 4).float()
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert compute_soft_loss(logits, targets, smoothing=0.1).item() == pytest.approx(
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


def test_no_label_weights_are_none_at_all():
    assert compute_label_weights([1, 2], "none") is None
    assert compute_label_weights([0, 2], "none") is None


def test_balanced_weights_are_inverse_frequencies_of_mean_one_over_the_pictures():
    # 1/6 and 1/2; the mean over eight pictures is (6·1/6 + 2·1/2) / 8 = 1/4
    assert compute_label_weights([6, 2], "balanced") == pytest.approx([4 / 6, 2])
    assert compute_label_weights([5, 5, 5], "balanced") == pytest.approx([1, 1, 1])


def test_effective_weights_are_inverse_effective_numbers():
    # Effective numbers with β = 0.999: of 1 it is 1, of 2 it is 1.999.
    raw = [1 / 1.999, 1.0]
    mean = (2 * raw[0] + 1 * raw[1]) / 3
    assert compute_label_weights([2, 1], "effective") == pytest.approx([w / mean for w in raw])


def test_effective_weights_differ_less_than_balanced_ones_for_large_labels():
    balanced = compute_label_weights([100, 10000], "balanced")
    effective = compute_label_weights([100, 10000], "effective")
    assert balanced[0] / balanced[1] == pytest.approx(100)
    assert effective[0] / effective[1] == pytest.approx(
        (1 - 0.999**10000) / (1 - 0.999**100), rel=1e-6
    )


def test_a_label_without_pictures_has_no_weight():
    for kind in ("balanced", "effective"):
        with pytest.raises(ValueError, match=f"'{kind}', but a label has no training picture"):
            compute_label_weights([3, 0], kind)


def test_mixup_keeps_targets_that_sum_to_one_and_mixes_pictures_alike():
    torch.manual_seed(0)
    targets = torch.eye(8)
    # Pictures that carry their own target, so that the mixing of both can be compared.
    pictures = targets[:, :, None, None].expand(8, 8, 2, 2).clone()
    mixed, mixed_targets = mix_batch(pictures, targets, alpha=0.4)
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(8))
    torch.testing.assert_close(mixed[:, :, 0, 0], mixed_targets)
    assert (mixed_targets.diagonal() >= 0.5 - 1e-6).all()  # each stays mostly itself
    assert (mixed_targets.diagonal() < 1).any()
    assert (mixed_targets >= 0).all()
