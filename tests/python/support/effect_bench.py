"""One effect on one volume, with its panel and an axial view, as a test finds them. Pictures of the panel are left in
out/slicer. Import it after headless.start()."""

import slicer
import slicer_app
from checkout import ROOT
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, voxels

slicer_app.completeApplication()

from Mem3DLib.Editors import LogicEditor
from Mem3DLib.Native import BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect
from PySide6 import QtCore, QtTest

SPACING = (1, 1, 3)
CENTER = (-20, -24, 18)  # of the ball, in RAS: voxel [6, 24, 20]
STROKE = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]
PICTURES = ROOT / "out" / "slicer"
BUTTONS = {SCRIBBLE: "scribbleButton", BOX: "boxButton", EXTREME_POINTS: "extremePointsButton", CLICK: "clickButton"}


class Bench:
    """The ball's middle is seen. `pressed`: the buttons that were pressed so far, over all benches."""

    pressed = set()

    def __init__(self, mode):
        slicer.mrmlScene.Clear()
        slicer_app.completeApplication()
        randomSettings(mode).save(slicer.app.userSettings())
        self.volume = addVolume(ball(), ijkToRas(SPACING))
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
        self.scripted.frame.resize(430, 720)
        self.scripted.frame.show()

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
