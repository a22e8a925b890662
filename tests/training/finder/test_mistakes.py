"""What a finder takes for a face, among pictures without one, is cut out with its surroundings."""

import numpy as np
import pytest
from PIL import Image

from fer_hf.faces.finder_cells import NUM_VALUES, locate_cells

torch = pytest.importorskip("torch")

from fer_hf.training.finder.mistakes import SCALES, collect_mistakes  # noqa: E402


class SeesWhite(torch.nn.Module):
    """Takes the cell of the brightest pixel for a face of 24 pixels, if it is white."""

    def forward(self, frames):
        """Return the values of each cell."""
        height, width = frames.shape[-2:]
        middles, _ = locate_cells(width, height)
        values = torch.full((1, len(middles), NUM_VALUES), -9.0)
        values[..., 1:] = 0
        if frames.max() > 0.99:
            y, x = divmod(int(frames.argmax()), width)
            values[0, (y // 8) * (width // 8) + x // 8, 0] = 9.0
        return values


def test_what_is_taken_for_a_face_is_cut_out_at_each_scale():
    levels = np.full((160, 160), 40, np.uint8)
    levels[64:104, 64:104] = 255
    plain, spotted = Image.new("L", (160, 160), 40), Image.fromarray(levels)
    parts = collect_mistakes(SeesWhite(), [plain, spotted])
    assert len(parts) == len(SCALES)
    # Three sides of the face of 24 pixels, less where the picture ends.
    assert all(min(part.size) >= 36 and max(part.size) <= 73 for part in parts)
    assert all(np.asarray(part).max() == 255 for part in parts)


def test_without_mistakes_there_is_nothing():
    assert collect_mistakes(SeesWhite(), [Image.new("L", (90, 70), 10)]) == []
