"""What is learnt from a picture: label weights and mixed targets, computed by hand."""

import pytest
import torch

from fer_hf.training.targets import compute_label_weights, mix_batch


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
