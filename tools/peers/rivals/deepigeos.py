"""DeepIGeoS (Wang et al., 2018): P-Net segments, R-Net refines with geodesic distance maps of the interactions.

P-Net answers round 1, R-Net every later one from P-Net's answer and all interactions. Two things are not as published.
P-Net receives the distance maps of the first annotated slice, too: targets are arbitrary here, and without it nothing
marks which. And seeds are annotated slices instead of strokes.
"""

import numpy as np
import torch
from monai.networks.blocks import Convolution
from torch import nn

# Channels of every convolution; 16 is the published number.
SIZES = {"tiny": 4, "small": 16, "large": 28}
# Dilation and number of convolutions of the five blocks, as published. Slices lie farther apart than pixels and are
# fewer: their dilation is at most 4.
BLOCKS = [(1, 2), (2, 2), (4, 3), (8, 3), (16, 3)]
MOST_THROUGH_SLICES = 4


class PNet(nn.Module):
    """Dilated convolutions at full resolution; the outputs of all five blocks are classified together."""

    def __init__(self, inputs, channels):
        super().__init__()
        self.blocks = nn.ModuleList()
        for dilation, count in BLOCKS:
            spread = (min(dilation, MOST_THROUGH_SLICES), dilation, dilation)
            layers = []
            for _ in range(count):
                layers.append(Convolution(3, inputs, channels, kernel_size=3, dilation=spread, norm="INSTANCE"))
                inputs = channels
            self.blocks.append(nn.Sequential(*layers))
        self.classify = nn.Sequential(
            Convolution(3, len(BLOCKS) * channels, channels, kernel_size=1, norm=None),
            nn.Conv3d(channels, 1, 1),
        )

    def forward(self, x):
        """`x`: `[n, inputs, slices, rows, columns]`. Returns logits with one channel."""
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return self.classify(torch.cat(found, 1))


class DeepIGeoS(nn.Module):
    """The rival: P-Net and R-Net, the second trained on the first's errors."""

    parts = ("p_net", "r_net")
    multiple = least = (1, 1, 1)

    def __init__(self, size):
        super().__init__()
        # Image, distance to target and to background; R-Net also receives P-Net's probabilities.
        self.p_net = PNet(3, SIZES[size])
        self.r_net = PNet(4, SIZES[size])

    def part_for(self, session):
        """Name of the network that answers the session as it is."""
        return "p_net" if session.first is None else "r_net"

    def channels(self, session):
        """What the network receives: `[3 or 4, slices, rows, columns]`, f32, 0..1."""
        maps = [session.image, *session.geodesics()]
        return np.stack(maps if session.first is None else [*maps, session.first]).astype(np.float32)
