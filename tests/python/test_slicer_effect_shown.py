"""What the effect shows and names: the slice that is accepted, what is being drawn, previews that are left behind, and
messages that stay true. Weights are random."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_app
from effect_bench import CENTER, STROKE
from Mem3DLib.Native import AXIS_DEPTH, BOX, EXTREME_POINTS, SCRIBBLE
from Mem3DTesting import addSegmentation, addTransform, addVolume, ball, ijkToRas, setVoxels, vtkMatrix


def noticed(bench):
    """Lets the effect notice what was changed."""
    assert slicer_app.processEvents(lambda: not bench.effect._watch._timer.isActive(), 10)


# ---- the slice shown ----


def addView(ras, shown):
    view = slicer_app.SliceWidget(name="Second")
    view.node.JumpSliceByCentering(*ras)
    view.node.SetMappedInLayout(shown)
    return view


def test_only_a_slice_that_is_seen_is_accepted(bench):
    bench.draw()
    bench.view.node.SetMappedInLayout(False)
    other = addView((-20, -24, 9), True)
    bench.press("acceptButton")
    bench.wait()
    assert bench.status() == "Slice 3 is taken as correct."
    bench.view.node.SetMappedInLayout(True)
    for view, number in ((bench.view, 6), (other, 3)):
        slicer_app.Mouse(bench.effect, view).send("EnterEvent")
        assert bench.effect.currentSlice() == number
    for view in (bench.view, other):
        view.node.SetMappedInLayout(False)
    bench.press("acceptButton")
    assert "No slice view shows a slice" in bench.status() and not bench.effect.logic.worker.busy


def test_a_view_outside_of_the_volume_shows_no_slice_of_it(bench):
    bench.draw()
    for z in (-30, 60):
        bench.view.node.JumpSliceByCentering(-20, -24, z)
        bench.press("acceptButton")
        assert "No slice view shows a slice" in bench.status()


# ---- what is being drawn ----


def crosses(bench):
    """Where the middles of the crosses are seen."""
    _, data = bench.effect.drawing._feedback._actors[bench.view]
    points = np.array([data.GetPoint(n)[:2] for n in range(data.GetNumberOfPoints())]).reshape(-1, 4, 2)
    return points.mean(axis=1)


def test_crosses_follow_the_view(bench):
    node = bench.view.node
    bench.choose(EXTREME_POINTS)
    bench.draw([(-8, -24, 18)])
    bench.draw([(-32, -24, 18)])

    def moved():
        bench.effect.processViewNodeEvents(node, 0, bench.view)
        expected = [bench.view.xy(p) for p in ((-8, -24, 18), (-32, -24, 18))]
        found = crosses(bench)
        return len(found) == 2 and np.abs(found - expected).max() <= 1

    assert moved()
    node.SetFieldOfView(50, 50, 1)
    assert moved()
    node.JumpSliceByCentering(-25, -20, 18)
    assert moved()
    node.JumpSliceByCentering(-25, -20, 21)  # another slice
    bench.effect.processViewNodeEvents(node, 0, bench.view)
    assert len(crosses(bench)) == 0
    node.JumpSliceByCentering(-20, -24, 18)
    assert moved()
    bench.draw([(-20, -12, 18)])  # the points go on, as the slice is the same
    assert len(bench.effect.drawing.gesture.points) == 3
    bench.ui["radiusBox"].setValue(3)
    bench.effect.setOption("radiusMm", 3.0)
    assert len(crosses(bench)) == len(bench.effect.drawing.gesture.points) == 3
    bench.choose(SCRIBBLE)
    assert len(crosses(bench)) == len(bench.effect.drawing.gesture.points) == 0


def test_crosses_are_in_one_view_only(bench):
    bench.choose(EXTREME_POINTS)
    bench.draw([(-8, -24, 18)])
    other = addView(CENTER, True)
    slicer_app.Mouse(bench.effect, other).drag([(-32, -24, 18)])
    assert len(crosses(bench)) == 0 and len(bench.effect.drawing.gesture.points) == 1


def test_outside_is_for_scribbles_and_clicks(bench):
    bench.press("outsideButton")
    bench.choose(BOX)
    assert bench.ui["insideButton"].isChecked() and not bench.ui["outsideButton"].isEnabled()
    bench.mouse.key("n")
    assert not bench.effect.options()["negative"]
    bench.draw([(-8, -12, 18), (-32, -36, 18)])
    assert "Look at the preview" in bench.status()
    bench.choose(SCRIBBLE)
    assert bench.ui["outsideButton"].isEnabled()
    # A scene may say otherwise.
    bench.scripted.setParameter("negative", "1")
    bench.scripted.setParameter("kind", str(BOX))
    bench.effect.updateGUIFromMRML()
    assert bench.ui["insideButton"].isChecked() and not bench.effect.options()["negative"]


def test_a_first_stroke_outside_marks_nothing(bench):
    bench.press("outsideButton")
    bench.press("autoPropagateCheckBox")
    bench.draw()
    assert bench.status() == "Nothing is marked yet. Draw inside of the structure."


# ---- previews that are left behind ----


def test_previews_of_all_segments_are_named(bench):
    bench.draw()
    bench.editor.select("b")
    bench.effect.updateGUIFromMRML()
    bench.draw()
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartSaveEvent)
    assert "the preview of a, b" in slicer.app.statusMessages[-1]
    bench.press("applyButton")
    bench.wait()
    bench.effect.deactivate()
    assert "the preview of a." in slicer.app.statusMessages[-1]
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndSaveEvent)
    bench.effect.cleanup()
    count = len(slicer.app.statusMessages)
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartSaveEvent)
    assert len(slicer.app.statusMessages) == count


@pytest.mark.parametrize("what", ["voxels", "geometry", "segmentation", "transform"])
def test_a_session_that_is_outdated_is_told(bench, what):
    transform, parent = addTransform(np.eye(4)), addTransform(np.eye(4))
    transform.SetAndObserveTransformNodeID(parent.GetID())
    bench.segmentation.SetAndObserveTransformNodeID(transform.GetID())
    bench.draw()
    noticed(bench)
    if what == "voxels":  # the next time point of a sequence
        slicer.util.updateVolumeFromArray(bench.volume, ball()[::-1].copy())
    elif what == "geometry":  # as a segment does that reaches outside of it
        bench.segmentation.SetReferenceImageGeometryParameterFromVolumeNode(addLarger())
        bench.effect.referenceGeometryChanged()
    elif what == "transform":
        parent.SetMatrixTransformToParent(vtkMatrix(ijkToRas((-1, -1, 1), (4, 0, 0))))
    else:
        bench.editor.logic.SetSegmentationNode(addSegmentation(bench.volume, ("a",)))
        bench.editor.select("a")
        bench.effect.updateGUIFromMRML()
    noticed(bench)
    assert "The preview of a is not applied" in bench.status()
    assert not bench.effect.preview.node.GetDisplayNode().GetVisibility()
    bench.mouse.key("Return")
    assert "nothing to apply" in bench.status() and not bench.held().any()
    if what != "geometry":
        bench.draw()
        assert "the preview of a was dropped" in slicer.app.statusMessages[-1]


def addLarger():
    return addVolume(np.zeros((14, 48, 40), np.int16), ijkToRas((1, 1, 3), (0, 0, -3)), "larger")


def test_settings_that_drop_a_preview_say_so(bench):
    bench.draw()
    bench.press("settingsButton")
    bench.ui["memoryBox"].setValue(64)
    bench.press("settingsApplyButton")
    assert "the preview of a was dropped" in slicer.app.statusMessages[-1]


def test_another_segment_right_after_apply(bench):
    bench.draw()
    setVoxels(bench.segmentation, "a", bench.volume, ball() > 0)  # apply has something to tell the engine
    bench.effect.apply()
    assert bench.effect.logic.worker.busy
    bench.editor.select("b")
    bench.effect.updateGUIFromMRML()
    bench.wait()
    assert bench.status() in ("Written into the segment.", "The segment holds that already.")


def test_a_saved_scene_has_no_item_of_the_preview(bench, tmp_path):
    bench.draw()
    node = bench.effect.preview.node
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Commit()
    assert "Mem3D preview" not in (tmp_path / "scene.mrml").read_text()
    for _ in range(2):
        slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartSaveEvent)
        assert hierarchy.GetItemByDataNode(node) == 0
        slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndSaveEvent)
        assert hierarchy.GetItemByDataNode(node) != 0
    node.GetSegmentation().GetSegment("preview").SetColor(1, 0, 0)
    assert not bench.hierarchy.complaints


# ---- messages ----


def test_messages_of_undo_and_of_results_written_at_once(bench):
    bench.press("autoApplyCheckBox")
    bench.draw()
    assert bench.status() == "The mask is in the segment. Draw again to correct it, or propagate."
    bench.press("propagateButton")
    bench.wait()
    assert ("suggested" in bench.status()) == (bench.state().suggestion is not None)
    for button, text in (("undoButton", "Undone."), ("redoButton", "Redone."), ("redoButton", "There is nothing")):
        bench.press(button)
        bench.wait()
        assert bench.status().startswith(text)


def test_undo_of_another_segments_step_is_refused_in_words(bench):
    bench.mouse.drag(STROKE)
    bench.wait()
    drawn = bench.state().drawn
    bench.editor.select("b")
    bench.effect.updateGUIFromMRML()
    bench.draw()
    bench.editor.select("a")
    bench.effect.updateGUIFromMRML()
    bench.press("undoButton")
    bench.wait()
    assert "The last step was for the segment b" in bench.status() and drawn == (AXIS_DEPTH, 6)
    assert bench.effect.logic.state("b").pending
