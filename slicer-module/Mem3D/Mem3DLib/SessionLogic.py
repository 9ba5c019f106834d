"""Segmentation with mem3d on MRML nodes, usable from a script without any widget.

    editor = openEditor(volumeNode, segmentationNode)
    with SessionLogic(editor) as logic:
        logic.interact(SCRIBBLE, pointsRas)
        logic.propagate()
        logic.apply()                      # into the segment; Slicer's Undo takes it back

Everything here runs on the main thread; the engine's calls go to the worker, and what they give comes back to
`onDone` / `onError` (at once, with the InlineWorker that scripts get by default). A call that fails changes nothing.
"""

import time

from . import Segments
from .Engine import makeEngine
from .Errors import UserError
from .Native import AXIS_DEPTH, BOTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from .SegmentState import SegmentState
from .SessionCalls import Change, Session
from .SessionKeeper import SessionKeeper
from .Settings import Settings
from .Source import Source
from .Worker import InlineWorker

MIN_POINTS = {SCRIBBLE: 1, BOX: 2, EXTREME_POINTS: 4, CLICK: 1}


class SessionLogic:
    """One session at a time, on the editor's source volume and segmentation; opened when first needed, and anew when
    these, their geometry or the volume's voxels change. One step at a time: while the engine is at work, the next one
    is refused. `settings`: by default Settings.forScripts(); `ownsEditor`: whether close() closes the editor, too."""

    def __init__(self, editor, settings=None, worker=None, makeEngine=makeEngine, ownsEditor=False):
        self.editor = editor
        self._ownsEditor = ownsEditor
        self.worker = worker or InlineWorker()
        self.autoApply = False
        self.takeFromOthers = False  # whether apply() may take voxels from other segments
        self.onChanged = None  # called after every step, without arguments
        self.onDropped = None  # called with the names of segments whose results are dropped, not applied
        self.lastSeconds = None  # how long the last step took, from the call to its result
        self.lastRoundSeconds = None  # the last propagation
        self.lattice = None
        self._keeper = SessionKeeper(settings or Settings.forScripts(), makeEngine)
        self._key = None  # what the session is about
        self._session = None
        self._job = None  # the session's last step
        self._states = {}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    # ---- what a user does ----

    def start(self, onDone=None, onError=None):
        """Loads library and model ahead of the first stroke; `onDone(info)`."""
        return self.worker.run(lambda job, keeper=self._keeper: keeper.start(), onDone, onError)

    def interact(
        self, kind, pointsRas, sliceToRas=None, axis=None, negative=False, radiusMm=0.0, onDone=None, onError=None
    ):
        """Draws on a slice for the selected segment. The slice is given by the points, and the axis it is cut along by
        a slice view's `sliceToRas`, or `axis`, or the points when these show it (else depth). `onDone(mask of the
        slice)`; gives the job."""
        source = Source(self.editor)
        grid = source.lattice.grid
        indices = grid.rasToIndex(pointsRas)
        if len(indices) < MIN_POINTS[kind]:
            raise UserError("That takes %d points or more; %d were given." % (MIN_POINTS[kind], len(indices)))
        if axis is None:
            axis = grid.axisOfPlane(sliceToRas) if sliceToRas is not None else _axisOfPoints(indices)
        number = grid.sliceOfPoints(indices, axis)
        points = grid.onSlice(indices, axis, number)
        self._prepare(source)
        named = {"points": points, "negative": negative, "radiusMm": radiusMm}
        change = Change("interact", (axis, number, kind), named, (axis, number))
        return self._run(change, onDone, onError)

    def accept(self, axis, number, onDone=None, onError=None):
        """Takes the slice's mask as correct: no propagation changes it any more."""
        self._prepare()
        self._checkSlice(axis, number)
        return self._run(Change("accept", (axis, number), {}, None), onDone, onError, newMask=False)

    def propagate(self, direction=BOTH, first=None, last=None, axis=None, onDone=None, onError=None, onProgress=None):
        """Carries the selected segment through the volume, between the slices `first` and `last` when they are given.
        `onDone(number of slices replaced)`."""
        self._prepare()
        if axis is None:
            axis = self._selected()[1].axis
        for number in (first, last):
            if number is not None:
                self._checkSlice(axis, number)
        first = 0 if first is None else first
        count = 0 if last is None else last - first + 1
        if last is not None and count < 1:
            raise UserError("The slice range is empty: its first slice lies behind its last. Correct the range.")

        def done(slices):
            self.lastRoundSeconds = self.lastSeconds
            if onDone:
                onDone(slices)

        return self._run(Change("propagate", (axis, direction, first, count), {}, None), done, onError, onProgress)

    def undoStep(self, onDone=None, onError=None):
        """Takes back the engine's last step (a stroke, a propagation), which must be one of the selected segment.
        `onDone(whether there was one)`."""
        return self._step(Session.undo, onDone, onError)

    def redoStep(self, onDone=None, onError=None):
        """Does again what undoStep() took back."""
        return self._step(Session.redo, onDone, onError)

    def reset(self, onDone=None, onError=None):
        """Forgets what was drawn for the selected segment; its voxels stay, as the start for what is drawn next."""
        self._prepare()
        state = self._selected()[1]
        axes = self._axes()

        def work(session, keeper, job):
            return session.perform(keeper, job, state.number, axes, change=Change("reset", (), {}, None))

        def done(outcome):
            state.take(outcome.readings[state.number], state.axis)
            state.forget()
            if onDone:
                onDone(None)
            self._changed()

        return self._send(work, done, onError)

    def apply(self, onDone=None, onError=None):
        """Writes the engine's mask into the selected segment, as far as the editable area, the intensity range, the
        overwrite settings and `takeFromOthers` allow; again, when Slicer's Undo took it out. `onDone(whether anything
        changed)`."""
        Source(self.editor)  # raises what is missing
        if not self.isCurrent():
            raise UserError("There is nothing to apply: nothing was drawn for this volume as it is now. Draw first.")
        self._prepare()
        segmentID, state, catchUp = self._current()
        if catchUp is not None and state.notApplied(catchUp):
            catchUp = None

        def write(_):
            self._write(segmentID, state, onDone, onError)

        if catchUp is not None and catchUp.calls:
            self._run(None, write, onError, newMask=False)
            return
        if catchUp is not None:
            state.commit(catchUp)
        write(None)

    def cancel(self):
        """Asks what is running to stop; it then fails with Native.CancelledError and has changed nothing."""
        self.worker.cancel()

    # ---- what there is to show ----

    def state(self, segmentID=None):
        """What is known of a segment (the selected one): a SegmentState; None before it was drawn for."""
        return self._states.get(segmentID or self.editor.selectedSegmentID())

    def edited(self):
        """What others did to the selected segment since the last step, one of the words of SegmentState; None when
        they did nothing."""
        state = self.state()
        if state is None or not state.started or not self.isCurrent():
            return None
        segmentation, segmentID = self.editor.segmentationNode(), self.editor.selectedSegmentID()
        now = Segments.fingerprint(segmentation, segmentID)
        if now == state.fingerprint:
            state.edited = state.seen = None
        elif now != state.seen:
            state.noteEdit(Segments.readSegment(segmentation, segmentID, self.lattice), now)
        return state.edited

    def unapplied(self):
        """The names of the segments with results that are not in them yet."""
        there = self._names() if self.isCurrent() else None
        return [s.name for s in self._states.values() if s.pending and (there is None or s.number in there)]

    def sliceCenterRas(self, axis, number):
        """Where to move a slice view to show that slice, at the middle of the segment's mask there."""
        state = self.state()
        where = [(side - 1) / 2 for side in self.lattice.shape]
        if state is not None and not state.engineMask.isEmpty():
            where = [(a + b - 1) / 2 for a, b in state.engineMask.box]
        where[axis] = number
        return self.lattice.grid.indexToRas([where])[0]

    @property
    def info(self):
        """What Engine.start() gave; None before."""
        return self._keeper.info

    @property
    def settings(self):
        return self._keeper.settings

    # ---- how ----

    def isCurrent(self):
        """Whether the open session is still about the editor's nodes as they are."""
        try:
            return self._key is not None and self._key == Source(self.editor).key
        except UserError:
            return False

    def forget(self):
        """Drops the session; the next step opens another."""
        unapplied = self.unapplied()
        self._drop()
        if unapplied and self.onDropped:
            self.onDropped(unapplied)

    def _drop(self):
        self._key = self._session = self._job = None
        self._states = {}
        self.worker.cancel()

    def useSettings(self, settings):
        """Takes other settings; library, model and session are loaded anew by the next step."""
        old, self._keeper = self._keeper, SessionKeeper(settings, self._keeper._makeEngine)
        self.forget()
        self.worker.run(lambda job: old.close())

    def close(self):
        """Ends worker and engine; asks nothing of the editor, which is gone when Slicer ends."""
        self._drop()
        if self.worker.close():
            self._keeper.close()
        if self._ownsEditor:
            self.editor.close()

    def _prepare(self, source=None):
        """Makes sure that a session on the present nodes is open, or will be before the next engine call."""
        source = source or Source(self.editor)
        if source.key == self._key:
            if self.worker.waitsFor(self._job):  # what the next step has to tell the engine is not known yet
                raise UserError("The engine is at work. Wait for it, or press Cancel.")
            return
        self.forget()
        voxels = Segments.volumeVoxels(source.image)
        grid = source.lattice.grid
        geometry = {"spacingMm": grid.spacingMm(), "originMm": grid.originLps(), "direction": grid.directionLps()}
        self._key, self.lattice = source.key, source.lattice
        # Copied on the worker, which takes half a second for a large volume. Voxels that change meanwhile change the
        # key, and what comes out is dropped.
        self._session = Session(lambda: Segments.volumeArray(voxels), geometry)

    def _checkSlice(self, axis, number):
        count = self.lattice.shape[axis]
        if not 0 <= number < count:
            raise UserError("There is no slice %d: the slices are 0 to %d." % (number, count - 1))

    def _selected(self):
        """The selected segment, and what is known of it."""
        segmentID = self.editor.selectedSegmentID()
        state = self._states.get(segmentID)
        if state is None:
            number = 1 + max((s.number for s in self._states.values()), default=0)
            state = self._states[segmentID] = SegmentState(number, self.lattice.shape)
        state.name = self.editor.segmentationNode().GetSegmentation().GetSegment(segmentID).GetName()
        return segmentID, state

    def _current(self):
        """These, and the CatchUp that the engine needs first; None when it needs none."""
        segmentID, state = self._selected()
        segmentation = self.editor.segmentationNode()
        now = Segments.fingerprint(segmentation, segmentID)
        if state.started and state.fingerprint == now:
            return segmentID, state, None
        return segmentID, state, state.catchUp(Segments.readSegment(segmentation, segmentID, self.lattice), now)

    def _axes(self):
        return {state.number: state.axis for state in self._states.values()}

    def _names(self):
        """Of the segments that are known and still there, by number."""
        segmentation = self.editor.segmentationNode().GetSegmentation()
        return {s.number: s.name for segmentID, s in self._states.items() if segmentation.GetSegment(segmentID)}

    def _run(self, change, onDone, onError, onProgress=None, newMask=True):
        """Has the worker tell the engine what it does not know yet of the selected segment, and do `change`, a Change
        or None. `newMask`: whether there is a result to write when results are written at once."""
        segmentID, state, catchUp = self._current()
        drawn = change.drawn if change is not None else None
        axes = self._axes()
        if drawn is not None:
            axes[state.number] = drawn[0]
        known = state.engineMask if drawn is not None and not (catchUp and catchUp.calls) else None

        def work(session, keeper, job):
            return session.perform(keeper, job, state.number, axes, catchUp, change, known)

        def done(outcome):
            if catchUp:
                state.commit(catchUp)
            state.take(outcome.readings[state.number], axes[state.number], drawn)
            if onDone:
                onDone(outcome.result)
            self._changed()
            if self.autoApply and newMask:
                self._write(segmentID, state, None, onError)

        return self._send(work, done, onError, onProgress)

    def _step(self, move, onDone, onError):
        """Undo or redo. What the engine does not know yet of the segment stays so: it is no step of the user."""
        self._prepare()
        segmentID, state = self._selected()
        axes, names = self._axes(), self._names()

        def work(session, keeper, job):
            return move(session, keeper, job, state.number, axes, names)

        def done(outcome):
            states = {s.number: s for s in self._states.values()}
            for step in outcome.undone:
                states[step.number].takeBack(step)
            for step in outcome.redone:
                states[step.number].doAgain(step)
            for number, reading in outcome.readings.items():
                states[number].take(reading, states[number].axis)
            if onDone:
                onDone(outcome.result)
            self._changed()
            if self.autoApply and outcome.result and state.started:
                self._write(segmentID, state, None, onError)

        return self._send(work, done, onError)

    def _send(self, work, onDone, onError, onProgress=None):
        """Has the worker do `work(session, keeper, job)`; what comes out is dropped when the session is another one by
        then."""
        startedAt, session, keeper = time.monotonic(), self._session, self._keeper

        def done(outcome):
            if self._session is session:
                self.lastSeconds = time.monotonic() - startedAt
                onDone(outcome)

        def failed(error):
            if self._session is session:
                _raise(error, onError)

        self._job = self.worker.run(lambda job: work(session, keeper, job), done, failed, onProgress)
        return self._job

    def _write(self, segmentID, state, onDone, onError):
        """Writes the engine's mask into the segment, unless that is not what it was when the step began."""
        if not self.isCurrent():
            text = "The result is not written: another volume or segmentation was chosen meanwhile. Choose the former "
            _raise(UserError(text + "one again, then apply."), onError)
            return
        segmentation = self.editor.segmentationNode()
        if segmentation.GetSegmentation().GetSegment(segmentID) is None:
            _raise(UserError("The result is not written: its segment was removed meanwhile."), onError)
            return
        if Segments.fingerprint(segmentation, segmentID) != state.fingerprint:
            content = Segments.readSegment(segmentation, segmentID, self.lattice)
            if state.written.changesTo(content) is not None:
                text = "The result is not written: the segment was edited meanwhile. Apply takes that over and writes."
                _raise(UserError(text), onError)
                return
        changed = Segments.writeSegment(
            self.editor, segmentID, self.lattice, state.written, state.engineMask, self.takeFromOthers
        )
        state.noteWritten(
            Segments.readSegment(segmentation, segmentID, self.lattice), Segments.fingerprint(segmentation, segmentID)
        )
        self._changed()
        if onDone:
            onDone(changed)

    def _changed(self):
        if self.onChanged:
            self.onChanged()


def _raise(error, onError):
    if onError is None:
        raise error
    onError(error)


def _axisOfPoints(indices):
    # Points on one slice show its axis when they spread along the two others.
    spread = indices.max(axis=0) - indices.min(axis=0)
    flat = [axis for axis in range(3) if spread[axis] < 0.5]
    return flat[0] if len(flat) == 1 else AXIS_DEPTH
