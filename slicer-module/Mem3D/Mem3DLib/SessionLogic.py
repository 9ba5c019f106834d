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
from .Regions import Region
from .SegmentState import SegmentState
from .SessionCalls import Opening, perform
from .SessionKeeper import SessionKeeper
from .Settings import Settings
from .Worker import InlineWorker

MIN_POINTS = {SCRIBBLE: 1, BOX: 2, EXTREME_POINTS: 4, CLICK: 1}


class SessionLogic:
    """One session at a time, on the editor's source volume and segmentation; opened when first needed, and anew when
    these, their geometry or the volume's voxels change. `settings`: by default Settings.forScripts()."""

    def __init__(self, editor, settings=None, worker=None, makeEngine=makeEngine):
        self.editor = editor
        self.worker = worker or InlineWorker()
        self.autoApply = False
        self.takeFromOthers = False  # whether apply() may take voxels from other segments
        self.onChanged = None  # called after every step, without arguments
        self.lastSeconds = None  # how long the last step took, from the call to its result
        self.lastRoundSeconds = None  # the last propagation
        self.lattice = None
        self._keeper = SessionKeeper(settings or Settings.forScripts(), makeEngine)
        self._key = None
        self._opening = None  # of the session, for the step that is first
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
        self._prepare()
        grid = self.lattice.grid
        indices = grid.rasToIndex(pointsRas)
        if len(indices) < MIN_POINTS[kind]:
            raise UserError("That takes %d points or more; %d were given." % (MIN_POINTS[kind], len(indices)))
        if axis is None:
            axis = grid.axisOfPlane(sliceToRas) if sliceToRas is not None else _axisOfPoints(indices)
        number = grid.sliceOfPoints(indices, axis)
        points = grid.onSlice(indices, axis, number)
        segmentID, state, catchUp = self._current()

        def final(keeper, job):
            return keeper.call(
                "interact", state.number, axis, number, kind, points=points, negative=negative, radiusMm=radiusMm
            )

        return self._run(segmentID, state, catchUp, final, onDone, onError, drawn=(axis, number))

    def accept(self, axis, number, onDone=None, onError=None):
        """Takes the slice's mask as correct: no propagation changes it any more."""
        self._prepare()
        segmentID, state, catchUp = self._current()

        def final(keeper, job):
            return keeper.call("accept", state.number, axis, number)

        return self._run(segmentID, state, catchUp, final, onDone, onError, newMask=False)

    def propagate(self, direction=BOTH, first=None, last=None, axis=None, onDone=None, onError=None, onProgress=None):
        """Carries the selected segment through the volume, between the slices `first` and `last` when they are given.
        `onDone(number of slices replaced)`."""
        self._prepare()
        segmentID, state, catchUp = self._current()
        axis = state.axis if axis is None else axis
        first = 0 if first is None else first
        count = 0 if last is None else last - first + 1
        if last is not None and count < 1:
            raise UserError("The slice range is empty: its first slice lies behind its last. Correct the range.")

        def final(keeper, job):
            return keeper.call(
                "propagate", state.number, axis, direction, first, count, onSlice=lambda progress: job.report(progress)
            )

        def done(slices):
            self.lastRoundSeconds = self.lastSeconds
            self._changed()
            if onDone:
                onDone(slices)

        return self._run(segmentID, state, catchUp, final, done, onError, onProgress)

    def undoStep(self, onDone=None, onError=None):
        """Takes back the engine's last step (a stroke, a propagation) that is not in the segment yet."""
        return self._step("undo", onDone, onError)

    def redoStep(self, onDone=None, onError=None):
        """Does again what undoStep() took back."""
        return self._step("redo", onDone, onError)

    def reset(self, onDone=None, onError=None):
        """Forgets what was drawn for the selected segment; its voxels stay, as the start for what is drawn next."""
        self._prepare()
        segmentID, state, _ = self._current()
        number = state.number
        fresh = self._states[segmentID] = SegmentState(number, self.lattice.shape)

        def final(keeper, job):
            return keeper.call("reset", number)

        return self._run(segmentID, fresh, None, final, onDone, onError, newMask=False)

    def apply(self, onDone=None, onError=None):
        """Writes the engine's mask into the selected segment, as far as the editable area, the intensity range, the
        overwrite settings and `takeFromOthers` allow; again, when Slicer's Undo took it out. `onDone(whether anything
        changed)`."""
        self._prepare()
        segmentID, state, catchUp = self._current()
        if catchUp is not None and state.notApplied(catchUp):
            catchUp = None

        def write(_):
            changed = self._write(segmentID, state)
            if onDone:
                onDone(changed)

        if catchUp is None or not catchUp.calls:
            if catchUp is not None:
                state.commit(catchUp)
            write(None)
        else:
            self._run(segmentID, state, catchUp, lambda keeper, job: None, write, onError, newMask=False)

    def cancel(self):
        """Asks what is running to stop; it then fails with Native.CancelledError and has changed nothing."""
        self.worker.cancel()

    # ---- what there is to show ----

    def state(self, segmentID=None):
        """What is known of a segment (the selected one): a SegmentState; None before it was drawn for."""
        return self._states.get(segmentID or self.editor.selectedSegmentID())

    def edited(self):
        """What others did to the selected segment since the last step: "undone" when Slicer's Undo or Redo
        brought back what it held at an earlier step, "edited" otherwise; None when they did not."""
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
            return self._key is not None and self._key == self._source()[0]
        except UserError:
            return False

    def forget(self):
        """Drops the session; the next step opens another."""
        self._key = self._opening = None
        self._states = {}
        self.worker.cancel()

    def useSettings(self, settings):
        """Takes other settings; library, model and session are loaded anew by the next step."""
        old, self._keeper = self._keeper, SessionKeeper(settings, self._keeper._makeEngine)
        self.forget()
        self.worker.run(lambda job: old.close())

    def close(self):
        """Ends worker and engine."""
        self.forget()
        if self.worker.close():
            self._keeper.close()

    def _nodes(self):
        volume, segmentation = self.editor.volumeNode(), self.editor.segmentationNode()
        if volume is None or volume.GetScene() is None or volume.GetImageData() is None:
            raise UserError("There is no source volume. Choose one in the Segment Editor.")
        if segmentation is None or segmentation.GetScene() is None:
            raise UserError("There is no segmentation. Choose one in the Segment Editor.")
        Segments.segmentOf(segmentation, self.editor.selectedSegmentID())
        return volume, segmentation

    def _source(self):
        """What a session would be about now, and the volume on the segmentation's geometry."""
        volume, segmentation = self._nodes()
        image = self.editor.sourceImage()
        if image is None:
            raise UserError("The source volume cannot be brought onto the segmentation's geometry. Choose another one.")
        lattice = Segments.Lattice(image, segmentation)
        parent = volume.GetParentTransformNode()
        nodes = volume.GetID(), segmentation.GetID(), volume.GetImageData().GetMTime()
        return _SourceKey(lattice, nodes, (parent.GetID(), parent.GetMTime()) if parent else None), image

    def _prepare(self):
        """Makes sure that a session on the present nodes is open, or will be before the next engine call."""
        key, image = self._source()
        if key == self._key:
            return
        self.worker.cancel()
        lattice = key.lattice
        voxels = Segments.volumeVoxels(image)
        grid = lattice.grid
        geometry = {"spacingMm": grid.spacingMm(), "originMm": grid.originLps(), "direction": grid.directionLps()}
        self._key, self.lattice, self._states = key, lattice, {}
        # Copied on the worker, which takes half a second for a large volume. Voxels that change meanwhile change the
        # key, and what comes out is dropped.
        self._opening = Opening(lambda: Segments.volumeArray(voxels), geometry)

    def _current(self):
        """The selected segment, what is known of it, and the calls that the engine needs first."""
        segmentation, segmentID = self.editor.segmentationNode(), self.editor.selectedSegmentID()
        state = self._states.get(segmentID)
        if state is None:
            number = 1 + max((s.number for s in self._states.values()), default=0)
            state = self._states[segmentID] = SegmentState(number, self.lattice.shape)
        now = Segments.fingerprint(segmentation, segmentID)
        if state.started and state.fingerprint == now:
            return segmentID, state, None
        return segmentID, state, state.catchUp(Segments.readSegment(segmentation, segmentID, self.lattice), now)

    def _run(
        self, segmentID, state, catchUp, final, onDone, onError, onProgress=None, drawn=None, others=False, newMask=True
    ):
        """Has the worker tell the engine what it does not know yet and do `final`, and takes over what comes out.
        `drawn`: (axis, slice) when `final` gives the mask of that slice; `others`: whether it may change other
        segments; `newMask`: whether there is a result to write when results are written at once."""
        startedAt = time.monotonic()
        key, keeper, opening = self._key, self._keeper, self._opening
        calls = list(catchUp.calls) if catchUp else []
        axis = drawn[0] if drawn else state.axis
        sliceOf = (state.engineMask,) + drawn if drawn else None
        rewinds = any(name == "_rewind" for name, _ in calls)
        known = {}
        if others or rewinds:
            known = {s.number: s.engineMask.checksum() for s in self._states.values() if s is not state and s.started}

        def work(job):
            return perform(keeper, job, opening, state.number, axis, calls, final, sliceOf, known)

        def done(outcome):
            if self._key is not key or keeper is not self._keeper:
                return  # about nodes that are not edited any more
            self.lastSeconds = time.monotonic() - startedAt
            if catchUp:
                state.commit(catchUp)
            for other in self._states.values():
                if other.number in outcome.masks:
                    other.engineMask = outcome.masks[other.number] or Region(self.lattice.shape)
            state.axis = axis
            state.drawn = drawn
            if outcome.quality is None:
                state.quality = {}
            else:
                state.quality[axis] = outcome.quality
            state.annotated[axis] = outcome.annotated
            state.suggestion = outcome.suggestion
            self._changed()
            if onDone:
                onDone(outcome.result)
            if self.autoApply and newMask:
                self._write(segmentID, state)

        def failed(error):
            if self._key is not key or keeper is not self._keeper:
                return
            if onError is None:
                raise error
            onError(error)

        return self.worker.run(work, done, failed, onProgress)

    def _step(self, name, onDone, onError):
        self._prepare()
        segmentID, state, catchUp = self._current()
        return self._run(
            segmentID, state, catchUp, lambda keeper, job: keeper.call(name), onDone, onError, others=True
        )

    def _write(self, segmentID, state):
        segmentation = self.editor.segmentationNode()
        changed = Segments.writeSegment(
            self.editor, segmentID, self.lattice, state.written, state.engineMask, self.takeFromOthers
        )
        state.noteWritten(
            Segments.readSegment(segmentation, segmentID, self.lattice), Segments.fingerprint(segmentation, segmentID)
        )
        self._changed()
        return changed

    def _changed(self):
        if self.onChanged:
            self.onChanged()


class _SourceKey:
    """What a session is about; another one is needed when any of it changes."""

    def __init__(self, lattice, nodes, transform):
        self.lattice = lattice
        self._rest = (nodes, transform)

    def __eq__(self, other):
        return isinstance(other, _SourceKey) and self.lattice == other.lattice and self._rest == other._rest


def _axisOfPoints(indices):
    # Points on one slice show its axis when they spread along the two others.
    spread = indices.max(axis=0) - indices.min(axis=0)
    flat = [axis for axis in range(3) if spread[axis] < 0.5]
    return flat[0] if len(flat) == 1 else AXIS_DEPTH
