"""The Segment Editor effect "Mem3D": interactions drawn in slice views to the logic, results to panel and preview."""

import slicer
from SegmentEditorEffects import AbstractScriptedSegmentEditorEffect

from . import Options, SliceViews, UiFiles
from .Drawing import Drawing
from .Editors import EffectEditor
from .Ending import endAll
from .Errors import UserError
from .Gesture import EXTREME_COUNT
from .Native import BOTH
from .Observers import Observers
from .Panel import Panel
from .Polling import Polling, logBug
from .Preview import Preview
from .SegmentState import UNDONE
from .SegmentWatch import EDITED, SegmentWatch
from .SessionLogic import SessionLogic
from .Settings import Settings
from .Worker import Worker

CURSOR_PIXELS = 24


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
        self.drawing = Drawing(self)
        self.polling = None
        self._watch = None
        self._observers = Observers()
        self._edited = None  # what others did to the segment, as the panel shows it
        self._missed = False  # whether there were edits during the step that runs
        self._current = False  # whether the session is about the editor's nodes, as the panel shows it
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
        self.logic.onDropped = self._dropped
        self.panel = Panel(self)
        self.panel.settings.show(self.logic.settings)
        self.scriptedEffect.addOptionsWidget(self.panel.widget)
        self.polling = Polling(self.panel.widget, self.logic.worker, self.panel.showBusy, self._failed, self._idle)
        self._watch = SegmentWatch(self.panel.widget, self.noticeEdits)
        self._observers.add(slicer.mrmlScene, slicer.mrmlScene.StartSaveEvent, lambda *_: self._tellUnapplied())
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
        if self._active:
            self._tellUnapplied()
        self._active = False
        if self._watch is not None:
            self._watch.watch(None, None)
        self.drawing.close()
        self.preview.hide()

    def _tellUnapplied(self):
        """Other effects and files have what was applied only."""
        names = self.logic.unapplied() if self.logic is not None else []
        if names:
            text = "Mem3D: not in the segment yet: the preview of %s. Select the segment in Mem3D and press Apply."
            slicer.util.showStatusMessage(text % ", ".join(names), 8000)

    @staticmethod
    def _dropped(names):
        text = "Mem3D: the preview of %s was dropped; it was not applied."
        slicer.util.showStatusMessage(text % ", ".join(names), 8000)

    def cleanup(self):
        """Ends everything that would outlive the effect; may be called more than once."""
        logic, self.logic = self.logic, None
        if logic is None:
            return
        self._active = False
        logic.onChanged = logic.onDropped = None
        endAll(
            logic.close,  # before all else: a thread in the engine would take Slicer down at its end
            lambda: slicer.app.aboutToQuit.disconnect(self.cleanup),
            self._observers.remove,
            self.polling.close,
            lambda: self._watch.close(),
            self.drawing.close,
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
            if self.drawing.gesture.points:
                self.drawing.show()
            self.showState()

    def processInteractionEvents(self, callerInteractor, eventId, viewWidget):
        """Whether the event was one of ours."""
        if self.logic is None or viewWidget.className() != "qMRMLSliceWidget":
            return False
        return self.drawing.process(callerInteractor, eventId, viewWidget)

    # ---- what the drawing asks for ----

    def mayDraw(self):
        """Whether a stroke may begin; the panel shows why not."""
        effect = self.scriptedEffect
        if effect.confirmCurrentSegmentVisible() in (effect.NotConfirmed, effect.ConfirmedWithDialog):
            return False  # the dialog took the mouse: there is no stroke to go on with
        if self.logic.worker.busy:
            self.panel.showMessage("The engine is at work. Wait for it, or press Cancel.")
            return False
        return True

    def showPointCount(self, count):
        self.panel.showMessage("%d of %d outermost points. Key x removes the last one." % (count, EXTREME_COUNT))

    # ---- what the panel asks for ----

    def options(self):
        """The options kept with the scene."""
        return Options.read(self.scriptedEffect)

    def setOption(self, name, value):
        if self.options()[name] == value:
            return  # a number box only lost the focus: what is being drawn stays
        Options.write(self.scriptedEffect, name, value)
        self._useOptions(self.options())

    def _useOptions(self, options):
        self.drawing.setKind(options["kind"])
        self.logic.autoApply = options["autoApply"]
        self.logic.takeFromOthers = options["takeFromOthers"]

    def interact(self, points, sliceToRas):
        """Draws what was drawn."""
        options = self.options()
        segmentID = self.logic.editor.selectedSegmentID()

        def drawn(_):
            state = self.logic.state(segmentID)
            if state.engineMask.isEmpty():
                self.panel.showMessage("Nothing is marked yet. Draw inside of the structure.")
                return
            where = "The mask is in the segment." if options["autoApply"] else "Look at the preview."
            self.panel.showMessage(where + " Draw again to correct it, or propagate.")
            if not options["autoPropagate"] or not self.logic.isCurrent():
                return
            if self.logic.editor.selectedSegmentID() != segmentID:
                text = "The slice of %s waits: select that segment, then press Propagate."
                self.panel.showMessage(text % state.name)
            elif self.logic.edited() is None:  # an edit meanwhile may take the slice back
                self.refresh()  # the range of slices is then one along the axis drawn on
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

        segmentID = self.logic.editor.selectedSegmentID()

        def done(count):
            text = "%d slices were segmented." % count if count else "No slice was left to segment."
            if self.logic.state(segmentID).suggestion is not None:
                text += " Look at the slice that is suggested."
            self.panel.showMessage(text)

        doing = "Propagating. Cancel changes nothing."
        self._try(self.logic.propagate, direction, first, last, onDone=done, onProgress=progress, doing=doing)

    def apply(self):
        segmentID = self.logic.editor.selectedSegmentID()

        def done(changed):
            text = "Written into the segment." if changed else "The segment holds that already."
            if self.logic.state(segmentID).differs:
                text = (
                    "Written as far as allowed. Other segments or the masking section keep the rest out; change what "
                    "is allowed, then apply again."
                )
            self.panel.showMessage(text)

        self._try(self.logic.apply, onDone=done)

    def undoStep(self):
        self._step(self.logic.undoStep, "Undone.", "There is nothing to undo.")

    def redoStep(self):
        self._step(self.logic.redoStep, "Redone.", "There is nothing to redo.")

    def _step(self, step, done, nothing):
        self._try(step, onDone=lambda some: self.panel.showMessage(done if some else nothing))

    def reset(self):
        text = "Forgotten. The segment's voxels are as they were."
        self._try(self.logic.reset, onDone=lambda _: self.panel.showMessage(text))

    def acceptSlice(self):
        state, number = self.logic.state(), self.currentSlice()
        if state is None or number is None:
            error = UserError("No slice view shows a slice of this volume. Show one, then press this again.")
            self.panel.showError(error)
            return
        text = "Slice %d is taken as correct." % number
        self._try(self.logic.accept, state.axis, number, onDone=lambda _: self.panel.showMessage(text))

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
        """The slice along the axis drawn on that a view shows, first of all the one that the mouse was in last."""
        state = self.logic.state()
        if state is None or self.logic.lattice is None:
            return None
        views = SliceViews.visibleNodes(slicer.mrmlScene, self.drawing.viewNode)
        return SliceViews.shownSlice(self.logic.lattice.grid, state.axis, views)

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
        logBug(error)
        self.panel.showError(error)
        self.refresh()

    def _idle(self):
        """The engine is done, and the panel says what came out."""
        if self.logic is not None and (self._missed or self._watch.pending()):
            self._missed = False
            self.noticeEdits(keepError=True)

    def noticeEdits(self, keepError=False):
        """Shows in the panel when the nodes are not those that were drawn on any more, and when Slicer's Undo or Redo,
        or another tool, edited the segment; `keepError`: behind the error that is shown."""
        if self.logic is None or not self._active:
            return
        if self.logic.worker.busy:
            self._missed = True
            return
        if self._current and not self.logic.isCurrent():
            self.refresh()
            return
        edited, before = self.logic.edited(), self._edited
        self._edited = edited
        if edited != before:
            if edited is not None:
                self.panel.showMessage(EDITED[edited], keepError=keepError)
            elif before == UNDONE:
                self.panel.showMessage("The segment holds the result again.")
            self.refresh()

    def refresh(self):
        """Brings panel and preview to the present state."""
        if self.logic is None or self._refreshing:
            return
        self._refreshing = True  # looking at the source volume may make Slicer call back
        try:
            editor = self.logic.editor
            self._watch.watch(*(editor.segmentationNode(), editor.volumeNode()) if self._active else (None, None))
            before, self._current = self._current, self.logic.isCurrent()
            if self._current:
                self._showPreview()
            else:
                self.preview.hide()
                if before and editor.selectedSegmentID():
                    self._tellOutdated()
            self.showState()
        finally:
            self._refreshing = False

    def _tellOutdated(self):
        names = self.logic.unapplied()
        if names:
            text = "The volume or the segmentation is not the one you drew on. The preview of %s is not applied; what "
            self.panel.showMessage((text + "you draw now drops it.") % ", ".join(names), error=True)

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
