"""Volumes and segments as arrays and back: every kind of geometry, scalar type, masking and overwrite setting."""

import os
import sys
import unittest

import numpy as np
import slicer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from Mem3DLib import Segments
from Mem3DLib.Editors import openEditor
from Mem3DLib.Errors import UserError
from Mem3DLib.Geometry import Grid
from Mem3DLib.Regions import Region
from Mem3DTesting import addSegmentation, addTransform, addVolume, ijkToRas, rotation, setVoxels, voxels

SHAPE = (10, 20, 30)


def box(*sides):
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(a, b) for a, b in sides)] = 1
    return mask


class Mem3DSegmentsTestCase(unittest.TestCase):
    def setUp(self):
        slicer.mrmlScene.Clear()

    def open(self, array=None, matrix=None, segments=("a", "b"), volumeTransform=None, transform=None):
        array = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) if array is None else array
        self.volume = addVolume(array, ijkToRas() if matrix is None else matrix, transform=volumeTransform)
        self.segmentation = addSegmentation(self.volume, segments, transform)
        self.editor = openEditor(self.volume, self.segmentation, segments[0])
        self.lattice = Segments.Lattice(self.editor.sourceImage(), self.segmentation)
        return array

    def write(self, segmentID, mask):
        before = Segments.readSegment(self.segmentation, segmentID, self.lattice)
        self.editor.select(segmentID)
        return Segments.writeSegment(self.editor, segmentID, self.lattice, before, Region.fromMask(mask))

    def read(self, segmentID):
        return Segments.readSegment(self.segmentation, segmentID, self.lattice).full().astype(bool)

    def test_everyScalarTypeReachesTheEngineUnchanged(self):
        from Mem3DLib.Native import SCALAR_TYPES

        for name in SCALAR_TYPES:
            slicer.mrmlScene.Clear()
            array = self.open((np.arange(np.prod(SHAPE)).reshape(SHAPE) % 120).astype(name))
            got = Segments.volumeArray(Segments.volumeVoxels(self.editor.sourceImage()))
            self.assertEqual(got.dtype, array.dtype)
            self.assertTrue((got == array).all(), name)

    def test_theArrayIsACopy(self):
        self.open()
        got = Segments.volumeArray(Segments.volumeVoxels(self.editor.sourceImage()))
        slicer.util.arrayFromVolume(self.volume)[:] = 0
        self.assertEqual(got.max(), np.prod(SHAPE) - 1)

    def test_wideIntegersAreNarrowedWhenTheyFit(self):
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(2, 1, 1)
        from vtk.util.numpy_support import numpy_to_vtk

        for values, expected in (([-5, 7], np.int32), ([0, 1 << 40], np.float64)):
            image.GetPointData().SetScalars(numpy_to_vtk(np.array(values, np.int64), deep=True))
            got = Segments.volumeArray(Segments.volumeVoxels(image))
            self.assertEqual(got.dtype, expected)
            self.assertEqual(got.ravel().tolist(), values)

    def test_geometryOfAnObliqueAnisotropicVolume(self):
        turn = rotation(30, 2) @ rotation(-20, 0)
        matrix = ijkToRas((0.7, 0.8, 2.5), (10, -20, 30), turn)
        self.open(matrix=matrix)
        grid = self.lattice.grid
        self.assertEqual(grid.shape, SHAPE)
        np.testing.assert_allclose(grid.spacingMm(), (2.5, 0.8, 0.7))
        # i grows to the left before the turn: +x in LPS is -x in RAS.
        expected = np.array([[0, 0, 1], [0, -1, 0], [-1, 0, 0]]) @ turn[:3, :3].T * (-1, -1, 1)
        np.testing.assert_allclose(grid.directionLps(), expected, atol=1e-9)
        # Voxel k=4, j=5, i=6 by Slicer's own matrix.
        np.testing.assert_allclose(grid.indexToRas([[4, 5, 6]])[0], (matrix @ (6, 5, 4, 1))[:3], atol=1e-9)
        np.testing.assert_allclose(grid.rasToIndex([(matrix @ (6, 5, 4, 1))[:3]])[0], (4, 5, 6), atol=1e-9)

    def test_slicePlanesOfObliqueVolumesAreRecognised(self):
        turn = rotation(30, 2) @ rotation(-20, 0)
        self.open(matrix=ijkToRas((0.7, 0.8, 2.5), (10, -20, 30), turn))
        for array, ras in ((0, 2), (1, 1), (2, 0)):
            plane = np.eye(4)
            plane[:3, 2] = turn[:3, ras]
            self.assertEqual(self.lattice.grid.axisOfPlane(plane), array)
            plane[:3, 2] *= -1  # seen from behind
            self.assertEqual(self.lattice.grid.axisOfPlane(plane), array)
        with self.assertRaisesRegex(UserError, "Rotate to volume plane"):
            self.lattice.grid.axisOfPlane(np.eye(4))

    def test_transformsOfVolumeAndSegmentation(self):
        # The segmentation moves along with the volume: its grid is the volume's, moved in the world.
        move = rotation(90, 2)
        move[:3, 3] = (100, 0, 0)
        transform = addTransform(move)
        array = self.open(volumeTransform=transform, transform=transform)
        self.assertTrue((Segments.volumeVoxels(self.editor.sourceImage()) == array).all())
        expected = move @ ijkToRas() @ (6, 5, 4, 1)
        np.testing.assert_allclose(self.lattice.grid.indexToRas([[4, 5, 6]])[0], expected[:3], atol=1e-9)
        self.write("a", box((2, 4), (3, 9), (5, 7)))
        self.assertTrue((voxels(self.segmentation, "a", self.volume) == box((2, 4), (3, 9), (5, 7))).all())

    def test_aVolumeMovedAfterwardsIsResampled(self):
        array = self.open()
        # Two voxels towards the left: what was at i=0 is seen at i=2 of the segmentation's grid.
        shift = np.eye(4)
        shift[0, 3] = -2
        self.volume.SetAndObserveTransformNodeID(addTransform(shift).GetID())
        got = Segments.volumeArray(Segments.volumeVoxels(self.editor.sourceImage()))
        self.assertTrue((got[:, :, 2:] == array[:, :, :-2]).all())

    def test_scaledByATransformTheSpacingIsThatOfTheWorld(self):
        transform = addTransform(np.diag([2.0, 2.0, 3.0, 1.0]))
        self.open(volumeTransform=transform, transform=transform)
        np.testing.assert_allclose(self.lattice.grid.spacingMm(), (3, 2, 2))

    def test_smallVoxelsAreNotFlat(self):
        small, turn = 1e-5, rotation(30, 2) @ rotation(-20, 0)
        self.open(matrix=ijkToRas((small, small, 3 * small), turn=turn))
        np.testing.assert_allclose(self.lattice.grid.spacingMm(), (3 * small, small, small))
        mask = box((3, 6), (4, 9), (10, 20))
        self.write("a", mask)
        self.assertTrue((self.read("a") == mask).all())
        moved = Grid(ijkToRas((small, small, 3 * small), (small / 2, 0, 0), turn), self.lattice.grid.extent)
        self.assertNotEqual(moved, self.lattice.grid)
        for flat in (np.diag([1.0, 1.0, 0.0, 1.0]), turn @ np.diag([1.0, 1.0, 0.0, 1.0])):
            with self.assertRaisesRegex(UserError, "flattens"):
                Grid(flat @ ijkToRas(turn=turn), self.lattice.grid.extent)

    def test_nonLinearTransformsAreRefusedWithAWayOut(self):
        self.open()
        warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
        import vtk

        spline = vtk.vtkThinPlateSplineTransform()
        source, target = vtk.vtkPoints(), vtk.vtkPoints()
        for k in range(5):
            source.InsertNextPoint(k * 3.0, k * k, k % 2)
            target.InsertNextPoint(k * 3.0 + k % 2, k * k, k % 2)
        spline.SetSourceLandmarks(source)
        spline.SetTargetLandmarks(target)
        spline.SetBasisToR()
        warp.SetAndObserveTransformToParent(spline)
        self.segmentation.SetAndObserveTransformNodeID(warp.GetID())
        with self.assertRaisesRegex(UserError, "Harden"):
            Segments.Lattice(self.editor.sourceImage(), self.segmentation)

    def test_writesAndReadsBack(self):
        self.open(matrix=ijkToRas((0.7, 0.8, 2.5), (1, 2, 3), rotation(30, 2)))
        first, second = box((3, 6), (4, 9), (10, 20)), box((5, 9), (1, 8), (12, 16))
        self.assertTrue(self.write("a", first))
        self.assertTrue((self.read("a") == first).all())
        self.assertTrue((voxels(self.segmentation, "a", self.volume) == first).all())
        self.assertTrue(self.write("a", second))
        self.assertTrue((self.read("a") == second).all())
        self.assertFalse(self.write("a", second))

    def test_slicersUndoAndRedo(self):
        self.open()
        first, second = box((3, 6), (4, 9), (10, 20)), box((5, 9), (1, 8), (12, 16))
        self.write("a", first)
        self.write("a", second)
        self.editor.undo()
        self.assertTrue((self.read("a") == first).all())
        self.editor.undo()
        self.assertFalse(self.read("a").any())
        self.editor.redo()
        self.editor.redo()
        self.assertTrue((self.read("a") == second).all())

    def test_otherSegmentsByOverwriteMode(self):
        mine, other = box((2, 6), (0, 9), (0, 20)), box((4, 8), (0, 20), (0, 30))
        modes = slicer.vtkMRMLSegmentEditorNode
        for mode, expected in (
            (modes.OverwriteNone, other),
            (modes.OverwriteAllSegments, other & ~mine & 1),
            (modes.OverwriteVisibleSegments, other),  # b is hidden below
        ):
            slicer.mrmlScene.Clear()
            self.open()
            self.write("b", other)
            self.segmentation.GetDisplayNode().SetSegmentVisibility("b", False)
            self.editor.node().SetOverwriteMode(mode)
            self.write("a", mine)
            self.assertTrue((self.read("a") == mine).all())
            self.assertTrue((self.read("b") == expected).all(), mode)

    def test_whatOthersHoldIsLeftToThem(self):
        mine, seen, hidden = box((2, 6), (0, 9), (0, 20)), box((4, 8), (0, 20), (0, 15)), box((2, 4), (0, 5), (0, 30))
        modes = slicer.vtkMRMLSegmentEditorNode
        for mode, expected in (
            (modes.OverwriteAllSegments, mine & ~seen & ~hidden & 1),
            (modes.OverwriteVisibleSegments, mine & ~seen & 1),  # c is hidden below, and may be overlapped
            (modes.OverwriteNone, mine),
        ):
            slicer.mrmlScene.Clear()
            self.open(segments=("a", "b", "c"))
            self.write("b", seen)
            self.write("c", hidden)
            self.segmentation.GetDisplayNode().SetSegmentVisibility("c", False)
            self.editor.node().SetOverwriteMode(mode)
            self.editor.select("a")
            empty = Region(SHAPE)
            for _ in range(2):  # the second time nothing is left to do
                before = Segments.readSegment(self.segmentation, "a", self.lattice)
                wrote = Segments.writeSegment(
                    self.editor, "a", self.lattice, before, Region.fromMask(mine), takeFromOthers=False
                )
                self.assertEqual(wrote, before.changesTo(empty) is None)
            self.assertTrue((self.read("a") == expected).all(), mode)
            self.assertTrue((self.read("b") == seen).all() and (self.read("c") == hidden).all(), mode)

    def test_whatOthersHoldOnAnotherGrid(self):
        self.open()
        coarse = addVolume(np.zeros((5, 10, 15), np.int16), ijkToRas((2, 2, 2)), "coarse")
        mask = np.zeros((5, 10, 15))
        mask[1:3, 2:5, 3:6] = 1
        setVoxels(self.segmentation, "b", coarse, mask)
        held = Segments.othersIn(((2, 6), (3, 9), (0, 30)), self.editor, "a", self.lattice)
        self.assertTrue((held == self.read("b")[2:6, 3:9]).all())
        self.assertTrue(held.any())

    def test_editableArea(self):
        self.open()
        area = box((0, 5), (0, 20), (0, 30))
        self.write("b", area)
        node = self.editor.node()
        node.SetOverwriteMode(node.OverwriteNone)
        node.SetMaskSegmentID("b")  # first: Slicer 5.8 searches the segment as soon as the mode is set
        node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
        mask = box((3, 8), (2, 9), (5, 15))
        self.write("a", mask)
        self.assertTrue((self.read("a") == (mask & area)).all())
        node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedOutsideAllSegments)
        self.write("a", mask)
        self.assertTrue((self.read("a") == mask).all())
        self.assertTrue((self.read("b") == area).all())

    def test_erasingInsideOfASegmentGivesItNothing(self):
        held, kept, area = box((3, 8), (2, 9), (5, 15)), box((3, 6), (2, 9), (5, 15)), box((0, 5), (0, 2), (0, 30))
        for mayTake, expected in ((False, area), (True, area | (held & ~kept & 1))):  # True: as Slicer's Erase
            slicer.mrmlScene.Clear()
            self.open()
            self.write("a", held)
            self.write("b", area)
            self.editor.select("a")
            node = self.editor.node()
            node.SetMaskSegmentID("b")
            node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment)
            before = Segments.readSegment(self.segmentation, "a", self.lattice)
            Segments.writeSegment(self.editor, "a", self.lattice, before, Region.fromMask(kept), mayTake)
            self.assertTrue((self.read("a") == kept).all(), mayTake)
            self.assertTrue((self.read("b") == expected).all(), mayTake)
            inside = slicer.vtkMRMLSegmentationNode.EditAllowedInsideSingleSegment
            self.assertEqual((node.GetMaskMode(), node.GetMaskSegmentID()), (inside, "b"))

    def test_editableIntensityRange(self):
        array = self.open()
        node = self.editor.node()
        node.SourceVolumeIntensityMaskOn()
        node.SetSourceVolumeIntensityMaskRange(1500, 4000)
        mask = box((1, 9), (2, 9), (5, 15))
        self.write("a", mask)
        self.assertTrue((self.read("a") == (mask & (array >= 1500) & (array <= 4000))).all())
        # Nor is anything erased outside of the range.
        node.SetSourceVolumeIntensityMaskRange(1500, 2000)
        held = self.read("a")
        self.write("a", np.zeros(SHAPE, np.uint8))
        self.assertTrue((self.read("a") == (held & (array > 2000))).all())

    def test_closedSurfaceFollows(self):
        self.open()
        self.write("a", box((3, 6), (4, 9), (10, 20)))
        self.segmentation.CreateClosedSurfaceRepresentation()
        before = self.segmentation.GetClosedSurfaceInternalRepresentation("a").GetBounds()
        self.write("a", box((3, 6), (4, 9), (10, 28)))
        self.assertTrue(self.segmentation.GetSegmentation().ContainsRepresentation("Closed surface"))
        after = self.segmentation.GetClosedSurfaceInternalRepresentation("a").GetBounds()
        self.assertAlmostEqual(before[0] - after[0], 8, delta=1)

    def test_geometryFinerAndOtherThanTheVolumes(self):
        # Twice the voxels along each axis, starting outside of the volume: masks live on that grid.
        self.open()
        fine = slicer.vtkOrientedImageData()
        from Mem3DTesting import vtkMatrix

        fine.SetGeometryFromImageToWorldMatrix(vtkMatrix(ijkToRas((0.5, 0.5, 0.5), (2, 2, -2))))
        fine.SetExtent(0, 67, 0, 47, 0, 27)
        text = slicer.vtkSegmentationConverter.SerializeImageGeometry(fine)
        name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        self.segmentation.GetSegmentation().SetConversionParameter(name, text)
        self.lattice = Segments.Lattice(self.editor.sourceImage(), self.segmentation)
        self.assertEqual(self.lattice.shape, (28, 48, 68))
        got = Segments.volumeArray(Segments.volumeVoxels(self.editor.sourceImage()))
        # Fine voxel 4 + 2n lies on the volume's voxel n along each axis (2 mm are 4 fine voxels).
        self.assertEqual(got[4 + 2 * 3, 4 + 2 * 5, 4 + 2 * 7], 3 * 600 + 5 * 30 + 7)
        mask = np.zeros(self.lattice.shape, np.uint8)
        mask[3:9, 11:20, 30:41] = 1
        self.write("a", mask)
        self.assertTrue((self.read("a") == mask).all())

    def test_extentsThatDoNotStartAtZero(self):
        self.open()
        part = slicer.vtkOrientedImageData()
        from Mem3DTesting import vtkMatrix

        part.SetGeometryFromImageToWorldMatrix(vtkMatrix(ijkToRas()))
        part.SetExtent(5, 24, 3, 12, 2, 7)
        name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
        self.segmentation.GetSegmentation().SetConversionParameter(
            name, slicer.vtkSegmentationConverter.SerializeImageGeometry(part)
        )
        lattice = Segments.Lattice(self.editor.sourceImage(), self.segmentation)
        self.assertEqual(lattice.shape, (6, 10, 20))
        self.lattice = lattice
        self.assertEqual(Segments.volumeVoxels(self.editor.sourceImage())[0, 0, 0], 2 * 600 + 3 * 30 + 5)
        mask = np.zeros(lattice.shape, np.uint8)
        mask[1:3, 2:5, 4:9] = 1
        self.write("a", mask)
        self.assertTrue((self.read("a") == mask).all())
        expected = box((3, 5), (5, 8), (9, 14))
        self.assertTrue((voxels(self.segmentation, "a", self.volume) == expected).all())

    def test_segmentsOfAnotherGeometryAreResampled(self):
        self.open()
        coarse = addVolume(np.zeros((5, 10, 15), np.int16), ijkToRas((2, 2, 2)), "coarse")
        mask = np.zeros((5, 10, 15))
        mask[1:3, 2:5, 3:6] = 1
        setVoxels(self.segmentation, "a", coarse, mask)
        # Coarse voxel n is centred on fine voxel 2n and reaches half a fine voxel beyond 2n - 1 and 2n + 1.
        read = self.read("a")
        self.assertTrue(read[2:5, 4:9, 6:11].all())
        self.assertEqual(read[[0, 7]].sum() + read[:, [1, 11]].sum() + read[:, :, [3, 13]].sum(), 0)

    def test_noSegmentNoVolume(self):
        self.open()
        with self.assertRaisesRegex(UserError, "No segment"):
            Segments.segmentOf(self.segmentation, None)
        with self.assertRaisesRegex(UserError, "No segment"):
            Segments.segmentOf(self.segmentation, "gone")
