"""Where a drawing lies: its axis, its slice, and its points on that slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._images import Geometry
from ._native.NativeErrors import InvalidArgumentError

AXES = ("depth", "height", "width")


def axis_number(axis: int | str) -> int:
    """0, 1 or 2 of an axis given by its number or name."""
    if axis in AXES:
        return AXES.index(str(axis))
    if isinstance(axis, (int, np.integer)) and not isinstance(axis, bool) and 0 <= axis <= 2:
        return int(axis)
    raise InvalidArgumentError(f"axis is {axis!r}; use 0 or 'depth', 1 or 'height', 2 or 'width'")


def slice_number(number: Any, axis: int, shape: Sequence[int]) -> int:
    """A slice number that the volume has."""
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or not 0 <= number < shape[axis]:
        raise InvalidArgumentError(f"slice is {number!r}; along axis {axis} use 0 to {shape[axis] - 1}")
    return int(number)


def place(
    points: npt.ArrayLike, slice: int | None, axis: int | str | None, physical: bool, geometry: Geometry
) -> tuple[int, int, npt.NDArray[np.float64]]:
    """Axis, slice and points [depth, height, width] of a drawing.

    Points may leave out the coordinate across the slice when `slice` is given. Points may be up to one voxel off the
    slice, and are moved onto it.
    """
    given = np.atleast_2d(np.asarray(points, dtype=np.float64))
    if given.ndim != 2 or given.shape[1] not in (2, 3) or len(given) == 0 or not np.isfinite(given).all():
        raise InvalidArgumentError(
            f"points is of shape {np.shape(points)}; give rows of depth, height, width (with slice=, two of them)"
        )
    if given.shape[1] == 2:
        if physical or slice is None:
            raise InvalidArgumentError("points with two coordinates are voxels of a slice: give slice=, not physical=")
        across = axis_number(0 if axis is None else axis)
        return across, slice_number(slice, across, geometry.shape), np.insert(given, across, slice, axis=1)
    voxels = geometry.to_voxels(given) if physical else given
    spread = np.ptp(voxels, axis=0)
    across = int(spread.argmin()) if axis is None else axis_number(axis)
    if slice is None:
        middle = int(np.floor((voxels[:, across].min() + voxels[:, across].max()) / 2 + 0.5))
    else:
        middle = slice
    number = slice_number(middle, across, geometry.shape)
    off = np.abs(voxels[:, across] - number).max()
    if off > 1:
        raise InvalidArgumentError(
            f"points are {off:.1f} voxels off slice {number} along axis {across}; the points of one drawing lie on one "
            "slice"
        )
    return across, number, np.column_stack([voxels[:, :across], np.full(len(voxels), number), voxels[:, across + 1 :]])
