"""The Segment Editor as the logic sees it, over each of Slicer's doors to it. Main thread only.

All have node(), segmentationNode(), volumeNode(), selectedSegmentID(), sourceImage(), saveStateForUndo(), modify() and
close(); those for scripts also select(), undo() and redo().
"""

import slicer

from .Ending import endAll


def openEditor(volumeNode, segmentationNode, segmentID=None):
    """For scripts, on nodes of one scene; the first segment is selected unless `segmentID` is given."""
    if hasattr(slicer, "vtkSlicerSegmentEditorLogic"):
        return LogicEditor.create(volumeNode, segmentationNode, segmentID)
    return WidgetEditor.create(volumeNode, segmentationNode, segmentID)


def _addEditorNode(scene):
    # One of its own, which is not saved with the scene.
    node = slicer.vtkMRMLSegmentEditorNode()
    node.SetName("Mem3D segment editor")
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    return scene.AddNode(node)


def _removeEditorNode(node):
    if node is not None and node.GetScene() is not None:
        node.GetScene().RemoveNode(node)


class LogicEditor:
    """Over a vtkSlicerSegmentEditorLogic, which Slicer has from 5.10 on."""

    def __init__(self, logic):
        self.logic = logic

    @classmethod
    def create(cls, volumeNode, segmentationNode, segmentID=None):
        scene = segmentationNode.GetScene()
        logic = slicer.vtkSlicerSegmentEditorLogic()
        logic.SetMRMLScene(scene)
        logic.SetSegmentEditorNode(_addEditorNode(scene))
        logic.SetSegmentationNode(segmentationNode)
        logic.SetSourceVolumeNode(volumeNode)
        editor = cls(logic)
        editor.select(segmentID or segmentationNode.GetSegmentation().GetNthSegmentID(0))
        return editor

    def select(self, segmentID):
        self.logic.SetCurrentSegmentID(segmentID or "")

    def node(self):
        """The vtkMRMLSegmentEditorNode: masking and overwrite settings."""
        return self.logic.GetSegmentEditorNode()

    def segmentationNode(self):
        return self.node().GetSegmentationNode()

    def volumeNode(self):
        return self.node().GetSourceVolumeNode()

    def selectedSegmentID(self):
        return self.node().GetSelectedSegmentID() or None

    def sourceImage(self):
        """The source volume on the segmentation's geometry: not to be kept."""
        return self.logic.GetAlignedSourceVolume() if self.logic.UpdateAlignedSourceVolume() else None

    def saveStateForUndo(self):
        self.logic.SaveStateForUndo()

    def undo(self):
        self.logic.Undo()

    def redo(self):
        self.logic.Redo()

    def modify(self, segmentID, image, add):
        mode = self.logic.ModificationModeAdd if add else self.logic.ModificationModeRemove
        self.logic.ModifySegmentByLabelmap(self.segmentationNode(), segmentID, image, mode, True, False)

    def close(self):
        """Takes the editor node out of the scene; the editor is of no use then."""
        _removeEditorNode(self.node())


class EffectEditor:
    """Over the scriptedEffect of a Segment Editor effect."""

    def __init__(self, scriptedEffect):
        self._effect = scriptedEffect

    def node(self):
        return self._effect.parameterSetNode()

    def segmentationNode(self):
        node = self.node()
        return node.GetSegmentationNode() if node else None

    def volumeNode(self):
        node = self.node()
        return node.GetSourceVolumeNode() if node else None

    def selectedSegmentID(self):
        node = self.node()
        return (node.GetSelectedSegmentID() or None) if node else None

    def sourceImage(self):
        return self._effect.sourceVolumeImageData()

    def saveStateForUndo(self):
        self._effect.saveStateForUndo()

    def modify(self, segmentID, image, add):
        modes = slicer.qSlicerSegmentEditorAbstractEffect
        mode = modes.ModificationModeAdd if add else modes.ModificationModeRemove
        self._effect.modifySegmentByLabelmap(self.segmentationNode(), segmentID, image, mode)

    def close(self):
        """Nothing: the editor is Slicer's."""


def releaseWithScene(widget, scene):
    """Lets a Segment Editor widget go of its nodes and views when the scene is closed: it would take Slicer down."""

    def release(*_):
        scene.RemoveObserver(tag)
        endAll(
            lambda: widget.setActiveEffectByName(""),
            lambda: widget.setSegmentationNode(None),
            lambda: widget.removeViewObservations(),
        )

    tag = scene.AddObserver(scene.StartCloseEvent, release)
    return release


class WidgetEditor(EffectEditor):
    """Over a Segment Editor widget that is not shown: for scripts in a Slicer without the logic."""

    def __init__(self, widget):
        # Any effect will do: all have the methods called here.
        EffectEditor.__init__(self, widget.effectByName("Paint"))
        self.widget = widget
        self._release = lambda: None

    @classmethod
    def create(cls, volumeNode, segmentationNode, segmentID=None):
        scene = segmentationNode.GetScene()
        widget = slicer.qMRMLSegmentEditorWidget()
        widget.setMRMLScene(scene)
        release = releaseWithScene(widget, scene)
        widget.setMRMLSegmentEditorNode(_addEditorNode(scene))
        widget.setSegmentationNode(segmentationNode)
        widget.setSourceVolumeNode(volumeNode)
        editor = cls(widget)
        editor._release = release
        editor.select(segmentID or segmentationNode.GetSegmentation().GetNthSegmentID(0))
        return editor

    def select(self, segmentID):
        self.widget.setCurrentSegmentID(segmentID or "")

    def undo(self):
        self.widget.undo()

    def redo(self):
        self.widget.redo()

    def close(self):
        """As LogicEditor.close()."""
        if self.widget is not None:
            node = self.node()
            self._release()
            self.widget = self._effect = None
            _removeEditorNode(node)
