"""Mouse and keys in slice views: what they draw, seen while it is drawn, and handed over when it is done. Main thread
only."""

import vtk

from . import KeyFocus, SliceViews
from .Gesture import Gesture
from .StrokeFeedback import StrokeFeedback, xyToRas


class Drawing:
    """`host` has scriptedEffect, panel, options(), mayDraw(), interact(points, sliceToRas), showPointCount(count),
    showState() and apply(). `viewNode`: of the slice view that the mouse was in last."""

    def __init__(self, host):
        self._host = host
        self.gesture = Gesture()
        self.viewNode = None
        self._feedback = StrokeFeedback(host.scriptedEffect)

    def process(self, interactor, eventId, viewWidget):
        """Takes a slice view's event; whether it was one of ours."""
        node = viewWidget.sliceLogic().GetSliceNode()
        if eventId == vtk.vtkCommand.EnterEvent:
            self.viewNode = node
            KeyFocus.takeKeys(viewWidget, self._host.panel.widget)
            self._host.showState()
            return False
        if eventId == vtk.vtkCommand.KeyPressEvent:
            return self._keyPressed(interactor.GetKeySym())
        if eventId == vtk.vtkCommand.LeftButtonDoubleClickEvent:
            return True  # two quick clicks are drawn; they must not make the view fill the window
        xy = interactor.GetEventPosition()
        if eventId == vtk.vtkCommand.LeftButtonPressEvent:
            if interactor.GetShiftKey() or interactor.GetControlKey() or interactor.GetAltKey():
                return False
            if not self._host.mayDraw():
                return True
            self.viewNode = node
            self.gesture.press(viewWidget, SliceViews.planeOf(node), xy, xyToRas(node, xy))
        elif not self.gesture.dragging:
            return False
        elif eventId == vtk.vtkCommand.MouseMoveEvent:
            self.gesture.move(xy, xyToRas(node, xy))
        elif eventId == vtk.vtkCommand.LeftButtonReleaseEvent:
            points = self.gesture.release(xy, xyToRas(node, xy))
            if points:
                self._host.interact(points, SliceViews.sliceToRas(node))
            elif self.gesture.points:
                self._host.showPointCount(len(self.gesture.points))
        else:
            return False
        self.show()
        return True

    def _keyPressed(self, key):
        if key == "n":
            self._host.panel.toggleNegative()
        elif key == "x" and self.gesture.removeLast():
            self._host.showPointCount(len(self.gesture.points))
            self.show()
        elif key == "Return":
            self._host.apply()
        else:
            return False
        return True

    def setKind(self, kind):
        self.gesture.setKind(kind)
        self.show()

    def show(self):
        """Shows what is being drawn where the view has it now; nothing while the view shows another slice."""
        view = self.gesture.view
        if view is None:
            self._feedback.clear()
            return
        seen = self.gesture.plane in (None, SliceViews.planeOf(view.sliceLogic().GetSliceNode()))
        points = self.gesture.points if seen else []
        self._feedback.show(view, self.gesture.kind, points, self._host.options()["negative"])

    def close(self):
        self.gesture.clear()
        self._feedback.close()
