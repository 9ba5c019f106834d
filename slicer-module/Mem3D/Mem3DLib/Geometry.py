"""Where the voxels of a session lie: Slicer's RAS millimetres to [depth, height, width] indices and back.

Needs numpy only. Slicer counts voxels as (i, j, k) from the start of the image's extent and measures in RAS; the
engine counts [depth, height, width] = (k, j, i) from 0 and measures in LPS.
"""

import numpy as np

from .Errors import UserError

# A slice view may be rotated this much against the slices: at 250 mm from the centre, 2 mm out of plane.
MAX_TILT_DEGREES = 0.5
AXIS_NAMES = ("depth", "height", "width")


class Grid:
    """A lattice of voxels: `ijkToRas`, a 4x4 matrix to world coordinates, and `extent`, (i0, i1, j0, j1, k0, k1)."""

    def __init__(self, ijkToRas, extent):
        self.ijkToRas = np.array(ijkToRas, dtype=np.float64)
        self.extent = tuple(int(e) for e in extent)
        i0, i1, j0, j1, k0, k1 = self.extent
        self.shape = (k1 - k0 + 1, j1 - j0 + 1, i1 - i0 + 1)
        if min(self.shape) < 1:
            raise UserError("The segmentation's geometry holds no voxel. Choose a source volume in the Segment Editor.")
        sides = self.spacingMm()
        # Between unit vectors, so that small voxels are not taken for flat ones.
        if sides.min() == 0 or abs(np.linalg.det(self._columns() / sides[:, None])) < 1e-9:
            raise UserError("The geometry cannot be inverted. Remove the transform that flattens the volume.")
        self.rasToIjk = np.linalg.inv(self.ijkToRas)

    def __eq__(self, other):
        return (
            isinstance(other, Grid)
            and self.extent == other.extent
            and np.allclose(self.ijkToRas, other.ijkToRas, rtol=0, atol=1e-6 * min(1.0, self.spacingMm().min()))
        )

    def _columns(self):
        # One row an array axis: where its index grows, in mm.
        return self.ijkToRas[:3, 2::-1].T

    def spacingMm(self):
        """Distance of neighbouring voxels along depth, height and width."""
        return np.linalg.norm(self._columns(), axis=1)

    def directionLps(self):
        """One unit vector an array axis, in LPS."""
        return self._columns() / self.spacingMm()[:, None] * (-1.0, -1.0, 1.0)

    def originLps(self):
        """Position of voxel [0, 0, 0] in LPS."""
        return self.indexToRas([[0, 0, 0]])[0] * (-1.0, -1.0, 1.0)

    def rasToIndex(self, points):
        """Positions in RAS as continuous [depth, height, width] indices, one row a point."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
        ijk = points @ self.rasToIjk[:3, :3].T + self.rasToIjk[:3, 3]
        return (ijk - self.extent[::2])[:, ::-1]

    def indexToRas(self, indices):
        """Continuous [depth, height, width] indices as positions in RAS, one row a point."""
        ijk = np.asarray(indices, dtype=np.float64).reshape(-1, 3)[:, ::-1] + self.extent[::2]
        return ijk @ self.ijkToRas[:3, :3].T + self.ijkToRas[:3, 3]

    def sliceNormals(self):
        """One unit vector an array axis, in RAS: perpendicular to the slices cut along it, towards higher numbers."""
        normals = self.rasToIjk[2::-1, :3]
        return normals / np.linalg.norm(normals, axis=1)[:, None]

    def axisOfPlane(self, sliceToRas):
        """The array axis whose slices are parallel to a slice view."""
        normal = np.asarray(sliceToRas, dtype=np.float64)[:3, 2]
        cosines = np.abs(self.sliceNormals() @ (normal / np.linalg.norm(normal)))
        axis = int(np.argmax(cosines))
        tilt = np.degrees(np.arccos(min(1.0, cosines[axis])))
        if tilt > MAX_TILT_DEGREES:
            raise UserError(
                "This slice view is rotated %.1f degrees against the volume's slices, so that a stroke would cross "
                "several of them. Press 'Rotate to volume plane' in the view's controller, then draw again." % tilt
            )
        return axis

    def sliceOfPoints(self, indices, axis):
        """The slice number along `axis` that all points lie on."""
        along = np.asarray(indices, dtype=np.float64)[:, axis]
        ordered = np.sort(along)  # not np.median, whose first call imports for 50 ms
        number = int(np.floor((ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2 + 0.5))
        if np.ptp(along) > 1.0:
            raise UserError("The points lie on several slices. Draw on one slice at a time.")
        if not 0 <= number < self.shape[axis]:
            raise UserError("That slice lies outside of the segmentation's geometry. Draw inside the volume.")
        return number

    def onSlice(self, indices, axis, number):
        """The points moved to the middle of slice `number`, and into the volume when they lie outside of it."""
        indices = np.array(indices, dtype=np.float64).reshape(-1, 3)
        indices[:, axis] = number
        limits = np.array(self.shape, dtype=np.float64) - 1
        if np.all(np.any((indices < -0.5) | (indices > limits + 0.5), axis=1)):
            raise UserError("That lies outside of the segmentation's geometry. Draw inside the volume.")
        return np.clip(indices, 0, limits)
