"""Nodes and a session for the tests, in the present scene: of Slicer itself, or of slicer-core's parts."""

import os
import time

import numpy as np
import slicer
import vtk
from Mem3DLib import Segments
from Mem3DLib.Editors import openEditor
from Mem3DLib.Regions import Region
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DLib.Settings import Settings

SPACING = (1, 1, 3)
STROKE = [[6, 18, 14], [6, 24, 20], [6, 30, 26]]


def rotation(degrees, axis):
    """A 4x4 rotation about an axis of RAS."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = [other for other in range(3) if other != axis]
    matrix = np.eye(4)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def ijkToRas(spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), turn=None):
    """Of a volume with i towards left and j towards the back, as scanners make them; then turned."""
    matrix = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    matrix[:3, 3] = origin
    return matrix if turn is None else turn @ matrix


def vtkMatrix(matrix):
    raw = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            raw.SetElement(row, column, matrix[row][column])
    return raw


def ball(shape=(12, 48, 40), step=(3, 1, 1), radius=12):
    """A bright ball in the middle of a dark volume."""
    z, y, x = np.ogrid[tuple(slice(-(n // 2) * s, (n - n // 2) * s, s) for n, s in zip(shape, step))]
    return np.where(x * x + y * y + z * z < radius**2, 300, 0).astype(np.int16)


def addVolume(array, ijkToRas, name="volume", transform=None):
    """A scalar volume node of the present scene."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetIJKToRASMatrix(vtkMatrix(ijkToRas))
    node.CreateDefaultDisplayNodes()
    if transform is not None:
        node.SetAndObserveTransformNodeID(transform.GetID())
    return node


def addSegmentation(volume, segments=("target",), transform=None):
    """A segmentation with empty segments, its geometry that of the volume."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    node.CreateDefaultDisplayNodes()
    if transform is not None:  # before the geometry, which is kept in the transform's own coordinates
        node.SetAndObserveTransformNodeID(transform.GetID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name in segments:
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


def addTransform(matrix):
    """A linear transform node."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "transform")
    node.SetMatrixTransformToParent(vtkMatrix(matrix))
    return node


def setVoxels(segmentation, segmentID, volume, mask):
    """Puts a mask, on the volume's grid, into a segment."""
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segmentID, volume)


def voxels(segmentation, segmentID, volume):
    """The segment as Slicer gives it on the volume's grid."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentID, volume) != 0


def randomSettings(mode="auto"):
    """Random weights (seed 1) on the CPU, one thread: fast, the same everywhere, and meaningless."""
    library = os.environ.get("MEM3D_LIBRARY", "")
    return Settings(modelPath="random:1", libraryPath=library, device="cpu", threads=1, mode=mode)


def waitFor(condition, seconds=120):
    """Lets Slicer go on until something is so; whether it became so."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.002)
    return condition()


class OneSession:
    """For test cases: one volume, one segmentation, one session on them."""

    mode = "inProcess"

    def setUp(self):
        slicer.mrmlScene.Clear()
        self.logic = None

    def tearDown(self):
        if self.logic:
            self.logic.close()

    def open(self, array=None, matrix=None, segments=("a", "b"), transform=None):
        self.array = ball() if array is None else array
        self.volume = addVolume(self.array, ijkToRas(SPACING) if matrix is None else matrix, transform=transform)
        self.segmentation = addSegmentation(self.volume, segments, transform)
        self.editor = openEditor(self.volume, self.segmentation, segments[0])
        self.logic = SessionLogic(self.editor, randomSettings(self.mode))
        return self.logic

    def ras(self, points):
        return Segments.Lattice(self.editor.sourceImage(), self.segmentation).grid.indexToRas(points)

    def held(self, segmentID="a"):
        return voxels(self.segmentation, segmentID, self.volume)

    def paint(self, segmentID, mask):
        """As Slicer's Paint and Erase do it: an edit of the segment that the logic is not notified of."""
        lattice = Segments.Lattice(self.editor.sourceImage(), self.segmentation)
        before = Segments.readSegment(self.segmentation, segmentID, lattice)
        Segments.writeSegment(self.editor, segmentID, lattice, before, Region.fromMask(mask.astype(np.uint8)))
