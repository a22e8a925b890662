"""Hard negatives: the parts of faceless pictures in which a finder sees a face."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from fer_hf.faces.finder_cells import BRIGHTNESS, STRIDES, decode_cells, locate_cells
from fer_hf.training.finder.network import FinderNetwork

SCALES = (0.4, 0.7, 1.0, 1.6)
"""At which each picture is searched."""

AROUND = 3.0
"""Side of what is cut out, in sides of the face that is none."""


@torch.inference_mode()
def collect_mistakes(
    network: FinderNetwork, rooms: Sequence[Image.Image], *, min_score: float = 0.25
) -> list[Image.Image]:
    """Cut out what a network takes for faces.

    Args:
        network: In any mode; it is left in eval mode.
        rooms: Grey pictures without a face.
        min_score: From which score on.

    Returns:
        The likeliest face of each picture at each scale, with what is around it.
    """
    network.eval()
    found = []
    for room in tqdm(rooms, desc="mistakes", disable=None):
        for scale in SCALES:
            sides = [max(STRIDES[-1], round(side * scale) // 32 * 32) for side in room.size]
            resized = room.resize(sides, Image.Resampling.BILINEAR)
            frame = torch.from_numpy(np.array(resized.point(BRIGHTNESS), np.float32) / 255)
            values = network(frame[None, None])[0].numpy()
            best = int(values[:, 0].argmax())
            if 1 / (1 + np.exp(-values[best, 0])) < min_score:
                continue
            middles, bases = locate_cells(*sides)
            rows = slice(best, best + 1)
            (box,), _ = decode_cells(values[rows, 1:], middles[rows], bases[rows])
            reach = AROUND * max(box[2] - box[0], box[3] - box[1]) / 2
            x, y = (box[:2] + box[2:]) / 2
            part = resized.crop(
                (
                    *(round(max(0, at - reach)) for at in (x, y)),
                    *(round(min(s, at + reach)) for at, s in zip((x, y), sides, strict=True)),
                )
            )
            if min(part.size) >= STRIDES[0]:
                found.append(part)
    return found
