"""Notices edits by others of the segmentation and of the source volume: Slicer's Undo and Redo, other effects, scripts,
a sequence that goes on. Main thread only."""

import qt

from .Observers import Observers
from .SegmentState import CLEARED, CORRECTED, MAX_CORRECTED_SLICES, REPLACED, UNDONE

# Slicer makes several changes in a row for one edit: they are looked at together.
DELAY_MS = 50
# What the panel says of an edit.
EDITED = {
    UNDONE: "Undone in the segment. Apply writes the result again, as Slicer's Redo (key y) does; what you "
    "draw next goes on from the segment as it is.",
    CLEARED: "The segment was cleared. The next step starts over.",
    CORRECTED: "The segment was edited. The next step takes that over.",
    REPLACED: "The segment was edited on more than %d slices. The next step takes it as a new start; slices drawn on "
    "or accepted stay as they are now." % MAX_CORRECTED_SLICES,
}


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
            self._observers.add(segmentationNode, segmentationNode.TransformModifiedEvent, self._noticed)
        if volumeNode is not None:
            for event in ("ModifiedEvent", volumeNode.ImageDataModifiedEvent, volumeNode.TransformModifiedEvent):
                self._observers.add(volumeNode, event, self._noticed)

    def _noticed(self, *_):
        self._timer.start()

    def pending(self):
        """Whether there were edits that onEdited() was not called for yet."""
        return bool(self._timer.property("active"))

    def close(self):
        self.watch(None, None)
        self._timer.stop()
