"""What the effect needs of Slicer's Qt application, which the wheels lack: `qt` (PySide6 off-screen), the base class of
effects, `scriptedEffect` over the real Segment Editor logic, and slice views over real slice nodes. Where Slicer's
desktop differs from PySide's, they do as that does: see desktop.py, too.

Import it after headless.start(), and before anything that imports qt.
"""

import os
import sys
import threading
from types import ModuleType, SimpleNamespace

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["tests"])

qt = ModuleType("qt")
for part in (QtCore, QtGui, QtWidgets, QtUiTools):
    for name in dir(part):
        if name.startswith("Q"):
            setattr(qt, name, getattr(part, name))
sys.modules["qt"] = qt


class AbstractScriptedSegmentEditorEffect:
    def __init__(self, scriptedEffect):
        self.scriptedEffect = scriptedEffect


effects = ModuleType("SegmentEditorEffects")
effects.AbstractScriptedSegmentEditorEffect = AbstractScriptedSegmentEditorEffect
sys.modules["SegmentEditorEffects"] = effects
slicer.qSlicerSegmentEditorAbstractEffect = SimpleNamespace(ModificationModeAdd="add", ModificationModeRemove="remove")


class UserSettings:
    """A QSettings in memory."""

    def __init__(self):
        self.values = {}

    def value(self, name):
        return self.values.get(name)

    def setValue(self, name, value):
        self.values[name] = value


class _Application(QtCore.QObject):
    aboutToQuit = QtCore.Signal()


