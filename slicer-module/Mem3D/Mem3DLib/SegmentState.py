"""What the logic knows of one segment: the engine's mask, the segment's voxels, and what the user did by hand to them.

Needs numpy only.
"""

from collections import namedtuple

import numpy as np

from .Regions import Region

# An edit of more slices than this is not a correction of slices: another tool went over the segment.
MAX_CORRECTED_SLICES = 12


# `calls` to the engine, (name, arguments) each; then its mask is `engineMask` (None: unknown) for `written`.
CatchUp = namedtuple("CatchUp", "calls engineMask written fingerprint")


class SegmentState:
    """Of one segment of the session. `engineMask`: what the engine has; `written`: the segment's voxels when they were
    last looked at."""

    def __init__(self, number, shape):
        self.number = number  # of the segment in the engine
        self.engineMask = Region(shape)
        self.written = Region(shape)
        self.fingerprint = None
        self.axis = 0  # last drawn on
        self.drawn = None  # (axis, slice) drawn on and not accepted yet
        self.started = False
        self.quality = {}  # axis -> one value a slice
        self.annotated = {}  # axis -> slice numbers
        self.suggestion = None
        self.edited = None  # what others did since the engine knew of it: "undone", "edited", or None
        self.seen = None  # fingerprint of the voxels that this is about
        self._checkpoints = {}
        self._compared = None
        self._applied = None

    @property
    def differs(self):
        """Whether the engine's mask is not what the segment holds."""
        return self.started and self._compare()[2]

    @property
    def pending(self):
        """Whether there is something to show and to write: the engine's mask differs, and was not written already as
        far as masking and other segments allow."""
        return self.differs and self._compare()[3]

    def _compare(self):
        if self._compared is None or self._compared[:2] != (self.engineMask, self.written):
            differs = self.engineMask.changesTo(self.written) is not None
            new = differs and self._applied != (self.engineMask.checksum(), self.written.checksum())
            self._compared = (self.engineMask, self.written, differs, new)  # regions never change: compare once
        return self._compared

    def markedSlices(self):
        """Slices along the axis drawn on that the user drew on or accepted."""
        marked = set(self.annotated.get(self.axis, ()))
        if self.drawn is not None and self.drawn[0] == self.axis:
            marked.add(self.drawn[1])
        return marked

    @property
    def applicable(self):
        """Whether there is something that apply() would write: the engine's mask differs, or Slicer's Undo took it out
        of the segment."""
        return self.differs or self.edited == "undone"

    def noteEdit(self, content, fingerprint):
        """The segment holds `content` now; the engine gets it with the next step."""
        self.seen = fingerprint
        if self.written.changesTo(content) is None:
            self.edited = None
        else:
            self.edited = "undone" if content.checksum() in self._checkpoints else "edited"

    def notApplied(self, catchUp):
        """Whether these calls go back to a state from before apply(); notes then that the segment is in it, and that
        the engine's mask stays what it is."""
        if not any(name == "_rewind" for name, _ in catchUp.calls):
            return False
        self.written, self.fingerprint, self.edited = catchUp.written, catchUp.fingerprint, None
        return True

    def noteWritten(self, written, fingerprint):
        """The segment holds `written` now, for the engine's present mask."""
        self.edited = None
        self.written = written
        self.fingerprint = fingerprint
        self._applied = (self.engineMask.checksum(), written.checksum())
        self._checkpoints[self._applied[1]] = self._applied[0]
        self._compared = None

    def catchUp(self, content, fingerprint):
        """The calls that the engine needs, now that the segment holds `content`: a CatchUp. Changes nothing yet."""
        if not self.started:
            calls = [] if content.isEmpty() else [("setMask", (self.number, content.full()))]
            return CatchUp(calls, content, content, fingerprint)
        changes = self.written.changesTo(content)
        if changes is None:
            return CatchUp([], None, content, fingerprint)
        known = self._checkpoints.get(content.checksum())
        if known is not None:  # Slicer's Undo or Redo
            return CatchUp([("_rewind", (self.number, known, content.full()))], None, content, fingerprint)
        calls, mask = self._corrections(*changes)
        return CatchUp(calls, mask, content, fingerprint)

    def commit(self, catchUp):
        """Notes that the engine knows."""
        self.started = True
        self.edited = None
        self.written, self.fingerprint = catchUp.written, catchUp.fingerprint
        if catchUp.engineMask is not None:
            self.engineMask = catchUp.engineMask
            self._checkpoints[catchUp.written.checksum()] = catchUp.engineMask.checksum()

    def _corrections(self, box, added, removed):
        touched = (added | removed).astype(bool)
        perAxis = [touched.any(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        counts = [int(t.sum()) for t in perAxis]
        axis = self.axis if counts[self.axis] == min(counts) else int(np.argmin(counts))
        merged = self.engineMask.withChanges(box, added, removed)
        if counts[axis] > MAX_CORRECTED_SLICES:
            return [("setMask", (self.number, merged.full()))], merged
        numbers = np.flatnonzero(perAxis[axis]) + box[axis][0]
        return [("setSliceMask", (self.number, axis, int(n), merged.slice(axis, int(n)))) for n in numbers], merged
