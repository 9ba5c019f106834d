"""Builds a rival by name and size, answers a session with it, and counts parameters and multiplications.

    python -m rivals.models
"""

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from .deepigeos import DeepIGeoS
from .grid import MOST
from .interactions import Session
from .unet3d import Unet3d

RIVALS = {"unet3d": Unet3d, "deepigeos": DeepIGeoS}
SIZES = ("small", "large", "tiny")
# Slices of the round that costs are given for.
ROUND_SLICES = 100


def build(rival, size):
    """A rival with random weights."""
    return RIVALS[rival](size)


def padded(shape, rival):
    """`shape` rounded up to the rival's multiples, and at least its smallest input."""
    parts = zip(shape, rival.multiple, rival.least, strict=True)
    return tuple(max(least, -(-n // m) * m) for n, m, least in parts)


def received(rival, session):
    """What a rival receives of a session, its border repeated at the end of each axis up to a shape that it takes."""
    x = torch.from_numpy(rival.channels(session))[None]
    more = [b - a for a, b in zip(x.shape[2:], padded(x.shape[2:], rival), strict=True)]
    return torch.nn.functional.pad(x, [n for m in reversed(more) for n in (0, m)], mode="replicate")


def cut(found, session):
    """The voxels of the session's image."""
    depth, rows, columns = session.image.shape
    return found[..., :depth, :rows, :columns]


def logits(rival, session):
    """Logits of the network that answers `session`, with gradients: `[1, 1, slices, rows, columns]`."""
    return cut(getattr(rival, rival.part_for(session))(received(rival, session)), session)


@torch.inference_mode()
def answer(rival, session, window=MOST):
    """Probabilities `[slices, rows, columns]` for a session; regions beyond `window` are answered in pieces."""
    x = received(rival, session)
    window = tuple(min(a, b) for a, b in zip(x.shape[2:], padded(window, rival), strict=True))
    network = getattr(rival, rival.part_for(session))
    found = sliding_window_inference(x, window, 1, network, overlap=0.5, mode="gaussian")
    probability = cut(torch.sigmoid(found), session)[0, 0].numpy()
    if session.first is None and "r_net" in rival.parts:
        session.first = probability
    return probability


def parameters(module):
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters())


@torch.inference_mode()
def round_gmac(rival, part):
    """Multiplications of a part for `ROUND_SLICES` slices of the working grid's size, in 1e9."""
    from torch.utils.flop_counter import FlopCounterMode

    session = Session(np.zeros((8, *MOST[1:]), np.float32), (1, 1, 1))
    session.first = session.image if part == "r_net" else None
    counter = FlopCounterMode(display=False)
    with counter:
        logits(rival, session)
    return counter.get_total_flops() / 2e9 * ROUND_SLICES / 8


def main():
    for name in RIVALS:
        for size in SIZES[:2]:
            rival = build(name, size)
            costs = ", ".join(f"{part} {round_gmac(rival, part):.0f}" for part in rival.parts)
            print(f"{name} {size}: {parameters(rival) / 1e6:.2f} million parameters; GMAC a round: {costs}")


if __name__ == "__main__":
    main()
