"""The effect's panel: the .ui file, wired to a logic that it is given. It asks the effect's owner (`host`) for what
belongs to views and nodes, so that a test can stand in for both. Nothing in it moves or changes its size, whatever is
shown: a press always meets what was aimed at.

Only setters, `property()` and signals without overloads are used: they mean the same in PythonQt and in PySide.
"""

import qt

from . import Native, QualityBars, UiFiles
from .Native import BOTH, BOX, CLICK, DOWN, EXTREME_POINTS, SCRIBBLE, UP
from .Options import INSIDE_ONLY
from .QualityStrip import QualityStrip
from .SettingsForm import SettingsForm

ICON_PIXELS = 20
# Of the text for the user, the progress in the lowest of them.
MESSAGE_LINES = 3
PADDING = 2

KINDS = {
    SCRIBBLE: ("scribbleButton", "Scribble", "Drag a stroke over the structure in a slice view."),
    BOX: ("boxButton", "Box", "Drag a rectangle around the structure in a slice view."),
    EXTREME_POINTS: ("extremePointsButton", "ExtremePoints", "Click the structure's four outermost points."),
    CLICK: ("clickButton", "Click", "Click inside the structure in a slice view."),
}


class Panel:
    """`host` has logic, showSlice(axis, number), shownSlice(axis), and receives changes by setOption(name, value),
    chooseSettings(settings), propagate(direction, first, last), nextSlice(), acceptSlice(), apply(), undoStep(),
    redoStep(), reset() and cancel()."""

    def __init__(self, host):
        self._host = host
        self.widget, self.ui = UiFiles.load("SegmentEditorMem3D")
        self.kind = SCRIBBLE
        self._updating = False
        self._busy = False
        self._range = None
        self._group = qt.QButtonGroup(self.widget)
        self._group.setExclusive(True)
        for kind, (name, icon, _) in KINDS.items():
            button = self.ui[name]
            button.setIcon(UiFiles.icon(icon))
            button.setIconSize(qt.QSize(ICON_PIXELS, ICON_PIXELS))
            self._group.addButton(button)
            button.clicked.connect(lambda *_, kind=kind: self._chooseKind(kind))
        self.ui["scribbleButton"].setChecked(True)
        self.strip = QualityStrip(self.ui["qualityStrip"], self._stripClicked)
        self.settings = SettingsForm(host.chooseSettings, compact=True)
        self.widget.layout().addWidget(self.settings.widget)
        self.ui.update(self.settings.ui)
        self._fixSizes()
        self._wire()
        self.showBusy(False)
        self.showMessage(KINDS[SCRIBBLE][2])

    def _fixSizes(self):
        """Room for any text and any number, once and for all: longer texts scroll."""
        ui = self.ui
        line = qt.QFontMetrics(ui["statusLabel"].property("font")).lineSpacing()
        ui["messageFrame"].setFixedHeight(MESSAGE_LINES * line + 2 * PADDING)
        ui["qualityLabel"].setFixedHeight(2 * line)
        for name, largest in (("firstSliceBox", 99999), ("lastSliceBox", 99999), ("radiusBox", 50)):
            present = ui[name].property("maximum")
            ui[name].setMaximum(largest)
            ui[name].setFixedWidth(ui[name].property("sizeHint").width())
            ui[name].setMaximum(present)

    def _wire(self):
        ui, host = self.ui, self._host
        ui["insideButton"].toggled.connect(lambda inside: self._option("negative", not inside))
        ui["radiusBox"].editingFinished.connect(
            lambda: self._option("radiusMm", ui["radiusBox"].property("value"))
        )
        for name in ("autoPropagate", "autoApply", "takeFromOthers"):
            ui[name + "CheckBox"].toggled.connect(lambda on, name=name: self._option(name, bool(on)))
        ui["rangeCheckBox"].toggled.connect(lambda *_: self._enable())
        for name, direction in (("propagateButton", BOTH), ("propagateUpButton", UP), ("propagateDownButton", DOWN)):
            ui[name].clicked.connect(lambda *_, direction=direction: host.propagate(direction, *self.range()))
        for name, action in (
            ("cancelButton", host.cancel),
            ("nextSliceButton", host.nextSlice),
            ("acceptButton", host.acceptSlice),
            ("applyButton", host.apply),
            ("undoButton", host.undoStep),
            ("redoButton", host.redoStep),
            ("resetButton", host.reset),
        ):
            ui[name].clicked.connect(lambda *_, action=action: action())

    # ---- what the user chose ----

    def range(self):
        """(first, last) slice to propagate over, or (None, None) for all."""
        if not self.ui["rangeCheckBox"].property("checked"):
            return None, None
        return self.ui["firstSliceBox"].property("value"), self.ui["lastSliceBox"].property("value")

    def toggleNegative(self):
        other = "outsideButton" if self.ui["insideButton"].property("checked") else "insideButton"
        if self.ui[other].property("enabled"):
            self.ui[other].setChecked(True)

    def _chooseKind(self, kind):
        self.kind = kind
        if kind in INSIDE_ONLY:
            self.ui["insideButton"].setChecked(True)
        self._option("kind", kind)
        self._enable()
        self.showMessage(KINDS[kind][2])

    def _option(self, name, value):
        if not self._updating:
            self._host.setOption(name, value)

    def _stripClicked(self, number):
        self._host.showSlice(None, number)

    # ---- what there is to show ----

    def showOptions(self, kind, negative, radiusMm, autoPropagate, autoApply, takeFromOthers):
        """The options as they are kept with the scene."""
        self._updating = True
        try:
            if kind in KINDS:
                self.kind = kind
                self.ui[KINDS[kind][0]].setChecked(True)
            self.ui["outsideButton" if negative else "insideButton"].setChecked(True)
            self.ui["radiusBox"].setValue(radiusMm)
            self.ui["autoPropagateCheckBox"].setChecked(autoPropagate)
            self.ui["autoApplyCheckBox"].setChecked(autoApply)
            self.ui["takeFromOthersCheckBox"].setChecked(takeFromOthers)
        finally:
            self._updating = False
        self._enable()

    def showState(self, state, shape, currentSlice, info=None, seconds=(None, None)):
        """What is known of the selected segment: a SegmentState, or None. `seconds`: how long the last step took, and
        the last propagation."""
        ui = self.ui
        strip = QualityBars.stripOf(state)
        self.strip.show(strip, currentSlice)
        ui["qualityLabel"].setText(QualityBars.sentence(strip, currentSlice))
        if state is not None and shape is not None and self._range != (shape, state.axis):
            self._range = (shape, state.axis)
            last = shape[state.axis] - 1
            for name, value in (("firstSliceBox", 0), ("lastSliceBox", last)):
                ui[name].setMaximum(last)
                ui[name].setValue(value)
        self._known = state is not None
        self._applicable = state is not None and state.applicable
        self._drawn = len(strip.annotated) > 0 or (state is not None and not state.engineMask.isEmpty())
        self._suggested = state is not None and state.suggestion is not None
        self._enable()
        if info is not None:
            self.settings.showInfo(info, *seconds)
            for kind, (name, _, _) in KINDS.items():
                ui[name].setEnabled(kind in info["interactionKinds"])

    _known = _drawn = _suggested = _applicable = _isError = False

    def showBusy(self, busy):
        """Whether the engine is at work: then there is nothing to do but to wait or to cancel."""
        self._busy = busy
        self.ui["progressBar"].setVisible(busy)
        self.ui["cancelButton"].setVisible(busy)
        if not busy:
            self.showProgress(0, 0)
        self._enable()

    def showProgress(self, done, total):
        """Slices done of those to do; 0 of 0 for a step of unknown length."""
        self.ui["progressBar"].setMaximum(total)
        self.ui["progressBar"].setValue(done)

    def showMessage(self, text, error=False, keepError=False):
        """One sentence for the user, in the place where all of them are; `keepError`: behind an error that is there."""
        label = self.ui["statusLabel"]
        if keepError and self._isError:
            text, error = label.property("text") + " " + text, True
        self._isError = error
        label.setText(text)
        label.setToolTip(text)
        label.setStyleSheet("background: #f8d7da; color: #6a1a21;" if error else "")

    def showError(self, error):
        """What went wrong, in its own words; a cancelled step is no error."""
        if isinstance(error, Native.CancelledError):
            self.showMessage("Cancelled. Nothing was changed.")
        else:
            self.showMessage(str(error), error=True)

    def _enable(self):
        idle = not self._busy
        for names, on in (
            (("propagateButton", "propagateUpButton", "propagateDownButton", "acceptButton"), idle and self._drawn),
            (("nextSliceButton",), idle and self._suggested),
            (("applyButton",), idle and self._applicable),
            (("undoButton", "redoButton", "resetButton"), idle and self._known),
            (("settingsApplyButton",), idle),
            (("outsideButton",), self.kind not in INSIDE_ONLY),
            (("firstSliceBox", "lastSliceBox"), bool(self.ui["rangeCheckBox"].property("checked"))),
        ):
            for name in names:
                self.ui[name].setEnabled(bool(on))

    def close(self):
        self._updating = True  # a number box may lose the focus later on
        self.strip.close()
