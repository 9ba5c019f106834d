"""What the wheels lack of the Segment Editor around an effect: the effects' factory, the editor's widget, slice views
with a mouse, and the base classes of modules. They do what Slicer's C++ does with a scripted effect, over the real
logic.

Import it after slicer_app.
"""

import importlib
import os
import sys
from types import ModuleType, SimpleNamespace

import slicer
import slicer_app
import vtk
from Mem3DLib.Editors import LogicEditor
from PySide6 import QtWidgets

EVENTS = (
    "LeftButtonPressEvent",
    "LeftButtonReleaseEvent",
    "LeftButtonDoubleClickEvent",
    "MouseMoveEvent",
    "EnterEvent",
    "KeyPressEvent",
)
# Scenes that were closed under a living editor, which takes Slicer down.
crashes = []


class ScriptedEffect(slicer_app.ScriptedEffect):
    """As Slicer makes it: empty, then given its Python file."""

    def __init__(self, parent):
        super().__init__(None)
        self.name = ""

    def setPythonSource(self, path):
        """The class is looked for in the package that is named like the file's folder."""
        package = os.path.basename(os.path.dirname(path))
        name = os.path.splitext(os.path.basename(path))[0]
        self._self = getattr(sys.modules[package], name if name.endswith("Effect") else name + "Effect")(self)
        return True

    def self(self):
        return self._self


class EffectFactory:
    def __init__(self):
        self.effects = []

    def registerEffect(self, effect):
        self.effects.append(effect)


class PlainEffect(slicer_app.ScriptedEffect):
    """Any of Slicer's own effects."""


class SegmentEditorWidget:
    """qMRMLSegmentEditorWidget."""

    def __init__(self):
        self._tags = []
        self._active = None
        self._effects = {}
        self._segmentation = None

    def setMRMLScene(self, scene):
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLScene(scene)
        self._editor = LogicEditor(self._logic)
        scene.AddObserver(scene.EndCloseEvent, self._sceneClosed)

    def _sceneClosed(self, *_):
        if self._segmentation is not None or self._tags:
            crashes.append("a scene was closed under a Segment Editor widget")
        self._segmentation, self._tags = None, []

    def setMRMLSegmentEditorNode(self, node):
        self._logic.SetSegmentEditorNode(node)
        self._effects["Paint"] = PlainEffect(self._editor)
        for registered in slicer.qSlicerSegmentEditorEffectFactory.instance().effects:
            effect = registered.self().clone()
            effect._editor = self._editor
            self._effects[effect.name] = effect
            effect.self().setupOptionsFrame()
            effect.self().setMRMLDefaults()

    def mrmlSegmentEditorNode(self):
        return self._logic.GetSegmentEditorNode()

    def setSegmentationNode(self, node):
        self._segmentation = node
        self._logic.SetSegmentationNode(node)

    def setSourceVolumeNode(self, node):
        self._logic.SetSourceVolumeNode(node)
        for name in self.availableEffectNames():
            if name != "Paint":
                self._effects[name].self().sourceVolumeNodeChanged()

    def setCurrentSegmentID(self, segmentID):
        self._editor.select(segmentID)
        if self._active:
            self._active.self().updateGUIFromMRML()

    def availableEffectNames(self):
        return list(self._effects)

    def effectByName(self, name):
        return self._effects.get(name)

    def activeEffect(self):
        return self._active

    def setActiveEffectByName(self, name):
        if self._active:
            self._active.self().deactivate()
            self.removeViewObservations()
        self._active = self._effects.get(name)
        if self._active:
            self._active.self().activate()
            self._active.self().updateGUIFromMRML()
            manager = slicer.app.layoutManager()
            for view in map(manager.sliceWidget, manager.sliceViewNames()):
                self._observe(view)

    def removeViewObservations(self):
        for interactor, tag in self._tags:
            interactor.RemoveObserver(tag)
        self._tags = []

    def _observe(self, view):
        interactor = view.interactorStyle().GetInteractor()
        for event in EVENTS:
            number = getattr(vtk.vtkCommand, event)

            def process(caller, _, number=number):
                self._active.self().processInteractionEvents(caller, number, view)

            self._tags.append((interactor, interactor.AddObserver(number, process)))

    def undo(self):
        self._logic.Undo()

    def redo(self):
        self._logic.Redo()


class View(slicer_app.SliceWidget):
    """A slice view with an interactor of its own."""

    def __init__(self, orientation):
        super().__init__(orientation)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetEnableRender(False)
        self._interactor.Enable()  # it has no window

    def interactorStyle(self):
        return SimpleNamespace(GetInteractor=lambda: self._interactor)


class LayoutManager:
    """Red, Green and Yellow."""

    ORIENTATIONS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}

    def __init__(self):
        self._views = {}

    def sliceViewNames(self):
        return tuple(self.ORIENTATIONS)

    def sliceWidget(self, name):
        view = self._views.get(name)
        if view is None or view.node.GetScene() is not slicer.mrmlScene:
            view = self._views[name] = View(self.ORIENTATIONS[name])
        return view


class Parent:
    """qSlicerScriptedLoadableModule: a module's title, category and texts."""


class Module:
    def __init__(self, parent):
        self.parent = parent


class ModuleWidget:
    def __init__(self):
        self.parent = QtWidgets.QWidget()
        self.layout = QtWidgets.QVBoxLayout(self.parent)

    def setup(self):
        pass


class SampleData:
    """The module of that name: what was registered there."""

    registered = []

    @classmethod
    def registerCustomSampleDataSource(cls, **named):
        cls.registered.append(named)


def startUp():
    """Emits startupCompleted(), as Slicer does once all modules are loaded."""
    for slot in slicer.app.connected.pop("startupCompleted()", ()):
        slot()


def complete():
    """Puts all of it where Slicer has it; gives the module Mem3D, imported."""
    slicer_app.completeApplication()
    effects = ModuleType("qSlicerSegmentationsEditorEffectsPythonQt")
    effects.qSlicerSegmentEditorScriptedEffect = ScriptedEffect
    sys.modules[effects.__name__] = effects
    factory = EffectFactory()
    slicer.qSlicerSegmentEditorEffectFactory = SimpleNamespace(instance=lambda: factory)
    slicer.qMRMLSegmentEditorWidget = SegmentEditorWidget
    layout = LayoutManager()
    slicer.app.layoutManager = lambda: layout
    slicer.app.processEvents = slicer_app.application.processEvents
    slicer.app.connected = {}
    slicer.app.connect = lambda signal, slot: slicer.app.connected.setdefault(signal, []).append(slot)
    sampleData = ModuleType("SampleData")
    sampleData.SampleDataLogic = SampleData
    sys.modules[sampleData.__name__] = sampleData
    base = ModuleType("slicer.ScriptedLoadableModule")
    base.ScriptedLoadableModule, base.ScriptedLoadableModuleWidget = Module, ModuleWidget
    base.ScriptedLoadableModuleLogic = base.ScriptedLoadableModuleTest = object
    sys.modules[base.__name__] = base
    return importlib.import_module("Mem3D")
