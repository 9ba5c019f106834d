"""What a step of the session does on the worker's thread: engine calls in order, then what changed. No MRML here."""

from collections import namedtuple

from .Native import AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH, CancelledError, Error
from .Regions import Region
from .Steps import MAX_STEPS, Step, Steps

# A call of the session that changes a segment. `drawn`: (axis, slice) when it gives the mask of that slice.
Change = namedtuple("Change", "name arguments named drawn")

# What is read of a segment; `mask` is None when the engine does not know the segment.
Reading = namedtuple("Reading", "mask quality annotated suggestion")

# `readings`: {segment: Reading} of what may have changed; `undone`, `redone`: Steps that the user's Undo or Redo moved.
Outcome = namedtuple("Outcome", "result readings undone redone")


class Session:
    """A session to open once, by whichever step comes first, and the history of its steps. `volume()` gives its voxels.
    `axes` below: {segment: axis to read quality along}."""

    def __init__(self, volume, geometry):
        self._arguments = (volume, geometry)
        self._steps = Steps()

    def perform(self, keeper, job, number, axes, catchUp=None, change=None, known=None):
        """Brings the engine up to date for segment `number`, then does `change`. `known`: the segment's mask before,
        when nothing but one slice of it can change. What fails or is cancelled is taken back."""
        self._open(keeper, job)
        position = self._steps.position
        try:
            for name, arguments in catchUp.calls if catchUp else ():
                _CATCH_UP[name](self, keeper, number, catchUp.edits, *arguments)
            _stopIfCancelled(job)
            result = self._change(keeper, job, number, change) if change is not None else None
            _stopIfCancelled(job)
        except Error:
            self._steps.goTo(keeper, position)
            raise
        mask = known.withSlice(*change.drawn, result) if known is not None else None
        return Outcome(result, self._read(keeper, {number}, axes, mask), [], [])

    def _change(self, keeper, job, number, change):
        if change.name == "reset" and number not in keeper.call("segments"):
            return None
        onSlice = job.report if change.name == "propagate" else None
        result = keeper.call(change.name, number, *change.arguments, onSlice=onSlice, **change.named)
        self._steps.add(Step(number, change.name, True, change.drawn, None))
        return result

    def undo(self, keeper, job, number, axes, names):
        """Takes back the user's last step, which must be one of segment `number`; the result is whether there was one.
        `names`: see Steps.undoOfUser()."""
        self._open(keeper, job)
        moved = self._steps.undoOfUser(keeper, number, names)
        return Outcome(bool(moved), self._readMoved(keeper, number, axes, moved), moved, [])

    def redo(self, keeper, job, number, axes, names):
        """Does again what undo() took back."""
        self._open(keeper, job)
        moved = self._steps.redoOfUser(keeper, number, names)
        return Outcome(bool(moved), self._readMoved(keeper, number, axes, moved), [], moved)

    def _open(self, keeper, job):
        _stopIfCancelled(job)
        if self._arguments is not None:
            volume, geometry = self._arguments
            keeper.open(volume(), geometry)
            self._arguments = None

    # ---- what the engine has to be told ----

    def _tell(self, keeper, number, edits, name, *arguments):
        keeper.call("setMask" if name == "start" else name, number, *arguments)
        self._steps.add(Step(number, name, False, None, edits))

    def _start(self, keeper, number, edits, content):
        self._tell(keeper, number, edits, "start", content)

    def _setSliceMask(self, keeper, number, edits, axis, slice, mask):
        self._tell(keeper, number, edits, "setSliceMask", axis, slice, mask)

    def _reset(self, keeper, number, edits):
        if number in keeper.call("segments"):
            self._tell(keeper, number, edits, "reset")

    def _replace(self, keeper, number, edits, merged):
        """The mask becomes `merged`; slices that were drawn on or accepted stay protected."""
        slices = self._steps.drawnOf(number)
        for axis in (AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH):
            slices.update((axis, slice) for slice in keeper.call("annotatedSlices", number, axis))
        self._tell(keeper, number, edits, "setMask", merged.full())
        for axis, slice in sorted(slices):
            self._setSliceMask(keeper, number, edits, axis, slice, merged.slice(axis, slice))

    def _rewind(self, keeper, number, edits, checksum, content):
        """Brings the engine back (or forward again) to where the segment's mask had `checksum`. Where that would change
        other segments, or the engine has forgotten, `content` becomes the segment's start instead."""
        if _has(keeper, number, checksum):
            return
        for move, back in ((self._steps.undo, self._steps.redo), (self._steps.redo, self._steps.undo)):
            steps = []
            while len(steps) < MAX_STEPS:
                step = move(keeper)
                if step is None:
                    break
                steps.append(step)
                if step.number != number:
                    break
                if _has(keeper, number, checksum):
                    return
            for _ in steps:
                back(keeper)
        self._reset(keeper, number, edits)
        if content.any():
            self._start(keeper, number, edits, content)

    # ---- what there is to know ----

    def _readMoved(self, keeper, number, axes, moved):
        return self._read(keeper, {number, *(step.number for step in moved)}, axes)

    def _read(self, keeper, numbers, axes, mask=None):
        """`mask`: of the only segment, when it is known."""
        readings = dict.fromkeys(numbers, Reading(None, None, [], None))
        for number in numbers.intersection(keeper.call("segments")):
            axis = axes.get(number, AXIS_DEPTH)
            readings[number] = Reading(
                _mask(keeper, number) if mask is None else mask,
                keeper.call("readQuality", number, axis),
                keeper.call("annotatedSlices", number, axis),
                keeper.call("suggestSlice", number),
            )
        return readings


# The calls that SegmentState.catchUp() gives.
_CATCH_UP = {
    "start": Session._start,
    "setSliceMask": Session._setSliceMask,
    "reset": Session._reset,
    "replace": Session._replace,
    "rewind": Session._rewind,
}


def _stopIfCancelled(job):
    if job.cancelled:
        raise CancelledError("cancelled")


def _mask(keeper, number):
    return Region.fromMask(keeper.call("readMask", number))


def _has(keeper, number, checksum):
    known = number in keeper.call("segments")
    return (_mask(keeper, number).checksum() if known else 0) == checksum
