"""Simulated sessions: annotated slices with their masks, what the networks receive of them, and the next slice.

A rival never sees a stroke. Like the classical tools it receives slice masks: at test those that mem3d's interaction
network made of scribbles, boxes or extreme points, in training exact or damaged ones.
"""

import numpy as np
from scipy import ndimage

# As mem3d evaluate: the first slice has at least half of the target's largest area.
FIRST_SHARE = 0.5
# Cost of a path across the region without any change of intensity; an edge from black to white costs 1. Chosen.
EVEN = 0.3
# Regions of more voxels get their geodesic distances on every second pixel of a slice. Chosen.
MOST_VOXELS = 100_000


class Session:
    """An image on the working grid with its annotated slices.

    `image`: `[slices, rows, columns]`, f32, 0..1. `annotated`: `{slice: mask}`. `first`: DeepIGeoS' first answer,
    probabilities of the image's shape, once there is one.
    """

    def __init__(self, image, spacing_mm):
        self.image = image
        self.spacing_mm = spacing_mm
        self.annotated = {}
        self.first = None

    def seeds(self):
        """Two masks: the target and the background of the annotated slices."""
        positive = np.zeros(self.image.shape, bool)
        negative = np.zeros(self.image.shape, bool)
        for k, mask in self.annotated.items():
            positive[k] = mask
            negative[k] = ~mask
        return positive, negative

    def geodesics(self):
        """Geodesic distance to the target and to the background of the annotated slices, each 0..1."""
        return [geodesic(self.image, seeds, self.spacing_mm) for seeds in self.seeds()]


def geodesic(image, seeds, spacing_mm):
    """Geodesic distance of every voxel to `seeds`, 0..1; 1 everywhere without a seed.

    The length of a path is the integral of the gradient's magnitude plus `EVEN` for each longest side of the region
    that it crosses; a voxel's distance is that of the shortest path over its 26 neighbours (scikit-image), at most 1.
    """
    from skimage.graph import MCP_Geometric

    if not seeds.any():
        return np.ones(image.shape, np.float32)
    if image.size > MOST_VOXELS:
        coarse = ndimage.maximum_filter(seeds, (1, 2, 2), origin=(0, -1, -1))[:, ::2, ::2]
        spacing = (spacing_mm[0], 2 * spacing_mm[1], 2 * spacing_mm[2])
        found = _distance(MCP_Geometric, image[:, ::2, ::2], coarse, spacing)
        found = ndimage.zoom(found, [a / b for a, b in zip(image.shape, found.shape, strict=True)], order=1,
                             mode="nearest", grid_mode=True)  # fmt: skip
    else:
        found = _distance(MCP_Geometric, image, seeds, spacing_mm)
    found[seeds] = 0
    return found


def _distance(solver, image, seeds, spacing_mm):
    unit = np.asarray(spacing_mm, float) / max(n * s for n, s in zip(image.shape, spacing_mm, strict=True))
    squares = [np.gradient(image.astype(float), u, axis=k) ** 2 for k, u in enumerate(unit) if image.shape[k] > 1]
    cost = EVEN + np.sqrt(np.sum(squares, axis=0))
    distance, _ = solver(cost, sampling=tuple(unit)).find_costs(np.argwhere(seeds))
    return np.minimum(distance, 1).astype(np.float32)


def first_slice(target, rng):
    """A random slice with at least half of the target's largest area."""
    areas = target.sum((1, 2))
    return int(rng.choice(np.flatnonzero(areas >= max(1.0, FIRST_SHARE * areas.max()))))


def next_slice(target, mask, annotated):
    """The slice with most wrong voxels that is not annotated yet; none when all others are right."""
    wrong = (target != mask).sum((1, 2))
    wrong[list(annotated)] = 0
    return int(wrong.argmax()) if wrong.any() else None


def damaged(mask, rng):
    """A slice mask with its contour moved in and out smoothly: what an accepted mask looks like (IoU about 0.9)."""
    if not mask.any() or mask.all():
        return mask.copy()
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    side = np.sqrt(mask.sum())
    noise = ndimage.gaussian_filter(rng.normal(size=mask.shape), max(1.0, 0.15 * side))
    noise /= max(noise.std(), 1e-6)
    moved = depth + noise * rng.uniform(0.2, 1.0) * 0.05 * side > 0
    return moved if moved.any() else mask.copy()
