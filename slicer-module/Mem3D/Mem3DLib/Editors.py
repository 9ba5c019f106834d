"""The Segment Editor as the logic sees it, over either of Slicer's two doors to it. Main thread only.

Both have segmentationNode(), volumeNode(), selectedSegmentID(), sourceImage(), saveStateForUndo() and modify().
"""

import slicer

from .Errors import UserError


class LogicEditor:
    """Over a vtkSlicerSegmentEditorLogic: for scripts, tests and other front ends. Slicer has it from 5.10 on."""

    def __init__(self, logic):
        self.logic = logic

    @classmethod
    def create(cls, volumeNode, segmentationNode, segmentID=None):
        """With a Segment Editor node of its own, which is not saved with the scene."""
        if not hasattr(slicer, "vtkSlicerSegmentEditorLogic"):
            raise UserError("Scripts need Slicer 5.10 or newer; in older ones, use the Segment Editor's effect Mem3D.")
        scene = segmentationNode.GetScene()
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetName("Mem3D segment editor")
        node.SetSaveWithScene(False)
        node.SetHideFromEditors(True)
        node = scene.AddNode(node)
        logic = slicer.vtkSlicerSegmentEditorLogic()
        logic.SetMRMLScene(scene)
        logic.SetSegmentEditorNode(node)
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

    def modify(self, segmentID, image, add):
        mode = self.logic.ModificationModeAdd if add else self.logic.ModificationModeRemove
        self.logic.ModifySegmentByLabelmap(self.segmentationNode(), segmentID, image, mode, True, False)


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
