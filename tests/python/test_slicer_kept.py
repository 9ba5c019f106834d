"""What must never be lost: voxels of segments, what was painted by hand, slices that were drawn on, results that were
not applied. Weights are random."""

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core or a library that it opens is missing", exc_type=ImportError)
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 or a library that it opens is missing", exc_type=ImportError)

import headless
import slicer

headless.start()

import slicer_editor
from effect_bench import SPACING, STROKE, SlowEngine
from Mem3DLib.Errors import UserError
from Mem3DLib.Native import AXIS_DEPTH, AXIS_HEIGHT, BOX, CancelledError, Error
from Mem3DLib.Segments import imageArray
from Mem3DLib.Source import Source
from Mem3DTesting import (
    addSegmentation,
    addTransform,
    addVolume,
    ball,
    ijkToRas,
    setVoxels,
    voxels,
    vtkMatrix,
)
from script_session import Session

SMALL = (slice(5, 8), slice(20, 28), slice(16, 24))


@pytest.fixture
def session():
    session = Session()
    session.setUp()
    session.open()
    yield session
    session.tearDown()


@pytest.fixture
def slow(bench):
    """A bench whose propagation runs until engine.mayGoOn is released."""
    bench.draw()
    keeper = bench.effect.logic._keeper
    keeper._engine = engine = SlowEngine(keeper._engine)
    yield bench, engine
    engine.mayGoOn.release(1000)


# ---- edits by hand ----


def test_small_edits_are_corrections_of_the_slices_drawn_on(session):
    session.draw()
    session.logic.propagate()
    session.logic.apply()
    edited = session.held()
    edited[2:8, 22:26, 18:22] = ~edited[2:8, 22:26, 18:22]
    session.paint("a", edited)
    session.logic.propagate()
    assert session.annotated() == [[2, 3, 4, 5, 6, 7], [], []]


def test_an_edit_on_one_slice_of_another_axis_is_a_correction_of_that(session):
    session.draw()
    session.logic.apply()
    edited = session.held()
    edited[1:11, 24] = ball()[1:11, 24] > 0
    session.paint("a", edited)
    session.logic.propagate()
    assert session.logic._keeper.call("annotatedSlices", 1, AXIS_HEIGHT) == [24]


def test_a_large_edit_leaves_drawn_slices_protected(session):
    session.open(ball((24, 48, 40), (1.5, 1, 1)), ijkToRas((1, 1, 1.5)))
    session.draw(12)
    session.logic.propagate()
    session.draw(16)  # not accepted yet
    session.logic.apply()
    edited = session.held()
    edited[2:22, 4:8, 4:8] = True
    session.paint("a", edited)
    noticed = session.logic.edited()
    session.logic.propagate()
    assert session.annotated()[AXIS_DEPTH] == [12, 16]
    assert (session.mask()[[12, 16]] == edited[[12, 16]]).all()
    assert noticed == "replaced"


def test_a_cleared_segment_starts_over(session):
    small = np.zeros(session.array.shape, bool)
    small[SMALL] = True
    setVoxels(session.segmentation, "a", session.volume, small)
    session.logic.accept(AXIS_DEPTH, 6)
    session.paint("a", np.zeros_like(small))
    noticed = session.logic.edited()
    session.draw()
    session.logic.propagate()
    assert session.annotated() == [[6], [], []]
    assert session.mask()[6].any()
    assert noticed == "cleared"


# ---- where results go ----


def propagating(slow):
    """In the middle of a propagation whose result is written at once."""
    bench, engine = slow
    bench.effect.logic.autoApply = True
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    return bench, engine


def finish(bench, engine):
    engine.mayGoOn.release(1000)
    bench.wait()


def test_a_result_goes_into_the_segmentation_it_was_made_for(slow):
    bench, engine = slow
    bench.effect.logic.autoApply = True
    other = addSegmentation(bench.volume, ("a", "b"))
    start = np.zeros(bench.held().shape, bool)
    start[:2, :4, :4] = True
    setVoxels(other, "a", bench.volume, start)
    bench.press("propagateButton")
    assert engine.atSlice.acquire(timeout=60)
    bench.editor.logic.SetSegmentationNode(other)
    bench.editor.select("a")
    finish(bench, engine)
    assert (voxels(other, "a", bench.volume) == start).all() and not bench.held().any()
    assert "not written" in bench.status()
    bench.editor.logic.SetSegmentationNode(bench.segmentation)
    bench.editor.select("a")
    bench.effect.updateGUIFromMRML()
    bench.press("applyButton")
    bench.wait()
    assert bench.held().any() and (voxels(other, "a", bench.volume) == start).all()


def test_what_is_painted_during_a_propagation_stays(slow):
    bench, engine = propagating(slow)
    painted = np.zeros(bench.held().shape, bool)
    painted[2, 2:6, 2:6] = True
    setVoxels(bench.segmentation, "a", bench.volume, painted)
    finish(bench, engine)
    assert (bench.held() == painted).all() and "edited meanwhile" in bench.status()
    bench.press("applyButton")
    bench.wait()
    assert bench.held()[6].any() and (bench.held() & painted).sum() == 16
    bench.press("propagateButton")
    finish(bench, engine)
    assert (bench.held() & painted).sum() == 16


