"""What goes wrong around the effect: cancelling, interactions while it is at work, nodes that go away or are switched
in the middle, views that are turned, a helper process that dies."""

import os

import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_app
from effect_bench import CENTER, SPACING, STROKE, Bench, SlowEngine
from Mem3DLib.Native import AXIS_DEPTH
from Mem3DTesting import addVolume, ball, ijkToRas


@pytest.fixture(params=["inProcess", "helper"])
def slow(request):
    bench = Bench(request.param)
    bench.draw()
    keeper = bench.effect.logic._keeper
    keeper._engine = engine = SlowEngine(keeper._engine)
    yield bench, engine
    engine.mayGoOn.release(1000)
    bench.effect.cleanup()


# ---- while the engine is at work ----


def test_cancel_answers_within_one_slice(slow):
    bench, engine = slow
    before = bench.state().engineMask.full()
    bench.press("propagateButton")
    for _ in range(4):
        assert engine.atSlice.acquire(timeout=60)
        engine.mayGoOn.release()
    assert engine.atSlice.acquire(timeout=60)
    assert slicer_app.processEvents(lambda: bench.ui["progressBar"].value() == 4)
    assert bench.ui["progressBar"].text() == "4 of 11 slices" and "Propagating" in bench.status()
    bench.screenshot("propagating")
    bench.press("cancelButton")
    engine.mayGoOn.release()
    bench.wait()
    assert not engine.atSlice.acquire(timeout=0.2)  # it did not get to another slice
    assert "Cancelled" in bench.status()
    assert (bench.state().engineMask.full() == before).all()
    assert bench.ui["propagateButton"].isEnabled()


def test_a_stroke_while_busy_is_refused(slow):
    bench, engine = slow
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    assert all(bench.mouse.drag(STROKE)[:1])
    assert "at work" in bench.status()
    engine.mayGoOn.release(100)
    bench.wait()
    assert "segmented" in bench.status()


@pytest.mark.parametrize("what", ["close scene", "delete segmentation", "delete volume", "delete segment"])
def test_nodes_that_go_away_in_the_middle(slow, what):
    bench, engine = slow
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    if what == "close scene":
        slicer.mrmlScene.Clear()
    elif what == "delete segmentation":
        slicer.mrmlScene.RemoveNode(bench.segmentation)
    elif what == "delete volume":
        slicer.mrmlScene.RemoveNode(bench.volume)
    else:
        bench.segmentation.GetSegmentation().RemoveSegment("a")
    if slicer.mrmlScene.IsNodePresent(bench.editor.node()):
        bench.effect.updateGUIFromMRML()
    engine.mayGoOn.release(100)
    bench.wait()
    assert not bench.ui["cancelButton"].isVisible()
    bench.effect.deactivate()


def test_the_segment_is_switched_in_the_middle(slow):
    bench, engine = slow
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    bench.editor.select("b")
    bench.effect.updateGUIFromMRML()
    engine.mayGoOn.release(100)
    bench.wait()
    assert bench.state() is None and not bench.held("b").any()
    assert not bench.effect.preview.node.GetDisplayNode().GetVisibility()
    bench.editor.select("a")
    bench.effect.updateGUIFromMRML()
    assert bench.state().pending and bench.effect.preview.node.GetDisplayNode().GetVisibility()


def test_another_segment_is_selected_before_a_stroke_is_answered(bench):
    bench.select("b")
    bench.draw()
    bench.press("applyButton")
    bench.wait()
    done = bench.held("b")
    bench.select("a")
    bench.press("autoPropagateCheckBox")
    bench.press("autoApplyCheckBox")
    bench.mouse.drag(STROKE)
    bench.select("b")
    bench.wait()
    assert bench.status() == "The slice of a waits: select that segment, then press Propagate."
    assert (bench.held("b") == done).all() and not bench.state().pending
    bench.select("a")
    assert bench.state().engineMask.slicesHeld(AXIS_DEPTH) == [6]
    bench.press("propagateButton")
    bench.wait()
    assert "segmented" in bench.status()


def test_the_volume_is_switched_in_the_middle(slow):
    bench, engine = slow
    other = addVolume(ball()[::-1].copy(), ijkToRas(SPACING), "other")
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    bench.editor.node().SetAndObserveSourceVolumeNode(other)
    bench.effect.sourceVolumeNodeChanged()
    engine.mayGoOn.release(100)
    bench.wait()
    assert not bench.effect.preview.node.GetDisplayNode().GetVisibility()
    bench.draw()
    assert bench.state().drawn == (AXIS_DEPTH, 6)


