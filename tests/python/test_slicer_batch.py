"""Interactions from .mrk.json files, the batch example on plain slicer-core, and whole scenes (.mrb) with results in
them."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

from Mem3DLib import Segments
from Mem3DLib.Editors import LogicEditor
from Mem3DLib.Errors import UserError
from Mem3DLib.Interactions import interactionsOf, parseName
from Mem3DLib.Native import AXIS_DEPTH, AXIS_WIDTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from Mem3DLib.SessionLogic import SessionLogic
from Mem3DTesting import (
    addSegmentation,
    addTransform,
    addVolume,
    ball,
    ijkToRas,
    randomSettings,
    rotation,
    setVoxels,
    voxels,
)

BATCH = Path(__file__).parents[2] / "slicer-module" / "examples" / "batch.py"
SPACING = (1, 1, 3)


def addMarkups(className, name, points, transform=None):
    node = slicer.mrmlScene.AddNewNodeByClass(className, name)
    for point in points:
        node.AddControlPoint(point)
    if transform is not None:
        node.SetAndObserveTransformNodeID(transform.GetID())
    return node


@pytest.fixture
def grid():
    slicer.mrmlScene.Clear()
    volume = addVolume(ball(), ijkToRas(SPACING))
    segmentation = addSegmentation(volume)
    return Segments.Lattice(LogicEditor.create(volume, segmentation).sourceImage(), segmentation).grid


def test_every_kind_of_markups(grid):
    points = [(-8, -24, 18), (-32, -24, 18), (-20, -12, 18), (-20, -36, 18)]
    (extreme,) = interactionsOf(addMarkups("vtkMRMLMarkupsFiducialNode", "liver extreme", points), grid)
    assert extreme.kind == EXTREME_POINTS and not extreme.negative and np.allclose(extreme.pointsRas, points)
    clicks = addMarkups("vtkMRMLMarkupsFiducialNode", "liver", points[:3])
    clicks.SetNthControlPointLabel(1, "-")
    clicks.SetNthControlPointDescription(2, "negative: vessel")
    interactions = interactionsOf(clicks, grid)
    assert [p.kind for p in interactions] == [CLICK] * 3 and [p.negative for p in interactions] == [False, True, True]
    assert np.allclose(interactions[1].pointsRas, [points[1]])
    (line,) = interactionsOf(addMarkups("vtkMRMLMarkupsLineNode", "liver negative", points[:2]), grid)
    assert line.kind == SCRIBBLE and line.negative and np.allclose(line.pointsRas[[0, -1]], points[:2])
    (curve,) = interactionsOf(addMarkups("vtkMRMLMarkupsCurveNode", "liver", points), grid)
    assert curve.kind == SCRIBBLE and np.allclose(curve.pointsRas, points)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "liver")
    roi.SetCenter(-20, -24, 18)
    roi.SetSize(20, 24, 6)
    (box,) = interactionsOf(roi, grid)
    assert (box.kind, box.axis) == (BOX, AXIS_DEPTH)
    assert np.allclose(np.sort(grid.rasToIndex(box.pointsRas), axis=0), [[6, 12, 10], [6, 36, 30]])
    with pytest.raises(UserError, match="no interaction"):
        interactionsOf(addMarkups("vtkMRMLMarkupsAngleNode", "angle", points[:3]), grid)


def test_points_that_are_not_placed_are_passed_over(grid):
    points = [(-8, -24, 18), (-32, -24, 18), (-20, -12, 18), (-20, -36, 18)]

    def unplaced(className, name, undefined, missing=()):
        node = addMarkups(className, name, points)
        for n in undefined:
            node.UnsetNthControlPointPosition(n)
        for n in missing:
            node.SetNthControlPointPositionMissing(n)
        return node

    clicks = unplaced("vtkMRMLMarkupsFiducialNode", "liver", [1], [3])
    clicks.SetNthControlPointLabel(2, "-")
    found = interactionsOf(clicks, grid)
    assert np.allclose([p.pointsRas[0] for p in found], [points[0], points[2]])
    assert [p.negative for p in found] == [False, True]
    for className, name in (("vtkMRMLMarkupsCurveNode", "liver"), ("vtkMRMLMarkupsFiducialNode", "liver extreme")):
        (drawn,) = interactionsOf(unplaced(className, name, [1]), grid)
        assert np.allclose(drawn.pointsRas, [points[0], points[2], points[3]]), name
    with pytest.raises(UserError, match="None of the control points of nowhere is placed"):
        interactionsOf(unplaced("vtkMRMLMarkupsFiducialNode", "nowhere", range(4)), grid)


def test_names_mean_what_they_mean_to_the_command():
    table = (Path(__file__).parents[1] / "golden" / "markup_names.csv").read_text().splitlines()[1:]
    assert len(table) > 20
    for line in table:
        name, segment, negative, extreme = line.split(",")
        assert parseName(name) == (segment, negative == "1", extreme == "1"), name
    names = [parseName(stem, "ct_1").segment for stem in ("ct_1_liver", "ct_1", "liver", "ct_12")]
    assert names == ["liver", "ct_1", "liver", "ct"]
    ofCase = {"ct_1_negative": (True, False), "ct_1-": (True, False), "ct_1_extreme_2": (False, True)}
    for stem, (negative, extreme) in {**ofCase, "ct_1_2": (False, False), "ct_1_": (False, False)}.items():
        assert parseName(stem, "ct_1") == ("ct_1", negative, extreme), stem


def test_markups_under_a_transform(grid):
    turn = rotation(90, 2)
    node = addMarkups("vtkMRMLMarkupsFiducialNode", "liver", [(1, 2, 3)], addTransform(turn))
    (interaction,) = interactionsOf(node, grid)
    assert np.allclose(interaction.pointsRas, [(turn @ (1, 2, 3, 1))[:3]])


def batchModule():
    """The example, imported; it does its work only when it is the program."""
    spec = importlib.util.spec_from_file_location("batch", BATCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runBatch(library, *arguments):
    environment = dict(
        os.environ, MEM3D_LIBRARY=str(library.path), MEM3D_MODEL="random:1", MEM3D_DEVICE="cpu", MEM3D_THREADS="1"
    )
    return subprocess.run(
        [sys.executable, str(BATCH), *map(str, arguments)], env=environment, capture_output=True, text=True
    )


def write(storageClass, node, path):
    storage = storageClass()
    storage.SetFileName(str(path))
    assert storage.WriteData(node)


def test_the_batch_example(library, tmp_path):
    slicer.mrmlScene.Clear()
    inputs, results = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    volume = addVolume(ball(), ijkToRas(SPACING))
    write(slicer.vtkMRMLNRRDStorageNode, volume, inputs / "case1.nrrd")
    write(slicer.vtkMRMLVolumeArchetypeStorageNode, volume, inputs / "case2.nii.gz")
    stroke = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]
    for name, className, points in (
        ("case1_ball", "vtkMRMLMarkupsCurveNode", stroke),
        ("case1_ball_negative_2", "vtkMRMLMarkupsFiducialNode", [(-2, -2, 18)]),
        ("case1_other_extreme", "vtkMRMLMarkupsFiducialNode",
         [(-8, -24, 9), (-32, -24, 9), (-20, -12, 9), (-20, -36, 9)]),
        ("case2_ball", "vtkMRMLMarkupsLineNode", stroke[:2]),
        ("case3_ball", "vtkMRMLMarkupsLineNode", stroke[:2]),
    ):
        node = addMarkups(className, name, points)
        write(slicer.vtkMRMLMarkupsJsonStorageNode, node, inputs / (name + ".mrk.json"))
    (inputs / "case3.nrrd").write_text("not a volume")
    done = runBatch(library, inputs, results)
    assert done.returncode == 1, done.stderr
    assert "case1: 2 segments" in done.stdout and "case2: 1 segments" in done.stdout
    assert "case3" in done.stderr and "cannot be read" in done.stderr and "Traceback" not in done.stderr
    assert sorted(p.name for p in results.iterdir()) == ["case1.seg.nrrd", "case2.seg.nrrd"]
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(results / "case1.seg.nrrd"))
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    names = [read.GetSegmentation().GetNthSegment(n).GetName() for n in range(2)]
    assert names == ["ball", "other"]
    with library.randomModel(seed=1, device="cpu") as model, model.openSession(ball(), SPACING[::-1]) as session:
        session.interact(
            1, AXIS_DEPTH, 3, EXTREME_POINTS, points=[[3, 24, 8], [3, 24, 32], [3, 12, 20], [3, 36, 20]]
        )
        session.propagate(1, AXIS_DEPTH)
        expected = session.readMask(1) != 0
    assert (voxels(read, read.GetSegmentation().GetNthSegmentID(1), volume) == expected).all()


def test_a_result_that_is_there_is_kept(library, tmp_path):
    slicer.mrmlScene.Clear()
    inputs, result = tmp_path / "in", tmp_path / "out" / "case.seg.nrrd"
    inputs.mkdir()
    result.parent.mkdir()
    write(slicer.vtkMRMLNRRDStorageNode, addVolume(ball(), ijkToRas(SPACING)), inputs / "case.nrrd")
    line = addMarkups("vtkMRMLMarkupsLineNode", "case_ball", [(-14, -18, 18), (-20, -24, 18)])
    write(slicer.vtkMRMLMarkupsJsonStorageNode, line, inputs / "case_ball.mrk.json")
    result.write_text("corrected by hand")
    done = runBatch(library, inputs, result.parent)
    assert (done.returncode, result.read_text()) == (0, "corrected by hand"), done.stderr
    assert "case: kept" in done.stdout and "--force" in done.stdout
    done = runBatch(library, "--force", inputs, result.parent)
    assert done.returncode == 0 and "case: 1 segments" in done.stdout, done.stderr
    assert result.read_bytes().startswith(b"NRRD")


def test_a_result_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    slicer.mrmlScene.Clear()
    resource = pytest.importorskip("resource")
    batch, result = batchModule(), tmp_path / "case.seg.nrrd"
    volume = addVolume(ball(), ijkToRas(SPACING))
    segmentation = addSegmentation(volume, ("ball",))
    setVoxels(segmentation, "ball", volume, ball() > 0)
    batch.write(segmentation, result)
    whole = result.read_bytes()
    result.write_text("corrected by hand")
    # As a full disk: what is beyond these bytes is not written.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for room in (100, len(whole) - 100, len(whole) - 1):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
            with pytest.raises(UserError, match=r"case\.seg\.nrrd cannot be written"):
                batch.write(segmentation, result)
            assert result.read_text() == "corrected by hand" and list(tmp_path.iterdir()) == [result]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    setVoxels(segmentation, "ball", volume, ball() > 500)
    batch.write(segmentation, result)
    assert result.read_bytes().startswith(b"NRRD") and list(tmp_path.iterdir()) == [result]


def test_each_axis_that_was_drawn_on_is_propagated_along(monkeypatch, tmp_path):
    slicer.mrmlScene.Clear()
    batch, inputs, calls = batchModule(), tmp_path / "in", []
    inputs.mkdir()
    write(slicer.vtkMRMLNRRDStorageNode, addVolume(ball(), ijkToRas(SPACING)), inputs / "case.nrrd")
    along_width = [(-20, -18, 15), (-20, -24, 18), (-20, -30, 21)]
    along_depth = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]
    for name, points in ("a", along_width), ("a_2", along_depth), ("a_3", along_width), ("b", along_depth):
        node = addMarkups("vtkMRMLMarkupsCurveNode", name, points)
        write(slicer.vtkMRMLMarkupsJsonStorageNode, node, inputs / ("case_%s.mrk.json" % name))

    def propagate(logic, axis=None):
        calls.append((logic.editor.selectedSegmentID(), logic.state().axis if axis is None else axis))

    monkeypatch.setattr(batch.SessionLogic, "propagate", propagate)
    ((case, volume, interactions),) = batch.cases(inputs)
    assert batch.segment(slicer.mrmlScene, randomSettings(), volume, interactions, tmp_path / "case.seg.nrrd") == 2
    # Axes in the order of the drawing, as `mem3d batch` takes them.
    assert calls == [("a", AXIS_WIDTH), ("a", AXIS_DEPTH), ("b", AXIS_DEPTH)]
    node = addMarkups("vtkMRMLMarkupsFiducialNode", "c", [])
    write(slicer.vtkMRMLMarkupsJsonStorageNode, node, inputs / "case_c.mrk.json")
    ((case, volume, interactions),) = batch.cases(inputs)
    with pytest.raises(UserError, match="markups of c hold no points"):
        batch.segment(slicer.mrmlScene, randomSettings(), volume, interactions, tmp_path / "other.seg.nrrd")


def test_cases_whose_names_have_dots(tmp_path):
    slicer.mrmlScene.Clear()
    batch = batchModule()
    uid = "1.2.840.113619.2.55"
    names = (uid + "_liver", uid + "_liver_negative", uid + "_tumour.a_extreme", "ct_negative", "ct_negative_liver")
    for name in names:
        node = addMarkups("vtkMRMLMarkupsFiducialNode", "any", [(-8, -24, 18)])
        write(slicer.vtkMRMLMarkupsJsonStorageNode, node, tmp_path / (name + ".mrk.json"))
    for volume in (uid + ".nrrd", "ct_negative.nii.gz"):
        (tmp_path / volume).write_text("")
    found = {}
    for case, _, interactions in batch.cases(tmp_path):
        found[case] = [tuple(named) for named, _ in interactions]
        for _, path in interactions:
            assert batch.readMarkups(slicer.mrmlScene, path).GetName() + ".mrk.json" == path.name
    assert found == {
        uid: [("liver", False, False), ("liver", True, False), ("tumour.a", False, True)],
        # The case's own name says nothing about what is drawn.
        "ct_negative": [("ct_negative", False, False), ("liver", False, False)],
    }


def test_a_stroke_outside_of_a_case_whose_name_has_dots_is_negative(library, tmp_path):
    slicer.mrmlScene.Clear()
    inputs = tmp_path / "in"
    inputs.mkdir()
    write(slicer.vtkMRMLNRRDStorageNode, addVolume(ball(), ijkToRas(SPACING)), inputs / "1.2.3.nrrd")
    stroke = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]
    for name, className, points in (
        ("1.2.3_ball", "vtkMRMLMarkupsCurveNode", stroke),
        ("1.2.3_ball_negative", "vtkMRMLMarkupsFiducialNode", [(-2, -2, 18)]),
    ):
        write(slicer.vtkMRMLMarkupsJsonStorageNode, addMarkups(className, name, points), inputs / (name + ".mrk.json"))
    done = runBatch(library, inputs, tmp_path)
    assert done.returncode == 0, done.stderr
    with library.randomModel(seed=1, device="cpu") as model, model.openSession(ball(), SPACING[::-1]) as session:
        session.interact(1, AXIS_DEPTH, 6, SCRIBBLE, points=[[6, 18, 14], [6, 24, 20], [6, 30, 26]])
        session.interact(1, AXIS_DEPTH, 6, CLICK, points=[[6, 2, 2]], negative=True)
        session.propagate(1, AXIS_DEPTH)
        expected = session.readMask(1) != 0
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(tmp_path / "1.2.3.seg.nrrd"))
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    volume = addVolume(ball(), ijkToRas(SPACING))
    assert not expected[6, 2, 2]
    assert (voxels(read, read.GetSegmentation().GetNthSegmentID(0), volume) == expected).all()


def test_a_scene_with_results_in_one_file(tmp_path):
    slicer.mrmlScene.Clear()
    volume = addVolume(ball(), ijkToRas(SPACING))
    segmentation = addSegmentation(volume, ("a",))
    editor = LogicEditor.create(volume, segmentation, "a")
    with SessionLogic(editor, randomSettings()) as logic:
        logic.interact(SCRIBBLE, logic_points(editor, segmentation))
        logic.apply()
        held = voxels(segmentation, "a", volume)
    assert held.any()
    path = str(tmp_path / "saved.mrb")
    assert slicer.mrmlScene.WriteToMRB(path)
    slicer.mrmlScene.Clear()
    assert slicer.mrmlScene.ReadFromMRB(path)
    volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert [s.GetName() for s in segmentations] == ["segmentation"]  # no preview was saved
    assert (voxels(segmentations[0], "a", volume) == held).all()
    editor = LogicEditor.create(volume, segmentations[0], "a")
    with SessionLogic(editor, randomSettings()) as logic:
        logic.accept(AXIS_DEPTH, 6)
        assert (logic.state().engineMask.full() == held).all()


def logic_points(editor, segmentation):
    lattice = Segments.Lattice(editor.sourceImage(), segmentation)
    return lattice.grid.indexToRas([[6, 18, 14], [6, 24, 20], [6, 30, 26]])