def test_edits_of_other_segments_do_not_keep_a_result_out(slow):
    bench, engine = propagating(slow)
    other = np.zeros(bench.held().shape, bool)
    other[0, :3, :3] = True
    setVoxels(bench.segmentation, "b", bench.volume, other)
    finish(bench, engine)
    assert bench.held().any() and (bench.held("b") == other).all(), bench.status()


def test_a_step_is_refused_while_the_engine_is_at_work(bench):
    bench.draw()
    drawn = bench.state().engineMask.full()
    bench.press("resetButton")
    bench.wait()
    bench.mouse.drag(STROKE)
    bench.mouse.key("Return")
    assert "at work" in bench.status()
    bench.wait()
    assert (bench.state().engineMask.full() == drawn).all() and bench.state().pending


def test_a_cancelled_stroke_changes_nothing(bench):
    bench.effect.logic.start()
    bench.wait()
    bench.press("autoPropagateCheckBox")
    engine = bench.effect.logic._keeper._engine
    call = engine.call

    def cancelling(name, *arguments, **named):
        result = call(name, *arguments, **named)
        if name == "interact":
            bench.effect.cancel()
        return result

    engine.call = cancelling
    bench.draw()
    assert bench.status() == "Cancelled. Nothing was changed." and not bench.state().started
    engine.call = call
    bench.draw()
    assert bench.state().annotated[AXIS_DEPTH] == [6]


def test_a_step_that_waits_does_not_begin_after_cancel(bench):
    logic, errors = bench.effect.logic, []
    logic.interact(0, STROKE, axis=AXIS_DEPTH, onError=errors.append)
    logic.cancel()
    bench.wait()
    assert isinstance(errors[0], CancelledError) and not bench.state().started


# ---- whether the session is still about the same ----


def test_apply_is_refused_when_the_volume_is_another(session):
    session.draw()
    slicer.util.updateVolumeFromArray(session.volume, ball()[::-1].copy())
    with pytest.raises(UserError, match="nothing was drawn for this volume as it is now"):
        session.logic.apply()
    assert session.logic.unapplied() == ["a"]
    dropped = []
    session.logic.onDropped = dropped.append
    with pytest.raises(UserError, match="several slices"):
        session.logic.interact(0, session.ras([[3, 24, 20], [9, 26, 25]]), axis=AXIS_DEPTH)
    assert not dropped
    session.draw()
    assert dropped == [["a"]]


def test_a_volume_that_is_moved_is_another(session):
    transform, parent = addTransform(np.eye(4)), addTransform(np.eye(4))
    session.volume.SetAndObserveTransformNodeID(transform.GetID())
    transform.SetAndObserveTransformNodeID(parent.GetID())
    shift = np.eye(4)
    shift[0, 3] = -4
    for move in (
        lambda: transform.SetMatrixTransformToParent(vtkMatrix(shift)),
        lambda: parent.SetMatrixTransformToParent(vtkMatrix(shift)),
        lambda: session.volume.SetIJKToRASMatrix(vtkMatrix(ijkToRas(SPACING, (5, 0, 0)))),
    ):
        session.draw()
        before = imageArray(session.editor.sourceImage()).copy()
        assert session.logic.isCurrent()
        move()
        assert not session.logic.isCurrent()
        assert (imageArray(session.editor.sourceImage()) != before).any()  # the Segment Editor's copy moved, too


def test_a_segmentation_that_is_moved_gets_the_voxels_that_lie_there(session):
    transform, parent = addTransform(np.eye(4)), addTransform(np.eye(4))
    transform.SetAndObserveTransformNodeID(parent.GetID())
    session.segmentation.SetAndObserveTransformNodeID(transform.GetID())
    session.draw()
    shift = np.eye(4)
    shift[0, 3] = 4  # as many voxels against the direction of the rows
    parent.SetMatrixTransformToParent(vtkMatrix(shift))
    assert not session.logic.isCurrent()
    assert (imageArray(Source(session.editor).image)[:, :, 4:] == session.array[:, :, :-4]).all()


def test_slices_that_are_not_there(session):
    session.draw()
    for number in (-1, 12, 4294967276):
        with pytest.raises(UserError, match="There is no slice %d: the slices are 0 to 11" % number):
            session.logic.accept(AXIS_DEPTH, number)
    with pytest.raises(UserError, match="There is no slice 12"):
        session.logic.propagate(first=3, last=12)


def test_what_fails_leaves_the_engine_as_it_was(session):
    session.load()
    with pytest.raises(Error, match="no slice is annotated"):
        session.logic.propagate()
    assert session.logic._keeper.call("segments") == [] and not session.logic.state().started


def test_starting_over_twice(session):
    session.draw()
    session.logic.interact(BOX, session.ras([[8, 14, 10], [8, 34, 30]]), axis=AXIS_DEPTH)
    done = []
    for _ in range(2):
        session.logic.reset(onDone=done.append)
    assert len(done) == 2 and not session.logic.state().started


def test_the_logic_for_scripts_leaves_no_editor_behind():
    module = slicer_editor.complete()
    slicer.mrmlScene.Clear()
    volume = addVolume(ball(), ijkToRas(SPACING))
    segmentation = addSegmentation(volume)
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode")
    for _ in range(2):
        logic = module.Mem3DLogic.open(volume, segmentation)
        logic.close()
        logic.close()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == count
