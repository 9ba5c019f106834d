"""The Segment Editor effect "Mem3D": interactions drawn in slice views to the logic, results to panel and preview."""

import logging

import qt
import slicer
import vtk
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect

from . import KeyFocus, Options, SliceViews, UiFiles
from .Editors import EffectEditor
from .Ending import endAll
from .Errors import UserError
from .Gesture import EXTREME_COUNT, Gesture
from .Native import BOTH
from .Native import Error as EngineError
from .Panel import Panel
from .Preview import Preview
from .SegmentWatch import SegmentWatch
from .SessionLogic import SessionLogic
from .Settings import Settings
from .StrokeFeedback import StrokeFeedback, xyToRas
from .Worker import Worker

POLL_MS = 5  # each poll lets the worker go on: see Worker.BREATH_SECONDS
CURSOR_PIXELS = 24
EDITED = {
    "undone": "Undone in the segment. Apply writes the result again, as Slicer's Redo (key y) does; what you "
    "draw next goes on from the segment as it is.",
    "edited": "The segment was edited. The next step takes that over.",
}


class SegmentEditorMem3DEffect(AbstractScriptedSegmentEditorEffect):
    """What Slicer calls, and what the panel asks for. A worker thread runs the engine; a timer fetches its results."""

    def __init__(self, scriptedEffect):
        scriptedEffect.name = "Mem3D"  # not translated: effects are found by it
        scriptedEffect.title = "Mem3D"
        scriptedEffect.perSegment = True
        scriptedEffect.requireSegments = True
        AbstractScriptedSegmentEditorEffect.__init__(self, scriptedEffect)
        self.logic = None
        self.panel = None
        self.preview = Preview()
        self.gesture = Gesture()
        self.feedback = StrokeFeedback(scriptedEffect)
        self._timer = None
        self._watch = None
        self._edited = None  # what others did to the segment, as the panel shows it
        self._active = False
        self._refreshing = False

    # ---- what Slicer calls ----

    def clone(self):
        import qSlicerSegmentationsEditorEffectsPythonQt as effects

        cloned = effects.qSlicerSegmentEditorScriptedEffect(None)
        cloned.setPythonSource(__file__.replace("\\", "/"))
        return cloned

    def icon(self):
        # Slicer makes the cursor over the views of the icon's first size: not to cover the anatomy.
        return UiFiles.icon("Mem3D", CURSOR_PIXELS)

    def helpText(self):
        return (
            "<html>Segments a structure from a few strokes<br>"  # Slicer adds "... Show details."
            "<ul><li><b>Draw on a slice</b>: a stroke, a box, four extreme points or a click; n switches between "
            "inside and outside.</li><li><b>Propagate</b> carries the slice's mask through the volume.</li>"
            "<li><b>Next slice to correct</b> shows where a correction helps most. Draw there, or use Paint and Erase."
            "</li><li><b>Apply</b> (Return) writes the result into the segment.</li></ul>"
            "Everything runs on this computer. Not a medical device.</html>"
        )

    def setupOptionsFrame(self):
        self.logic = SessionLogic(EffectEditor(self.scriptedEffect), self.loadSettings(), Worker())
        self.logic.onChanged = self.refresh
        self.logic.worker.onBusyChanged = self._busyChanged
        self.panel = Panel(self)
        self.panel.settings.show(self.logic.settings)
        self.scriptedEffect.addOptionsWidget(self.panel.widget)
        self._timer = qt.QTimer(self.panel.widget)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)
        self._watch = SegmentWatch(self.panel.widget, self.noticeEdits)
        slicer.app.aboutToQuit.connect(self.cleanup)

    def setMRMLDefaults(self):
        Options.setDefaults(self.scriptedEffect)

    def activate(self):
        self._active = True
        settings = self.loadSettings()
        if settings != self.logic.settings:  # chosen in the module Mem3D meanwhile
            self.logic.useSettings(settings)
            self.panel.settings.show(settings)
        self.refresh()
        self.noticeEdits()

    def deactivate(self):
        state = self.logic.state() if self.logic is not None and self.logic.isCurrent() else None
        if self._active and state is not None and state.pending:  # Paint and Erase would not find it
            text = "Mem3D: the preview is not in the segment yet; go back and press Apply."
            slicer.util.showStatusMessage(text, 8000)
        self._active = False
        if self._watch is not None:
            self._watch.watch(None)
        self.gesture.clear()
        self.feedback.close()
        self.preview.hide()

    def cleanup(self):
        """Ends everything that would outlive the effect; may be called more than once."""
        logic, self.logic = self.logic, None
        if logic is None:
            return
        self._active = False
        logic.onChanged = logic.worker.onBusyChanged = None
        logic.close()  # before all else: a thread in the engine would take Slicer down at its end
        endAll(
            lambda: slicer.app.aboutToQuit.disconnect(self.cleanup),
            lambda: self._timer.stop(),
            lambda: self._watch.close(),
            self.feedback.close,
            self.preview.remove,
            lambda: self.panel.close(),
        )

    def sourceVolumeNodeChanged(self):
        self.refresh()

    referenceGeometryChanged = sourceVolumeNodeChanged

    def updateGUIFromMRML(self):
        if self.logic is None:
            return
        options = self.options()
        self._useOptions(options)
        self.panel.showOptions(**options)
        self.refresh()

    def updateMRMLFromGUI(self):
        pass  # each option is written when it is changed: setOption()

    def processViewNodeEvents(self, callerViewNode, eventId, viewWidget):
        if self._active and callerViewNode is not None and callerViewNode.IsA("vtkMRMLSliceNode"):
            self.showState()

    def processInteractionEvents(self, callerInteractor, eventId, viewWidget):
        """Whether the event was one of ours."""
        if self.logic is None or viewWidget.className() != "qMRMLSliceWidget":
            return False
        if eventId == vtk.vtkCommand.EnterEvent:
            KeyFocus.takeKeys(viewWidget, self.panel.widget)
            return False
        if eventId == vtk.vtkCommand.KeyPressEvent:
            return self._keyPressed(callerInteractor.GetKeySym())
        if eventId == vtk.vtkCommand.LeftButtonDoubleClickEvent:
            return True  # two quick clicks are drawn; they must not make the view fill the window
        node = viewWidget.sliceLogic().GetSliceNode()
        xy = callerInteractor.GetEventPosition()
        if eventId == vtk.vtkCommand.LeftButtonPressEvent:
            if callerInteractor.GetShiftKey() or callerInteractor.GetControlKey() or callerInteractor.GetAltKey():
                return False
            effect = self.scriptedEffect
            if effect.confirmCurrentSegmentVisible() in (effect.NotConfirmed, effect.ConfirmedWithDialog):
                return True  # the dialog took the mouse: there is no stroke to go on with
            if self.logic.worker.busy:
                self.panel.showMessage("The engine is at work. Wait for it, or press Cancel.")
                return True
            plane = tuple(SliceViews.sliceToRas(node).ravel())
            self.gesture.press(viewWidget, plane, xy, xyToRas(node, xy))
        elif not self.gesture.dragging:
            return False
        elif eventId == vtk.vtkCommand.MouseMoveEvent:
            self.gesture.move(xy, xyToRas(node, xy))
        elif eventId == vtk.vtkCommand.LeftButtonReleaseEvent:
            points = self.gesture.release(xy, xyToRas(node, xy))
            if points:
                self.interact(points, SliceViews.sliceToRas(node))
            elif self.gesture.points:
                self._showPointCount()
        else:
            return False
        self.feedback.show(viewWidget, self.gesture.kind, self.gesture.points, self.options()["negative"])
        return True

    def _keyPressed(self, key):
        if key == "n":
            self.panel.toggleNegative()
        elif key == "x" and self.gesture.removeLast():
            self._showPointCount()
            view = self.gesture.view
            self.feedback.show(view, self.gesture.kind, self.gesture.points, self.options()["negative"])
        elif key == "Return":
            self.apply()
        else:
            return False
        return True

    def _showPointCount(self):
        drawn = len(self.gesture.points)
        self.panel.showMessage("%d of %d outermost points. Key x removes the last one." % (drawn, EXTREME_COUNT))

    # ---- what the panel asks for ----

    def options(self):
        """The options kept with the scene."""
        return Options.read(self.scriptedEffect)

    def setOption(self, name, value):
        if self.options()[name] == value:
            return  # a number box only lost the focus: what is being drawn stays
        Options.write(self.scriptedEffect, name, value)
        self.feedback.clear()
        self._useOptions(self.options())

    def _useOptions(self, options):
        self.gesture.setKind(options["kind"])
        self.logic.autoApply = options["autoApply"]
        self.logic.takeFromOthers = options["takeFromOthers"]

    def interact(self, points, sliceToRas):
        """Draws what was drawn."""
        options = self.options()

        def drawn(_):
            self.panel.showMessage("Look at the preview. Draw again to correct it, or propagate.")
            if options["autoPropagate"]:
                self.propagate(BOTH, *self.panel.range())

        self._try(
            self.logic.interact,
            options["kind"],
            points,
            sliceToRas,
            negative=options["negative"],
            radiusMm=options["radiusMm"],
            onDone=drawn,
            doing="Segmenting the slice...",
        )

    def propagate(self, direction, first, last):
        def progress(p):
            self.panel.showProgress(p.done, p.total)

        def done(count):
            self.panel.showMessage("%d slices were segmented. Look at the slice that is suggested, or apply." % count)

        doing = "Propagating. Cancel changes nothing."
        self._try(self.logic.propagate, direction, first, last, onDone=done, onProgress=progress, doing=doing)

    def apply(self):
        def done(changed):
            text = "Written into the segment." if changed else "The segment holds that already."
            if self.logic.state().differs:
                text = (
                    "Written as far as allowed. Other segments or the masking section keep the rest out; change what "
                    "is allowed, then apply again."
                )
            self.panel.showMessage(text)

        self._try(self.logic.apply, onDone=done)

    def undoStep(self):
        self._try(self.logic.undoStep, onDone=lambda done: done or self.panel.showMessage("There is nothing to undo."))

    def redoStep(self):
        self._try(self.logic.redoStep, onDone=lambda done: done or self.panel.showMessage("There is nothing to redo."))

    def reset(self):
        text = "Forgotten. The segment's voxels are as they were."
        self._try(self.logic.reset, onDone=lambda _: self.panel.showMessage(text))

    def acceptSlice(self):
        def accept(onDone=None, onError=None):
            state = self.logic.state()
            number = self.currentSlice()
            if state is None or number is None:
                raise UserError("No slice view shows a slice of this volume. Show one, then press this again.")
            self.logic.accept(state.axis, number, onDone, onError)

        self._try(accept, onDone=lambda _: self.panel.showMessage("The slice is taken as correct."))

    def nextSlice(self):
        state = self.logic.state()
        if state is not None and state.suggestion is not None:
            self.showSlice(state.suggestion.axis, state.suggestion.slice)
            self.panel.showMessage("Slice %d: correct it if it is wrong." % state.suggestion.slice)

    def showSlice(self, axis, number):
        """Moves the slice views there; `axis` None for the one drawn on."""
        state = self.logic.state()
        if state is not None and self.logic.lattice is not None:
            axis = state.axis if axis is None else axis
            SliceViews.showPosition(self.logic.sliceCenterRas(axis, number), slicer.mrmlScene)
            self.showState()

    def currentSlice(self):
        """The slice along the axis drawn on that a view shows."""
        state = self.logic.state()
        if state is None or self.logic.lattice is None:
            return None
        return SliceViews.shownSlice(self.logic.lattice.grid, state.axis, slicer.mrmlScene)

    def cancel(self):
        self.logic.cancel()

    def loadSettings(self):
        return Settings.load(slicer.app.userSettings())

    def chooseSettings(self, settings):
        settings.save(slicer.app.userSettings())
        self.logic.useSettings(settings)
        self.panel.settings.show(settings)
        self.panel.showMessage("The next interaction loads library and model with these settings.")
        self.refresh()

    # ---- how ----

    def _try(self, action, *arguments, doing=None, **named):
        """Calls into the logic; the panel shows an error, or else the text `doing`."""
        self._edited = None
        try:
            action(*arguments, onError=self._failed, **named)
            if doing:
                self.panel.showMessage(doing)
        except UserError as error:
            self.panel.showError(error)

    def _failed(self, error):
        if not isinstance(error, (UserError, EngineError)):  # a bug: the panel shows the message, the log the place
            logging.error("Mem3D: %s", error, exc_info=error)
        self.panel.showError(error)
        self.refresh()

    def _busyChanged(self, busy):
        self.panel.showBusy(busy)
        if busy:
            self._timer.start()
        else:
            self._timer.stop()

    def poll(self):
        """Takes over what the worker has; called by the timer."""
        if self.logic is None:
            return
        try:
            self.logic.worker.poll()
        except Exception as error:  # noqa: BLE001 - the timer must go on, and the user must see it
            self._failed(error)

    def noticeEdits(self):
        """Shows in the panel when Slicer's Undo or Redo, or another tool, edited the segment."""
        if self.logic is None or not self._active or self.logic.worker.busy:
            return
        edited, before = self.logic.edited(), self._edited
        self._edited = edited
        if edited != before:
            if edited is not None:
                self.panel.showMessage(EDITED[edited])
            elif before == "undone":
                self.panel.showMessage("The segment holds the result again.")
            self.refresh()

    def refresh(self):
        """Brings panel and preview to the present state."""
        if self.logic is None or self._refreshing:
            return
        self._refreshing = True  # looking at the source volume may make Slicer call back
        try:
            self._watch.watch(self.logic.editor.segmentationNode() if self._active else None)
            if not self.logic.isCurrent():
                self.preview.hide()
            else:
                self._showPreview()
            self.showState()
        finally:
            self._refreshing = False

    def _showPreview(self):
        editor, state = self.logic.editor, self.logic.state()
        if self._active and state is not None and state.pending:
            self.preview.show(
                self.logic.lattice, state.engineMask, editor.segmentationNode(), editor.selectedSegmentID()
            )
        else:
            self.preview.hide()

    def showState(self):
        if self.logic is None:
            return
        current = self.logic.isCurrent()
        state = self.logic.state() if current else None
        shape = self.logic.lattice.shape if current else None
        number = self.currentSlice() if current else None
        seconds = self.logic.lastSeconds, self.logic.lastRoundSeconds
        self.panel.showState(state, shape, number, self.logic.info, seconds)
