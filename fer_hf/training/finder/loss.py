"""What the face finder's network minimises: which cells are faces, and where these are."""

import torch
from torch import nn
from torch.nn import functional

from fer_hf.faces.finder_cells import BASE_SIDES, STRIDES, locate_cells
from fer_hf.training.finder.network import FinderNetwork

SIDE_RANGES = ((0.0, 52.0), (40.0, 128.0), (104.0, float("inf")))
"""Of each stride the longer sides of the faces that it finds, in pixels. They overlap: a face in
between is found by both."""

BOX_WEIGHT, LANDMARK_WEIGHT = 2.0, 2.5


class FinderLoss(nn.Module):
    """A network with its loss, as Trainer takes it.

    The likelihood of a face is learnt with the quality focal loss (Li et al. 2020,
    arXiv:2006.04388): where there is a face its target rises from 0.5 to 1 with the overlap of its
    box. Boxes are learnt with GIoU (Rezatofighi et al. 2019, arXiv:1902.09630), landmarks with
    smooth L1 relative to the side of the face. Which cells are in the middle of a face follows from
    its side, as in FCOS (Tian et al. 2019, arXiv:1904.01355).
    """

    def __init__(self, network: FinderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        pixel_values: torch.Tensor,
        boxes: torch.Tensor,
        landmarks: torch.Tensor,
        counts: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            pixel_values: Bytes, shape (N, 1, S, S).
            boxes: Shape (N, F, 4), NaN beyond the faces of a scene.
            landmarks: Shape (N, F, 5, 2), NaN where unknown.
            counts: Whether a face is to be found, shape (N, F); the others may be found or not.

        Returns:
            `loss`, and its three parts.
        """
        frames = pixel_values.float() / 255
        values = self.network(frames.contiguous(memory_format=torch.channels_last)).float()
        side = pixel_values.shape[-1]
        middles, bases = (torch.from_numpy(a).to(values.device) for a in locate_cells(side, side))
        chosen, may_be = assign_cells(middles, bases, boxes, counts)
        scene, cell = (chosen >= 0).nonzero(as_tuple=True)
        face = chosen[scene, cell]
        found, middle, base = values[scene, cell], middles[cell], bases[cell]
        centre, sides = middle + found[:, 1:3] * base, found[:, 3:5].clamp(-5, 5).exp() * base
        wanted = boxes[scene, face]
        overlap, generalised = compute_giou(
            torch.cat([centre - sides / 2, centre + sides / 2], dim=1), wanted
        )
        targets = torch.zeros_like(values[..., 0])
        targets[scene, cell] = 0.5 + 0.5 * overlap.detach()
        logits = values[..., 0]
        weights = (targets - logits.sigmoid()).square().detach() * ~may_be
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        num = max(1, len(face))
        parts = {
            "face": (weights * losses).sum() / num,
            "box": BOX_WEIGHT * (1 - generalised).sum() / num,
            "landmarks": LANDMARK_WEIGHT
            * self._compare_landmarks(
                middle[:, None] + found[:, 5:].reshape(-1, 5, 2) * base[:, None],
                landmarks[scene, face],
                (wanted[:, 2:] - wanted[:, :2]).amax(dim=1),
            )
            / num,
        }
        return {"loss": sum(parts.values(), torch.zeros(())), **parts}

    def _compare_landmarks(
        self, found: torch.Tensor, wanted: torch.Tensor, sides: torch.Tensor
    ) -> torch.Tensor:
        known = ~wanted.isnan()
        error = torch.where(known, found - wanted.nan_to_num(), 0) / sides[:, None, None]
        return functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.02, reduction="sum")


@torch.no_grad()
def assign_cells(
    middles: torch.Tensor, bases: torch.Tensor, boxes: torch.Tensor, counts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Say which face each cell is to find.

    Args:
        middles: Of the cells, shape (C, 2).
        bases: Their base sides, shape (C, 1).
        boxes: Shape (N, F, 4), NaN beyond the faces of a scene.
        counts: Whether a face is to be found, shape (N, F).

    Returns:
        The number of the face, -1 for none, shape (N, C); and whether the cell lies in a face that
        may be found or not, shape (N, C).
    """
    levels = (bases > bases.new_tensor(BASE_SIDES[:-1])).sum(dim=1)
    strides = bases.new_tensor(STRIDES)[levels]
    low, high = bases.new_tensor(SIDE_RANGES)[levels].T
    sides = boxes[..., 2:] - boxes[..., :2]
    longer = sides.amax(dim=-1)[:, None]  # (N, 1, F)
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    away = (middles[None, :, None] - centres[:, None]).abs()  # (N, C, F, 2)
    reach = torch.minimum(1.5 * strides[:, None], 0.25 * longer)
    reach = torch.maximum(0.5 * strides[:, None], reach)
    # NaN compares as false.
    is_its = (away.amax(dim=-1) <= reach) & (longer >= low[:, None]) & (longer < high[:, None])
    is_its &= counts[:, None]
    areas = torch.where(is_its, sides.prod(dim=-1)[:, None], torch.inf)
    smallest, chosen = areas.min(dim=-1)
    chosen = torch.where(smallest.isinf(), -1, chosen)
    is_inside = (away <= sides[:, None] / 2).all(dim=-1) & ~counts[:, None]
    return chosen, is_inside.any(dim=-1) & (chosen < 0)


def compute_giou(found: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the overlap (IoU) of pairs of boxes, and the generalised one, each of shape (N,)."""
    least, most = torch.minimum(found, wanted), torch.maximum(found, wanted)
    shared = (least[:, 2:] - most[:, :2]).clamp(min=0).prod(dim=1)
    around = (most[:, 2:] - least[:, :2]).prod(dim=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (found, wanted)]
    union = areas[0] + areas[1] - shared
    overlap = shared / union
    return overlap, overlap - (around - union) / around
