"""One effect on one volume, with its panel and an axial view, as a test finds them. Pictures of the panel are left in
out/slicer. Import it after headless.start()."""

import threading

import slicer
import slicer_app
from checkout import ROOT
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, voxels

slicer_app.completeApplication()

import desktop
from Mem3DLib.Editors import LogicEditor
from Mem3DLib.Native import BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect
from PySide6 import QtCore, QtTest, QtWidgets

SPACING = (1, 1, 3)
CENTER = (-20, -24, 18)  # of the ball, in RAS: voxel [6, 24, 20]
STROKE = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]
PANEL_WIDTH = 400  # of Slicer's module panel on a small screen
PICTURES = ROOT / "out" / "slicer"
BUTTONS = {SCRIBBLE: "scribbleButton", BOX: "boxButton", EXTREME_POINTS: "extremePointsButton", CLICK: "clickButton"}


class Bench:
    """The ball's middle is seen. `pressed`: the buttons that were pressed so far, over all benches."""

    pressed = set()

    def __init__(self, mode, array=None):
        slicer.mrmlScene.Clear()
        slicer_app.completeApplication()
        randomSettings(mode).save(slicer.app.userSettings())
        self.hierarchy = desktop.SegmentationsPlugin(slicer.mrmlScene)
        self.volume = addVolume(ball() if array is None else array, ijkToRas(SPACING))
        self.segmentation = addSegmentation(self.volume, ("a", "b"))
        self.editor = LogicEditor.create(self.volume, self.segmentation, "a")
        self.view = slicer_app.SliceWidget()
        self.view.node.JumpSliceByCentering(*CENTER)
        self.scripted = slicer_app.ScriptedEffect(self.editor)
        self.effect = SegmentEditorMem3DEffect(self.scripted)
        self.effect.setMRMLDefaults()
        self.effect.setupOptionsFrame()
        self.effect.activate()
        self.effect.updateGUIFromMRML()
        self.mouse = slicer_app.Mouse(self.effect, self.view)
        self.ui = self.effect.panel.ui
        self.window = QtWidgets.QWidget()
        beside = QtWidgets.QHBoxLayout(self.window)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.addWidget(self.scripted.frame)
        beside.addWidget(self.view.sliceView(), 1)
        self.scripted.frame.setFixedWidth(PANEL_WIDTH)
        self.window.resize(2 * PANEL_WIDTH, 720)
        self.window.show()
        self.window.activateWindow()
        assert QtTest.QTest.qWaitForWindowActive(self.window)

    def wait(self):
        assert slicer_app.processEvents(lambda: not self.effect.logic.worker.busy)

    def press(self, name):
        button = self.ui[name]
        assert button.isEnabled() and button.isVisible(), name
        # At its left end, where a box to check has its box.
        QtTest.QTest.mouseClick(button, QtCore.Qt.LeftButton, pos=QtCore.QPoint(8, button.height() // 2))
        self.pressed.add(name)

    def choose(self, kind):
        self.press(BUTTONS[kind])

    def select(self, segmentID):
        self.editor.select(segmentID)
        self.effect.updateGUIFromMRML()

    def draw(self, points=STROKE):
        self.mouse.drag(points)
        self.wait()

    def status(self):
        return self.ui["statusLabel"].text()

    def state(self):
        return self.effect.logic.state()

    def held(self, segmentID="a"):
        return voxels(self.segmentation, segmentID, self.volume)

    def screenshot(self, name):
        slicer_app.application.processEvents()
        PICTURES.mkdir(parents=True, exist_ok=True)
        assert self.scripted.frame.grab().save(str(PICTURES / ("panel-%s.png" % name)))


class SlowEngine:
    """An engine whose propagation waits at each slice until it is allowed to go on."""

    def __init__(self, engine):
        self._engine = engine
        self.atSlice = threading.Semaphore(0)
        self.mayGoOn = threading.Semaphore(0)

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def call(self, name, *arguments, onSlice=None, **named):
        if name == "propagate":
            report = onSlice

            def onSlice(progress):
                self.atSlice.release()
                self.mayGoOn.acquire()
                return report(progress)

        return self._engine.call(name, *arguments, onSlice=onSlice, **named)
