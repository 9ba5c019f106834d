"""The effect in the Segment Editor, used through it: the mouse in the slice views, the panel's buttons, what is shown.
Weights are random. In Slicer it needs the main window's views."""

import os
import sys
import unittest

import numpy as np
import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from Mem3DLib.Editors import releaseWithScene
from Mem3DLib.Native import AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH, CLICK, EXTREME_POINTS
from Mem3DLib.Registration import registerEffect
from Mem3DLib.Settings import Settings
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, rotation, voxels, waitFor

SPACING = (1, 1, 3)
CENTER = (-20, -24, 18)  # of the ball, in RAS: voxel [6, 24, 20]
VIEW_MM = 100


class Mem3DEffectTestCase(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()
        store = slicer.app.userSettings()
        self.addCleanup(Settings.load(store).save, store)
        randomSettings().save(store)
        self.editor = None

    def tearDown(self):
        self.closeEditor()

    def closeEditor(self):
        """As the module Segment Editor does it: a scene must not be closed under a living editor."""
        if self.editor:
            self.release()
            self.effect.cleanup()
            self.editor = None

    def open(self, turn=None):
        self.volume = addVolume(ball(), ijkToRas(SPACING, turn=turn))
        self.segmentation = addSegmentation(self.volume, ("a", "b"))
        self.editor = self.makeEditor()
        if "Mem3D" not in self.editor.availableEffectNames():  # the module was not loaded at Slicer's start
            registerEffect()
            self.editor = self.makeEditor()
        self.release = releaseWithScene(self.editor, slicer.mrmlScene)
        self.editor.setSegmentationNode(self.segmentation)
        self.editor.setSourceVolumeNode(self.volume)
        self.editor.setCurrentSegmentID("a")
        self.editor.setActiveEffectByName("Mem3D")
        self.effect = self.editor.activeEffect().self()
        self.ui = self.effect.panel.ui
        self.center = CENTER if turn is None else (turn @ (*CENTER, 1))[:3]
        for name in ("Red", "Green", "Yellow"):
            self.turnView(name, np.eye(4) if turn is None else turn)
        return self.effect

    @staticmethod
    def makeEditor():
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMRMLScene(slicer.mrmlScene)
        editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
        return editor

    def turnView(self, name, turn):
        """Shows the middle, in the view's own orientation and then turned."""
        node = slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceNode()
        node.SetOrientation({"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}[name])
        plane = turn @ slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        for row in range(4):
            for column in range(4):
                node.GetSliceToRAS().SetElement(row, column, plane[row, column])
        node.UpdateMatrices()
        width, height = node.GetDimensions()[:2]
        node.SetFieldOfView(VIEW_MM, VIEW_MM * height / width, node.GetFieldOfView()[2])
        node.JumpSliceByCentering(*self.center)
        return node

    def drag(self, name, reach=6):
        """A stroke over the middle of a view; `reach` in mm, 0 for a click."""
        view = slicer.app.layoutManager().sliceWidget(name)
        node = view.sliceLogic().GetSliceNode()
        toXY = np.linalg.inv(slicer.util.arrayFromVTKMatrix(node.GetXYToRAS()))
        middle = (toXY @ (*self.center, 1))[:2]
        pixels = reach * node.GetDimensions()[0] / VIEW_MM
        start, end = ([int(round(m + sign * pixels)) for m in middle] for sign in (-1, 1))
        slicer.util.clickAndDrag(view, start=start, end=end, steps=10 if reach else 1)

    def wait(self):
        self.assertTrue(waitFor(lambda: not self.effect.logic.worker.busy), "the engine is still at work")

    def press(self, name):
        self.assertTrue(self.ui[name].property("enabled"), name)
        self.ui[name].click()

    def statusText(self):
        return self.ui["statusLabel"].property("text")

    def state(self):
        return self.effect.logic.state()

    def held(self):
        return voxels(self.segmentation, "a", self.volume)

    def test_itIsThere(self):
        effect = self.open()
        self.assertFalse(effect.icon().isNull())
        self.assertIn("Not a medical device", effect.helpText())
        self.assertEqual(effect.scriptedEffect.name, "Mem3D")

    def test_fromAStrokeToASegment(self):
        self.open()
        self.drag("Red")
        self.wait()
        self.assertEqual(self.state().drawn, (AXIS_DEPTH, 6))
        preview = self.effect.preview.node
        self.assertTrue(preview.GetDisplayNode().GetVisibility())
        self.assertFalse(self.held().any())
        self.press("propagateButton")
        self.wait()
        self.assertIn("segmented", self.statusText())
        mask = self.state().engineMask.full() != 0
        self.assertGreater(mask.any(axis=(1, 2)).sum(), 1)
        self.assertTrue((voxels(preview, "preview", self.volume) == mask).all())
        if self.state().suggestion is not None:
            self.press("nextSliceButton")
            self.assertEqual(self.effect.currentSlice(), self.state().suggestion.slice)
        self.press("applyButton")
        self.wait()
        self.assertTrue((self.held() == mask).all())
        self.assertFalse(preview.GetDisplayNode().GetVisibility())
        self.editor.undo()
        self.assertFalse(self.held().any())
        self.editor.redo()
        self.assertTrue((self.held() == mask).all())

    def test_everyViewOfAStraightAndOfAnObliqueVolume(self):
        for turn in (None, rotation(25, 2) @ rotation(-40, 1)):
            self.closeEditor()
            slicer.mrmlScene.Clear()
            self.open(turn)
            for name, drawn in (("Red", (AXIS_DEPTH, 6)), ("Green", (AXIS_HEIGHT, 24)), ("Yellow", (AXIS_WIDTH, 20))):
                self.drag(name)
                self.wait()
                self.assertEqual(self.state().drawn, drawn, self.statusText())
                # The stroke lies in the mask where it was drawn.
                index = self.effect.logic.lattice.grid.rasToIndex([self.center])[0].round().astype(int)
                self.assertTrue(self.state().engineMask.full()[tuple(index)], name)
                self.press("undoButton")
                self.wait()

    def test_aTurnedViewIsRefusedInWords(self):
        self.open()
        self.turnView("Red", rotation(20, 0))
        self.drag("Red")
        self.assertIn("20.0 degrees", self.statusText())
        self.assertIn("Rotate to volume plane", self.statusText())
        self.assertFalse(self.effect.logic.worker.busy)

    def test_clicksAndExtremePoints(self):
        self.open()
        self.press("clickButton")
        self.drag("Red", 0)
        self.wait()
        self.assertEqual((self.effect.options()["kind"], self.state().drawn), (CLICK, (AXIS_DEPTH, 6)))
        self.press("undoButton")
        self.wait()
        self.press("extremePointsButton")
        for count in range(4):
            self.assertEqual(len(self.effect.drawing.gesture.points), count)
            self.drag("Red", 0)
        self.wait()
        self.assertEqual((self.effect.options()["kind"], self.state().drawn), (EXTREME_POINTS, (AXIS_DEPTH, 6)))

    def test_cancelled(self):
        self.open()
        self.drag("Red")
        self.wait()
        before = self.state().engineMask.full()
        self.press("propagateButton")
        self.press("cancelButton")
        self.wait()
        self.assertIn("Cancelled", self.statusText())
        self.assertTrue((self.state().engineMask.full() == before).all())

    def test_theSceneIsClosedInTheMiddle(self):
        self.open()
        self.drag("Red")
        self.wait()
        self.press("propagateButton")
        slicer.mrmlScene.Clear()
        self.wait()
        self.assertFalse(self.ui["cancelButton"].property("visible"))
