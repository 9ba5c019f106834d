"""Markups of Slicer (.mrk.json) as interactions, so that files made in Slicer can drive a script.

- a curve or a line: a scribble along it
- a ROI: a box on the slice through its middle, cut along the axis in which it is thinnest
- points: each a click; or together the extreme points, when the list's name contains "extreme"

Outside of the structure is what has "negative" in the list's name, or a point whose label or description starts with
"-" or "negative". Which segment it is for is for the caller to say.
"""

from collections import namedtuple

import numpy as np
import vtk
from vtk.util import numpy_support

from .Errors import UserError
from .Native import BOX, CLICK, EXTREME_POINTS, SCRIBBLE

Interaction = namedtuple("Interaction", "kind pointsRas negative axis")


def interactionsOf(markupsNode, grid):
    """The interactions of one markups node, in world coordinates, in the order they were placed."""
    name = (markupsNode.GetName() or "").lower()
    negative = "negative" in name
    if markupsNode.IsA("vtkMRMLMarkupsROINode"):
        return [_box(markupsNode, grid, negative)]
    if markupsNode.IsA("vtkMRMLMarkupsCurveNode") or markupsNode.IsA("vtkMRMLMarkupsLineNode"):
        return [Interaction(SCRIBBLE, _curve(markupsNode), negative, None)]
    if markupsNode.IsA("vtkMRMLMarkupsFiducialNode"):
        count = markupsNode.GetNumberOfControlPoints()
        points = np.array([_worldPoint(markupsNode, n) for n in range(count)]).reshape(-1, 3)
        if "extreme" in name:
            return [Interaction(EXTREME_POINTS, points, negative, None)]
        outside = [negative or _saysNegative(markupsNode, n) for n in range(count)]
        return [Interaction(CLICK, points[n : n + 1], outside[n], None) for n in range(count)]
    raise UserError(
        "%s is a %s, which is no interaction. Use points, a curve, a line or a ROI."
        % (markupsNode.GetName(), markupsNode.GetClassName())
    )


def _worldPoint(node, index):
    position = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(index, position)
    return position


def _saysNegative(node, index):
    texts = (node.GetNthControlPointLabel(index), node.GetNthControlPointDescription(index))
    return any((text or "").strip().lower().startswith(("-", "negative")) for text in texts)


def _curve(node):
    points = node.GetCurvePointsWorld() if hasattr(node, "GetCurvePointsWorld") else None
    if points is not None and points.GetNumberOfPoints() > 1:
        return numpy_support.vtk_to_numpy(points.GetData()).astype(np.float64)
    return np.array([_worldPoint(node, n) for n in range(node.GetNumberOfControlPoints())])


def _box(node, grid, negative):
    size = node.GetSize()
    toWorld = vtk.vtkMatrix4x4()
    toWorld.DeepCopy(node.GetObjectToWorldMatrix())
    corners = []
    for x in (-0.5, 0.5):
        for y in (-0.5, 0.5):
            for z in (-0.5, 0.5):
                corners.append(toWorld.MultiplyPoint((x * size[0], y * size[1], z * size[2], 1.0))[:3])
    indices = grid.rasToIndex(corners)
    low, high = indices.min(axis=0), indices.max(axis=0)
    axis = int(np.argmin((high - low) * grid.spacingMm()))
    middle = (low[axis] + high[axis]) / 2
    low[axis] = high[axis] = middle
    return Interaction(BOX, grid.indexToRas([low, high]), negative, axis)
