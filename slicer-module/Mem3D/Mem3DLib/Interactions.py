"""Markups of Slicer (.mrk.json) as interactions, so that files made in Slicer can drive a script.

The rules are those of the command (docs/interactions.md, "Markups of 3D Slicer"): parseName() gives segment and sign of
a name, interactionsOf() what a markup stands for.
"""

import re
from collections import namedtuple

import numpy as np
import vtk

from .Errors import UserError
from .Native import BOX, CLICK, EXTREME_POINTS, SCRIBBLE

Interaction = namedtuple("Interaction", "kind pointsRas negative axis")
Named = namedtuple("Named", "segment negative extreme")

_ENDING = re.compile(r"(?:(?:^|[\s_.-])(?:(negative)|(extreme(?:[ _-]?points)?))|_\d+|(-))$", re.IGNORECASE)


def parseName(name, case=""):
    """Segment and sign of a markup's name, as src/interactions/markups.rs (tests/golden/markup_names.csv has examples).
    `case`: name of the volume, with which names of files may start."""
    found = case and nameOfCase(name, case)
    if found:
        return found
    named = _withoutEndings(name)
    return named if named.segment else named._replace(segment="Segment")


def nameOfCase(name, case):
    """The same for the name of a file that begins with that of its volume; None for a file of no such name."""
    if not name.startswith(case):
        return None
    rest = name[len(case) :]
    named = _withoutEndings(rest)
    if not named.segment.strip(" \t_.-") and not rest[:1].isalnum():
        return named._replace(segment=case)
    return parseName(rest[1:]) if rest.startswith("_") else None


def _withoutEndings(name):
    name, negative, extreme = name.strip(), False, False
    while True:
        ending = _ENDING.search(name)
        if ending is None:
            return Named(name, negative, extreme)
        negative = negative or bool(ending[1] or ending[3])
        extreme = extreme or bool(ending[2])
        name = name[: ending.start()].rstrip(" \t_.-")


def interactionsOf(markupsNode, grid, named=None):
    """The interactions of one markups node, in world coordinates, in the order they were placed. `named`: what its name
    means, from parseName(); by default that of the node's own name. Points that are not placed are passed over.

    Raises UserError for a kind of markups that is no interaction, and when points are there but none is placed.
    """
    _, negative, extreme = named or parseName(markupsNode.GetName() or "")
    placed = [n for n in range(markupsNode.GetNumberOfControlPoints()) if _isPlaced(markupsNode, n)]
    if not placed and markupsNode.GetNumberOfControlPoints():
        name = markupsNode.GetName()
        raise UserError("None of the control points of %s is placed. Place them in Slicer and save it again." % name)
    if markupsNode.IsA("vtkMRMLMarkupsROINode"):
        return [_box(markupsNode, grid, negative)]
    if markupsNode.IsA("vtkMRMLMarkupsCurveNode") or markupsNode.IsA("vtkMRMLMarkupsLineNode"):
        return [Interaction(SCRIBBLE, _curve(markupsNode, placed), negative, None)]
    if markupsNode.IsA("vtkMRMLMarkupsFiducialNode"):
        points = np.array([_worldPoint(markupsNode, n) for n in placed]).reshape(-1, 3)
        if extreme:
            return [Interaction(EXTREME_POINTS, points, negative, None)]
        outside = [_isNegative(markupsNode, n, negative) for n in placed]
        return [Interaction(CLICK, points[k : k + 1], outside[k], None) for k in range(len(placed))]
    raise UserError(
        "%s is a %s, which is no interaction. Use points, a curve, a line or a ROI."
        % (markupsNode.GetName(), markupsNode.GetClassName())
    )


def _isPlaced(node, index):
    return node.GetNthControlPointPositionStatus(index) == node.PositionDefined


def _worldPoint(node, index):
    position = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(index, position)
    return position


def _isNegative(node, index, ofList):
    word = re.match(r"\s*(negative|positive)\b", node.GetNthControlPointDescription(index) or "", re.IGNORECASE)
    if word:
        return word[1].lower() == "negative"
    return ofList or parseName(node.GetNthControlPointLabel(index) or "").negative


def _curve(node, placed):
    points = [_worldPoint(node, n) for n in placed]
    if node.IsA("vtkMRMLMarkupsClosedCurveNode") and len(points) > 2:
        points.append(points[0])
    return np.array(points).reshape(-1, 3)


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
    axis = int(np.argmin(np.round(high - low, 6)))
    middle = (low[axis] + high[axis]) / 2
    low[axis] = high[axis] = middle
    return Interaction(BOX, grid.indexToRas([low, high]), negative, axis)
