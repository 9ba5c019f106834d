"""Whole sessions on MRML nodes, without any widget: interactions from every plane, corrections by Slicer's own tools,
Undo and Redo, several segments, resuming, saving. Weights are random: what is checked does not depend on the masks'
sense."""

import os
import sys
import tempfile
import unittest

import numpy as np
import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import Mem3DTesting
from Mem3DLib import Native
from Mem3DLib.Editors import openEditor
from Mem3DLib.Errors import UserError
from Mem3DLib.Native import AXIS_DEPTH, AXIS_HEIGHT, AXIS_WIDTH, BOX, CLICK, DOWN, EXTREME_POINTS, SCRIBBLE
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DTesting import SPACING, STROKE, addSegmentation, ball, ijkToRas, randomSettings, rotation, setVoxels, voxels


class Mem3DSessionTestCase(Mem3DTesting.OneSession, unittest.TestCase):

    def native(self):
        """The same engine, without Slicer in between."""
        settings = randomSettings()
        library = Native.Library(settings.libraryPath or None)
        library.setThreadCount(1)
        return library.randomModel(seed=1, device="cpu").openSession(
            self.array, spacingMm=SPACING[::-1], replace_non_finite=1
        )

    def test_anInteractionIsTheEnginesOwn(self):
        logic = self.open()
        masks = []
        logic.interact(SCRIBBLE, self.ras(STROKE), onDone=masks.append)
        with self.native() as session:
            expected = session.interact(1, AXIS_DEPTH, 6, SCRIBBLE, points=STROKE)
        self.assertTrue((masks[0] == expected).all())
        self.assertFalse(self.held().any())  # a preview: nothing is written yet
        self.assertTrue((logic.state().engineMask.slice(0, 6) == expected).all())
        self.assertTrue(logic.state().pending)
        logic.apply()
        self.assertTrue((self.held()[6] == expected).all())
        self.assertFalse(logic.state().pending)

    def test_aWholeSessionOfThreeRoundsGivesTheEnginesVoxels(self):
        logic = self.open()
        box = [[6, 10, 8], [6, 38, 30]]
        click = [[9, 24, 20]]
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.propagate()
        logic.interact(BOX, self.ras(box), axis=AXIS_DEPTH)
        logic.propagate()
        logic.interact(CLICK, self.ras(click), negative=True, axis=AXIS_DEPTH)
        logic.propagate()
        logic.apply()
        with self.native() as session:
            session.interact(1, AXIS_DEPTH, 6, SCRIBBLE, points=STROKE)
            session.propagate(1, AXIS_DEPTH)
            session.interact(1, AXIS_DEPTH, 6, BOX, points=box)
            session.propagate(1, AXIS_DEPTH)
            session.interact(1, AXIS_DEPTH, 9, CLICK, points=click, negative=True)
            session.propagate(1, AXIS_DEPTH)
            expected = session.readMask(1) != 0
            quality = session.readQuality(1, AXIS_DEPTH)
            suggestion = session.suggestSlice(1)
        self.assertTrue((self.held() == expected).all())
        np.testing.assert_array_equal(logic.state().quality[AXIS_DEPTH], quality)
        self.assertEqual(logic.state().suggestion, suggestion)
        self.assertEqual(logic.state().annotated[AXIS_DEPTH], [6, 9])

    def test_threeRoundsOnTheDemoVolume(self):
        from Mem3DLib.Registration import sampleVolume

        path = sampleVolume()
        if path is None or self.mode == "helper":  # the ball shows that the helper gives the same
            self.skipTest("the bundled CT is not here, or was tried already")
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(path)
        self.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
        self.assertTrue(storage.ReadData(self.volume))
        self.segmentation = addSegmentation(self.volume)
        self.editor = openEditor(self.volume, self.segmentation)
        self.logic = SessionLogic(self.editor, randomSettings(self.mode))
        array = slicer.util.arrayFromVolume(self.volume)
        settings = randomSettings()
        library = Native.Library(settings.libraryPath or None)
        library.setThreadCount(1)
        # As the C example reads the file: its array, and its spacing from the header.
        session = library.randomModel(seed=1, device="cpu").openSession(
            array, spacingMm=self.volume.GetSpacing()[::-1], replace_non_finite=1
        )
        with session:
            for kind, number, points in (
                (EXTREME_POINTS, 26, [[26, 84, 53], [26, 72, 106], [26, 53, 80], [26, 100, 69]]),
                (SCRIBBLE, 30, [[30, 70, 75], [30, 80, 85]]),
                (CLICK, 22, [[22, 76, 78]]),
            ):
                self.logic.interact(kind, self.ras(points), axis=AXIS_DEPTH)
                self.logic.propagate(first=number - 1, last=number + 1)
                session.interact(1, AXIS_DEPTH, number, kind, points=points)
                session.propagate(1, AXIS_DEPTH, firstSlice=number - 1, nSlices=3)
            self.logic.apply()
            expected = session.readMask(1) != 0
        self.assertTrue(expected.any())
        self.assertTrue((voxels(self.segmentation, "target", self.volume) == expected).all())

    def test_interactionsFromEveryPlaneOfAnObliqueTransformedVolume(self):
        turn = rotation(25, 2) @ rotation(-40, 1)
        transform = Mem3DTesting.addTransform(rotation(70, 0))
        logic = self.open(matrix=ijkToRas(SPACING, (7, -8, 9), turn), transform=transform)
        world = rotation(70, 0) @ turn
        for axis, column, points in (
            (AXIS_DEPTH, 2, STROKE),
            (AXIS_HEIGHT, 1, [[4, 24, 14], [6, 24, 20], [8, 24, 26]]),
            (AXIS_WIDTH, 0, [[4, 18, 20], [6, 24, 20], [8, 30, 20]]),
        ):
            plane = np.eye(4)
            plane[:3, 2] = world[:3, column]
            masks = []
            logic.interact(SCRIBBLE, self.ras(points), plane, onDone=masks.append)
            with self.native() as session:
                expected = session.interact(1, axis, points[0][axis], SCRIBBLE, points=points)
            self.assertTrue((masks[0] == expected).all(), axis)
            logic.undoStep()
        with self.assertRaisesRegex(UserError, "Rotate to volume plane"):
            logic.interact(SCRIBBLE, self.ras(STROKE), np.eye(4))

    def test_interactionsThatCannotBe(self):
        logic = self.open()
        for points, kind, message in (
            ([[6, 24, 20]], EXTREME_POINTS, "4 points"),
            ([[40, 24, 20]], CLICK, "outside"),
            ([[6, 24, 99]], CLICK, "outside"),
            ([[3, 24, 20], [9, 26, 25]], SCRIBBLE, "several slices"),
        ):
            with self.assertRaisesRegex(UserError, message):
                logic.interact(kind, self.ras(points), axis=AXIS_DEPTH)
        self.assertFalse(self.held().any())

    def test_paintAndEraseOnASliceAreCorrectionsOfIt(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.propagate()
        logic.apply()
        painted = self.held()
        painted[3] = ball()[3] > 0
        # The ball itself may be what the engine has there.
        painted[3, 22:26, 20], painted[3, 22:26, 28:32] = False, True
        self.paint("a", painted)
        logic.propagate()
        self.assertEqual(logic.state().annotated[AXIS_DEPTH], [3, 6])
        self.assertTrue((logic.state().engineMask.slice(0, 3) == painted[3]).all())

    def test_paintingOverAPreviewKeepsThePreview(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        preview = logic.state().engineMask.slice(0, 6)
        painted = np.zeros(self.array.shape, bool)
        painted[6, 2:5, 2:5] = True
        self.paint("a", painted)
        logic.apply()
        self.assertTrue((self.held()[6] == (preview | painted[6])).all())

    def test_aSegmentThatHoldsSomethingIsRefined(self):
        logic = self.open()
        start = ball() > 0
        start[6] = False
        setVoxels(self.segmentation, "a", self.volume, start)
        logic.interact(SCRIBBLE, self.ras(STROKE))
        mask = logic.state().engineMask.full() != 0
        self.assertTrue((mask[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]] == start[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]]).all())
        self.assertTrue(mask[6].any())

    def test_rangeDirectionAndAcceptance(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        before = logic.state().engineMask.full()
        logic.propagate(direction=DOWN, first=4, last=8)
        after = logic.state().engineMask.full()
        self.assertTrue((before[[0, 1, 2, 3, 7, 8, 9, 10, 11]] == after[[0, 1, 2, 3, 7, 8, 9, 10, 11]]).all())
        logic.accept(AXIS_DEPTH, 5)
        self.assertEqual(logic.state().annotated[AXIS_DEPTH], [5, 6])
        with self.assertRaisesRegex(UserError, "empty"):
            logic.propagate(first=8, last=4)

    def test_resetKeepsTheVoxels(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.apply()
        held = self.held()
        logic.reset()
        self.assertTrue((self.held() == held).all())
        logic.interact(SCRIBBLE, self.ras([[8, 20, 20], [8, 26, 22]]))
        self.assertTrue((logic.state().engineMask.slice(0, 6) == held[6]).all())

    def test_autoApply(self):
        logic = self.open()
        logic.autoApply = True
        logic.interact(SCRIBBLE, self.ras(STROKE))
        self.assertTrue((self.held()[6] == logic.state().engineMask.slice(0, 6)).all())
        self.assertTrue(self.held().any())

    def test_otherSegmentsAreLeftAloneUnlessAllowed(self):
        logic = self.open()
        node = self.editor.node()
        other = np.zeros(self.array.shape, bool)
        other[:, :, :20] = True
        setVoxels(self.segmentation, "b", self.volume, other)
        self.assertEqual(node.GetOverwriteMode(), node.OverwriteAllSegments)  # Slicer's default
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.propagate()
        mask = logic.state().engineMask.full() != 0
        self.assertTrue((mask & other).any())
        logic.apply()
        self.assertTrue((self.held("b") == other).all())
        self.assertTrue((self.held("a") == (mask & ~other)).all())
        # There is a rest that could be written, but nothing that was not written as far as allowed.
        self.assertTrue(logic.state().differs)
        self.assertFalse(logic.state().pending)
        node.SetOverwriteMode(node.OverwriteNone)
        logic.apply()
        self.assertTrue((self.held("b") == other).all() and (self.held("a") == mask).all())
        self.editor.undo()
        node.SetOverwriteMode(node.OverwriteAllSegments)
        logic.takeFromOthers = True
        logic.apply()
        self.assertTrue((self.held("b") == (other & ~mask)).all() and (self.held("a") == mask).all())
        self.assertFalse(logic.state().differs)

    def test_cancelChangesNothing(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        before = logic.state().engineMask.full()
        seen = []

        def stop(progress):
            seen.append(progress)
            raise Native.CancelledError("enough")

        with self.assertRaises(Native.CancelledError):
            logic.propagate(onProgress=stop)
        self.assertEqual(len(seen), 1)
        self.assertTrue((logic.state().engineMask.full() == before).all())
        logic.propagate()

    def test_anotherVolumeOpensAnotherSession(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        self.assertTrue(logic.isCurrent())
        slicer.util.updateVolumeFromArray(self.volume, ball()[::-1].copy())
        self.assertFalse(logic.isCurrent())
        logic.interact(SCRIBBLE, self.ras([[5, 18, 14], [5, 24, 20]]))
        self.assertFalse(logic.state().engineMask.slice(0, 6).any())

    def test_nodesThatAreGone(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        self.segmentation.GetSegmentation().RemoveSegment("a")
        with self.assertRaisesRegex(UserError, "No segment"):
            logic.propagate()
        slicer.mrmlScene.RemoveNode(self.volume)
        with self.assertRaisesRegex(UserError, "source volume"):
            logic.propagate()
        slicer.mrmlScene.Clear()
        with self.assertRaises(UserError):
            logic.propagate()

    def test_nanVoxels(self):
        array = ball().astype(np.float32)
        array[0] = np.nan
        logic = self.open(array)
        logic.interact(SCRIBBLE, self.ras(STROKE))

    def test_suggestionsAreSlicesThatWerePropagated(self):
        logic = self.open(ball((24, 48, 40), (1.5, 1, 1)), ijkToRas((1, 1, 1.5)))
        leftovers = np.zeros(self.array.shape, bool)
        leftovers[1, 5:20, 5:20] = leftovers[22, 10:30, 10:30] = True
        setVoxels(self.segmentation, "a", self.volume, leftovers)
        logic.interact(SCRIBBLE, self.ras([[12, 18, 14], [12, 24, 20], [12, 30, 26]]), axis=AXIS_DEPTH)
        self.assertIsNone(logic.state().suggestion)
        for first, last in ((8, 16), (0, 23)):
            logic.propagate(first=first, last=last)
            suggestion, quality = logic.state().suggestion, logic.state().quality[AXIS_DEPTH]
            self.assertTrue(first <= suggestion.slice <= last and suggestion.slice != 12, suggestion)
            self.assertGreater(quality[suggestion.slice], 0)
            self.assertAlmostEqual(suggestion.quality, quality[suggestion.slice], places=6)

    def test_whereToLookNext(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        center = logic.sliceCenterRas(AXIS_DEPTH, 4)
        self.assertAlmostEqual(center[2], 4 * 3)

    def test_savedResumedInFiles(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.propagate()
        logic.apply()
        held = self.held()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "saved.seg.nrrd")
            storage = slicer.vtkMRMLSegmentationStorageNode()
            storage.SetFileName(path)
            self.assertTrue(storage.WriteData(self.segmentation))
            other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
            self.assertTrue(storage.ReadData(other))
        self.assertTrue((voxels(other, "a", self.volume) == held).all())
        editor = openEditor(self.volume, other, "a")
        with SessionLogic(editor, randomSettings(self.mode)) as resumed:
            resumed.accept(AXIS_DEPTH, 6)
            self.assertTrue((resumed.state().engineMask.full() == held).all())
            self.assertEqual(resumed.state().annotated[AXIS_DEPTH], [6])


class Mem3DHelperSessionTestCase(Mem3DSessionTestCase):
    """The same in a helper process."""

    mode = "helper"
