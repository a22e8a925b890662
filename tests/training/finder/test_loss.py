"""What the finder learns, on numbers worked out by hand."""

import numpy as np
import pytest

from fer_hf.faces.finder_cells import decode_cells, locate_cells

torch = pytest.importorskip("torch")

from fer_hf.training.finder.loss import FinderLoss, assign_cells, compute_giou  # noqa: E402
from fer_hf.training.finder.network import FinderNetwork  # noqa: E402

NAN = float("nan")


def assign(*boxes, counts=None):
    middles, bases = map(torch.from_numpy, locate_cells(128, 128))
    given = torch.tensor([[*boxes, (NAN,) * 4]], dtype=torch.float32)
    is_counted = torch.tensor([[*(counts or [True] * len(boxes)), False]])
    chosen, may_be = assign_cells(middles, bases, given, is_counted)
    return middles, bases[:, 0], chosen[0], may_be[0]


def test_cells_are_those_of_three_strides_row_by_row():
    middles, sides = locate_cells(64, 32)
    assert len(middles) == 8 * 4 + 4 * 2 + 2
    assert middles[:2].tolist() == [[4, 4], [12, 4]]
    assert middles[32].tolist() == [8, 8]
    assert middles[-1].tolist() == [48, 16]
    assert sides[[0, 32, 40], 0].tolist() == [24, 64, 192]


def test_a_small_face_belongs_to_the_cells_in_its_middle():
    middles, bases, chosen, _ = assign((20, 20, 44, 44))
    # A quarter of 24 pixels from (32, 32) on either side.
    assert middles[chosen == 0].tolist() == [[28, 28], [36, 28], [28, 36], [36, 36]]
    assert set(bases[chosen == 0].tolist()) == {24}


def test_a_face_between_two_strides_belongs_to_both_and_a_tiny_one_to_a_cell():
    _, bases, chosen, _ = assign((40, 40, 86, 86))
    assert set(bases[chosen == 0].tolist()) == {24, 64}
    middles, _, chosen, _ = assign((98, 98, 107, 107))
    assert middles[chosen == 0].tolist() == [[100, 100]]


def test_of_two_faces_a_cell_takes_the_smaller():
    middles, _, chosen, _ = assign((16, 16, 56, 56), (24, 24, 48, 48))
    assert chosen[(middles == torch.tensor([36.0, 36.0])).all(dim=1)].tolist()[0] == 1


def test_cells_in_a_face_that_does_not_count_are_neither_face_nor_none():
    middles, bases, chosen, may_be = assign((32, 32, 64, 64), counts=[False])
    assert (chosen == -1).all()
    inside = may_be & (bases == 24)
    assert middles[inside].min() == 36
    assert middles[inside].max() == 60


def test_overlap_and_generalised_overlap():
    found = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    wanted = torch.tensor([[0.0, 0, 10, 20], [20, 0, 30, 10]])
    overlap, generalised = compute_giou(found, wanted)
    assert overlap.tolist() == [0.5, 0]
    # The second pair: around them 30 × 10, of which they fill 200.
    assert generalised.tolist() == pytest.approx([0.5, -1 / 3])


def test_values_become_boxes_and_landmarks():
    values = np.zeros((1, 14), np.float32)
    values[0, :4] = (0.5, -0.25, np.log(2), 0)
    values[0, 4:6] = (1, -1)
    boxes, landmarks = decode_cells(values, np.float32([[100, 50]]), np.float32([[24]]))
    assert boxes[0].tolist() == pytest.approx([88, 32, 136, 56])
    assert landmarks[0, 0].tolist() == [124, 26]
    assert landmarks[0, 1].tolist() == [100, 50]


def test_training_makes_a_face_likelier_and_its_box_closer():
    torch.manual_seed(0)
    learner = FinderLoss(FinderNetwork((16, 16, 16, 16), 16))
    pixels = torch.zeros(2, 1, 64, 64, dtype=torch.uint8)
    pixels[0, :, 16:48, 16:48] = 255
    boxes = torch.full((2, 2, 4), NAN)
    boxes[0, 0] = torch.tensor([16.0, 16, 48, 48])
    landmarks = torch.full((2, 2, 5, 2), NAN)
    landmarks[0, 0, :2] = torch.tensor([[24.0, 28], [40, 28]])
    counts = torch.zeros(2, 2, dtype=torch.bool)
    counts[0, 0] = True
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        parts = learner(pixels, boxes, landmarks, counts)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        losses.append({name: part.item() for name, part in parts.items()})
    assert losses[-1]["loss"] == pytest.approx(
        sum(losses[-1][name] for name in ("face", "box", "landmarks"))
    )
    for name in ("face", "box", "landmarks"):
        assert losses[-1][name] < 0.5 * losses[0][name]


def test_a_batch_without_faces_has_a_loss():
    learner = FinderLoss(FinderNetwork((16, 16, 16, 16), 16))
    parts = learner(
        torch.zeros(1, 1, 64, 64, dtype=torch.uint8),
        torch.full((1, 3, 4), NAN),
        torch.full((1, 3, 5, 2), NAN),
        torch.zeros(1, 3, dtype=torch.bool),
    )
    assert parts["loss"].isfinite()
    assert parts["box"] == parts["landmarks"] == 0
