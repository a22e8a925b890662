"""The network that finds faces: plain convolutions, and a head for each of three strides.

Anchor-free, as CenterFace (Xu et al. 2019, arXiv:1911.03599), SCRFD (Guo et al. 2021,
arXiv:2105.04714) and YuNet (Wu, Peng and Yu 2023) are: each cell of a feature map says whether it
is in the middle of a face, and where that face and its landmarks are. These save multiplications
by depthwise convolutions, which processors run at a fraction of their speed: the few plain ones
here take as long in use, hold several times the weights, and are trained six times as fast.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from fer_hf.faces.finder_cells import NUM_VALUES, STRIDES


def _convolve(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, (size - stride + 1) // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolve(channels, channels)
        self.second = _convolve(channels, channels)[:2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.second(self.first(x)))


class FinderNetwork(nn.Module):
    """Finds faces in grey pictures.

    Args:
        channels: Of the feature maps at strides 4, 8, 16 and 32; multiples of 16 run fastest.
        neck: Channels of what the heads see.
    """

    def __init__(
        self, channels: tuple[int, int, int, int] = (32, 48, 64, 48), neck: int = 32
    ) -> None:
        super().__init__()
        self.stem = _convolve(1, channels[0], size=8, stride=4)
        self.stages = nn.ModuleList(
            nn.Sequential(_convolve(inputs, outputs, stride=2), _Block(outputs))
            for inputs, outputs in pairwise(channels)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in channels[1:])
        self.towers = nn.ModuleList(_convolve(neck, neck) for _ in STRIDES)
        heads = [nn.Conv2d(neck, NUM_VALUES, 1) for _ in STRIDES]
        for head in heads:
            nn.init.normal_(head.weight, std=0.01)
            # At first one cell in a hundred seems a face (Lin et al. 2017, arXiv:1708.02002).
            head.bias = nn.Parameter(torch.tensor([-4.6] + [0.0] * (NUM_VALUES - 1)))
        self.heads = nn.ModuleList(heads)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the values of each cell.

        Args:
            pixel_values: Of shape (N, 1, H, W), as `FaceFinder` prepares frames; sides are
                multiples of 32.

        Returns:
            Shape (N, cells, 15), the cells of the finest stride first, row by row: the logit of "a
            face", then what `decode_cells` reads.
        """
        x = self.stem(pixel_values)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        found: list[torch.Tensor] = []
        coarser: torch.Tensor | None = None
        for level in reversed(range(len(maps))):
            x = self.laterals[level](maps[level])
            if coarser is not None:
                # Lin et al. 2017, arXiv:1612.03144.
                x = x + functional.interpolate(coarser, scale_factor=2.0, mode="nearest")
            coarser = x
            found.insert(0, self.heads[level](self.towers[level](x)).flatten(2))
        return torch.cat(found, dim=2).transpose(1, 2)
