"""The parts of Slicer's application that slicer-core's wheels lack: a scene, the logics, and the globals they hang on.

All nodes, logics and `slicer.util` are Slicer's own; only what Slicer's Qt application sets up at its start is here.
"""

import tempfile
from types import SimpleNamespace

import slicer


class Headless:
    """One scene with its logics, as `slicer.mrmlScene`, `slicer.app` and `slicer.modules`."""

    def __init__(self):
        self.scene = slicer.vtkMRMLScene()
        self.application = slicer.vtkSlicerApplicationLogic()
        self.folder = tempfile.TemporaryDirectory(prefix="mem3d-slicer-")
        self._addDataManagers()
        self.application.SetMRMLScene(self.scene)
        colors = self.application.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        self.application.SetModuleLogic("Colors", colors)
        slicer.modules = SimpleNamespace()
        self.logics = {}
        for name, logicClass in (
            ("Volumes", slicer.vtkSlicerVolumesLogic),
            ("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic),
            ("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic),
            ("Markups", slicer.vtkSlicerMarkupsLogic),
            ("Models", slicer.vtkSlicerModelsLogic),
        ):
            self._addLogic(name, logicClass())
        slicer.mrmlScene = self.scene
        slicer.app = SimpleNamespace(
            processEvents=lambda *a: None,
            applicationLogic=lambda: self.application,
            mrmlScene=lambda: self.scene,
            temporaryPath=self.folder.name,
            cachePath=self.folder.name,
            pauseRender=lambda: None,
            resumeRender=lambda: None,
            layoutManager=lambda: None,
            setOverrideCursor=lambda *a: None,
            restoreOverrideCursor=lambda: None,
            testingEnabled=lambda: True,
            applicationName="Slicer",
        )

    def _addDataManagers(self):
        # Scenes in one file (.mrb) are unpacked through these.
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.GetCacheManager().SetRemoteCacheDirectory(self.folder.name)
        self._remote.SetMRMLScene(self.scene)
        self._remote.AddDataIOToScene()
        self._data = slicer.vtkDataIOManagerLogic()
        self._data.SetMRMLApplicationLogic(self.application)
        self._data.SetAndObserveDataIOManager(self._remote.GetDataIOManager())

    def _addLogic(self, name, logic):
        logic.SetMRMLApplicationLogic(self.application)
        self.application.SetModuleLogic(name, logic)
        logic.SetMRMLScene(self.scene)
        self.logics[name] = logic
        setattr(slicer.modules, name.lower(), SimpleNamespace(logic=lambda: logic, name=name))


_started = []


def start():
    """The one application of this process; its scene is `slicer.mrmlScene`."""
    if not _started:
        _started.append(Headless())
    return _started[0]
