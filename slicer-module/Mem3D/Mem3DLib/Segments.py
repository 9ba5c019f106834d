"""Segments and source volumes in MRML as arrays, and arrays as edits of segments. Main thread only.

All edits go through Slicer's own ModifySegmentByLabelmap on the small box that changes, which honours the Segment
Editor's editable area, intensity range and overwrite settings and keeps the other representations up to date.
"""

from contextlib import contextmanager, nullcontext

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from .Errors import UserError
from .Geometry import Grid
from .Regions import Region


def imageMatrix(image):
    """The 4x4 matrix from voxels (i, j, k) of a vtkOrientedImageData to its own coordinates."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def imageArray(image):
    """The voxels of an image as a view [depth, height, width]; None when it holds none."""
    scalars = image.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        return None
    width, height, depth = image.GetDimensions()
    array = numpy_support.vtk_to_numpy(scalars)
    if array.ndim > 1:
        array = array[:, 0]
    return array.reshape(depth, height, width)


def volumeVoxels(image):
    """The source volume's voxels as a view, which keeps them in memory."""
    array = imageArray(image)
    if array is None:
        raise UserError("The source volume holds no voxels. Choose another one in the Segment Editor.")
    return array


def volumeArray(array):
    """A copy of the voxels, of a type that the engine takes. No MRML: for any thread."""
    if array.dtype.name in ("int64", "uint64"):
        small = np.iinfo(np.int32).min <= array.min() and array.max() <= np.iinfo(np.int32).max
        return array.astype(np.int32 if small else np.float64)
    return array.copy()


class Lattice:
    """The segmentation's reference geometry: what masks are read into and written on.

    `local` is in the segmentation's own coordinates, `grid` in world coordinates, after its transform."""

    def __init__(self, image, segmentationNode):
        self._localMatrix = imageMatrix(image)
        self.local = Grid(self._localMatrix, image.GetExtent())
        parent = segmentationNode.GetParentTransformNode()
        toWorld = np.eye(4)
        if parent is not None:
            if not parent.IsTransformToWorldLinear():
                raise UserError(
                    "The segmentation is under a non-linear transform, which bends its slices. Harden that transform "
                    "(Data module: right-click the transform), or take the segmentation out of it."
                )
            matrix = vtk.vtkMatrix4x4()
            parent.GetMatrixTransformToWorld(matrix)
            toWorld = slicer.util.arrayFromVTKMatrix(matrix)
        self.grid = Grid(toWorld @ self._localMatrix, image.GetExtent())
        self.shape = self.grid.shape

    def __eq__(self, other):
        return isinstance(other, Lattice) and self.local == other.local and self.grid == other.grid

    def emptyImage(self, box=None):
        """An image of this geometry, without voxels, that covers `box` (or all)."""
        image = slicer.vtkOrientedImageData()
        matrix = vtk.vtkMatrix4x4()
        for row in range(4):
            for column in range(4):
                matrix.SetElement(row, column, self._localMatrix[row, column])
        image.SetGeometryFromImageToWorldMatrix(matrix)
        box = box or [(0, side) for side in self.shape]
        extent = []
        for (first, end), start in zip(reversed(box), self.local.extent[::2]):
            extent += [first + start, end - 1 + start]
        image.SetExtent(*extent)
        return image

    def imageOf(self, box, array):
        """`array` as an image on the box."""
        image = self.emptyImage(box)
        scalars = numpy_support.numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True)
        scalars.SetName("ImageScalars")
        image.GetPointData().SetScalars(scalars)
        return image

    def _offsetOf(self, image):
        """Where the image's first voxel lies, when its voxels are those of the lattice; else None."""
        step = np.linalg.inv(self._localMatrix) @ imageMatrix(image)
        shift = np.round(step[:3, 3])
        if not np.allclose(step[:3, :3], np.eye(3), atol=1e-4) or not np.allclose(step[:3, 3], shift, atol=1e-3):
            return None
        return [int(o) for o in (np.array(image.GetExtent()[::2]) + shift - self.local.extent[::2])[::-1]]

    def heldIn(self, box, image, labelValues):
        """Where, inside the box, a labelmap of any geometry holds one of these values."""
        held = np.zeros([b - a for a, b in box], bool)
        array, offset = imageArray(image), self._offsetOf(image)
        if array is None:
            return held
        if offset is None:
            for value in labelValues:
                held |= self.regionOf(image, value).crop(box) != 0
            return held
        common = [(max(a, o), min(b, o + n)) for (a, b), o, n in zip(box, offset, array.shape)]
        if all(a < b for a, b in common):
            part = array[tuple(slice(a - o, b - o) for (a, b), o in zip(common, offset))]
            into = held[tuple(slice(a - c, b - c) for (a, b), (c, _) in zip(common, box))]
            for value in labelValues:
                into |= part == value
        return held

    def regionOf(self, image, labelValue):
        """What is `labelValue` in a labelmap of any geometry."""
        array, offset = imageArray(image), self._offsetOf(image)
        if array is None:
            return Region(self.shape)
        if offset is not None:
            return Region.fromMask(array == labelValue, offset, self.shape)
        alone = slicer.vtkOrientedImageData()
        alone.DeepCopy(image)
        view = imageArray(alone)
        view[...] = view == labelValue
        resampled = slicer.vtkOrientedImageData()
        slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
            alone, self.emptyImage(), resampled, False
        )
        array = imageArray(resampled)
        if array is None:
            return Region(self.shape)
        offset = np.array(resampled.GetExtent()[::2]) - self.local.extent[::2]
        return Region.fromMask(array != 0, [int(o) for o in offset[::-1]], self.shape)


