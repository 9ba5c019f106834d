"""How Slicer's desktop behaves where PySide and the wheels do not: what goes on at its end, the interpreter lock, the
cursor, and its subject hierarchy. Import it after slicer_app."""

import ctypes
import time

import shiboken6
import slicer
import vtk

# The arrow of Slicer's cursor, beside which the effect's icon is drawn.
ARROW_PIXELS = 21


class DestroyedEffect:
    """What PythonQt leaves of a scripted effect that Slicer has destroyed: every call raises."""

    def __getattr__(self, name):
        def call(*_):
            raise ValueError("Trying to call '%s' on a destroyed qSlicerSegmentEditorScriptedEffect object" % name)

        return call


def quitSlicer(scriptedEffect):
    """Destroys the effect and its Qt objects, and then announces the end of Slicer, as 5.6 and 5.8 do."""
    shiboken6.delete(scriptedEffect.frame)
    scriptedEffect.__class__ = DestroyedEffect
    slicer.app.aboutToQuit.emit()


def cursorPixels(effect):
    """The width of the cursor that Slicer makes for an effect: of the arrow and the icon's first size."""
    return ARROW_PIXELS + effect.icon().availableSizes()[0].height()


def runUnderOneLock(effect, until, seconds=120):
    """Slicer's event loop while the worker is busy: it keeps the interpreter lock between two calls of the timer.
    Whether it became so; and the longest time, in seconds, that the main thread was in Python or waited for it."""
    usleep = ctypes.PyDLL(None).usleep  # unlike CDLL, it does not let go of the lock
    end, worst = time.monotonic() + seconds, 0.0
    while not until() and time.monotonic() < end:
        usleep(1000 * effect.polling.timer.interval())
        startedAt = time.monotonic()
        effect.polling.poll()
        worst = max(worst, time.monotonic() - startedAt)
    return until(), worst


class SegmentationsPlugin:
    """Of Slicer's subject hierarchy: gives segmentations that are not hidden an item, and complains at each change of
    one that has none."""

    def __init__(self, scene):
        self.complaints = []
        self._hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        scene.AddObserver(scene.NodeAddedEvent, self._added)
        scene.AddObserver(scene.NodeAboutToBeRemovedEvent, self._removed)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _added(self, scene, event, node):
        if not node.IsA("vtkMRMLSegmentationNode"):
            return
        if not node.GetHideFromEditors():
            self._hierarchy.CreateItem(self._hierarchy.GetSceneItemID(), node)
        for event in (slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentModified):
            node.AddObserver(event, self._changed)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _removed(self, scene, event, node):
        item = self._hierarchy.GetItemByDataNode(node)
        if item:
            self._hierarchy.RemoveItem(item, False, True)

    def _changed(self, node, _):
        if self._hierarchy.GetItemByDataNode(node) == 0:
            self.complaints.append("Unable to find subject hierarchy item for " + node.GetName())