def _startupEnvironment():
    """Of the application, which is a Qt object: Slicer gives it on the main thread."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("startupEnvironment() was called on another thread")
    return dict(os.environ)


def completeApplication():
    """Adds to `slicer.app` what effects use."""
    slicer.app.settings_ = UserSettings()
    slicer.app.userSettings = lambda: slicer.app.settings_
    slicer.app.object_ = _Application()
    slicer.app.aboutToQuit = slicer.app.object_.aboutToQuit
    slicer.app.statusMessages = []
    slicer.util.startupEnvironment = _startupEnvironment
    slicer.util.showStatusMessage = lambda text, duration=0: slicer.app.statusMessages.append(text)


class ScriptedEffect:
    """qSlicerSegmentEditorScriptedEffect over a vtkSlicerSegmentEditorLogic."""

    NotConfirmed, ConfirmedWithoutDialog, ConfirmedWithDialog = range(3)

    def __init__(self, editor):
        self._editor = editor
        self.confirmation = self.ConfirmedWithoutDialog
        self.frame = QtWidgets.QWidget()
        self._layout = QtWidgets.QVBoxLayout(self.frame)
        self._layout.setContentsMargins(4, 4, 4, 4)
        self.actors = []
        self.undoStates = 0

    def parameterSetNode(self):
        return self._editor.node()

    def sourceVolumeImageData(self):
        return self._editor.sourceImage()

    def saveStateForUndo(self):
        self.undoStates += 1
        self._editor.saveStateForUndo()

    def modifySegmentByLabelmap(self, segmentationNode, segmentID, image, mode, bypassMasking=False):
        logic = self._editor.logic
        modes = {"add": logic.ModificationModeAdd, "remove": logic.ModificationModeRemove}
        logic.ModifySegmentByLabelmap(segmentationNode, segmentID, image, modes[mode], True, bypassMasking)

    def addOptionsWidget(self, widget):
        self._layout.addWidget(widget)
        self._layout.addStretch(1)

    def setParameterDefault(self, name, value):
        if self.parameterSetNode().GetAttribute(name) is None:
            self.setParameter(name, value)

    def setParameter(self, name, value):
        self.parameterSetNode().SetAttribute(name, str(value))

    def integerParameter(self, name):
        return int(float(self.parameterSetNode().GetAttribute(name)))

    def doubleParameter(self, name):
        return float(self.parameterSetNode().GetAttribute(name))

    def confirmCurrentSegmentVisible(self):
        return self.confirmation

    def addActor2D(self, viewWidget, actor):
        self.actors.append(actor)

    def removeActor2D(self, viewWidget, actor):
        self.actors.remove(actor)


class SliceView(QtWidgets.QWidget):
    """qMRMLSliceView: the view, and inside the widget with OpenGL, which gets the keys when it has the focus."""

    def __init__(self):
        super().__init__()
        self.renders = 0
        self.inside = QtWidgets.QWidget(self)
        self.inside.setFocusPolicy(QtCore.Qt.StrongFocus)

    def scheduleRender(self):
        self.renders += 1


class SliceWidget:
    """qMRMLSliceWidget: a slice node and what the effect asks of the widget around it. Views of the same `name` share
    their node."""

    def __init__(self, orientation="Axial", size=(400, 400), fieldOfViewMm=100, name=None):
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(slicer.mrmlScene)
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSliceNode")  # knows the scene's presets
        node.UnRegister(None)
        node.SetLayoutName(name or orientation)
        node.SetName(name or orientation)
        self.node = slicer.mrmlScene.AddNode(node)
        self.node.SetOrientation(orientation)
        self.node.SetMappedInLayout(True)
        self.node.SetDimensions(size[0], size[1], 1)
        self.node.SetFieldOfView(fieldOfViewMm, fieldOfViewMm * size[1] / size[0], 1)
        self.view = SliceView()

    def className(self):
        return "qMRMLSliceWidget"

    def sliceLogic(self):
        return SimpleNamespace(GetSliceNode=lambda: self.node)

    def sliceView(self):
        return self.view

    def xy(self, ras):
        """Where a position in RAS is seen."""
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), matrix)
        return [int(round(v)) for v in matrix.MultiplyPoint((*ras, 1.0))[:2]]


class Mouse:
    """Sends an effect the events of a view's interactor."""

    def __init__(self, effect, widget):
        self._effect = effect
        self._widget = widget
        self._interactor = vtk.vtkGenericRenderWindowInteractor()

    def send(self, event, xy=(0, 0), key="", shift=0):
        self._interactor.SetEventInformation(xy[0], xy[1], 0, shift, "\0", 0, key)
        number = getattr(vtk.vtkCommand, event)
        return self._effect.processInteractionEvents(self._interactor, number, self._widget)

    def drag(self, points):
        """Presses at the first position in RAS, moves over the others, releases at the last."""
        xys = [self._widget.xy(p) for p in points]
        used = [self.send("LeftButtonPressEvent", xys[0])]
        for xy in xys[1:]:
            used.append(self.send("MouseMoveEvent", xy))
        used.append(self.send("LeftButtonReleaseEvent", xys[-1]))
        return used

    def key(self, name):
        """With the mouse over the view. The key goes to whoever has the focus."""
        self.send("EnterEvent")
        if application.focusWidget() is not self._widget.sliceView().inside:
            return False
        return self.send("KeyPressEvent", key=name)


def buttons(widget):
    """The names of all that can be pressed in it, whether seen or not, except for parts of other widgets."""
    found = widget.findChildren(QtWidgets.QAbstractButton)
    names = [button.objectName() for button in found]
    return [name for name in names if name and not name.startswith("qt_")]


def pressAll(ui, names):
    """Presses these in order; gives the names."""
    for name in names:
        assert ui[name].isEnabled(), name
        ui[name].click()
    return list(names)


def processEvents(until, seconds=300):
    """Runs Qt's event loop until something is so; whether it became so."""
    loop, timer = QtCore.QEventLoop(), QtCore.QTimer()
    deadline = QtCore.QDeadlineTimer(int(seconds * 1000))
    timer.timeout.connect(lambda: loop.quit() if until() or deadline.hasExpired() else None)
    timer.start(5)
    if not until():
        loop.exec()
    return until()
