"""What the logic knows of one segment: the engine's mask, the segment's voxels, and what the user did by hand to them.

Needs numpy only.
"""

from collections import namedtuple

import numpy as np

from .Regions import Region

# An edit of more slices than this is not a correction of slices: another tool went over the segment.
MAX_CORRECTED_SLICES = 12

# What others did to a segment: Slicer's Undo or Redo brought back what it held at an earlier step; it was cleared; few
# slices were edited, or more than MAX_CORRECTED_SLICES.
UNDONE, CLEARED, CORRECTED, REPLACED = "undone", "cleared", "edited", "replaced"


# `calls` of SessionCalls, (name, arguments) each; then the engine's mask is `engineMask` (None: unknown) for `written`.
# `edits`: what it is told thereby, as Region.changesTo() gives it.
CatchUp = namedtuple("CatchUp", "calls engineMask written fingerprint edits")


class SegmentState:
    """Of one segment of the session. `engineMask`: what the engine has; `written`: the segment's voxels when they were
    last looked at."""

    def __init__(self, number, shape):
        self.number = number  # of the segment in the engine
        self.name = ""  # of the segment in Slicer
        self.engineMask = Region(shape)
        self.written = Region(shape)
        self.fingerprint = None
        self.axis = 0  # last drawn on
        self.drawn = None  # (axis, slice) drawn on and not accepted yet
        self.started = False
        self.quality = {}  # axis -> one value a slice
        self.annotated = {}  # axis -> slice numbers
        self.suggestion = None
        self.edited = None  # what others did since the engine knew of it, or None
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
        return self.differs or self.edited == UNDONE

    def noteEdit(self, content, fingerprint):
        """The segment holds `content` now; the engine gets it with the next step."""
        self.seen = fingerprint
        self.edited = self._editOf(content, self.written.changesTo(content))

    def _editOf(self, content, changes):
        if changes is None:
            return None
        if content.checksum() in self._checkpoints:
            return UNDONE
        if content.isEmpty():
            return CLEARED
        return CORRECTED if self._correctedAlong(changes) is not None else REPLACED

    def notApplied(self, catchUp):
        """Whether these calls go back to a state from before apply(), or drop a result that was not applied; notes then
        that the segment is as it is, and that the engine's mask stays what it is."""
        names = {name for name, _ in catchUp.calls}
        if not ("rewind" in names or ("reset" in names and self.pending)):
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
        changes = self.written.changesTo(content)
        if not self.started:
            calls = [] if content.isEmpty() else [("start", (content.full(),))]
            return CatchUp(calls, content, content, fingerprint, changes)
        edit, calls, mask = self._editOf(content, changes), [], None
        if edit == UNDONE:
            calls = [("rewind", (self._checkpoints[content.checksum()], content.full()))]
        elif edit == CLEARED:
            calls, mask = [("reset", ())], content
        elif edit is not None:
            mask = self.engineMask.withChanges(*changes)
            calls = [("replace", (mask,))] if edit == REPLACED else self._corrections(changes, mask)
        return CatchUp(calls, mask, content, fingerprint, changes)

    def commit(self, catchUp):
        """Notes that the engine knows."""
        self.started = True
        self.edited = None
        self.written, self.fingerprint = catchUp.written, catchUp.fingerprint
        if catchUp.engineMask is not None:
            self.engineMask = catchUp.engineMask
            self._checkpoints[catchUp.written.checksum()] = catchUp.engineMask.checksum()

    def take(self, reading, axis, drawn=None):
        """What the engine has now, read along `axis`; `drawn`: (axis, slice) of the interaction that led there."""
        self.engineMask = reading.mask or Region(self.written.shape)
        self.axis, self.drawn, self.suggestion = axis, drawn, reading.suggestion
        self.annotated[axis] = reading.annotated
        if reading.quality is None:
            self.quality, self.annotated = {}, {}
        else:
            self.quality[axis] = reading.quality

    def forget(self):
        """The engine was made to forget the segment; its voxels are as they were."""
        self.started = False
        self.edited = None

    def takeBack(self, step):
        """The engine's `step` was undone. What it had told the engine of the segment's voxels is news again."""
        if step.name in ("start", "reset"):
            self.started = step.name == "reset"
        if step.edits is not None:
            box, added, removed = step.edits
            # The segment still holds them: that is no Undo of Slicer's.
            self._checkpoints.pop(self.written.checksum(), None)
            self._retell(box, removed, added)

    def doAgain(self, step):
        """The engine's `step` was redone."""
        self.started = step.name != "reset"
        if step.edits is not None:
            self._retell(*step.edits)

    def _retell(self, box, added, removed):
        self.written, self.fingerprint, self.seen = self.written.withChanges(box, added, removed), None, None

    def _correctedAlong(self, changes):
        """The axis whose slices an edit corrects: that of the one slice that it lies on, else the one drawn on; None
        for too many slices."""
        counts = [len(_slicesTouched(changes, axis)) for axis in range(3)]
        if 1 in counts:
            return self.axis if counts[self.axis] == 1 else counts.index(1)
        return self.axis if counts[self.axis] <= MAX_CORRECTED_SLICES else None

    def _corrections(self, changes, merged):
        axis = self._correctedAlong(changes)
        return [("setSliceMask", (axis, n, merged.slice(axis, n))) for n in _slicesTouched(changes, axis)]


def _slicesTouched(changes, axis):
    box, added, removed = changes
    touched = (added | removed).any(axis=tuple(a for a in range(3) if a != axis))
    return [int(n) + box[axis][0] for n in np.flatnonzero(touched)]
