"""Slice views as the panel needs them: which slice they show, and how to show another. Main thread only."""

import numpy as np
import slicer

from .Errors import UserError


def sliceToRas(sliceNode):
    """The view's plane, a 4x4 matrix: its third column is the plane's normal, its fourth a point of it."""
    return slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())


def planeOf(sliceNode):
    """Equal as long as the view shows the same slice, wherever it is moved in its plane and however it is zoomed."""
    matrix = sliceToRas(sliceNode)
    normal = matrix[:3, 2]
    return tuple(np.round([*normal, normal @ matrix[:3, 3]], 3) + 0.0)


def sliceNodes(scene):
    """All slice views of a scene."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    return [scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(count)]


def visibleNodes(scene, first=None):
    """The slice views that the layout shows, the node `first` before the others."""
    nodes = [node for node in sliceNodes(scene) if node.IsMappedInLayout()]
    return sorted(nodes, key=lambda node: node is not first)


def shownSlice(grid, axis, nodes):
    """The slice along `axis` that the first of these views shows which is parallel to it; None when none is, or when
    that view lies outside of the volume."""
    for node in nodes:
        plane = sliceToRas(node)
        try:
            if grid.axisOfPlane(plane) == axis:
                number = int(np.floor(grid.rasToIndex([plane[:3, 3]])[0][axis] + 0.5))
                return number if 0 <= number < grid.shape[axis] else None
        except UserError:
            continue
    return None


def showPosition(ras, scene):
    """Moves every slice view to the plane through `ras`, without turning or shifting it."""
    for node in sliceNodes(scene):
        node.JumpSliceByOffsetting(*ras)
