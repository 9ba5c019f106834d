"""Interactive 3D U-Net: the annotated slices' masks, concatenated with the volume, into a 3-D U-Net.

The paper's rival is nnU-Net with the interaction network's slice mask as a further channel. This is MONAI's network of
nnU-Net (DynUNet: instance norm, leaky ReLU), trained for any target instead of one organ.
"""

import numpy as np
from monai.networks.nets import DynUNet
from torch import nn

# Channels of the five levels.
SIZES = {"tiny": (4, 8, 8, 8, 8), "small": (16, 32, 64, 120, 136), "large": (28, 56, 112, 206, 236)}
STRIDES = [(1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
# Shapes are padded to multiples of the product of the strides, and so that the lowest level has several voxels, which
# its norm needs.
MULTIPLE, LEAST = (8, 16, 16), (8, 32, 32)


class Unet3d(nn.Module):
    """The rival. One network answers every round."""

    parts = ("network",)
    multiple, least = MULTIPLE, LEAST

    def __init__(self, size):
        super().__init__()
        # In: image, target and background of the annotated slices. Out: logits.
        self.network = DynUNet(
            spatial_dims=3, in_channels=3, out_channels=1, kernel_size=[3] * 5, strides=STRIDES,
            upsample_kernel_size=STRIDES[1:], filters=SIZES[size],
        )  # fmt: skip

    def part_for(self, session):
        """Name of the network that answers the session as it is."""
        return "network"

    def channels(self, session):
        """What the network receives: `[3, slices, rows, columns]`, f32, 0..1."""
        return np.stack([session.image, *session.seeds()]).astype(np.float32)
