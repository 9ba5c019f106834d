"""The effect and its panel: real MRML and logics, PySide6 off-screen, stand-ins only for Slicer's own widgets. Every
button is pressed; cancelling, errors, and nodes that go away or are switched in the middle."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or libEGL, libGL, libxkbcommon is missing", exc_type=ImportError)

import headless  # noqa: E402
import slicer  # noqa: E402

headless.start()

import slicer_app  # noqa: E402
from Mem3DTesting import addSegmentation, addVolume, ball, ijkToRas, randomSettings, setVoxels, voxels  # noqa: E402

slicer_app.completeApplication()

from Mem3DLib import Native  # noqa: E402
from Mem3DLib.Editors import LogicEditor  # noqa: E402
from Mem3DLib.Native import AXIS_DEPTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE  # noqa: E402
from Mem3DLib.SegmentEditorMem3D import SegmentEditorMem3DEffect  # noqa: E402
from PySide6 import QtCore, QtTest  # noqa: E402

SPACING = (1, 1, 3)
CENTER = (-20, -24, 18)  # of the ball, in RAS: voxel [6, 24, 20]
STROKE = [(-14, -18, 18), (-20, -24, 18), (-26, -30, 18)]
SCREENSHOTS = os.environ.get("MEM3D_SCREENSHOTS")


class Bench:
    """One effect on one volume, with an axial view through the ball's middle."""

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
        self.scripted.frame.resize(430, 700)
        self.scripted.frame.show()

    def wait(self):
        assert slicer_app.processEvents(lambda: not self.effect.logic.worker.busy)

    def press(self, name):
        button = self.ui[name]
        assert button.isEnabled(), name
        QtTest.QTest.mouseClick(button, QtCore.Qt.LeftButton)

    def choose(self, kind):
        self.press({SCRIBBLE: "scribble", BOX: "box", EXTREME_POINTS: "extremePoints", CLICK: "click"}[kind] + "Button")

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
        if SCREENSHOTS:
            Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            assert self.scripted.frame.grab().save(str(Path(SCREENSHOTS) / (name + ".png")))


@pytest.fixture(params=["inProcess", "helper"])
def anyBench(request):
    bench = Bench(request.param)
    yield bench
    bench.effect.cleanup()


@pytest.fixture
def bench():
    bench = Bench("inProcess")
    yield bench
    bench.effect.cleanup()


def test_a_stroke_shows_a_preview_and_apply_writes_it(anyBench):
    bench = anyBench
    bench.screenshot("idle")
    assert not bench.ui["propagateButton"].isEnabled() and not bench.ui["applyButton"].isEnabled()
    assert all(bench.mouse.drag(STROKE))
    assert bench.effect.logic.worker.busy and bench.ui["cancelButton"].isVisible()
    bench.wait()
    assert not bench.ui["cancelButton"].isVisible()
    mask = bench.state().engineMask
    assert mask.slice(AXIS_DEPTH, 6).any() and bench.state().drawn == (AXIS_DEPTH, 6)
    preview = bench.effect.preview.node
    assert preview.GetDisplayNode().GetVisibility() and preview.GetHideFromEditors() and not preview.GetSaveWithScene()
    assert (voxels(preview, "preview", bench.volume) == (mask.full() != 0)).all()
    assert tuple(preview.GetSegmentation().GetSegment("preview").GetColor()) == tuple(
        bench.segmentation.GetSegmentation().GetSegment("a").GetColor()
    )
    assert not bench.held().any() and bench.scripted.undoStates == 0
    bench.screenshot("prompt")
    bench.press("applyButton")
    bench.wait()
    assert (bench.held() == (mask.full() != 0)).all() and bench.scripted.undoStates == 1
    assert not preview.GetDisplayNode().GetVisibility()
    assert "Written" in bench.status()


def test_the_stroke_lands_where_it_was_drawn(bench):
    seen = []
    interact = bench.effect.logic.interact
    bench.effect.logic.interact = lambda kind, points, plane, **named: seen.append(points) or interact(
        kind, points, plane, **named
    )
    bench.draw()
    # A pixel of the view is 0.25 mm.
    np.testing.assert_allclose(seen[0][0], STROKE[0], atol=0.25)
    np.testing.assert_allclose(seen[0][-1], STROKE[-1], atol=0.25)


def test_every_kind_of_prompt(bench):
    for kind, gesture in (
        (BOX, lambda: bench.draw([(-8, -12, 18), (-32, -36, 18)])),
        (CLICK, lambda: bench.draw([CENTER])),
        (EXTREME_POINTS, lambda: [bench.draw([p]) for p in ((-8, -24, 18), (-32, -24, 18), (-20, -12, 18), (-20, -36, 18))]),
        (SCRIBBLE, lambda: bench.draw()),
    ):
        bench.choose(kind)
        assert bench.effect.options()["kind"] == kind
        gesture()
        assert bench.state().drawn == (AXIS_DEPTH, 6), (kind, bench.status())
        bench.press("undoButton")
        bench.wait()


def test_extreme_points_can_be_taken_back_one_by_one(bench):
    bench.choose(EXTREME_POINTS)
    bench.draw([(-8, -24, 18)])
    bench.draw([(-32, -24, 18)])
    assert len(bench.effect.gesture.points) == 2 and bench.mouse.key("x")
    assert len(bench.effect.gesture.points) == 1
    assert bench.mouse.key("x") and not bench.mouse.key("x")
    assert not bench.mouse.key("v")  # Slicer's own


