"""Notices edits by others of the segmentation and of the source volume: Slicer's Undo and Redo, other effects, scripts,
a sequence that goes on. Main thread only."""

import qt

from .Observers import Observers

# Slicer makes several changes in a row for one edit: they are looked at together.
DELAY_MS = 50


class SegmentWatch:
    """`onEdited()` is called once after the edits of the nodes that are watched, also after one's own."""

    def __init__(self, parent, onEdited):
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(onEdited)
        self._watched = (None, None)
        self._observers = Observers()

    def watch(self, segmentationNode, volumeNode):
        """These nodes from now on; None for no one."""
        segmentation = segmentationNode.GetSegmentation() if segmentationNode is not None else None
        if self._watched == (segmentation, volumeNode):
            return
        self._watched = (segmentation, volumeNode)
        self._observers.remove()
        if segmentation is not None:
            self._observers.add(segmentation, "AnyEvent", self._noticed)
        if volumeNode is not None:
            for event in ("ModifiedEvent", volumeNode.ImageDataModifiedEvent, volumeNode.TransformModifiedEvent):
                self._observers.add(volumeNode, event, self._noticed)

    def _noticed(self, *_):
        self._timer.start()

    def close(self):
        self.watch(None, None)
        self._timer.stop()
