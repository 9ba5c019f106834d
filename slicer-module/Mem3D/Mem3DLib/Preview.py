"""The engine's mask shown over the slices before it is written: a segmentation of its own that is neither listed nor
saved. Main thread only."""

import slicer

from .Regions import Region

SEGMENT = "preview"


class Preview:
    """Made in the scene when first needed; show() and hide() may be called in any state of it."""

    def __init__(self):
        self._node = None
        self._shown = None

    @property
    def node(self):
        """The segmentation node; None when there is none, or when its scene was closed."""
        if self._node is not None and self._node.GetScene() is None:
            self._node = self._shown = None
        return self._node

    def show(self, lattice, region, segmentationNode, segmentID):
        """Shows `region` in the colour of the segment it is for."""
        node = self.node or self._make(segmentationNode.GetScene())
        if node.GetTransformNodeID() != segmentationNode.GetTransformNodeID():
            node.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
        color = segmentationNode.GetSegmentation().GetSegment(segmentID).GetColor()
        segment = node.GetSegmentation().GetSegment(SEGMENT)
        if tuple(segment.GetColor()) != tuple(color):
            segment.SetColor(*color)
        if region is not self._shown:
            self._shown = region
            name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
            if region.box is None:
                region = Region(region.shape, ((0, 1), (0, 1), (0, 1)), region.crop(((0, 1), (0, 1), (0, 1))))
            segment.AddRepresentation(name, lattice.imageOf(region.box, region.array))
            node.GetSegmentation().Modified()
            segment.Modified()
        self._display(node).SetVisibility(True)

    def hide(self):
        if self.node is not None:
            self._display(self.node).SetVisibility(False)

    def remove(self):
        """Takes it out of the scene."""
        node = self.node
        if node is not None:
            node.GetScene().RemoveNode(node)
        self._node = self._shown = None

    def _make(self, scene):
        node = slicer.vtkMRMLSegmentationNode()
        node.SetName("Mem3D preview")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        self._node = scene.AddNode(node)
        node = self._node
        node.CreateDefaultDisplayNodes()
        node.GetSegmentation().AddEmptySegment(SEGMENT, SEGMENT)
        display = self._display(node)
        display.SetSaveWithScene(False)
        display.SetVisibility3D(False)
        display.SetOpacity2DFill(0.35)
        display.SetOpacity2DOutline(1.0)
        return node

    @staticmethod
    def _display(node):
        return node.GetDisplayNode()