def test_sign_by_button_and_by_key(bench):
    assert not bench.effect.options()["negative"]
    bench.ui["outsideButton"].click()
    assert bench.effect.options()["negative"]
    assert bench.mouse.key("n")
    assert not bench.effect.options()["negative"] and bench.ui["insideButton"].isChecked()


def test_propagate_quality_and_suggestion(anyBench):
    bench = anyBench
    bench.draw()
    progress = []
    show = bench.effect.panel.showProgress
    bench.effect.panel.showProgress = lambda *a: progress.append(a) or show(*a)
    bench.press("propagateButton")
    assert bench.ui["progressBar"].isVisible() and not bench.ui["propagateButton"].isEnabled()
    bench.screenshot("propagating")
    bench.wait()
    assert "segmented" in bench.status()
    assert bench.effect.panel.strip._shown[0] is not None and len(bench.effect.panel.strip._shown[0]) == 12
    assert bench.effect.panel.strip._shown[1] == {6}
    bench.screenshot("quality")
    if bench.state().suggestion is not None:
        bench.press("nextSliceButton")
        assert bench.effect.currentSlice() == bench.state().suggestion.slice
    # The strip: a click in its third bar of twelve shows slice 2.
    strip = bench.ui["qualityStrip"]
    QtTest.QTest.mouseClick(
        strip, QtCore.Qt.LeftButton, pos=QtCore.QPoint(int(strip.width() * 2.5 / 12), strip.height() // 2)
    )
    assert bench.effect.currentSlice() == 2
    bench.press("acceptButton")
    bench.wait()
    assert bench.state().annotated[AXIS_DEPTH] == [2, 6]
    for name in ("propagateUpButton", "propagateDownButton"):
        bench.press(name)
        bench.wait()


def test_slice_range(bench):
    bench.draw()
    before = bench.state().engineMask.full()
    bench.ui["rangeCheckBox"].setChecked(True)
    bench.ui["firstSliceBox"].setValue(5)
    bench.ui["lastSliceBox"].setValue(7)
    bench.press("propagateButton")
    bench.wait()
    after = bench.state().engineMask.full()
    outside = [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert (before[outside] == after[outside]).all()
    bench.ui["firstSliceBox"].setValue(9)
    bench.press("propagateButton")
    assert "range is empty" in bench.status()


def test_automatic_propagation_and_writing(bench):
    bench.ui["autoPropagateCheckBox"].click()
    bench.ui["autoApplyCheckBox"].click()
    bench.draw()
    assert "segmented" in bench.status()
    assert bench.held().any() and (bench.held() == (bench.state().engineMask.full() != 0)).all()


def test_take_back_again_and_start_over(bench):
    bench.draw()
    mask = bench.state().engineMask.full()
    bench.press("undoButton")
    bench.wait()
    assert bench.state().engineMask.isEmpty()
    bench.press("undoButton")
    bench.wait()
    assert "nothing to take back" in bench.status()
    bench.press("redoButton")
    bench.wait()
    assert (bench.state().engineMask.full() == mask).all()
    bench.mouse.key("Return")
    bench.wait()
    assert (bench.held() == (mask != 0)).all()
    bench.press("resetButton")
    bench.wait()
    assert (bench.held() == (mask != 0)).all()


class SlowEngine:
    """An engine whose propagation waits at each slice until it is allowed to go on."""

    def __init__(self, engine):
        import threading

        self._engine = engine
        self.atSlice = threading.Semaphore(0)
        self.mayGoOn = threading.Semaphore(0)

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def call(self, name, *arguments, onSlice=None, **named):
        if name == "propagate":
            told = onSlice

            def onSlice(progress):
                self.atSlice.release()
                self.mayGoOn.acquire()
                return told(progress)

        return self._engine.call(name, *arguments, onSlice=onSlice, **named)


@pytest.fixture
def slow(bench):
    bench.draw()
    keeper = bench.effect.logic._keeper
    keeper._engine = engine = SlowEngine(keeper._engine)
    yield bench, engine
    engine.mayGoOn.release(1000)


def test_cancel_answers_within_one_slice(slow):
    bench, engine = slow
    before = bench.state().engineMask.full()
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
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


def test_settings(bench, tmp_path):
    bench.draw()
    info = bench.ui["infoLabel"].text()
    assert "Model random-1 on cpu" in info and "1 thread," in info and "in Slicer" in info and "last step took" in info
    bench.ui["settingsBox"].setChecked(True)
    bench.screenshot("settings")
    bench.ui["modelEdit"].setText(str(tmp_path / "none.safetensors"))
    bench.ui["memoryBox"].setValue(64)
    bench.press("settingsApplyButton")
    bench.wait()
    assert slicer.app.userSettings().values["Mem3D/memoryLimitMb"] == 64
    bench.draw()
    assert "There is no model file" in bench.status() and "settings" in bench.status()
    bench.ui["modelEdit"].setText("random:2")
    bench.press("settingsApplyButton")
    bench.wait()
    bench.draw()
    assert bench.state().drawn == (AXIS_DEPTH, 6), bench.status()


def test_a_saved_segment_is_resumed(bench):
    start = ball() > 0
    setVoxels(bench.segmentation, "a", bench.volume, start)
    bench.draw()
    mask = bench.state().engineMask.full() != 0
    assert (mask[5] == start[5]).all() and (mask[7] == start[7]).all()


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
    assert bench.effect.logic is None and bench.effect.preview.node is None
    bench.effect.poll()
    bench.effect.updateGUIFromMRML()
