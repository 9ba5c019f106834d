"""The engine's mask shown over the slices before it is written: a segmentation of its own that is neither listed nor
saved. Meanwhile the segment itself is not seen in slice views, so that what will be removed is not covered by it. Main
thread only."""

import slicer

from .Observers import Observers
from .Regions import Region

SEGMENT = "preview"


class Preview:
    """Made in the scene when first needed; show() and hide() may be called in any state of it."""

    def __init__(self):
        self._node = None
        self._shown = None
        self._observers = Observers()
        self._curtain = Curtain()

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
        self._curtain.draw(segmentationNode, segmentID)

    def hide(self):
        self._curtain.open()
        if self.node is not None:
            self._display(self.node).SetVisibility(False)

    def remove(self):
        """Takes it out of the scene."""
        self._curtain.open()
        self._observers.remove()
        self._removeItem()
        if self.node is not None:
            self.node.GetScene().RemoveNode(self.node)
        self._node = self._shown = None

    def _make(self, scene):
        node = slicer.vtkMRMLSegmentationNode()
        node.SetName("Mem3D preview")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        self._node = scene.AddNode(node)
        node = self._node
        self._createItem()
        self._observers.remove()
        self._observers.add(scene, scene.StartSaveEvent, lambda *_: self._removeItem())
        self._observers.add(scene, scene.EndSaveEvent, lambda *_: self._createItem())
        node.CreateDefaultDisplayNodes()
        node.GetSegmentation().AddEmptySegment(SEGMENT, SEGMENT)
        display = self._display(node)
        display.SetSaveWithScene(False)
        display.SetVisibility3D(False)
        display.SetOpacity2DFill(0.35)
        display.SetOpacity2DOutline(1.0)
        return node

    # Slicer gives hidden nodes no item in its hierarchy, and then misses it at each change of a segmentation; but items
    # are saved with the scene, whether their nodes are or not.

    def _createItem(self):
        hierarchy = self._hierarchy()
        if hierarchy is not None:
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), self.node)

    def _removeItem(self):
        hierarchy = self._hierarchy()
        if hierarchy is not None:
            hierarchy.RemoveItem(hierarchy.GetItemByDataNode(self.node), False, True)  # its segments', too

    def _hierarchy(self):
        scene = self.node.GetScene() if self.node is not None else None
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene) if scene is not None else None

    @staticmethod
    def _display(node):
        return node.GetDisplayNode()


class Curtain:
    """Makes one segment invisible in slice views until open(). A scene that is saved meanwhile does not show it."""

    def __init__(self):
        self._drawn = None  # (segmentation node, segment, its fill opacity, its outline opacity)
        self._observers = Observers()

    def draw(self, segmentationNode, segmentID):
        if self._drawn is not None and self._drawn[:2] == (segmentationNode, segmentID):
            return
        self.open()
        display = segmentationNode.GetDisplayNode()
        if display is None:
            return
        opacities = display.GetSegmentOpacity2DFill(segmentID), display.GetSegmentOpacity2DOutline(segmentID)
        self._drawn = (segmentationNode, segmentID, *opacities)
        self._set(0.0, 0.0)
        scene = segmentationNode.GetScene()
        self._observers.add(scene, scene.StartSaveEvent, lambda *_: self._set(*opacities))
        self._observers.add(scene, scene.EndSaveEvent, lambda *_: self._set(0.0, 0.0))

    def open(self):
        self._observers.remove()
        if self._drawn is not None:
            self._set(*self._drawn[2:])
        self._drawn = None

    def _set(self, fill, outline):
        node, segmentID = self._drawn[:2]
        display = node.GetDisplayNode() if node.GetScene() is not None else None
        if display is not None and node.GetSegmentation().GetSegment(segmentID) is not None:
            display.SetSegmentOpacity2DFill(segmentID, fill)
            display.SetSegmentOpacity2DOutline(segmentID, outline)
