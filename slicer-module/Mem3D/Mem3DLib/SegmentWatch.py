"""Notices edits of a segmentation by others: Slicer's Undo and Redo, other effects, scripts. Main thread only."""

import qt

# Slicer makes several changes in a row for one edit: they are looked at together.
DELAY_MS = 50


class SegmentWatch:
    """`onEdited()` is called once after the edits of the segmentation that is watched, also after one's own."""

    def __init__(self, parent, onEdited):
        self._timer = qt.QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(onEdited)
        self._observed = None  # (vtkSegmentation, tag)

    def watch(self, segmentationNode):
        """That node from now on; None for no one."""
        segmentation = segmentationNode.GetSegmentation() if segmentationNode is not None else None
        if self._observed is not None:
            if self._observed[0] is segmentation:
                return
            self._observed[0].RemoveObserver(self._observed[1])
        self._observed = None
        if segmentation is not None:
            self._observed = segmentation, segmentation.AddObserver("AnyEvent", lambda *_: self._timer.start())

    def close(self):
        self.watch(None)
        self._timer.stop()