def segmentOf(segmentationNode, segmentID):
    """The segment; UserError when it is gone."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentID) if segmentationNode and segmentID else None
    if segment is None:
        raise UserError("No segment is selected. Add one in the Segment Editor, or select one.")
    return segment


def labelmapOf(segmentationNode, segmentID):
    """The labelmap that holds the segment, maybe along with others; None while the segment is empty."""
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segmentation = segmentationNode.GetSegmentation()
    if not segmentation.ContainsRepresentation(name) and segmentation.GetNumberOfSegments() > 0:
        segmentation.CreateRepresentation(name)
    return segmentOf(segmentationNode, segmentID).GetRepresentation(name)


def readSegment(segmentationNode, segmentID, lattice):
    """The segment's voxels on the lattice."""
    image = labelmapOf(segmentationNode, segmentID)
    if image is None:
        return Region(lattice.shape)
    return lattice.regionOf(image, segmentOf(segmentationNode, segmentID).GetLabelValue())


def fingerprint(segmentationNode, segmentID):
    """Changes whenever the segment's voxels may have changed."""
    image = labelmapOf(segmentationNode, segmentID)
    value = segmentOf(segmentationNode, segmentID).GetLabelValue()
    return (image.__this__, image.GetMTime(), value) if image else (None, 0, value)


def othersIn(box, editor, segmentID, lattice):
    """What other segments hold inside the box, of those that an edit of this one would take voxels from."""
    modes, mode = slicer.vtkMRMLSegmentEditorNode, editor.node().GetOverwriteMode()
    held = np.zeros([b - a for a, b in box], bool)
    if mode == modes.OverwriteNone:  # segments may overlap: none loses anything
        return held
    node = editor.segmentationNode()
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    layers = {}  # several segments may share a labelmap
    for number in range(segmentation.GetNumberOfSegments()):
        other = segmentation.GetNthSegmentID(number)
        hidden = display is not None and not display.GetSegmentVisibility(other)
        if other == segmentID or (mode == modes.OverwriteVisibleSegments and hidden):
            continue
        image = labelmapOf(node, other)
        if image is not None:
            layers.setdefault(image.__this__, (image, []))[1].append(segmentation.GetSegment(other).GetLabelValue())
    for image, values in layers.values():
        held |= lattice.heldIn(box, image, values)
    return held


@contextmanager
def _keepingMaskSegment(node):
    """While the editable area is inside of one segment, Slicer gives that segment what is erased; not in here. What is
    erased stays the same: the edited segment may be erased everywhere then."""
    modes, mode = slicer.vtkMRMLSegmentationNode, node.GetMaskMode()
    if mode != modes.EditAllowedInsideSingleSegment:
        yield
        return
    modified = node.StartModify()
    node.SetMaskMode(modes.EditAllowedEverywhere)
    try:
        yield
    finally:
        node.SetMaskMode(mode)
        node.EndModify(modified)


def writeSegment(editor, segmentID, lattice, before, after, takeFromOthers=True):
    """Turns the segment, which holds `before`, into `after` as far as the editor's settings allow; whether anything
    had to change. What other segments hold is left out unless it may be taken from them. The state before can be had
    back by Slicer's Undo."""
    changes = before.changesTo(after)
    if changes is None:
        return False
    box, added, removed = changes
    if not takeFromOthers:
        added[othersIn(box, editor, segmentID, lattice)] = 0
        if not added.any() and not removed.any():
            return False
    editor.saveStateForUndo()
    for array, add in ((removed, False), (added, True)):
        region = Region.fromMask(array)
        if region.box is not None:
            inside = [(a + o, b + o) for (a, b), (o, _) in zip(region.box, box)]
            with nullcontext() if add or takeFromOthers else _keepingMaskSegment(editor.node()):
                editor.modify(segmentID, lattice.imageOf(inside, region.array), add)
    return True
