"""The effect and its panel: real MRML and logics, PySide6 off-screen, stand-ins only for Slicer's own widgets. Every
button is pressed."""

import sys

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_app
from effect_bench import CENTER, STROKE, Bench
from Mem3DLib.Native import AXIS_DEPTH, AXIS_WIDTH, BOX, CLICK, EXTREME_POINTS, SCRIBBLE
from Mem3DTesting import ball, setVoxels, voxels
from PySide6 import QtCore, QtTest


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
    bench.screenshot("interaction")
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


def test_every_kind_of_interaction(bench):
    outermost = ((-8, -24, 18), (-32, -24, 18), (-20, -12, 18), (-20, -36, 18))
    for kind, gesture in (
        (BOX, lambda: bench.draw([(-8, -12, 18), (-32, -36, 18)])),
        (CLICK, lambda: bench.draw([CENTER])),
        (EXTREME_POINTS, lambda: [bench.draw([point]) for point in outermost]),
        (SCRIBBLE, lambda: bench.draw()),
    ):
        bench.choose(kind)
        assert bench.effect.options()["kind"] == kind
        gesture()
        assert bench.state().drawn == (AXIS_DEPTH, 6), (kind, bench.status())
        bench.press("undoButton")
        bench.wait()


def test_extreme_points_can_be_removed_one_by_one(bench):
    bench.choose(EXTREME_POINTS)
    bench.draw([(-8, -24, 18)])
    bench.draw([(-32, -24, 18)])
    assert len(bench.effect.drawing.gesture.points) == 2 and bench.status().startswith("2 of 4 outermost points")
    assert bench.mouse.key("x") and bench.status().startswith("1 of 4")
    assert len(bench.effect.drawing.gesture.points) == 1
    assert bench.mouse.key("x") and not bench.mouse.key("x")
    assert not bench.mouse.key("v")  # Slicer's own


def test_sign_by_button_and_by_key(bench):
    assert not bench.effect.options()["negative"]
    bench.press("outsideButton")
    assert bench.effect.options()["negative"]
    assert bench.mouse.key("n")
    assert not bench.effect.options()["negative"] and bench.ui["insideButton"].isChecked()
    bench.press("outsideButton")
    bench.press("insideButton")
    assert not bench.effect.options()["negative"]


def test_propagate_quality_and_suggestion(anyBench):
    bench = anyBench
    bench.draw()
    progress = []
    show = bench.effect.panel.showProgress
    bench.effect.panel.showProgress = lambda *a: progress.append(a) or show(*a)
    bench.press("propagateButton")
    assert bench.ui["progressBar"].isVisible() and not bench.ui["propagateButton"].isEnabled()
    bench.wait()
    assert "segmented" in bench.status()
    strip = bench.effect.panel.strip._shown[0]
    assert len(strip.quality) == 12 and strip.annotated == {6}
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
    assert not bench.ui["firstSliceBox"].isEnabled()
    bench.press("rangeCheckBox")
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
    bench.press("autoPropagateCheckBox")
    bench.press("autoApplyCheckBox")
    bench.draw()
    assert "segmented" in bench.status()
    assert bench.held().any() and (bench.held() == (bench.state().engineMask.full() != 0)).all()


def test_a_range_of_slices_is_not_taken_over_to_another_axis(bench):
    bench.draw()
    bench.press("rangeCheckBox")
    bench.ui["firstSliceBox"].setValue(5)
    bench.ui["lastSliceBox"].setValue(7)
    bench.press("autoPropagateCheckBox")
    sagittal = slicer_app.SliceWidget("Sagittal")
    sagittal.node.JumpSliceByCentering(*CENTER)
    slicer_app.Mouse(bench.effect, sagittal).drag([(-20, -18, 15), CENTER, (-20, -30, 21)])
    bench.wait()
    assert bench.state().axis == AXIS_WIDTH and bench.status().startswith("39 slices were segmented.")
    assert bench.effect.panel.range() == (0, 39)


