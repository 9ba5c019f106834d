"""Slice views as the panel needs them: which slice they show, and how to show another. Main thread only."""

import numpy as np
import slicer

from .Errors import UserError


def sliceToRas(sliceNode):
    """The view's plane, a 4x4 matrix: its third column is the plane's normal, its fourth a point of it."""
    return slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())


def sliceNodes(scene):
    """All slice views of a scene."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(count)]


def shownSlice(grid, axis, scene):
    """The slice along `axis` that a view shows; None when none shows that axis."""
    for node in sliceNodes(scene):
        plane = sliceToRas(node)
        try:
            if grid.axisOfPlane(plane) == axis:
                return int(np.floor(grid.rasToIndex([plane[:3, 3]])[0][axis] + 0.5))
        except UserError:
            continue
    return None


def showPosition(ras, scene):
    """Moves every slice view to the plane through `ras`, without turning or shifting it."""
    for node in sliceNodes(scene):
        node.JumpSliceByOffsetting(*ras)
