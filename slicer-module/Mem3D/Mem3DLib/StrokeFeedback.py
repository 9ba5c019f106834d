"""What is being drawn, over the slice views: a line, a rectangle or crosses, in yellow (inside) or blue (outside)."""

import numpy as np
import slicer
import vtk

from .Native import BOX, SCRIBBLE

INSIDE_COLOR = (1.0, 0.85, 0.1)
OUTSIDE_COLOR = (0.2, 0.6, 1.0)
CROSS_PIXELS = 5


def xyToRas(sliceNode, xy):
    """A position in a slice view as a position in RAS."""
    return np.array(sliceNode.GetXYToRAS().MultiplyPoint((xy[0], xy[1], 0.0, 1.0))[:3])


def rasToXy(sliceNode, points):
    """Positions in RAS as positions in a slice view, one row a point."""
    matrix = np.linalg.inv(slicer.util.arrayFromVTKMatrix(sliceNode.GetXYToRAS()))
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    return (points @ matrix[:3, :3].T + matrix[:3, 3])[:, :2]


class StrokeFeedback:
    """One actor a slice view, added by `scriptedEffect`."""

    def __init__(self, scriptedEffect):
        self._effect = scriptedEffect
        self._actors = {}

    def show(self, viewWidget, kind, points, negative):
        """Shows the gesture's points, positions in RAS, in that view and in no other."""
        self.clear(viewWidget)
        actor, data = self._actors.get(viewWidget) or self._add(viewWidget)
        sliceNode = viewWidget.sliceLogic().GetSliceNode()
        corners, lines = _outline(kind, rasToXy(sliceNode, points)) if len(points) else ([], [])
        vtkPoints, cells = vtk.vtkPoints(), vtk.vtkCellArray()
        for x, y in corners:
            vtkPoints.InsertNextPoint(x, y, 0.0)
        for line in lines:
            cells.InsertNextCell(len(line))
            for index in line:
                cells.InsertCellPoint(index)
        data.SetPoints(vtkPoints)
        data.SetLines(cells)
        data.Modified()
        actor.GetProperty().SetColor(*(OUTSIDE_COLOR if negative else INSIDE_COLOR))
        viewWidget.sliceView().scheduleRender()

    def clear(self, exceptIn=None):
        for viewWidget, (_, data) in self._actors.items():
            if viewWidget != exceptIn and data.GetNumberOfPoints():
                data.Initialize()
                viewWidget.sliceView().scheduleRender()

    def close(self):
        for viewWidget, (actor, _) in self._actors.items():
            self._effect.removeActor2D(viewWidget, actor)
        self._actors = {}

    def _add(self, viewWidget):
        data, mapper, actor = vtk.vtkPolyData(), vtk.vtkPolyDataMapper2D(), vtk.vtkActor2D()
        mapper.SetInputData(data)
        actor.SetMapper(mapper)
        actor.GetProperty().SetLineWidth(2)
        self._effect.addActor2D(viewWidget, actor)
        self._actors[viewWidget] = (actor, data)
        return actor, data


def _outline(kind, xy):
    if kind == SCRIBBLE:
        return xy, [range(len(xy))]
    if kind == BOX and len(xy) == 2:
        (left, bottom), (right, top) = xy
        return [(left, bottom), (right, bottom), (right, top), (left, top)], [(0, 1, 2, 3, 0)]
    corners, lines = [], []
    for x, y in xy:
        for dx, dy in ((1, 0), (0, 1)):
            lines.append((len(corners), len(corners) + 1))
            corners += [(x - dx * CROSS_PIXELS, y - dy * CROSS_PIXELS), (x + dx * CROSS_PIXELS, y + dy * CROSS_PIXELS)]
    return corners, lines