def test_undo_redo_and_start_over(bench):
    bench.draw()
    mask = bench.state().engineMask.full()
    bench.press("undoButton")
    bench.wait()
    assert bench.state().engineMask.isEmpty()
    bench.press("undoButton")
    bench.wait()
    assert "nothing to undo" in bench.status()
    bench.press("redoButton")
    bench.wait()
    assert (bench.state().engineMask.full() == mask).all()
    bench.mouse.key("Return")
    bench.wait()
    assert (bench.held() == (mask != 0)).all()
    bench.press("resetButton")
    bench.wait()
    assert (bench.held() == (mask != 0)).all()


def test_settings(bench, tmp_path, monkeypatch):
    bench.draw()
    info = bench.ui["infoLabel"].text()
    assert "Model random-1 on cpu" in info and "1 thread," in info and "in Slicer" in info and "last step took" in info
    assert "propagation" not in info
    bench.press("propagateButton")
    bench.wait()
    assert "last propagation took" in bench.ui["infoLabel"].text()
    bench.press("settingsButton")
    bench.screenshot("settings")
    monkeypatch.setattr(sys.modules["qt"].QFileDialog, "getOpenFileName", lambda *a: ("", ""))
    bench.press("modelBrowseButton")
    assert bench.ui["modelEdit"].text() == "random:1"  # the dialog was cancelled
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


def test_settings_chosen_in_the_module_are_taken_over(bench):
    bench.draw()
    bench.effect.deactivate()
    bench.effect.activate()
    assert bench.effect.logic.info["model"] == "random-1" and bench.state().pending  # nothing was changed
    bench.effect.deactivate()
    bench.effect.loadSettings()._replace(modelPath="random:2").save(slicer.app.userSettings())
    bench.effect.activate()
    bench.wait()
    assert bench.ui["modelEdit"].text() == "random:2"
    bench.draw()
    assert bench.effect.logic.info["model"] == "random-2"


def test_other_segments_keep_their_voxels_until_the_box_is_checked(bench):
    other = np.zeros(ball().shape, bool)
    other[:, :, :20] = True
    setVoxels(bench.segmentation, "b", bench.volume, other)
    bench.draw()
    mask = bench.state().engineMask.full() != 0
    assert (mask & other).any()
    bench.press("applyButton")
    bench.wait()
    assert "as far as allowed" in bench.status()
    assert (bench.held("b") == other).all() and (bench.held() == (mask & ~other)).all()
    assert not bench.effect.preview.node.GetDisplayNode().GetVisibility()
    bench.press("takeFromOthersCheckBox")
    assert bench.effect.options()["takeFromOthers"]
    bench.press("applyButton")
    bench.wait()
    assert (bench.held() == mask).all() and (bench.held("b") == (other & ~mask)).all()
    assert "Written into the segment." == bench.status() and not bench.ui["applyButton"].isEnabled()


def test_a_preview_that_is_left_behind_is_told(bench):
    bench.effect.deactivate()
    assert not slicer.app.statusMessages
    bench.effect.activate()
    bench.draw()
    bench.effect.deactivate()
    assert "press Apply" in slicer.app.statusMessages[-1]
    assert not bench.effect.preview.node.GetDisplayNode().GetVisibility()
    bench.effect.activate()
    assert bench.effect.preview.node.GetDisplayNode().GetVisibility()
    bench.press("applyButton")
    bench.wait()
    bench.effect.deactivate()
    assert len(slicer.app.statusMessages) == 1


def test_a_double_click_is_not_the_views(bench):
    assert bench.mouse.send("LeftButtonDoubleClickEvent")


def test_every_button_was_pressed(bench):
    """Cancel is pressed here; the others were in the tests above."""
    if len(Bench.pressed) < 5:
        pytest.skip("it goes with the other tests of this file")
    bench.draw()
    bench.press("propagateButton")
    bench.press("cancelButton")
    bench.wait()
    assert set(slicer_app.buttons(bench.effect.panel.widget)) == Bench.pressed
