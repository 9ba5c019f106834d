"""Slicer's Undo and Redo of what was applied: the engine follows the segment, and apply() writes again what was taken
out. Weights are random."""

import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from Mem3DLib.Native import AXIS_DEPTH, BOX, SCRIBBLE
from Mem3DTesting import STROKE, OneSession, setVoxels


class Mem3DUndoTestCase(OneSession, unittest.TestCase):
    def test_undoAndRedoOfSlicerTakeTheEngineAlong(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.apply()
        first = self.held()
        logic.interact(BOX, self.ras([[8, 14, 10], [8, 34, 30]]), axis=AXIS_DEPTH)
        logic.apply()
        second = self.held()
        self.assertFalse((first == second).all())
        self.assertIsNone(logic.edited())
        self.editor.undo()
        self.assertTrue((self.held() == first).all())
        self.assertEqual(logic.edited(), "undone")
        logic.accept(AXIS_DEPTH, 6)  # any step brings the engine up to date
        self.assertTrue((self.held() == first).all())
        self.assertTrue((logic.state().engineMask.full() == first).all())
        self.assertIsNone(logic.edited())
        self.editor.redo()
        logic.accept(AXIS_DEPTH, 8)
        self.assertTrue((self.held() == second).all())
        self.assertTrue((logic.state().engineMask.full() == second).all())

    def test_whatSlicersUndoTookOutCanBeAppliedAgain(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.apply()
        first = self.held()
        logic.interact(BOX, self.ras([[8, 14, 10], [8, 34, 30]]), axis=AXIS_DEPTH)
        logic.apply()
        second = self.held()
        self.assertFalse(logic.state().applicable)
        self.editor.undo()
        self.editor.undo()
        self.assertEqual((logic.edited(), logic.state().applicable), ("undone", True))
        self.editor.redo()
        self.assertEqual(logic.edited(), "undone")
        self.assertTrue((self.held() == first).all())
        changed = []
        logic.apply(onDone=changed.append)
        self.assertEqual(changed, [True])
        self.assertTrue((self.held() == second).all() and (logic.state().engineMask.full() == second).all())
        self.assertEqual((logic.edited(), logic.state().applicable), (None, False))
        self.editor.undo()
        self.editor.redo()
        self.assertIsNone(logic.edited())
        # An edit by another tool is neither undone by apply() nor left to be applied.
        painted = second.copy()
        painted[2, 3:5, 3:5] = True
        self.paint("a", painted)
        self.assertEqual((logic.edited(), logic.state().applicable), ("edited", False))
        logic.apply()
        self.assertTrue((self.held() == painted).all())

    def test_undoOfOneSegmentLeavesTheOther(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.apply()
        a = self.held("a")
        self.editor.node().SetOverwriteMode(self.editor.node().OverwriteNone)
        self.editor.select("b")
        logic.interact(BOX, self.ras([[6, 2, 2], [6, 12, 12]]), axis=AXIS_DEPTH)
        logic.apply()
        b = self.held("b")
        self.assertTrue((self.held("a") == a).all())
        self.editor.undo()  # of b's
        self.editor.undo()  # of a's
        self.editor.select("a")
        self.assertFalse(self.held("a").any())
        logic.interact(SCRIBBLE, self.ras(STROKE))  # from the beginning again
        self.assertTrue((logic.state("a").engineMask.full() == a).all())
        self.assertTrue((logic.state("b").engineMask.full() == b).all())
        self.editor.redo()
        self.editor.redo()
        logic.apply()
        self.assertTrue((self.held("a") == a).all())
        self.editor.select("b")
        logic.apply()
        self.assertTrue((self.held("b") == b).all())

    def test_undoAfterAnEditOfAnotherSegmentInBetween(self):
        logic = self.open()
        logic.interact(SCRIBBLE, self.ras(STROKE))
        logic.apply()
        first = self.held()
        logic.interact(BOX, self.ras([[8, 14, 10], [8, 34, 30]]), axis=AXIS_DEPTH)
        other = np.zeros(self.array.shape, bool)
        other[0, :3, :3] = True
        setVoxels(self.segmentation, "b", self.volume, other)  # touches the labelmap that a may share
        logic.apply()
        self.assertFalse((self.held() == first).all())
        self.editor.undo()
        logic.accept(AXIS_DEPTH, 6)
        self.assertTrue((self.held() == first).all())
        self.assertTrue((logic.state().engineMask.full() == first).all())


class Mem3DHelperUndoTestCase(Mem3DUndoTestCase):
    """The same in a helper process."""

    mode = "helper"
