"""The grid that the rivals work on: a region of a volume, its slices first, with a limited number of voxels."""

import numpy as np
from scipy import ndimage

# Most slices, rows and columns. Chosen for two cores: 64 pixels across a target whose region is 1.5 times as large.
MOST = (64, 96, 96)
# As in mem3d (src/slice/window.rs): percentiles of the window, and the limits of CT, HU.
PERCENTILES = (0.5, 99.5)
CT_WINDOW = (-250.0, 450.0)


def windowed(image):
    """`image` with its intensity window mapped to 0..1; mem3d's rule, applied to the region alone."""
    image = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
    low, high = (float(v) for v in np.percentile(image, PERCENTILES))
    if -5000 <= image.min() <= -500 and high > CT_WINDOW[0]:
        low, high = max(low, CT_WINDOW[0]), min(high, CT_WINDOW[1])
    if low >= high:
        low, high = float(image.min()), float(image.max())
    return np.clip((image - low) / max(high - low, 1e-6), 0, 1)


def resized(array, shape):
    """`array` sampled linearly to `shape`; voxel edges stay where they are, larger steps average."""
    factors = [b / a for a, b in zip(array.shape, shape, strict=True)]
    array = np.asarray(array, np.float32)
    if all(f == 1 for f in factors):
        return array
    if min(factors) < 1:
        array = ndimage.gaussian_filter(array, [max(0.0, (1 / f - 1) / 2) for f in factors], mode="nearest")
    return ndimage.zoom(array, factors, order=1, mode="nearest", grid_mode=True)


class Grid:
    """Maps a region of a volume to the working grid and back.

    `shape` and `spacing_mm` are the region's, in the volume's order of axes; `axis` is that of the slices. In-plane
    pixels keep their proportions. Nothing is enlarged.
    """

    def __init__(self, shape, spacing_mm, axis, most=MOST):
        self.axis = axis
        order = [axis, *(k for k in range(3) if k != axis)]
        self.region = tuple(shape[k] for k in order)
        depth, rows, columns = self.region
        scale = min(1.0, most[1] / rows, most[2] / columns)
        self.shape = (min(depth, most[0]), max(1, round(rows * scale)), max(1, round(columns * scale)))
        parts = zip(order, self.region, self.shape, strict=True)
        self.spacing_mm = tuple(spacing_mm[k] * a / b for k, a, b in parts)

    def image(self, image):
        """An image of the region on the working grid, slices first, 0..1."""
        return resized(windowed(np.moveaxis(image, self.axis, 0)), self.shape)

    def mask(self, mask):
        """A mask of the region on the working grid."""
        return resized(np.moveaxis(mask, self.axis, 0), self.shape) >= 0.5

    def annotated(self, slices, masks):
        """Annotated slices `{number: mask}` of the region on the working grid; of several in one place, the last."""
        step = self.shape[0] / self.region[0]
        found = {}
        for k, mask in zip(slices, masks, strict=True):
            place = min(self.shape[0] - 1, max(0, round((k + 0.5) * step - 0.5)))
            found.pop(place, None)
            found[place] = resized(mask, self.shape[1:]) >= 0.5
        return found

    def back(self, probability):
        """The mask of the region from probabilities on the working grid."""
        return np.moveaxis(resized(probability, self.region) >= 0.5, 0, self.axis)