# ---- Slicer's Undo in the middle ----


def undoInTheMiddle(bench, engine, noticed=True):
    """Slicer's Undo of what was applied, during a propagation; `noticed`: long before its end."""
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    bench.editor.undo()
    assert not noticed or slicer_app.processEvents(lambda: not bench.effect._watch.pending(), 10)
    engine.mayGoOn.release(1000)
    bench.wait()


@pytest.mark.parametrize("noticed", [True, False])
def test_slicers_undo_during_a_propagation_is_named_at_its_end(slow, noticed):
    bench, engine = slow
    bench.press("applyButton")
    bench.wait()
    undoInTheMiddle(bench, engine, noticed)
    assert bench.status().startswith("Undone in the segment.") and not bench.held().any()
    assert bench.state().pending and len(bench.state().engineMask.slicesHeld(AXIS_DEPTH)) > 1
    bench.press("applyButton")
    bench.wait()
    assert (bench.held() == (bench.state().engineMask.full() != 0)).all() and bench.held().any()


def test_slicers_undo_is_named_behind_the_error_that_it_led_to(slow):
    bench, engine = slow
    bench.press("autoApplyCheckBox")
    bench.press("applyButton")
    bench.wait()
    undoInTheMiddle(bench, engine)
    assert bench.status().startswith("The result is not written") and "Undone in the segment." in bench.status()
    bench.press("applyButton")
    bench.wait()
    assert bench.status() == "Written into the segment." and bench.held().any()


def test_a_slice_is_not_propagated_after_slicers_undo_during_its_stroke(bench):
    bench.draw()
    bench.press("applyButton")
    bench.wait()
    bench.press("autoPropagateCheckBox")
    bench.view.node.JumpSliceByCentering(-20, -24, 21)
    bench.mouse.drag([(x, y, 21) for x, y, _ in STROKE])
    bench.editor.undo()
    bench.wait()
    assert bench.status().startswith("Undone in the segment.")
    assert bench.state().pending and bench.state().engineMask.slicesHeld(AXIS_DEPTH) == [6, 7]


# ---- what is refused ----


def test_oblique_views_are_refused_in_words(bench):
    bench.view.node.SetOrientation("Axial")
    import vtk

    turn = vtk.vtkTransform()
    turn.RotateX(20)
    matrix = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Multiply4x4(turn.GetMatrix(), bench.view.node.GetSliceToRAS(), matrix)
    bench.view.node.GetSliceToRAS().DeepCopy(matrix)
    bench.view.node.UpdateMatrices()
    bench.mouse.drag([CENTER, CENTER])
    assert "20.0 degrees" in bench.status() and "Rotate to volume plane" in bench.status()
    bench.screenshot("error")
    assert not bench.effect.logic.worker.busy


def test_hidden_segments_are_asked_about(bench):
    bench.scripted.confirmation = bench.scripted.NotConfirmed
    assert bench.mouse.drag(STROKE)[0]
    assert not bench.effect.logic.worker.busy and bench.state() is None


def test_events_of_others_pass(bench):
    assert not bench.mouse.send("MouseMoveEvent")
    assert not bench.mouse.send("LeftButtonPressEvent", shift=1)
    assert not bench.mouse.send("RightButtonPressEvent")


# ---- ends ----


def test_a_helper_that_dies_is_started_again_with_the_session():
    bench = Bench("helper")
    try:
        bench.draw()
        mask = bench.state().engineMask.full()
        os.kill(bench.effect.logic._keeper._engine.processId, 9)
        bench.press("propagateButton")
        bench.wait()
        assert "helper process ended" in bench.status() and "kept" in bench.status()
        bench.screenshot("helper-died")
        assert (bench.state().engineMask.full() == mask).all()
        bench.press("propagateButton")
        bench.wait()
        assert "segmented" in bench.status()
        after = bench.state().engineMask.full()
    finally:
        bench.effect.cleanup()
    calm = Bench("inProcess")
    try:
        calm.draw()
        calm.press("propagateButton")
        calm.wait()
        assert (calm.state().engineMask.full() == after).all()
    finally:
        calm.effect.cleanup()


def test_cleanup_while_at_work_ends_everything(slow):
    bench, engine = slow
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    engine.mayGoOn.release(100)
    slicer.app.aboutToQuit.emit()
    assert bench.effect.logic is None and bench.effect.preview.node is None and not bench.scripted.actors
    bench.effect.polling.poll()
    bench.effect.updateGUIFromMRML()
